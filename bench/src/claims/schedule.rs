//! When which item is to be pushed, fixed before the first one is.

use std::fmt;
use std::sync::Arc;

use crate::noise::{Noise, part};

/// How items come in time, at the same rate on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Arrivals {
    /// At equal distances.
    Constant,
    /// Each when it likes: the distances are exponentially distributed.
    Poisson,
    /// So many at once, at equal distances.
    Bursts(u32),
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Poisson => f.write_str("poisson"),
            Self::Bursts(items) => write!(f, "bursts burst={items}"),
        }
    }
}

/// The intended time of each item, in nanoseconds from the start. Clones are cheap.
#[derive(Clone, Debug)]
pub(crate) enum Schedule {
    /// This far from one to the next, so many at once.
    Even { distance_ns: f64, at_once: u64 },
    /// These times, rising.
    Times(Arc<[u64]>),
}

impl Schedule {
    /// For `items` items, `distance_ns` from one to the next on average.
    pub(crate) fn new(arrivals: Arrivals, distance_ns: f64, items: u64) -> Self {
        match arrivals {
            Arrivals::Constant => Self::Even { distance_ns, at_once: 1 },
            Arrivals::Bursts(at_once) => {
                let at_once = u64::from(at_once.max(1));
                Self::Even { distance_ns: distance_ns * at_once as f64, at_once }
            }
            Arrivals::Poisson => Self::Times(poisson(distance_ns, items)),
        }
    }

    /// When the item of this number is to be pushed.
    #[inline]
    pub(crate) fn intended_ns(&self, seq: u64) -> u64 {
        match self {
            Self::Even { distance_ns, at_once } => ((seq / at_once) as f64 * distance_ns) as u64,
            Self::Times(times) => times[seq as usize],
        }
    }

    /// How many items are to be pushed until `now_ns`, if `pushed` of them were.
    #[inline]
    pub(crate) fn due(&self, now_ns: u64, pushed: u64) -> u64 {
        match self {
            Self::Even { distance_ns, at_once } => {
                ((now_ns as f64 / distance_ns) as u64 + 1) * at_once
            }
            Self::Times(times) => {
                let rest = &times[pushed as usize..];
                pushed + rest.iter().take_while(|time| **time <= now_ns).count() as u64
            }
        }
    }
}

/// Always the same times: those of a run must be those of the other.
fn poisson(distance_ns: f64, items: u64) -> Arc<[u64]> {
    let mut noise = Noise::default();
    let mut at = 0.0;
    (0..items)
        .map(|_| {
            // Above 0, up to 1.
            let even = 1.0 - part(noise.next());
            at -= even.ln() * distance_ns;
            at as u64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Arrivals; 3] = [Arrivals::Constant, Arrivals::Poisson, Arrivals::Bursts(50)];

    #[test]
    fn the_rate_is_the_same_however_items_come() {
        for arrivals in ALL {
            let schedule = Schedule::new(arrivals, 500.0, 100_000);
            let last = schedule.intended_ns(99_999) as f64;
            assert!((49.0e6..51.0e6).contains(&last), "{arrivals}: {last}");
        }
    }

    #[test]
    fn what_is_due_is_exactly_what_was_intended_by_now() {
        for arrivals in ALL {
            let schedule = Schedule::new(arrivals, 333.0, 2_000);
            let mut pushed = 0;
            for now in (0..500_000).step_by(777) {
                let due = schedule.due(now, pushed).min(2_000);
                let intended = (0..2_000).filter(|seq| schedule.intended_ns(*seq) <= now).count();
                assert!(
                    due.abs_diff(intended as u64) <= 1,
                    "{arrivals} at {now}: {due}, {intended}"
                );
                pushed = due;
            }
        }
    }

    #[test]
    fn a_burst_comes_at_one_time() {
        let schedule = Schedule::new(Arrivals::Bursts(10), 100.0, 40);
        let times: Vec<u64> = (0..40).map(|seq| schedule.intended_ns(seq)).collect();
        assert!(times.chunks(10).enumerate().all(|(n, burst)| burst == [n as u64 * 1_000; 10]));
    }
}
