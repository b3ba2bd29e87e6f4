//! What a user asks of the keys of a running engine.

use std::hash::BuildHasher;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::Engine;
use crate::error::{ControlError, FlushError};
use crate::handler::Handler;
use crate::item::Item;
use crate::nanos::Nanos;
use crate::queues::FlushAsked;
use crate::shard::{Operation, Post, Request, Unasked};

impl<H: Handler, S: BuildHasher> Engine<H, S> {
    /// Pauses a key: nothing of it is handed over from when this returns until it is
    /// [resumed](Self::resume). What comes meanwhile waits, up to
    /// [`held_items_max`](crate::Builder::held_items_max). The engine must keep
    /// [queues](crate::Builder::queues). Waits for the handler call that a shard is in. A paused key takes one
    /// of the places of [`open_keys`](crate::Builder::open_keys), also while nothing of it is here.
    ///
    /// # Errors
    ///
    /// [`ControlError`] says why. Then it is paused where it was before, and nowhere else.
    pub fn pause(&self, key: &<H::Item as Item>::Key<'_>) -> Result<(), ControlError> {
        let hash = self.entrance.router.hash_key::<H::Item>(key);
        self.refuse_at_home()?;
        let said = self.ask_all(self.shards_of(key, hash), |reply| Operation::Pause(hash, reply));
        let outcome = said.iter().try_for_each(|&(_, said)| said.map(|_| ()));
        if outcome.is_err() {
            // Everywhere, or as it was.
            for (shard, _) in said.iter().filter(|(_, said)| *said == Ok(true)) {
                let _ = self.operate(*shard, Operation::Resume(hash));
            }
        }
        outcome
    }

    /// Lets a paused key go on; what waits of it goes at once
    /// ([`Trigger::Resume`](crate::Trigger::Resume)).
    ///
    /// # Errors
    ///
    /// [`ControlError`] if no shard hears of it.
    pub fn resume(&self, key: &<H::Item as Item>::Key<'_>) -> Result<(), ControlError> {
        let hash = self.entrance.router.hash_key::<H::Item>(key);
        self.refuse_at_home()?;
        self.shards_of(key, hash).try_for_each(|shard| self.operate(shard, Operation::Resume(hash)))
    }

    /// As [`pause`](Self::pause), for all keys: nothing is handed over from when this returns. Waits for the
    /// handler calls that shards are in.
    ///
    /// # Errors
    ///
    /// [`ControlError`] if a shard does not hear of it; the others are paused.
    pub fn pause_all(&self) -> Result<(), ControlError> {
        self.refuse_at_home()?;
        let said = self.ask_all(0..self.workers.len(), Operation::PauseAll);
        said.into_iter().try_for_each(|(_, said)| said)
    }

    /// Lets everything go on, also keys that were paused by themselves.
    ///
    /// # Errors
    ///
    /// [`ControlError`] if a shard does not hear of it.
    pub fn resume_all(&self) -> Result<(), ControlError> {
        self.refuse_at_home()?;
        (0..self.workers.len()).try_for_each(|shard| self.operate(shard, Operation::ResumeAll))
    }

    /// Hands over what was accepted of a key so far, without lingering, and waits until it is settled. It
    /// never cuts a backoff short.
    ///
    /// # Errors
    ///
    /// [`FlushError`] says why it is not complete.
    pub fn flush(
        &self,
        key: &<H::Item as Item>::Key<'_>,
        within: Duration,
    ) -> Result<(), FlushError> {
        let hash = self.entrance.router.hash_key::<H::Item>(key);
        let shards = self.shards_of(key, hash);
        self.flush_shards(shards, Some(hash), within)
    }

    /// As [`flush`](Self::flush), for everything that was accepted so far.
    ///
    /// # Errors
    ///
    /// [`FlushError`] says why it is not complete.
    pub fn flush_all(&self, within: Duration) -> Result<(), FlushError> {
        self.flush_shards(0..self.workers.len(), None, within)
    }

    fn flush_shards(
        &self,
        shards: impl Iterator<Item = usize>,
        hash: Option<u64>,
        within: Duration,
    ) -> Result<(), FlushError> {
        if self.entrance.home.is_here() {
            return Err(FlushError::WouldDeadlock);
        }
        if self.plan.operations.is_none() {
            return Err(FlushError::NoQueues);
        }
        let clock = &self.entrance.clock;
        let deadline = clock.now().saturating_add(Nanos::from(within));
        let mut waits: Vec<(usize, Receiver<_>)> = Vec::new();
        for shard in shards {
            let (done, wait) = bounded(1);
            let rest = deadline.saturating_sub(clock.now());
            let flush = Operation::Flush(FlushAsked { hash, deadline, done });
            self.operate_by(shard, flush, |post, flush| post.ask_within(flush, rest.into()))
                .map_err(|unasked| match unasked {
                    Unasked::Full => FlushError::TimedOut,
                    Unasked::Ended => FlushError::Stopped,
                })?;
            waits.push((shard, wait));
        }
        waits.iter().try_for_each(|(shard, wait)| {
            let rest = deadline.saturating_sub(clock.now());
            match self.workers[*shard].hear_within(wait, rest.into()) {
                Ok(outcome) => outcome,
                Err(RecvTimeoutError::Timeout) => Err(FlushError::TimedOut),
                Err(RecvTimeoutError::Disconnected) => Err(FlushError::Stopped),
            }
        })
    }

    /// Hands exactly one item over and pauses everything else: for debugging, item by item. Says whether
    /// there was one. Go on with [`resume_all`](Self::resume_all).
    ///
    /// All shards are [paused](Self::pause_all) before one steps, so that nothing is handed over beside the
    /// item, nor after it. It is of the first shard that has one that may go, in the order of their numbers,
    /// and there the one that came first; between shards there is no order. Waits for the handler calls that
    /// shards are in, and for the one of the item.
    ///
    /// # Errors
    ///
    /// [`ControlError`] if a shard does not hear of it. Those that did are paused.
    pub fn step(&self) -> Result<bool, ControlError> {
        self.pause_all()?;
        for shard in 0..self.workers.len() {
            let (reply, stepped) = bounded(1);
            self.operate(shard, Operation::Step(reply))?;
            if self.workers[shard].hear(&stepped).ok_or(ControlError::Closed)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The shards that may have items of a key.
    fn shards_of(
        &self,
        key: &<H::Item as Item>::Key<'_>,
        hash: u64,
    ) -> impl Iterator<Item = usize> + use<H, S> {
        match self.entrance.router.shard_of_key::<H::Item>(key, hash) {
            Some(shard) => shard..shard + 1,
            None => 0..self.workers.len(),
        }
    }

    fn refuse_at_home(&self) -> Result<(), ControlError> {
        if self.entrance.home.is_here() { Err(ControlError::WouldDeadlock) } else { Ok(()) }
    }

    /// Asks shards for the same, all before the first is waited for; what each of them said.
    fn ask_all<A>(
        &self,
        shards: impl Iterator<Item = usize>,
        operation: impl Fn(Sender<Result<A, ControlError>>) -> Operation,
    ) -> Vec<(usize, Result<A, ControlError>)> {
        let ask = |shard| {
            let (reply, said) = bounded(1);
            (shard, self.operate(shard, operation(reply)).map(|()| said))
        };
        let asked: Vec<_> = shards.map(ask).collect();
        let hear = |shard: usize, said: Receiver<_>| {
            self.workers[shard].hear(&said).unwrap_or(Err(ControlError::Closed))
        };
        let heard =
            |(shard, asked): (_, Result<_, _>)| (shard, asked.and_then(|said| hear(shard, said)));
        asked.into_iter().map(heard).collect()
    }

    fn operate(&self, shard: usize, operation: Operation) -> Result<(), ControlError> {
        if self.plan.operations.is_none() {
            return Err(ControlError::NoQueues);
        }
        self.operate_by(shard, operation, Post::ask).map_err(|_| ControlError::Closed)
    }

    fn operate_by(
        &self,
        shard: usize,
        operation: Operation,
        ask: impl FnOnce(&Post, Request) -> Result<(), Unasked>,
    ) -> Result<(), Unasked> {
        ask(self.workers[shard].post(), Request::Operate(operation))?;
        self.lanes.doorbell(shard).knock();
        Ok(())
    }
}
