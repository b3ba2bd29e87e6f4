//! The handler of those cells in which a sender waits for what it has sent.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use engine::{Batch, Handler, Settled};

use super::baton::Baton;
use super::witness::{Testimony, Witness};
use crate::workload::Row;

/// Reads every byte, tells the sender, and reports at its end.
pub(super) struct Attended<N> {
    baton: Arc<Baton>,
    /// What of each call is worth noting, in nanoseconds; asked when the call begins.
    note: N,
    witness: Witness,
    report: Sender<Testimony>,
}

/// Nothing is worth noting: what counts is seen elsewhere.
pub(super) fn nothing(_baton: &Baton) -> Option<u64> {
    None
}

impl<N> Attended<N> {
    /// For keys from 0 to `keys` less one.
    pub(super) fn new(baton: &Arc<Baton>, keys: u32, note: N, report: &Sender<Testimony>) -> Self {
        let (baton, report) = (Arc::clone(baton), report.clone());
        Self { baton, note, witness: Witness::new(keys), report }
    }
}

impl<N: Fn(&Baton) -> Option<u64> + Send + 'static> Handler for Attended<N> {
    type Item = Row;
    type Reply = ();
    type Error = ();

    #[inline]
    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        if let Some(ns) = (self.note)(&self.baton) {
            self.witness.note_ns(ns);
        }
        let items = batch.len();
        let settled = batch.settle_all(|key, rows| {
            self.witness.handle(key, rows);
            Ok(())
        });
        self.baton.handled(items);
        settled
    }
}

impl<N> Drop for Attended<N> {
    fn drop(&mut self) {
        // Nobody listens when the run has failed.
        let _ = self.report.send(self.witness.testimony());
    }
}
