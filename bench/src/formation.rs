//! How long the engine itself makes an item wait: batches formed, sleepers woken, deadlines kept.
//!
//! *Formation* is the shard's own time from the start of the turn in which a burst is visible at once to
//! its hand-over, without the time in handlers. It is taken on one thread, where both ends of it can be
//! seen, and once more from the histogram that real shards keep of themselves.
//!
//! *Rest* is the time from just before the first push after a rest until the handler has it, while the
//! shard spins or sleeps. *Deadline* is how late an item comes that lingered alone in its batch for as
//! long as it may. *Idle* is the part of its core that a shard takes while nothing comes.
//!
//! What can't be raced is held against a bound: there a ratio of 1 or more says that the bound is kept.

mod attended;
mod baton;
mod burst;
mod deadline;
mod gap_bound;
mod grouping;
mod idle;
mod os_thread;
mod park_timeout;
mod rest;
mod ring_spin;
mod shard_turn;
mod stepped;
mod stopwatch;
mod unpark;
mod witness;

use burst::{Burst, Home};
use deadline::Deadline;
use gap_bound::GapBound;
use rest::{Manner, Rest};
use unpark::{Unpark, UnparkBound};

use crate::bound::Bound;
use crate::cell::Cell;

const TWO_MICROS: Bound = Bound { name: "2 µs", ns: 2_000.0 };
const HALF_A_PERCENT: Bound = Bound { name: "0.5 % of a core", ns: 0.5 };

/// First what the engine promises, then what it is compared with.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = formation();
    cells.extend(rest());
    cells
}

fn formation() -> Vec<Cell> {
    let mut cells = Vec::new();
    for items in [10, 50, 200] {
        for keys in [1, 8] {
            let burst = Burst { items, keys, home: Home::Stepped, quantile: 50 };
            cells.push(Cell::new(burst, &stepped::Tidegate, &grouping::H2));
        }
    }
    for home in [Home::Stepped, Home::Shard] {
        let subject: &'static dyn crate::peer::Peer<Burst> = match home {
            Home::Stepped => &stepped::Tidegate,
            Home::Shard => &shard_turn::Tidegate,
        };
        for items in [10, 50, 200] {
            let half = Burst { items, keys: 1, home, quantile: 50 };
            let most = Burst { quantile: 99, ..half };
            let cell = [Cell::new(half, subject, &TWO_MICROS), Cell::new(most, subject, &GapBound)];
            cells.extend(cell.map(|cell| if items == 200 { cell.with_target(1.0) } else { cell }));
        }
    }
    cells
}

/// Cells that watch a thread fall asleep, which only Linux tells.
fn rest() -> Vec<Cell> {
    if cfg!(not(target_os = "linux")) {
        return Vec::new();
    }
    let parked = Rest { manner: Manner::Parked };
    vec![
        Cell::new(Rest { manner: Manner::Spinning }, &rest::Tidegate, &ring_spin::Rtrb),
        // No more than 1.3 times as late.
        Cell::new(parked, &rest::Tidegate, &Unpark).with_target(1.0 / 1.3),
        Cell::new(Deadline, &deadline::Tidegate, &park_timeout::ParkTimeout),
        Cell::new(Deadline, &deadline::Tidegate, &UnparkBound).with_target(1.0),
        Cell::new(idle::Idle, &idle::Tidegate, &HALF_A_PERCENT).in_unit("%").with_target(1.0),
    ]
}
