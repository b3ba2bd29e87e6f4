//! What is told of batches that come to their end without a handler call, to who watches.
//!
//! A seat keeps what was told when its batch was taken along; the event of its end says the same of the
//! batch, and what became of it. Where nobody watches, nothing of this is kept.

use super::Queues;
use super::node::Slip;
use crate::handed_over::Came;
use crate::item::Item;
use crate::nanos::Nanos;
use crate::observer::{BatchEvent, BatchStage};
use crate::shard_id::ShardId;
use crate::table::At;
use crate::verdict::Trigger;

/// A batch that was taken along, as it was told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departure {
    pub(crate) event: BatchEvent,
    pub(crate) begun: Nanos,
}

/// An end that is to be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) event: BatchEvent,
    /// It was away from then on, if at all.
    pub(crate) away_since: Option<Nanos>,
}

impl<T: Item, R, E> Queues<T, R, E> {
    /// The batch in a seat was told to be away.
    pub(crate) fn note_departure(&mut self, seat: u32, departure: Departure) {
        self.seats[seat as usize].told = Some(departure);
    }

    /// What is to be told next.
    pub(crate) fn next_ending(&mut self) -> Option<Ending> {
        self.endings.pop_front()
    }

    /// A batch that was taken along has come to its end.
    pub(super) fn end_departure(&mut self, seat: u32, stage: BatchStage, came: Came) {
        if let Some(Departure { event, begun }) = self.seats[seat as usize].told.take() {
            let Came { done, failed, retried } = came;
            let event = BatchEvent { stage, done, failed, retried, ..event };
            self.endings.push_back(Ending { event, away_since: Some(begun) });
        }
    }

    /// A lone suspect is about to fail.
    pub(super) fn end_suspect(&mut self, at: At) {
        if !self.operations.observed {
            return;
        }
        let node = &self.nodes[at];
        let Slip { hash, since, deadline, .. } = node.slip;
        let failed = node.slip.units() as usize;
        let event = BatchEvent {
            shard: ShardId(self.surroundings.shard),
            key_hash: hash,
            stage: BatchStage::Isolated,
            trigger: node.cut.unwrap_or(Trigger::Size),
            items: 1,
            absorbed: failed - 1,
            done: 0,
            failed,
            retried: 0,
            oldest_age: self.now.saturating_sub(since),
            formation: Nanos::ZERO,
            execution: Nanos::ZERO,
            lateness: self.now.saturating_sub(deadline),
        };
        self.endings.push_back(Ending { event, away_since: None });
    }
}
