//! When was an item pushed? Without a clock on the producer's way.
//!
//! Each turn a shard notes, for each lane, how far the lane reached at what time. An item past that
//! point was pushed after that time. So an item's *lower bound* is the time of the latest note that
//! it lies past; deadlines count from there, and come early by at most a turn, never late.
//!
//! The *upper bound* is the time at which a turn first saw the item in its lane: when an item expires
//! counts from there, and is late by at most a turn, never early.
//!
//! While a shard sleeps it takes no notes; the push that wakes it reads the clock instead.

use crate::limits::NOTES;
use crate::nanos::Nanos;

#[derive(Clone, Copy, Debug, Default)]
struct Note {
    /// Items from this sequence number on …
    from: u64,
    /// … were pushed at this time or later.
    since: Nanos,
    /// All before that number were pushed by then.
    seen: Nanos,
}

/// The notes about one lane; see the module.
#[derive(Clone, Debug)]
pub(crate) struct Notes {
    /// A ring; ascending in both fields from `first` on, and never empty.
    ring: [Note; NOTES],
    first: usize,
    len: usize,
}

impl Notes {
    /// A lane that was empty at `now`.
    pub(crate) fn new(now: Nanos) -> Self {
        Self { ring: [Note { from: 0, since: now, seen: now }; NOTES], first: 0, len: 1 }
    }

    fn at(&self, nth: usize) -> Note {
        self.ring[(self.first + nth) % NOTES]
    }

    fn last_mut(&mut self) -> &mut Note {
        &mut self.ring[(self.first + self.len - 1) % NOTES]
    }

    /// The lane reaches up to `tail` at `now`. With no place left for a note, the items to come keep
    /// the last one's time, which is earlier.
    #[inline]
    pub(crate) fn note(&mut self, tail: u64, now: Nanos) {
        let last = self.last_mut();
        if last.from == tail {
            last.since = last.since.max(now);
        } else if self.len < NOTES {
            self.len += 1;
            *self.last_mut() = Note { from: tail, since: now, seen: now };
        }
    }

    /// For the item `seq`: the lower bound of its push, and the first item that may have a later one.
    /// Notes before `seq` are forgotten: ask in ascending order.
    #[inline]
    pub(crate) fn since(&mut self, seq: u64) -> (Nanos, u64) {
        while self.len > 1 && self.at(1).from <= seq {
            self.first = (self.first + 1) % NOTES;
            self.len -= 1;
        }
        let until = if self.len > 1 { self.at(1).from } else { u64::MAX };
        (self.at(0).since, until)
    }

    /// The upper bound of the push of the item that [`since`](Self::since) was asked about last; none if
    /// there was no place left for a note behind it.
    pub(crate) fn seen(&self) -> Option<Nanos> {
        (self.len > 1).then(|| self.at(1).seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ns: u64) -> Nanos {
        Nanos::from_nanos(ns)
    }

    #[test]
    fn an_item_is_as_old_as_the_last_note_before_it() {
        let mut notes = Notes::new(at(5));
        notes.note(0, at(10));
        notes.note(3, at(20));
        notes.note(3, at(30));
        notes.note(7, at(40));
        assert_eq!(notes.since(0), (at(10), 3));
        assert_eq!(notes.since(2), (at(10), 3));
        assert_eq!(notes.since(3), (at(30), 7));
        assert_eq!(notes.since(9), (at(40), u64::MAX));
    }

    proptest! {
        /// Against the plain truth: each item's push time.
        #[test]
        fn the_bounds_lie_on_both_sides_of_the_push(turns in prop::collection::vec((0_u64..4, 0_u64..6), 1..200)) {
            let mut notes = Notes::new(at(0));
            let mut pushed = Vec::new();
            let (mut now, mut head) = (0, 0);
            for (pushes, drains) in turns {
                for _ in 0..pushes {
                    now += 1;
                    pushed.push(now);
                }
                now += 1;
                notes.note(pushed.len() as u64, at(now));
                for _ in 0..drains.min(pushed.len() as u64 - head) {
                    let (since, until) = notes.since(head);
                    prop_assert!(since <= at(pushed[head as usize]));
                    prop_assert!(until > head);
                    prop_assert!(notes.seen().is_none_or(|seen| seen >= at(pushed[head as usize])));
                    head += 1;
                }
            }
        }
    }
}
