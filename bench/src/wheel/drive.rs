//! The operations of a case, the same for everybody, and whether each timer came in time.

use std::time::{Duration, Instant};

use super::alarms::Alarms;
use super::plan::{EQUAL_STEPS, FURTHEST_STEPS, START, STEP, TICK};
use super::{Armed, Deadlines, Op};
use crate::Failure;
use crate::checksum::{Digest, fold};
use crate::noise::{Noise, below};
use crate::run::{Handled, Run};

/// Runs a case with a contender.
///
/// # Errors
///
/// If a timer came early by more than a tick, late by more than a step, twice, or not at all.
pub(super) fn drive<A: Alarms>(case: Armed) -> Result<Run, Failure> {
    let mut driver = Driver::<A>::new(case);
    let (elapsed, ops) = match case.op {
        Op::Arm => driver.arm_all(case),
        Op::Cancel => driver.cancel(case),
        Op::Expire => driver.expire(case),
    };
    let handled = Handled { digest: driver.digest()?, batches: driver.expiries };
    Ok(Run::of_throughput(elapsed, handled).at(elapsed.as_nanos() as f64 / ops as f64))
}

struct Driver<A> {
    alarms: A,
    deadlines: Deadlines,
    now: u64,
    watches: Vec<Watch>,
    /// What the latest poll brought.
    expired: Vec<u32>,
    expiries: u64,
    /// Expiries that were not in time.
    wrong: u64,
    /// Which tokens are random.
    noise: Noise,
}

/// What is known of a token.
#[derive(Clone, Copy)]
struct Watch {
    /// `u64::MAX` while it is not armed.
    due: u64,
    /// A rolling hash of the polls with which it expired.
    polls: u64,
}

impl<A: Alarms> Driver<A> {
    fn new(case: Armed) -> Self {
        Self {
            alarms: A::new(case),
            deadlines: case.deadlines,
            now: START,
            watches: vec![Watch { due: u64::MAX, polls: 0 }; case.armed as usize],
            expired: Vec::with_capacity(case.armed as usize),
            expiries: 0,
            wrong: 0,
            noise: Noise::default(),
        }
    }

    /// All tokens at one moment; then all expire, unmeasured; and again. The first round warms up.
    fn arm_all(&mut self, case: Armed) -> (Duration, u64) {
        let furthest = match self.deadlines {
            Deadlines::Equal => EQUAL_STEPS + 1,
            Deadlines::Mixed => FURTHEST_STEPS,
        };
        let rounds = (case.ops / u64::from(case.armed)).clamp(1, 500);
        let mut elapsed = Duration::ZERO;
        for round in 0..=rounds {
            let begun = Instant::now();
            (0..case.armed).for_each(|token| self.arm(token));
            elapsed += if round == 0 { Duration::ZERO } else { begun.elapsed() };
            (0..furthest).for_each(|_| self.poll());
        }
        (elapsed, rounds * u64::from(case.armed))
    }

    /// Random tokens, each of them about four times within an equal deadline.
    fn cancel(&mut self, case: Armed) -> (Duration, u64) {
        let a_step = (4 * u64::from(case.armed)).div_ceil(EQUAL_STEPS);
        self.repeat(case, |driver| {
            (0..a_step).for_each(|_| driver.rearm_one(case.armed));
            a_step + driver.poll_and_arm()
        })
    }

    /// What expires is armed again.
    fn expire(&mut self, case: Armed) -> (Duration, u64) {
        self.repeat(case, Self::poll_and_arm)
    }

    /// Arms all tokens, and measures so many operations of steps that each say how many they did.
    fn repeat(&mut self, case: Armed, step: impl Fn(&mut Self) -> u64) -> (Duration, u64) {
        self.spread(case);
        // Until what was armed first, and armed anew since, is gone wherever it was kept.
        for _ in 0..=EQUAL_STEPS {
            step(self);
        }
        let begun = Instant::now();
        let mut ops = 0;
        while ops < case.ops {
            ops += step(self);
        }
        (begun.elapsed(), ops)
    }

    /// Arms all tokens, as many in each step of an equal deadline.
    fn spread(&mut self, case: Armed) {
        let mut next = 0;
        for step in 1..=EQUAL_STEPS {
            let end = (u64::from(case.armed) * step / EQUAL_STEPS) as u32;
            (next..end).for_each(|token| self.arm(token));
            next = end;
            self.poll_and_arm();
        }
    }

    #[inline]
    fn arm(&mut self, token: u32) {
        let at = self.deadlines.of(token, self.now);
        self.watches[token as usize].due = at;
        self.alarms.arm(token, at);
    }

    #[inline]
    fn rearm_one(&mut self, armed: u32) {
        let token = below(self.noise.next(), u64::from(armed)) as u32;
        let at = self.deadlines.of(token, self.now);
        self.watches[token as usize].due = at;
        self.alarms.rearm(token, at);
    }

    /// Goes on by a step; what expired stands in `expired`.
    #[inline]
    fn poll(&mut self) {
        self.now += STEP;
        self.expired.clear();
        self.alarms.expire(self.now, &mut self.expired);
        self.expiries += self.expired.len() as u64;
        for &token in &self.expired {
            let watch = &mut self.watches[token as usize];
            let is_early = watch.due > self.now + TICK;
            let is_late = watch.due < self.now - STEP;
            self.wrong += u64::from(is_early | is_late);
            watch.due = u64::MAX;
            watch.polls = fold(watch.polls, self.now);
        }
    }

    /// As [`poll`](Self::poll), and arms again what expired; says how many that were.
    #[inline]
    fn poll_and_arm(&mut self) -> u64 {
        self.poll();
        let expired = std::mem::take(&mut self.expired);
        expired.iter().for_each(|&token| self.arm(token));
        self.expired = expired;
        self.expired.len() as u64
    }

    /// When which token expired, and when it will next.
    fn digest(&self) -> Result<Digest, Failure> {
        let Self { wrong, watches, now, .. } = self;
        let overdue = watches.iter().filter(|watch| watch.due < now - STEP).count();
        if *wrong > 0 || overdue > 0 {
            return Err(format!("{wrong} expiries were not in time, {overdue} did not come").into());
        }
        let of_token =
            |(token, watch): (usize, &Watch)| fold(fold(token as u64, watch.due), watch.polls);
        let hash = watches.iter().enumerate().map(of_token).fold(0, u64::wrapping_add);
        Ok(Digest::of(self.expiries, hash))
    }
}
