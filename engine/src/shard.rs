//! One shard: a turn of drain, group, decide, hand over; and the thread that goes round.

mod pass;

use std::any::Any;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use crossbeam_utils::sync::Parker;
use ringbuf::SeqlockWriter;

use crate::batcher::Batcher;
use crate::drain::Drain;
use crate::handler::Handler;
use crate::idle::{IdleTimes, Idling, Step};
use crate::lane::{Mark, ShardLanes};
use crate::nanos::{Clock, Nanos};
use crate::notes::Notes;
use crate::panics::{drop_panics, message, message_of};
use crate::plan::{AfterPanic, Plan};
use crate::producer::Entrance;
use crate::router::Router;
use crate::tally::{Histograms, Published, Tally};
use crate::verdict::Trigger;

/// A shard's number, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub(crate) usize);

impl ShardId {
    /// The number, from 0 to the number of shards less one.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

impl std::fmt::Display for ShardId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a factory may fail with.
pub(crate) type FactoryError = Box<dyn std::error::Error + Send + Sync>;
/// Makes a shard's handler, on the shard's thread.
pub(crate) type Factory<H> = Arc<dyn Fn(ShardId) -> Result<H, FactoryError> + Send + Sync>;

/// What the engine asks of a shard, besides items. A knock on the doorbell says that one has come.
pub(crate) enum Control {
    /// Send your histograms back, and go on with these.
    Swap(Box<Histograms>, Sender<Box<Histograms>>),
    /// Accept nothing more, settle what is here, and end.
    Close,
    /// Fail what is here, and end.
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Closed: settling what is left.
    Draining,
    Ended,
}

pub(crate) struct Shard<H: Handler, S> {
    id: ShardId,
    clock: Clock,
    router: Router<S>,
    lanes: ShardLanes<H::Item>,
    notes: Vec<Notes>,
    /// The lane that this turn's drain begins with.
    first_lane: usize,
    drain_items: usize,
    batcher: Batcher<H::Item, H::Reply, H::Error>,
    handler: H,
    factory: Factory<H>,
    after_panic: AfterPanic,
    phase: Phase,
    control: Receiver<Control>,
    counters: SeqlockWriter,
    published: Published,
    /// The last turn's handler calls have come to what is not published yet.
    unpublished: bool,
}

impl<H: Handler, S: BuildHasher> Shard<H, S> {
    /// Takes all the memory that the shard will use; fails if its handler can't be made.
    pub(crate) fn new(
        id: ShardId,
        plan: &Plan,
        entrance: &Entrance<S>,
        lanes: ShardLanes<H::Item>,
        factory: Factory<H>,
        control: Receiver<Control>,
        counters: SeqlockWriter,
    ) -> Result<Self, FactoryError>
    where
        S: Clone,
    {
        let Entrance { router, clock, .. } = entrance.clone();
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
            batcher: Batcher::new(&plan.batcher, now),
            handler,
            factory,
            after_panic: plan.after_panic,
            phase: Phase::Running,
            control,
            counters,
            published: Published::default(),
            unpublished: false,
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
        let depth = self.look(now);
        self.batcher.begin(now, depth);
        let (passed, drained) = if self.batcher.passes() { self.pass() } else { (0, self.drain()) };
        if self.phase == Phase::Ended {
            return true;
        }
        // Not before the lanes are empty: until then, batches still fill.
        if self.phase == Phase::Draining && self.lanes.is_drained() {
            self.batcher.sweep(Trigger::Drain);
        }
        self.batcher.decide();
        let has_ready = self.batcher.has_ready();
        if has_ready {
            self.publish();
            self.hand_over_ready();
        }
        let handed_over = has_ready || passed > 0;
        let worked = drained > 0 || handed_over || self.batcher.is_behind();
        if worked {
            self.batcher.tally.counters.turns += 1;
        }
        // A turn that has handed over leaves it to the next one, which begins at once: if that finds
        // work it publishes anyway, and if not it has the time.
        if !handed_over && (worked || self.unpublished) {
            self.publish();
        }
        self.unpublished = handed_over;
        if self.phase == Phase::Draining && self.lanes.is_drained() && self.batcher.is_empty() {
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
        &self.batcher.tally
    }

    /// When a turn has something to do, if nothing arrives before.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.batcher.next_deadline()
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
        let counters = &mut self.batcher.tally.counters;
        counters.accepted = accepted;
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
        let Self { lanes, notes, batcher, router, .. } = self;
        let waiting = (lanes.tail(lane) - lanes.head(lane)) as usize;
        let most = waiting.min(self.drain_items).min(batcher.room());
        let mut drained = 0;
        if most > 0 {
            let notes = &mut notes[lane];
            let mut run = Drain { run: lanes.run(lane, most), batcher, notes, router };
            drained = run.all();
        }
        while let Some(mark) = lanes.take_mark_at_head(lane) {
            if matches!(mark, Mark::Flush) {
                batcher.sweep(Trigger::Flush);
            }
        }
        batcher.tally.counters.in_lanes -= drained as u64;
        drained
    }

    fn hand_over_ready(&mut self) {
        while self.batcher.has_ready() && self.phase != Phase::Ended {
            let measures = self.batcher.tally.measures_next();
            let begun = if measures { self.clock.now() } else { Nanos::ZERO };
            let Self { batcher, handler, counters, published, .. } = self;
            let handed = batcher.hand_over(handler, |tally| report(tally, counters, published));
            let Some(handed) = handed else { return };
            if measures {
                let ended = self.clock.now();
                let tally = &mut self.batcher.tally;
                tally.measured(handed.items, handed.since, handed.deadline, begun, ended);
            }
            if let Some(panic) = handed.panic {
                self.recover(panic);
            }
            if self.lanes.doorbell().take_knock() {
                self.obey();
            }
        }
    }

    /// The handler panicked.
    #[cold]
    fn recover(&mut self, panic: Box<dyn Any + Send>) {
        let shard = self.id.0;
        tracing::error!(shard, panic = message(&*panic), "a handler panicked");
        self.batcher.tally.counters.drop_panics += u64::from(drop_panics(panic));
        match self.after_panic {
            AfterPanic::Keep => {}
            AfterPanic::Stop => self.stop(),
            AfterPanic::Rebuild => match make(&self.factory, self.id) {
                Ok(fresh) => {
                    let old = std::mem::replace(&mut self.handler, fresh);
                    self.batcher.tally.counters.drop_panics += u64::from(drop_panics(old));
                }
                Err(error) => {
                    // Its text and its end are user code too.
                    let text = catch_unwind(AssertUnwindSafe(|| error.to_string()));
                    let text = text.unwrap_or_else(message_of);
                    self.batcher.tally.counters.drop_panics += u64::from(drop_panics(error));
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
        while let Ok(control) = self.control.try_recv() {
            match control {
                Control::Swap(fresh, reply) => {
                    let seen = std::mem::replace(&mut self.batcher.tally.histograms, fresh);
                    self.publish();
                    // Nobody listens any more: they gave up waiting; what was seen is theirs.
                    let _ = reply.send(seen);
                }
                Control::Close => {
                    if self.phase == Phase::Running {
                        tracing::debug!(shard = self.id.0, "draining");
                        self.lanes.close();
                        self.phase = Phase::Draining;
                    }
                }
                Control::Stop => self.stop(),
            }
        }
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
            for item in self.lanes.run(lane, waiting) {
                let panicked = drop_panics(item);
                self.batcher.tally.counters.drop_panics += u64::from(panicked);
            }
        }
        self.batcher.tally.counters.in_lanes = 0;
        self.batcher.tally.counters.failed += left as u64;
        left += self.batcher.fail_all() as usize;
        self.batcher.tally.counters.stopped_shards = 1;
        tracing::warn!(shard = self.id.0, left, "stopped; what was left fails");
        self.end();
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.publish();
    }

    /// Publishes the counters.
    fn publish(&mut self) {
        self.batcher.gauge();
        let counters = &self.batcher.tally.counters;
        debug_assert_eq!(
            counters.accepted,
            counters.settled() + counters.waiting(),
            "items are conserved: {counters:?}"
        );
        self.published = counters.published();
        self.counters.publish(&counters.write());
    }

    /// Goes round until the shard has ended; gives back the last histograms.
    pub(crate) fn run(mut self, idle: &IdleTimes, parker: &Parker) -> Box<Histograms> {
        let mut idling = Idling::default();
        while !self.has_ended() {
            let now = self.clock.now();
            if self.turn(now) {
                idling.reset();
            } else if idling.step(now, idle) == Step::Park {
                self.park(now, parker);
            }
        }
        let none = Box::new(Histograms::new(0));
        let last = std::mem::replace(&mut self.batcher.tally.histograms, none);
        drop_panics(self.handler);
        last
    }

    /// Sleeps until a push, a knock or the next deadline.
    fn park(&mut self, now: Nanos, parker: &Parker) {
        if self.has_ended() || !self.lanes.lie_down() {
            return;
        }
        self.batcher.tally.counters.parks += 1;
        match self.next_deadline() {
            None => parker.park(),
            Some(deadline) => parker.park_timeout(deadline.saturating_sub(now).into()),
        }
        self.wake();
    }

    /// After a sleep: what came meanwhile came after the push that rang; and if nobody rang, nothing
    /// had come before now.
    fn wake(&mut self) {
        let now = self.clock.now();
        let rung = self.lanes.get_up();
        self.batcher.tally.counters.wake_ups += u64::from(rung.is_some());
        let since = rung.map_or(now, Nanos::from_nanos);
        for lane in 0..self.lanes.lanes_in_use() {
            let head = self.lanes.head(lane);
            self.notes[lane].note(head, since);
        }
    }
}

/// Whoever looks while the handler works, or hangs, sees what it has in its hands.
#[inline(always)]
fn report(tally: &Tally, counters: &mut SeqlockWriter, published: &mut Published) {
    match tally.counters.progress(published) {
        Some(progress) => counters.progress(progress),
        None => {
            *published = tally.counters.published();
            counters.publish(&tally.counters.write());
        }
    }
}

/// Makes a handler; a panic of the factory is an error like any other.
fn make<H>(factory: &Factory<H>, shard: ShardId) -> Result<H, FactoryError> {
    match catch_unwind(AssertUnwindSafe(|| factory(shard))) {
        Ok(made) => made,
        Err(panic) => Err(format!("the factory panicked: {}", message_of(panic)).into()),
    }
}
