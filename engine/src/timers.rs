//! When the records of a shard must be looked at again.
//!
//! Deadlines nearly always come in order: each lies `flush_after` past a push. Those stand in a
//! queue, in the order in which they were set, so that setting one appends to an array and ringing
//! reads it from the front; what is to come is known ahead, and can be brought into the cache. Only
//! what is out of order (an item of less patience, or one from a lane that lagged) goes to the
//! timing wheel.
//!
//! The record itself knows for when it is set, and by the lowest bit of that time where. A timer that
//! was set anew stays in the queue, stale, and is passed over when it comes to the front.

use std::collections::VecDeque;

use crate::groups::Index;
use crate::nanos::Nanos;
use crate::wheel::Wheel;

/// One timer that rang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rung {
    pub(crate) index: Index,
    /// When it was set for; stale unless the record says the same.
    pub(crate) at: Nanos,
}

pub(crate) struct Timers {
    /// By rising time; each at most once per setting.
    queue: VecDeque<Rung>,
    /// The time of the last that was queued.
    last: Nanos,
    wheel: Wheel,
}

impl Timers {
    /// Timers for `keys` records; nothing is allocated later.
    pub(crate) fn new(keys: usize, horizon: Nanos, now: Nanos) -> Self {
        Self {
            queue: VecDeque::with_capacity(Self::room(keys)),
            last: Nanos::ZERO,
            wheel: Wheel::new(keys, horizon, now),
        }
    }

    /// Twice the records: stale timers take places too. Where that is not enough, the wheel takes the
    /// rest.
    fn room(keys: usize) -> usize {
        2 * keys
    }

    /// The heap bytes of [`new`](Self::new).
    pub(crate) fn bytes(keys: usize) -> usize {
        Self::room(keys) * size_of::<Rung>() + Wheel::bytes(keys)
    }

    /// Sets a record's timer; says what the record is to remember: the time, to a nanosecond. One
    /// that was set before must be [cleared](Self::clear) first, or have rung.
    #[inline]
    #[must_use]
    pub(crate) fn set(&mut self, index: Index, at: Nanos) -> Nanos {
        let at = Nanos::from_nanos(at.as_nanos() & !ON_WHEEL);
        let in_order = self.last <= at || self.queue.is_empty();
        if in_order && self.queue.len() < self.queue.capacity() {
            self.last = at;
            self.queue.push_back(Rung { index, at });
            at
        } else {
            self.arm(index, at)
        }
    }

    /// As [`set`](Self::set), on the wheel.
    #[cold]
    #[must_use]
    pub(crate) fn arm(&mut self, index: Index, at: Nanos) -> Nanos {
        self.wheel.arm(index, at);
        Nanos::from_nanos(at.as_nanos() | ON_WHEEL)
    }

    /// Timers will be set no further ahead than that: they come early by a tick that suits it.
    pub(crate) fn refine(&mut self, horizon: Nanos) {
        self.wheel.refine(horizon);
    }

    /// Takes the first timer out of the queue, due or not; maybe a stale one. One that is not can be
    /// [armed](Self::arm) on the wheel.
    pub(crate) fn unqueue(&mut self) -> Option<Rung> {
        self.queue.pop_front()
    }

    /// The record forgets for when its timer was set. What stands in the queue is stale from then on.
    pub(crate) fn clear(&mut self, index: Index) {
        self.wheel.cancel(index);
    }

    /// Whether a timer set for `at` has rung by `now`: up to a tick of the wheel early.
    #[inline]
    pub(crate) fn is_due(&self, at: Nanos, now: Nanos) -> bool {
        self.wheel.is_due(at, now)
    }

    /// The next timer that is due at `now`; maybe a stale one.
    #[inline]
    pub(crate) fn ring(&mut self, now: Nanos) -> Option<Rung> {
        if let Some(first) = self.queue.front()
            && self.wheel.is_due(first.at, now)
        {
            return self.queue.pop_front();
        }
        let index = self.wheel.expire(now)?;
        Some(Rung { index, at: ANY })
    }

    /// When the next timer rings, maybe a stale one; up to a tick of the wheel early.
    pub(crate) fn next(&self) -> Option<Nanos> {
        let queued = self.queue.front().map(|first| self.wheel.begin_of_tick(first.at));
        queued.into_iter().chain(self.wheel.next()).min()
    }

    /// Takes the timer that would ring first, due or not; maybe a stale one.
    pub(crate) fn take_earliest(&mut self) -> Option<Rung> {
        let queued = self.queue.front().map(|first| self.wheel.begin_of_tick(first.at));
        match (queued, self.wheel.next()) {
            (Some(queued), Some(armed)) if queued <= armed => self.queue.pop_front(),
            (Some(_), None) => self.queue.pop_front(),
            (_, Some(_)) => {
                let index = self.wheel.earliest()?;
                self.wheel.cancel(index);
                Some(Rung { index, at: ANY })
            }
            (None, None) => None,
        }
    }

    /// The record of a timer that comes soon, for the cache.
    #[inline]
    pub(crate) fn ahead(&self, nth: usize) -> Option<Index> {
        self.queue.get(nth).map(|rung| rung.index)
    }
}

/// The lowest bit of the time that a record remembers: its timer is on the wheel. So a stale timer in
/// the queue can't be taken for it, even if it was set for the same time.
const ON_WHEEL: u64 = 1;

/// The time of timers from the wheel, which are never stale.
pub(crate) const ANY: Nanos = Nanos::MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ns: u64) -> Nanos {
        Nanos::from_nanos(ns)
    }

    /// What the timers of a shard must do, as slowly and plainly as possible.
    #[derive(Default)]
    struct Plain(Vec<Option<u64>>);

    #[test]
    fn timers_in_order_ring_in_order() {
        let mut timers = Timers::new(8, at(10_000_000), at(0));
        for index in 0..8 {
            let _ = timers.set(index, at(1_000_000 * u64::from(index)));
        }
        let rung = |timers: &mut Timers, now| std::iter::from_fn(|| timers.ring(at(now))).count();
        assert_eq!(rung(&mut timers, 3_000_000), 4);
        assert_eq!(rung(&mut timers, 7_000_000), 4);
        assert_eq!(timers.next(), None);
    }

    proptest! {
        /// Records set their timers in any order, anew and earlier; each rings once for its last
        /// setting, never late, and at most a tick early.
        #[test]
        fn a_record_rings_for_its_last_setting_alone(
            steps in prop::collection::vec((0_u32..6, 0_u64..5_000_000, 0_u64..2_000_000), 1..300),
        ) {
            let horizon = at(1_000_000);
            let mut timers = Timers::new(6, horizon, at(0));
            let tick = Wheel::new(1, horizon, at(0)).tick().as_nanos();
            let mut remembered = [Nanos::MAX; 6];
            let mut plain = Plain(vec![None; 6]);
            let mut now = 0;
            for (index, ahead, step) in steps {
                let slot = index as usize;
                if remembered[slot] > at(now + ahead) {
                    if remembered[slot] != Nanos::MAX {
                        timers.clear(index);
                    }
                    remembered[slot] = timers.set(index, at(now + ahead));
                    plain.0[slot] = Some(now + ahead);
                }
                now += step;
                while let Some(rung) = timers.ring(at(now)) {
                    let slot = rung.index as usize;
                    if rung.at == ANY || remembered[slot] == rung.at {
                        let set = plain.0[slot].take();
                        prop_assert!(set.is_some_and(|set| set <= now + tick), "{set:?} at {now}");
                        remembered[slot] = Nanos::MAX;
                    }
                }
                prop_assert!(plain.0.iter().flatten().all(|set| *set > now), "late at {now}");
                if let Some(first) = plain.0.iter().flatten().min() {
                    prop_assert!(timers.next().is_some_and(|next| next <= at(*first)));
                }
            }
        }
    }
}
