//! What a shard is made around: the part that groups items.

use std::hash::BuildHasher;
use std::sync::Arc;

use ringbuf::SeqlockWriter;

use super::{Factory, Mailbox, Operation, Shard};
use crate::handed_over::HandedOver;
use crate::handler::Handler;
use crate::lane::ShardLanes;
use crate::nanos::Nanos;
use crate::observer::Observer;
use crate::queues::{Departure, Ending};
use crate::tally::{Counters, Tally};
use crate::tunables::Tunables;
use crate::verdict::Trigger;

/// What groups a shard's items: chosen once for an engine, and a type, so that one kind costs the other
/// nothing.
pub(crate) trait Core<H: Handler>: Sized {
    /// What it is made of.
    type Parts;
    /// Counters that it publishes.
    const WORDS: usize;

    /// Whether a lane waits for something that happens here: what lies in it is no reason to stay awake.
    fn is_stalled(&self) -> bool {
        false
    }

    /// Takes all memory.
    fn new(parts: Self::Parts, now: Nanos) -> Self;
    fn tally(&self) -> &Tally;
    fn tally_mut(&mut self) -> &mut Tally;
    /// A turn starts.
    fn begin(&mut self, now: Nanos, depth: usize);
    /// Items out of all lanes; maybe right on to the handler.
    fn take_in<S: BuildHasher>(shard: &mut Shard<H, S, Self>) -> TakenIn;
    /// A bounded run out of one lane.
    fn drain<S: BuildHasher>(shard: &mut Shard<H, S, Self>, lane: usize, waiting: usize) -> usize;
    /// Everything open is to go.
    fn sweep(&mut self, trigger: Trigger);
    /// Seals what must go now.
    fn decide(&mut self);
    fn has_ready(&self) -> bool;
    fn hand_over(
        &mut self,
        handler: &mut H,
        before: impl FnOnce(&mut Tally, usize),
    ) -> Option<HandedOver>;
    fn is_behind(&self) -> bool;
    fn next_deadline(&self) -> Option<Nanos>;
    fn is_empty(&self) -> bool;
    fn fail_all(&mut self) -> u64;
    fn gauge(&mut self);
    /// The lanes are closed: what is here is to be settled soon.
    fn close(&mut self) {}
    /// Whether this turn moved anything that came out of no lane and went to no handler.
    fn has_changed(&self) -> bool {
        false
    }
    /// Accepted items that no lane has brought.
    fn emitted(&self) -> u64 {
        0
    }
    /// The lanes were drained so far.
    fn note_heads(&mut self, _heads: impl Fn(usize) -> u64) {}
    /// What opens from the next turn on is sized, and limited, by these.
    fn tune(&mut self, tunables: &Tunables);
    /// Does what only queues can do; `tails` says how far the lanes reach.
    fn operate(&mut self, operation: Operation, tails: impl FnOnce() -> Vec<u64>);
    /// Hands exactly one item over.
    fn step(
        &mut self,
        handler: &mut H,
        before: impl FnOnce(&mut Tally, usize),
    ) -> Option<HandedOver>;
    /// A batch that a handler took along was told to who watches.
    fn note_departure(&mut self, _seat: u32, _departure: Departure) {}
    /// The next batch to be told of that has come to its end without a handler call.
    #[inline(always)]
    fn next_ending(&mut self) -> Option<Ending> {
        None
    }
    /// Writes the counters where they are published.
    fn publish(counters: &Counters, to: &mut SeqlockWriter);
    /// Says how things stand while the handler has so many items in its hands.
    fn report(tally: &mut Tally, items: usize, to: &mut SeqlockWriter);
}

/// What a shard is connected to.
pub(crate) struct Ends<H: Handler> {
    pub(crate) lanes: ShardLanes<H::Item, H::Reply, H::Error>,
    pub(crate) factory: Factory<H>,
    pub(crate) mailbox: Mailbox,
    pub(crate) counters: SeqlockWriter,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

/// What came out of the lanes in a turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TakenIn {
    /// Items that went right on to the handler, and those that were drained.
    pub(crate) passed: usize,
    pub(crate) drained: usize,
}
