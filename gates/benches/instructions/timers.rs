//! Timers as a shard has them (a queue and the wheel), and the wheel alone. An item is one timer, set and
//! rung or taken back.

use engine::Nanos;
use engine::internals::{Timers, Wheel};
use gungraun::prelude::*;

use crate::count::rounds;
use crate::rows::Rows;

const HORIZON: u64 = 10_000_000;

/// Timers in a round.
const ROUND: usize = 1_024;

/// From one timer to the next.
const STEP: u64 = HORIZON / ROUND as u64;

const WARM: usize = 4;

fn at(nanos: u64) -> Nanos {
    Nanos::from_nanos(nanos)
}

/// How far ahead each timer of a round is set, in nanoseconds.
fn ahead(mixed: bool) -> Vec<u64> {
    let far = |nanos: u64| if mixed { nanos } else { HORIZON };
    Rows::of_keys(HORIZON).take(ROUND).map(|row| far(row.key)).collect()
}

#[library_benchmark]
#[bench::in_order(false)]
#[bench::mixed(true)]
fn set_and_ring(mixed: bool) {
    let mut timers = Timers::new(2 * ROUND, at(HORIZON), at(0));
    let ahead = ahead(mixed);
    let (mut now, mut rung, mut token) = (0, 0, 0);
    rounds(ROUND, WARM, |counting| {
        rung += counting.part(|| {
            let mut rung = 0;
            for ahead in &ahead {
                // No timer is set for longer than half of the tokens last.
                timers.set(token % (2 * ROUND) as u32, at(now + ahead));
                token += 1;
                now += STEP;
                while timers.ring(at(now)).is_some() {
                    rung += 1;
                }
            }
            rung
        });
    });
    while timers.ring(at(now + HORIZON)).is_some() {
        rung += 1;
    }
    assert_eq!(rung, gates::ITEMS + WARM * ROUND);
}

#[library_benchmark]
#[bench::in_order(false)]
fn set_and_clear(mixed: bool) {
    let mut timers = Timers::new(2 * ROUND, at(HORIZON), at(0));
    let ahead = ahead(mixed);
    let (mut now, mut token) = (0, 0);
    rounds(ROUND, WARM, |counting| {
        counting.part(|| {
            for ahead in &ahead {
                timers.set(token % (2 * ROUND) as u32, at(now + ahead));
                // One that was set half a horizon ago, as when its batch is full.
                timers.clear((token + (3 * ROUND / 2) as u32) % (2 * ROUND) as u32);
                token += 1;
                now += STEP;
                assert_eq!(timers.ring(at(now)), None, "all are taken back in time");
            }
        });
    });
}

#[library_benchmark]
#[bench::mixed(true)]
fn arm_and_expire(mixed: bool) {
    let mut wheel = Wheel::new(2 * ROUND, at(HORIZON), at(0));
    let ahead = ahead(mixed);
    let (mut now, mut expired, mut token) = (0, 0, 0);
    rounds(ROUND, WARM, |counting| {
        expired += counting.part(|| {
            let mut expired = 0;
            for ahead in &ahead {
                wheel.arm(token % (2 * ROUND) as u32, at(now + ahead));
                token += 1;
                now += STEP;
                while wheel.expire(at(now)).is_some() {
                    expired += 1;
                }
            }
            expired
        });
    });
    while wheel.expire(at(now + HORIZON)).is_some() {
        expired += 1;
    }
    assert_eq!(expired, gates::ITEMS + WARM * ROUND);
}

#[library_benchmark]
#[bench::in_order(false)]
fn arm_and_cancel(mixed: bool) {
    let mut wheel = Wheel::new(ROUND, at(HORIZON), at(0));
    let ahead = ahead(mixed);
    rounds(ROUND, WARM, |counting| {
        counting.part(|| {
            for (token, ahead) in (0..).zip(&ahead) {
                wheel.arm(token, at(*ahead));
                assert!(token == 0 || wheel.cancel(token - 1), "it is armed");
            }
        });
        assert!(wheel.cancel(ROUND as u32 - 1), "the last is armed");
    });
}

library_benchmark_group!(
    name = alarms;
    benchmarks = set_and_ring, set_and_clear, arm_and_expire, arm_and_cancel
);
