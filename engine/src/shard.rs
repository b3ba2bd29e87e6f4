//! One shard: a turn of drain, group, decide, hand over.

mod core;
mod mailbox;
mod operate;
mod pass;
mod plain;
mod queued;
mod rounds;
mod stepping;
mod windowed;

use std::any::Any;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::bounded;
use ringbuf::SeqlockWriter;

pub(crate) use self::core::{Core, Ends, TakenIn};
pub(crate) use self::mailbox::{Close, Mailbox, Post, Request, Unasked, mailbox};
use crate::entrance::Entrance;
use crate::handed_over::HandedOver;
use crate::handler::Handler;
use crate::lane::{Mark, ShardLanes};
use crate::nanos::{Clock, Nanos};
use crate::notes::Notes;
use crate::observer::{BatchEvent, BatchStage, Observer};
use crate::panics::{drop_panics, message, message_of};
use crate::plan::{AfterPanic, Plan};
use crate::queues::{Departure, Ending};
use crate::router::Router;
use crate::shard_id::ShardId;
use crate::tally::Tally;
use crate::verdict::Trigger;
pub(crate) use {operate::Operation, stepping::Stepping};
pub(crate) use {plain::Plain, queued::Queued, windowed::Windowed};

/// What a factory may fail with.
pub(crate) type FactoryError = Box<dyn std::error::Error + Send + Sync>;
/// Makes a shard's handler, on the shard's thread.
pub(crate) type Factory<H> = Arc<dyn Fn(ShardId) -> Result<H, FactoryError> + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Closed: settling what is left.
    Draining,
    Ended,
}

pub(crate) struct Shard<H: Handler, S, C> {
    id: ShardId,
    clock: Clock,
    router: Router<S>,
    lanes: ShardLanes<H::Item, H::Reply, H::Error>,
    notes: Vec<Notes>,
    /// The lane that this turn's drain begins with.
    first_lane: usize,
    drain_items: usize,
    core: C,
    observer: Option<Arc<dyn Observer>>,
    handler: H,
    factory: Factory<H>,
    after_panic: AfterPanic,
    phase: Phase,
    mailbox: Mailbox,
    counters: SeqlockWriter,
    /// The last turn's handler calls have come to what is not published yet.
    unpublished: bool,
    /// Items that the last turn found in the lanes.
    depth: usize,
}

impl<H: Handler, S: BuildHasher, C: Core<H>> Shard<H, S, C> {
    /// Takes all the memory that the shard will use; fails if its handler can't be made.
    pub(crate) fn new(
        id: ShardId,
        plan: &Plan,
        entrance: &Entrance<H::Item, H::Reply, H::Error, S>,
        ends: Ends<H>,
        parts: C::Parts,
    ) -> Result<Self, FactoryError>
    where
        S: Clone,
    {
        let Ends { lanes, factory, mailbox, counters, observer } = ends;
        let (router, clock) = (entrance.router.clone(), entrance.clock.clone());
        let handler = make(&factory, id)?;
        let now = clock.now();
        Ok(Self {
            id,
            clock,
            router,
            lanes,
            notes: vec![Notes::new(now); plan.all_lanes()],
            first_lane: 0,
            drain_items: plan.drain_items,
            core: C::new(parts, now),
            observer,
            handler,
            factory,
            after_panic: plan.after_panic,
            phase: Phase::Running,
            mailbox,
            counters,
            unpublished: false,
            depth: 0,
        })
    }

    /// One turn at `now`. Says whether there was anything to do.
    pub(crate) fn turn(&mut self, now: Nanos) -> bool {
        if self.lanes.doorbell().take_knock() {
            self.obey();
        }
        if self.phase == Phase::Ended {
            return false;
        }
        self.depth = self.look(now);
        self.core.begin(now, self.depth);
        let TakenIn { passed, drained } = C::take_in(self);
        if self.phase == Phase::Ended {
            return true;
        }
        let Self { lanes, core, .. } = self;
        core.note_heads(|lane| lanes.head(lane));
        // Not before the lanes are empty: until then, batches still fill.
        if self.phase == Phase::Draining && self.lanes.is_drained() {
            self.core.sweep(Trigger::Drain);
        }
        self.core.decide();
        self.observe_endings(now);
        let has_ready = self.core.has_ready();
        if has_ready {
            self.publish();
            self.hand_over_ready();
        }
        let handed_over = has_ready || passed > 0;
        let worked = drained > 0 || handed_over || self.core.is_behind() || self.core.has_changed();
        if worked {
            self.core.tally_mut().counters.turns += 1;
        }
        // A turn that has handed over leaves it to the next one, which begins at once: if that finds
        // work it publishes anyway, and if not it has the time.
        if !handed_over && (worked || self.unpublished) {
            self.publish();
        }
        self.unpublished = handed_over;
        if self.phase == Phase::Draining && self.lanes.is_drained() && self.core.is_empty() {
            self.end();
        }
        worked
    }

    /// Whether the shard is done for good: closed, and everything settled.
    pub(crate) fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// The counters as of the last turn, and the histograms.
    pub(crate) fn tally(&self) -> &Tally {
        self.core.tally()
    }

    /// When a turn has something to do, if nothing arrives before.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.core.next_deadline()
    }

    /// Notes how far each lane reaches. The depth is what waits in them.
    fn look(&mut self, now: Nanos) -> usize {
        let mut depth = 0;
        let mut accepted = 0;
        for lane in 0..self.lanes.lanes_in_use() {
            depth += self.lanes.look(lane);
            let tail = self.lanes.tail(lane);
            accepted += tail;
            self.notes[lane].note(tail, now);
        }
        let emitted = self.core.emitted();
        let counters = &mut self.core.tally_mut().counters;
        counters.accepted = accepted + emitted;
        counters.in_lanes = depth as u64;
        depth
    }

    /// Takes a bounded run from each lane, beginning with another one each turn.
    fn drain(&mut self) -> usize {
        let lanes = self.lanes.lanes_in_use();
        let mut drained = 0;
        for nth in 0..lanes {
            let lane = (self.first_lane + nth) % lanes;
            drained += self.drain_lane(lane);
        }
        self.turn_lanes(lanes);
        drained
    }

    fn turn_lanes(&mut self, lanes: usize) {
        self.first_lane = if self.first_lane + 1 < lanes { self.first_lane + 1 } else { 0 };
    }

    fn drain_lane(&mut self, lane: usize) -> usize {
        let waiting = (self.lanes.tail(lane) - self.lanes.head(lane)) as usize;
        let drained = C::drain(self, lane, waiting.min(self.drain_items));
        let Self { lanes, core, .. } = self;
        while let Some(mark) = lanes.take_mark_at_head(lane) {
            if matches!(mark, Mark::Flush) {
                core.sweep(Trigger::Flush);
            }
        }
        core.tally_mut().counters.in_lanes -= drained as u64;
        drained
    }

    fn hand_over_ready(&mut self) {
        while self.core.has_ready() && self.phase != Phase::Ended {
            let handed = self.hand_over(|core, handler, counters| {
                core.hand_over(handler, |tally, items| C::report(tally, items, counters))
            });
            if !handed {
                return;
            }
            if self.lanes.doorbell().take_knock() {
                self.obey();
            }
        }
    }

    /// One handler call, measured if it is to be; says whether there was one.
    #[inline(always)]
    fn hand_over(
        &mut self,
        call: impl FnOnce(&mut C, &mut H, &mut SeqlockWriter) -> Option<HandedOver>,
    ) -> bool {
        let measures = self.core.tally_mut().measures_next() || self.observer.is_some();
        let begun = if measures { self.clock.now() } else { Nanos::ZERO };
        let Self { core, handler, counters, .. } = self;
        let handed = call(core, handler, counters);
        self.observe_endings(begun);
        let Some(handed) = handed else { return false };
        if measures {
            let ended = self.clock.now();
            let tally = self.core.tally_mut();
            tally.measured(handed.items, handed.since, handed.deadline, begun, ended);
            self.observe(&handed, begun, ended);
        }
        if let Some(panic) = handed.panic {
            self.recover(panic);
        }
        true
    }

    /// Tells who watches of a handler call.
    fn observe(&mut self, handed: &HandedOver, begun: Nanos, ended: Nanos) {
        let (true, Some(seen)) = (self.observer.is_some(), &handed.seen) else { return };
        let event = BatchEvent {
            shard: self.id,
            key_hash: seen.hash,
            stage: if seen.away.is_some() { BatchStage::Detached } else { BatchStage::Handled },
            trigger: seen.trigger,
            items: handed.items,
            absorbed: seen.absorbed,
            done: seen.came.done,
            failed: seen.came.failed,
            retried: seen.came.retried,
            oldest_age: begun.saturating_sub(handed.since),
            formation: begun.saturating_sub(self.core.tally().turn()),
            execution: ended.saturating_sub(begun),
            lateness: begun.saturating_sub(handed.deadline),
        };
        if let Some(seat) = seen.away {
            self.core.note_departure(seat, Departure { event, begun });
        }
        self.tell(&event);
    }

    /// Tells who watches of batches that have come to their end without a handler call, by `now`.
    #[inline(always)]
    fn observe_endings(&mut self, now: Nanos) {
        while let Some(Ending { mut event, away_since }) = self.core.next_ending() {
            event.execution = away_since.map_or(Nanos::ZERO, |since| now.saturating_sub(since));
            self.tell(&event);
        }
    }

    fn tell(&mut self, event: &BatchEvent) {
        let Some(observer) = &self.observer else { return };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| observer.batch(event))) {
            tracing::error!(panic = message_of(panic), "an observer panicked");
            self.core.tally_mut().counters.operations.hook_panics += 1;
        }
    }

    /// The handler panicked.
    #[cold]
    fn recover(&mut self, panic: Box<dyn Any + Send>) {
        let shard = self.id.0;
        tracing::error!(shard, panic = message(&*panic), "a handler panicked");
        self.core.tally_mut().counters.handler_panics += 1;
        self.core.tally_mut().counters.drop_panics += u64::from(drop_panics(panic));
        match self.after_panic {
            AfterPanic::Keep => {}
            AfterPanic::Stop => self.stop(),
            AfterPanic::Rebuild => match make(&self.factory, self.id) {
                Ok(fresh) => {
                    let old = std::mem::replace(&mut self.handler, fresh);
                    self.core.tally_mut().counters.drop_panics += u64::from(drop_panics(old));
                }
                Err(error) => {
                    // Its text and its end are user code too.
                    let text = catch_unwind(AssertUnwindSafe(|| error.to_string()));
                    let text = text.unwrap_or_else(message_of);
                    self.core.tally_mut().counters.drop_panics += u64::from(drop_panics(error));
                    tracing::error!(
                        shard,
                        error = text,
                        "no fresh handler after a panic; the shard stops"
                    );
                    self.stop();
                }
            },
        }
    }

    /// Does what the engine asked for.
    #[cold]
    fn obey(&mut self) {
        // Looked for first, and done last: what was asked for before is heard before.
        let close = self.mailbox.close();
        // No more than lay there: whoever asks meanwhile knocks again.
        for _ in 0..self.mailbox.capacity() {
            match self.mailbox.request() {
                Some(Request::Swap(fresh, reply)) => {
                    let seen = std::mem::replace(&mut self.core.tally_mut().histograms, fresh);
                    self.publish();
                    // Nobody listens any more: they gave up waiting; what was seen is theirs.
                    let _ = reply.send(seen);
                }
                Some(Request::Tune(tunables, heard)) => {
                    self.core.tune(&tunables);
                    // Nobody listens any more where turns are stepped.
                    let _ = heard.send(());
                }
                Some(Request::Operate(operation)) => self.operate(operation),
                None => break,
            }
        }
        match close {
            Some(Close::Drain) if self.phase == Phase::Running => {
                tracing::debug!(shard = self.id.0, "draining");
                self.lanes.close();
                self.core.close();
                self.phase = Phase::Draining;
            }
            Some(Close::Stop) => self.stop(),
            Some(Close::Drain) | None => {}
        }
    }

    fn operate(&mut self, operation: Operation) {
        if let Operation::Step(reply) = operation {
            let now = self.clock.now();
            let stepped = self.step(now);
            // Nobody listens any more: they gave up waiting.
            let _ = reply.send(stepped);
            return;
        }
        let Self { lanes, core, .. } = self;
        core.operate(operation, || {
            let mut tails = Vec::new();
            for lane in 0..lanes.lanes_in_use() {
                lanes.look(lane);
                tails.push(lanes.tail(lane));
            }
            tails
        });
    }

    /// Hands nothing over from now on.
    pub(crate) fn pause_all(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        // What was asked for before is heard before.
        self.obey();
        // Whoever asks for it here has no need of an answer.
        self.core.operate(Operation::PauseAll(bounded(1).0), Vec::new);
    }

    /// Hands exactly one item over, the one that came first here, while everything else is paused; says
    /// whether there was one. Of several shards, all are paused before one of them steps.
    pub(crate) fn step(&mut self, now: Nanos) -> bool {
        // Somebody else may have let it go on since.
        self.pause_all();
        self.turn(now);
        if self.phase != Phase::Running {
            return false;
        }
        let stepped = self.hand_over(|core, handler, counters| {
            core.step(handler, |tally, items| C::report(tally, items, counters))
        });
        self.publish();
        stepped
    }

    /// Closes the lanes and fails everything that is here.
    fn stop(&mut self) {
        if self.phase == Phase::Ended {
            return;
        }
        self.lanes.close();
        let now = self.clock.now();
        let mut left = self.look(now);
        for lane in 0..self.lanes.lanes_in_use() {
            let waiting = (self.lanes.tail(lane) - self.lanes.head(lane)) as usize;
            let mut run = self.lanes.run(lane, waiting);
            let mut drop_panicked = 0;
            loop {
                // With a mark goes the answer that somebody waits for: it says that the engine stopped.
                while let Some(mark) = run.take_mark() {
                    drop_panicked += u64::from(drop_panics(mark));
                }
                let Some(item) = run.next() else { break };
                drop_panicked += u64::from(drop_panics(item));
            }
            drop(run);
            self.core.tally_mut().counters.drop_panics += drop_panicked;
        }
        self.core.tally_mut().counters.in_lanes = 0;
        self.core.tally_mut().counters.failed += left as u64;
        left += self.core.fail_all() as usize;
        self.observe_endings(now);
        self.core.tally_mut().counters.stopped_shards = 1;
        tracing::warn!(shard = self.id.0, left, "stopped; what was left fails");
        self.end();
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.publish();
    }

    /// Publishes the counters.
    fn publish(&mut self) {
        self.core.gauge();
        self.core.tally_mut().catch_up();
        let counters = &self.core.tally_mut().counters;
        debug_assert_eq!(
            counters.accepted,
            counters.settled() + counters.waiting(),
            "items are conserved: {counters:?}"
        );
        C::publish(counters, &mut self.counters);
    }
}

/// Makes a handler; a panic of the factory is an error like any other.
fn make<H>(factory: &Factory<H>, shard: ShardId) -> Result<H, FactoryError> {
    match catch_unwind(AssertUnwindSafe(|| factory(shard))) {
        Ok(made) => made,
        Err(panic) => Err(format!("the factory panicked: {}", message_of(panic)).into()),
    }
}
