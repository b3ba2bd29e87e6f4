//! One engine, from its first item to its end.

mod op;
mod pushes;
mod settings;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use engine::testing::Stepped;
use engine::{Handle, Nanos, Producer, Sizing, TuneError};

use crate::dice::Dice;
use crate::oracle::{Deed, Oracle, Terms};
use crate::seeded::Seeded;
use op::{CALLS, Op, Watched};
use settings::{largest, sizing, tick};

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

impl Run {
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
