//! One engine, from its first item to its end.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use engine::testing::Stepped;
use engine::{
    AfterPanic, Batch, Engine, Grouping, Handle, Handler, Item, Nanos, Patience, Producer,
    PushError, Settled, Shards, Sizing, Tiers, TuneError, Verdict,
};

use crate::dice::Dice;
use crate::oracle::{Accepted, Call, Deed, Oracle, Terms};
use crate::seeded::Seeded;

#[derive(Debug)]
struct Op {
    id: u64,
    key: u64,
    deed: Deed,
    patience: Patience,
    alive: Arc<AtomicI64>,
}

impl Drop for Op {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Relaxed);
    }
}

impl Item for Op {
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.key
    }

    fn patience(&self) -> Patience {
        self.patience
    }
}

thread_local! {
    /// The calls of the turn at hand. A stepped engine's handlers are on the test's own thread.
    static CALLS: RefCell<Vec<Call>> = const { RefCell::new(Vec::new()) };
}

struct Watched;

impl Handler for Watched {
    type Item = Op;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let ids = batch.items().iter().map(|op| op.id).collect();
        let call = Call { trigger: batch.trigger(), batch: ids, taken_up: 0 };
        CALLS.with_borrow_mut(|calls| calls.push(call));
        batch.settle_each(|op| {
            CALLS.with_borrow_mut(|calls| calls.last_mut().expect("pushed above").taken_up += 1);
            match op.deed {
                Deed::Done => Verdict::Done(()),
                Deed::Fail => Verdict::Failed(()),
                Deed::Retry => Verdict::Retry(()),
                Deed::Panic => std::panic::resume_unwind(Box::new("planted")),
            }
        })
    }
}

/// A producer, and the number of its lane's latest owner.
struct Way {
    producer: Producer<Op, (), (), Seeded>,
    number: u64,
    /// Items pushed, and marks among them, since every lane was last empty.
    pushed: usize,
    marks: usize,
}

pub(crate) struct Run {
    dice: Dice,
    engine: Stepped<Watched, Seeded>,
    oracle: Oracle,
    ways: Vec<Way>,
    handle: Handle<Op, (), (), Seeded>,
    /// As a way's, of the handle.
    shared: (usize, usize),
    lanes: usize,
    lane_marks: usize,
    flush_after: Duration,
    tick: Nanos,
    /// Items of the largest batch that there is memory for.
    planned: usize,
    keys: u64,
    /// Runs fill lanes, with many hurried items, and there is memory for hardly any of them.
    bursts: bool,
    deeds: &'static [Deed],
    terms: Terms,
    last_turn: Nanos,
    next_id: u64,
    next_way: u64,
    alive: Arc<AtomicI64>,
    steps: u64,
}

/// A snapshot copies histograms, which takes longer than many turns: one in so many is looked at.
const SNAPSHOT_EVERY: u64 = 24;

/// Of the handle's one lane; producers are numbered from 1.
const SHARED_WAY: u64 = 0;

const CALM: [Deed; 6] = [Deed::Done, Deed::Done, Deed::Done, Deed::Done, Deed::Fail, Deed::Retry];
const WILD: [Deed; 5] = [Deed::Done, Deed::Done, Deed::Panic, Deed::Fail, Deed::Retry];

fn sizing(dice: &mut Dice) -> Sizing {
    let tiers = |rows: &[(usize, u32)]| Sizing::Tiers(Tiers::new(rows).expect("rising rows"));
    match dice.below(6) {
        0 => Sizing::Single,
        1 => Sizing::Fixed(2),
        2 => Sizing::Fixed(1 + dice.below(40) as u32),
        3 => Sizing::Fixed(100),
        4 => tiers(&[(2, 3), (5, 8), (20, 30)]),
        _ => Sizing::default(),
    }
}

/// Items of the largest batch of a sizing.
fn largest(sizing: Sizing) -> usize {
    match sizing {
        Sizing::Single => 1,
        Sizing::Fixed(items) => items as usize,
        Sizing::Tiers(tiers) => tiers.largest() as usize,
    }
}

/// How much earlier than its deadline a batch may go, where items linger for so long.
fn tick(flush_after: Duration) -> Nanos {
    let ticks = Nanos::from(flush_after).as_nanos().div_ceil(254);
    Nanos::from_nanos(ticks.next_power_of_two().max(1_024))
}

impl Run {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let lanes = 1 + dice.below(4) as usize;
        let bursts = dice.once_in(12);
        let room = if bursts { 512 } else { 64 };
        let lane_items = if bursts { room } else { dice.one_of(&[2, 4, 16, room]) };
        let lane_marks = if bursts { room } else { dice.one_of(&[2, 8, room]) };
        let ample = !bursts && dice.below(2) == 0;
        let (open_keys, open_items) = match (ample, bursts) {
            (true, _) => (64, 20_000),
            // The keys are few enough: it is the items that there is no memory for.
            (_, true) => (16, 8),
            _ => (dice.one_of(&[1, 2, 5]), dice.one_of(&[1, 3, 20, 150])),
        };
        let flush_after = Duration::from_micros(dice.one_of(&[1, 100, 10_000, 1_000_000]));
        // Bursts are about the memory of blocks, which queues have none of.
        let (queues, windowed) = match dice.below(4) {
            0 => (false, true),
            1 | 2 if !bursts => (true, false),
            _ => (false, false),
        };
        let sizing = match windowed {
            true => Sizing::Fixed(dice.one_of(&[1, 2, 7, 100])),
            false if bursts => Sizing::Fixed(2),
            false => sizing(&mut dice),
        };
        let wild = dice.once_in(3);
        let after_panic = dice.one_of(&[AfterPanic::Rebuild, AfterPanic::Keep, AfterPanic::Stop]);
        let grouping = match windowed {
            true => Grouping::Windowed { items: 1_024 },
            false => Grouping::Hashed,
        };
        let planned = if bursts { largest(sizing) } else { dice.one_of(&[largest(sizing), 200]) };
        let builder = Engine::builder(|_| Watched)
            .shards(Shards::Count(1 + dice.below(4) as usize))
            .lanes(lanes)
            .lane_items(lane_items)
            .lane_marks(lane_marks)
            .drain_items(if bursts { 1_024 } else { dice.one_of(&[1, 3, 16, 1_024]) })
            .flush_after(flush_after)
            .sizing(sizing)
            .batch_items_max(planned as u32)
            .grouping(grouping)
            .open_keys(open_keys)
            .open_items(open_items)
            .after_panic(after_panic)
            .queues(queues)
            .hasher(Seeded(seed));
        let engine = Stepped::new(builder).expect("the settings are allowed");
        let terms = Terms {
            sizing,
            largest: largest(sizing),
            shallow: matches!(sizing, Sizing::Tiers(_)),
            open_keys: open_keys as u64,
            punctual: dice.below(2) == 0,
            ample: ample || windowed,
            windowed,
            stops: wild && after_panic == AfterPanic::Stop,
        };
        Self {
            handle: engine.handle().expect("there is one by default"),
            engine,
            oracle: Oracle::new(terms),
            ways: Vec::new(),
            shared: (0, 0),
            lanes,
            lane_marks,
            flush_after,
            tick: tick(flush_after),
            planned,
            keys: if bursts { 10 } else { dice.one_of(&[1, 3, 12, 60]) },
            bursts,
            deeds: if wild { &WILD } else { &CALM },
            terms,
            last_turn: Nanos::ZERO,
            next_id: 0,
            next_way: SHARED_WAY + 1,
            alive: Arc::default(),
            steps: 0,
            dice,
        }
    }

    /// Runs it, shuts it down somewhere, and says how many steps that took.
    pub(crate) fn go_to_the_end(mut self) -> u64 {
        let most = 50 + self.dice.below(1_000);
        while self.steps < most {
            self.step();
        }
        self.end()
    }

    fn step(&mut self) {
        self.steps += 1;
        match self.dice.below(21) {
            0..=8 => self.push(),
            9 => self.push_run(),
            10 => self.push_shared(),
            11 => self.flush(),
            12 => self.come_or_go(),
            13..=15 => {
                self.turn();
            }
            16 => self.settle(),
            17 => self.tune(),
            _ => self.pass_time(),
        }
        if self.terms.punctual {
            self.settle();
        }
    }

    /// A new item, and what is to be expected of it.
    fn item(&mut self, way: u64) -> (Op, Accepted) {
        let patience = match self.dice.below(if self.bursts { 4 } else { 12 }) {
            0 if self.bursts => Patience::AtMost(self.flush_after / 10),
            0 => Patience::None,
            1 => {
                let most = self.flush_after.as_nanos() as u64 * 2;
                Patience::AtMost(Duration::from_nanos(self.dice.below(most)))
            }
            _ => Patience::Engine,
        };
        let lingers = match patience {
            Patience::Engine => self.flush_after,
            Patience::AtMost(most) => most.min(self.flush_after),
            Patience::None => Duration::ZERO,
        };
        let op = Op {
            id: self.next_id,
            key: self.dice.below(self.keys),
            deed: self.dice.one_of(self.deeds),
            patience,
            alive: Arc::clone(&self.alive),
        };
        self.next_id += 1;
        self.alive.fetch_add(1, Relaxed);
        let after = |moment: Nanos| moment.saturating_add(lingers.into());
        let accepted = Accepted {
            id: op.id,
            way,
            key: op.key,
            deed: op.deed,
            hasty: patience == Patience::None,
            due: after(self.engine.now()),
            not_before: after(self.last_turn).saturating_sub(self.tick),
            most: largest(self.terms.sizing),
        };
        (op, accepted)
    }

    /// Whether a push was accepted; if not, it must have had a reason, and the item is back.
    fn is_accepted(
        &self,
        pushed: Result<(), PushError<Op>>,
        id: u64,
        (items, marks): (usize, usize),
    ) -> bool {
        let Err(error) = pushed else { return true };
        match &error {
            PushError::Closed(_) => assert!(self.terms.stops, "nothing has closed"),
            PushError::Full(_) | PushError::WouldDeadlock(_) => {
                let room = self.engine.plan().lane_items();
                let full = items >= room || marks >= self.lane_marks;
                assert!(full, "G6: refused with {items} items and {marks} marks pushed");
            }
            other => panic!("nothing was reserved: {other}"),
        }
        assert_eq!(error.into_inner().id, id, "G6: the item comes back");
        false
    }

    fn push(&mut self) {
        if self.ways.is_empty() {
            return self.come_or_go();
        }
        let at = self.dice.below(self.ways.len() as u64) as usize;
        let (op, accepted) = self.item(self.ways[at].number);
        let marks = usize::from(op.patience != Patience::Engine);
        let way = &mut self.ways[at];
        let before = (way.pushed, way.marks);
        let pushed =
            if accepted.id % 2 == 0 { way.producer.push(op) } else { way.producer.try_push(op) };
        if self.is_accepted(pushed, accepted.id, before) {
            self.oracle.accept(accepted);
            self.ways[at].pushed += 1;
            self.ways[at].marks += marks;
        }
    }

    fn push_run(&mut self) {
        if self.ways.is_empty() {
            return self.come_or_go();
        }
        let at = self.dice.below(self.ways.len() as u64) as usize;
        let count = 1 + self.dice.below(if self.bursts { 500 } else { 20 }) as usize;
        let number = self.ways[at].number;
        let made: Vec<_> = (0..count).map(|_| self.item(number)).collect();
        let (ops, expected): (Vec<_>, Vec<_>) = made.into_iter().unzip();
        let marks = |op: &Op| usize::from(op.patience != Patience::Engine);
        let marks = ops.iter().map(marks).sum::<usize>();
        let mut ops = ops.into_iter();
        let way = &mut self.ways[at];
        let pushed = if count.is_multiple_of(2) {
            way.producer.push_run(&mut ops)
        } else {
            way.producer.try_push_run(&mut ops)
        };
        way.pushed += count;
        way.marks += marks;
        let before = (way.pushed, way.marks);
        match pushed {
            Ok(accepted) => assert_eq!(accepted, count),
            Err(error) => {
                let closed = matches!(error.cause, PushError::Closed(_));
                let back = error.cause.into_inner();
                assert_eq!(error.accepted + back.len() + ops.len(), count, "G6: none is lost");
                if closed {
                    assert!(self.terms.stops, "nothing has closed");
                    let refused: Vec<u64> =
                        back.iter().chain(ops.as_slice()).map(|op| op.id).collect();
                    let accepted = expected.into_iter().filter(|item| !refused.contains(&item.id));
                    return accepted.for_each(|item| self.oracle.accept(item));
                }
                for op in back {
                    let id = op.id;
                    self.is_accepted(Err(PushError::Full(op)), id, before);
                }
                let accepted = expected.into_iter().take(error.accepted);
                return accepted.for_each(|item| self.oracle.accept(item));
            }
        }
        expected.into_iter().for_each(|item| self.oracle.accept(item));
    }

    fn push_shared(&mut self) {
        let (op, accepted) = self.item(SHARED_WAY);
        let marks = usize::from(op.patience != Patience::Engine);
        let pushed = match accepted.id % 2 {
            0 => self.handle.push(op),
            _ => self.handle.try_push(op),
        };
        if self.is_accepted(pushed, accepted.id, self.shared) {
            self.oracle.accept(accepted);
            self.shared.0 += 1;
            self.shared.1 += marks;
        }
    }

    fn flush(&mut self) {
        let Some(way) = self.ways.first_mut() else { return };
        way.marks += 1;
        let marks = way.marks;
        match way.producer.flush() {
            Ok(()) => {}
            Err(PushError::Closed(())) => assert!(self.terms.stops, "nothing has closed"),
            Err(_) => assert!(marks > self.lane_marks, "room for marks is left"),
        }
        // Some shards may have got their mark before one had no room.
        self.oracle.flushed = true;
    }

    /// Another sizing, or another time to linger, or both. One that there is no memory for is refused, and
    /// changes nothing.
    fn tune(&mut self) {
        let sizing = match self.terms.windowed {
            true => Sizing::Fixed(self.dice.one_of(&[1, 2, 7, 100])),
            false => sizing(&mut self.dice),
        };
        let sizing = self.dice.one_of(&[sizing, self.terms.sizing]);
        let flush_after = Duration::from_micros(self.dice.one_of(&[1, 100, 10_000, 1_000_000]));
        let flush_after = self.dice.one_of(&[flush_after, self.flush_after]);
        let before = self.engine.tunables();
        let tuned = self.engine.tune(|tunables| {
            tunables.sizing = sizing;
            tunables.flush_after = flush_after;
        });
        match tuned {
            Ok(()) => {
                assert!(largest(sizing) <= self.planned, "there is no memory for {sizing}");
                self.oracle.tune(sizing, largest(sizing), self.flush_after, flush_after);
                (self.terms.sizing, self.flush_after) = (sizing, flush_after);
                // Never coarser.
                self.tick = self.tick.min(tick(flush_after));
            }
            Err(error) => {
                let stopped = self.terms.stops && error == TuneError::Closed;
                assert!(stopped || largest(sizing) > self.planned, "{error}");
                assert_eq!(self.engine.tunables(), before, "all or nothing");
            }
        }
    }

    fn come_or_go(&mut self) {
        if self.ways.len() < self.lanes && !self.dice.once_in(3) {
            let producer = self.engine.producer().expect("a lane is free");
            // Whoever had the lane before may have left it full of items and marks.
            let full = usize::MAX / 2;
            self.ways.push(Way { producer, number: self.next_way, pushed: full, marks: full });
            self.next_way += 1;
        } else {
            assert_eq!(self.engine.producer().is_err(), self.ways.len() == self.lanes);
            if let Some(at) = self.ways.len().checked_sub(1) {
                self.ways.swap_remove(self.dice.below(at as u64 + 1) as usize);
            }
        }
    }

    fn turn(&mut self) -> bool {
        let worked = self.engine.turn();
        self.last_turn = self.engine.now();
        self.hear();
        if worked && self.dice.once_in(SNAPSHOT_EVERY) {
            self.oracle.check(&self.engine.snapshot());
        }
        worked
    }

    fn hear(&mut self) {
        for call in CALLS.take() {
            self.oracle.call(&call, self.engine.now());
        }
    }

    /// Turns until nothing is left to do.
    fn settle(&mut self) {
        let mut turns = 0;
        while self.turn() {
            turns += 1;
            assert!(turns < 10_000, "turns get on: {:?}\n{}", self.engine, self.engine.snapshot());
        }
        if self.dice.once_in(SNAPSHOT_EVERY) {
            self.oracle.check_settled(&self.engine.snapshot());
        }
        self.oracle.check_punctual(self.engine.now());
        for way in &mut self.ways {
            (way.pushed, way.marks) = (0, 0);
        }
        self.shared = (0, 0);
    }

    /// Lets time pass: where nothing may be late from deadline to deadline, else by any leap.
    fn pass_time(&mut self) {
        let most = self.flush_after.as_nanos() as u64 * 2;
        let leap = Nanos::from_nanos(self.dice.below(most.max(2)));
        let until = self.engine.now().saturating_add(leap);
        while self.terms.punctual {
            let next = self.engine.next_deadline().filter(|next| *next < until);
            let Some(next) = next else { break };
            self.engine.advance(next.saturating_sub(self.engine.now()).into());
            self.settle();
        }
        self.engine.advance(until.saturating_sub(self.engine.now()).into());
    }

    fn end(mut self) -> u64 {
        self.engine.close();
        self.oracle.closed = true;
        let late = self.dice.once_in(2);
        if late {
            // The last turn that takes anything: what is pushed before it is still accepted.
            self.push();
        }
        let now = self.engine.now();
        let last = self.engine.shutdown();
        for call in CALLS.take() {
            self.oracle.call(&call, now);
        }
        self.oracle.check(&last);
        self.oracle.check_end(&last);
        drop(self.ways);
        drop(self.handle);
        assert_eq!(self.alive.load(Relaxed), 0, "G1: every item is dropped once");
        self.steps
    }
}
