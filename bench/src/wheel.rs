//! Timers alone, on one thread and by a made-up clock: arming them, arming them anew before their time
//! (which cancels them), and expiring them.
//!
//! In each contender any armed timer can be cancelled by its number, also where a case does not do it.
//!
//! The clock goes in steps of 262,144 ns, and each step ends with a poll. Deadlines lie near the middle
//! between two polls, more than a tick of every contender from both; so whether one rounds its deadlines
//! up, down or not at all, a timer expires with the same poll. That is checked for each expiry, and the
//! polls with which each timer expired go into the checksum.

mod alarms;
mod btree;
mod drive;
mod fifo;
mod hash_wheel;
mod nexus;
mod plain;
mod plan;
mod timers;
mod wheel_alone;

use std::fmt;

use crate::Failure;
use crate::cell::Cell;
use crate::checksum::Digest;
use crate::peer::{Case, Peer};
use crate::pinning::on_last_core;
use crate::run::Run;
use btree::BTree;
use drive::drive;
use fifo::Fifo;
use hash_wheel::HashWheel;
use nexus::{NexusQueue, NexusWheel};
use plain::Plain;
use timers::Timers;
use wheel_alone::WheelAlone;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// Arming: all tokens within one step, from empty.
    Arm,
    /// Arming random tokens anew before their time, with the expiries that remain.
    Cancel,
    /// Expiring, and arming again what expired.
    Expire,
}

/// How far ahead timers are armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deadlines {
    /// All equally far: 9.8 ms.
    Equal,
    /// From a quarter of a millisecond to a quarter of a second, as many in each octave.
    Mixed,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arm => "arm",
            Self::Cancel => "cancel",
            Self::Expire => "expire",
        })
    }
}

impl fmt::Display for Deadlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "equal",
            Self::Mixed => "mixed",
        })
    }
}

/// One operation on a number of timers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Armed {
    op: Op,
    armed: u32,
    deadlines: Deadlines,
    /// How many operations are measured at least.
    ops: u64,
}

impl Case for Armed {
    const WORKLOAD: &'static str = "wheel";

    fn cell(&self) -> String {
        let Self { op, armed, deadlines, .. } = self;
        format!("op={op} armed={armed} deadlines={deadlines}")
    }

    fn expected(&self) -> Digest {
        match drive::<Plain>(*self) {
            Ok(run) => run.handled.digest,
            Err(wrong) => unreachable!("the oracle is right: {wrong}"),
        }
    }
}

struct Contender {
    name: &'static str,
    drive: fn(Armed) -> Result<Run, Failure>,
}

impl Peer<Armed> for Contender {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&self, case: Armed) -> Result<Run, Failure> {
        // A failure does not travel between threads; its text does.
        let run = on_last_core(|| (self.drive)(case).map_err(|wrong| wrong.to_string()));
        match run {
            Ok(Ok(run)) => Ok(run),
            Ok(Err(wrong)) => Err(format!("{}: {wrong}", self.name).into()),
            Err(_) => Err(format!("{} panicked", self.name).into()),
        }
    }
}

static SUBJECTS: [Contender; 2] = [
    Contender { name: "timers", drive: drive::<Timers> },
    Contender { name: "wheel alone", drive: drive::<WheelAlone> },
];

static OF_EQUAL: [Contender; 4] = [
    Contender { name: "nexus-timer TimeoutQueue", drive: drive::<NexusQueue> },
    Contender { name: "hierarchical_hash_wheel_timer", drive: drive::<HashWheel> },
    Contender { name: "BTreeSet", drive: drive::<BTree> },
    Contender { name: "VecDeque", drive: drive::<Fifo> },
];

static OF_MIXED: [Contender; 3] = [
    Contender { name: "nexus-timer Wheel", drive: drive::<NexusWheel> },
    Contender { name: "hierarchical_hash_wheel_timer", drive: drive::<HashWheel> },
    Contender { name: "BTreeSet", drive: drive::<BTree> },
];

impl Deadlines {
    fn peers(self) -> &'static [Contender] {
        match self {
            Self::Equal => &OF_EQUAL,
            Self::Mixed => &OF_MIXED,
        }
    }
}

/// Operations that a run measures.
const OPS: u64 = 1_000_000;

/// All cells.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for subject in &SUBJECTS {
        for op in [Op::Arm, Op::Cancel, Op::Expire] {
            for deadlines in [Deadlines::Equal, Deadlines::Mixed] {
                for armed in [1_000, 100_000, 1_000_000] {
                    let case = Armed { op, armed, deadlines, ops: OPS };
                    let cell = |peer| Cell::new(case, subject, peer);
                    cells.extend(deadlines.peers().iter().map(|peer| cell(peer)));
                }
            }
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::alarms::Alarms;
    use super::*;

    fn cases() -> impl Iterator<Item = Armed> {
        [Op::Arm, Op::Cancel, Op::Expire].into_iter().flat_map(|op| {
            [Deadlines::Equal, Deadlines::Mixed].into_iter().flat_map(move |deadlines| {
                [1, 500].map(|armed| Armed { op, armed, deadlines, ops: 2_000 })
            })
        })
    }

    #[test]
    fn every_timer_expires_with_the_right_poll_in_each_contender() {
        for case in cases() {
            let expected = case.expected();
            for contender in case.deadlines.peers().iter().chain(&SUBJECTS) {
                let run = contender.run(case).expect(contender.name);
                assert_eq!(run.handled.digest, expected, "{}: {}", contender.name, case.cell());
                assert!(run.ns > 0.0);
            }
        }
    }

    #[test]
    fn no_two_cells_are_the_same() {
        let lines: std::collections::HashSet<_> = cells().iter().map(Cell::line).collect();
        assert_eq!(lines.len(), cells().len());
    }

    const NONE: u8 = 0;
    const TWICE: u8 = 1;
    const NEVER: u8 = 2;
    const EARLY: u8 = 3;
    const LATE: u8 = 4;

    /// Timers one of which goes wrong.
    struct Faulty<const FAULT: u8> {
        plain: Plain,
        polls: u32,
        held_back: Option<u32>,
    }

    impl<const FAULT: u8> Alarms for Faulty<FAULT> {
        fn new(case: Armed) -> Self {
            Self { plain: Plain::new(case), polls: 0, held_back: None }
        }

        fn arm(&mut self, token: u32, at: u64) {
            let early = FAULT == EARLY && self.polls == 50;
            self.plain.arm(token, if early { at - plan::STEP } else { at });
        }

        fn rearm(&mut self, token: u32, at: u64) {
            self.plain.rearm(token, at);
        }

        fn expire(&mut self, now: u64, expired: &mut Vec<u32>) {
            self.polls += 1;
            expired.extend(self.held_back.take());
            self.plain.expire(now, expired);
            match (FAULT, self.polls) {
                (TWICE, 50) => expired.push(expired[0]),
                (NEVER, 50) => drop(expired.pop()),
                (LATE, 50) => self.held_back = expired.pop(),
                _ => {}
            }
        }
    }

    fn found<const FAULT: u8>() -> Option<String> {
        let case = Armed { op: Op::Expire, armed: 500, deadlines: Deadlines::Equal, ops: 2_000 };
        let run = drive::<Faulty<FAULT>>(case);
        run.err().map(|wrong| wrong.to_string())
    }

    #[test]
    fn a_timer_that_expires_twice_never_early_or_late_is_found() {
        assert_eq!(found::<NONE>(), None);
        for (fault, found) in [
            ("1 expiries were not in time, 0 did not come", found::<TWICE>()),
            ("0 expiries were not in time, 1 did not come", found::<NEVER>()),
            ("13 expiries were not in time, 0 did not come", found::<EARLY>()),
            ("1 expiries were not in time, 0 did not come", found::<LATE>()),
        ] {
            assert_eq!(found.as_deref(), Some(fault));
        }
    }
}
