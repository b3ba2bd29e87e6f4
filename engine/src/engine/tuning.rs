//! What a user changes of a running engine.

use std::sync::{Mutex, PoisonError};

use crossbeam_channel::bounded;

use super::Engine;
use crate::error::TuneError;
use crate::handler::Handler;
use crate::shard::Request;
use crate::tunables::Tunables;

/// What is tuned now.
pub(super) struct Tuning {
    /// Whoever changes something holds this until every shard was told, so that all are told the same last.
    turn: Mutex<()>,
    /// Never held while something is waited for: whoever looks may be a shard that is to be told.
    present: Mutex<Tunables>,
}

impl Tuning {
    pub(super) fn new(tunables: Tunables) -> Self {
        Self { turn: Mutex::new(()), present: Mutex::new(tunables) }
    }

    fn present(&self) -> Tunables {
        *self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: Handler, S> Engine<H, S> {
    /// How the engine is sized and limited now: as it was started, or as it was [tuned](Self::tune) last.
    #[must_use]
    pub fn tunables(&self) -> Tunables {
        self.tuning.present()
    }

    /// Changes the sizing, the time that items linger, and limits, without a stop: `change` gets what
    /// [holds now](Self::tunables), and what it makes of it holds from when this returns, for every batch that
    /// opens then. A batch that is open keeps its target and its deadline; what is away stays away, and what is
    /// more than a new limit stays where it is. All of it is changed, or nothing.
    ///
    /// Waits for the handler call that a shard is in, as [`pause`](Self::pause) does. Changes from several
    /// threads come one after the other: `change` must not itself change the engine. What a shard pays is
    /// said in the [guide](crate::guide::control).
    ///
    /// # Errors
    ///
    /// [`TuneError`] names the field, its value and what is allowed; or says that all shards have stopped, or
    /// that this is a thread of one.
    pub fn tune(&self, change: impl FnOnce(&mut Tunables)) -> Result<(), TuneError> {
        if self.entrance.home.is_here() {
            return Err(TuneError::WouldDeadlock);
        }
        let turn = self.tuning.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.tuning.present();
        let mut wanted = present;
        change(&mut wanted);
        self.plan.check_tuning(&present, &wanted)?;
        let mut replies = Vec::new();
        for (shard, worker) in self.workers.iter().enumerate() {
            let (heard, reply) = bounded(1);
            // Not one that has stopped: it has nothing to hand over any more.
            if worker.post().ask(Request::Tune(wanted, heard)).is_ok() {
                self.lanes.doorbell(shard).knock();
                replies.push((worker, reply));
            }
        }
        let told = !replies.is_empty();
        if told {
            *self.tuning.present.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
        }
        drop(turn);
        let heard = replies.iter().filter(|(worker, reply)| worker.hear(reply).is_some()).count();
        if heard > 0 { Ok(()) } else { Err(TuneError::Closed) }
    }
}
