//! A shard that keeps a queue for each key.

use std::hash::BuildHasher;

use ringbuf::SeqlockWriter;

use super::{Core, Operation, Shard, TakenIn};
use crate::handed_over::HandedOver;
use crate::handler::Handler;
use crate::nanos::Nanos;
use crate::operations::Operations;
use crate::queue_drain::QueueDrain;
use crate::queues::{Departure, Ending, Queues, Surroundings};
use crate::tally::{Counters, Tally};
use crate::tunables::Tunables;
use crate::verdict::Trigger;

/// The queues of a handler's items.
pub(crate) type Queued<H> =
    Queues<<H as Handler>::Item, <H as Handler>::Reply, <H as Handler>::Error>;

impl<H: Handler> Core<H> for Queued<H> {
    type Parts = (Operations, Surroundings<H::Item, H::Error>);
    const WORDS: usize = Counters::ALL_WORDS;

    fn new((operations, surroundings): Self::Parts, now: Nanos) -> Self {
        Queues::new(&operations, now, surroundings)
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn begin(&mut self, now: Nanos, depth: usize) {
        self.begin(now, depth);
    }

    fn take_in<S: BuildHasher>(shard: &mut Shard<H, S, Self>) -> TakenIn {
        TakenIn { passed: 0, drained: shard.drain() }
    }

    fn drain<S: BuildHasher>(shard: &mut Shard<H, S, Self>, lane: usize, waiting: usize) -> usize {
        if waiting == 0 {
            return 0;
        }
        let Shard { id, lanes, notes, core, router, .. } = shard;
        let run = lanes.run(lane, waiting);
        let (shard, notes) = (id.0 as u32, &mut notes[lane]);
        QueueDrain { run, queues: core, notes, router, shard, lane: lane as u32 }.all()
    }

    fn sweep(&mut self, trigger: Trigger) {
        self.sweep(trigger);
    }

    fn decide(&mut self) {
        self.decide();
    }

    fn has_ready(&self) -> bool {
        self.can_hand_over()
    }

    fn hand_over(
        &mut self,
        handler: &mut H,
        before: impl FnOnce(&mut Tally, usize),
    ) -> Option<HandedOver> {
        self.hand_over(handler, before)
    }

    fn is_behind(&self) -> bool {
        self.is_behind()
    }

    fn is_stalled(&self) -> bool {
        self.is_stalled()
    }

    fn next_deadline(&self) -> Option<Nanos> {
        self.next_deadline()
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn fail_all(&mut self) -> u64 {
        self.fail_all()
    }

    fn gauge(&mut self) {
        self.gauge();
    }

    fn close(&mut self) {
        self.close();
    }

    fn has_changed(&self) -> bool {
        self.has_changed()
    }

    fn emitted(&self) -> u64 {
        self.emitted()
    }

    fn note_heads(&mut self, heads: impl Fn(usize) -> u64) {
        self.advance_flushes(heads);
    }

    fn tune(&mut self, tunables: &Tunables) {
        self.tune(tunables);
    }

    fn operate(&mut self, operation: Operation, tails: impl FnOnce() -> Vec<u64>) {
        // Nobody listens any more to some of these: they gave up waiting.
        match operation {
            Operation::Pause(hash, reply) => {
                let _ = reply.send(self.pause(hash));
            }
            Operation::Resume(hash) => self.resume(hash),
            Operation::PauseAll(reply) => {
                let _ = reply.send(self.pause_all());
            }
            Operation::ResumeAll => self.resume_all(),
            Operation::Flush(asked) => self.begin_flush(asked, tails()),
            // The shard itself sees to it.
            Operation::Step(_) => {}
        }
    }

    fn step(
        &mut self,
        handler: &mut H,
        before: impl FnOnce(&mut Tally, usize),
    ) -> Option<HandedOver> {
        self.step(handler, before)
    }

    fn note_departure(&mut self, seat: u32, departure: Departure) {
        self.note_departure(seat, departure);
    }

    fn next_ending(&mut self) -> Option<Ending> {
        self.next_ending()
    }

    fn publish(counters: &Counters, to: &mut SeqlockWriter) {
        to.publish(&counters.write_all());
    }

    /// All of them: what a call comes to here is more than a word holds.
    fn report(tally: &mut Tally, _items: usize, to: &mut SeqlockWriter) {
        tally.count_batches();
        to.publish(&tally.counters.write_all());
    }
}
