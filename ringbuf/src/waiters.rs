//! Who waits for room, first come first served, a queue for each shard.
//!
//! Plain data behind the lock of [`shared`](crate::shared). The places are reused, so that waiting
//! allocates only while there are more waiters than ever before.

use std::task::Waker;

/// No place.
const NONE: u32 = u32::MAX;

/// A waiter's place, its own until it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u32);

/// What a waiter has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Room, which is reserved for it.
    Room,
    /// There will never be room.
    Closed,
}

#[derive(Debug)]
struct Waiter {
    shard: u32,
    before: u32,
    /// Behind it in its queue; among the free places, the next free one.
    after: u32,
    marked: bool,
    answer: Option<Answer>,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy)]
struct Queue {
    first: u32,
    last: u32,
}

#[derive(Debug)]
pub(crate) struct Waiters {
    places: Vec<Waiter>,
    free: u32,
    queues: Box<[Queue]>,
}

impl Waiters {
    pub(crate) fn new(shards: usize) -> Self {
        let queues = vec![Queue { first: NONE, last: NONE }; shards].into_boxed_slice();
        Self { places: Vec::new(), free: NONE, queues }
    }

    /// Puts somebody at the end of a shard's queue.
    pub(crate) fn push(&mut self, shard: usize, marked: bool, waker: Waker) -> Place {
        let before = self.queues[shard].last;
        let waiter = Waiter {
            shard: shard as u32,
            before,
            after: NONE,
            marked,
            answer: None,
            waker: Some(waker),
        };
        let place = if self.free == NONE {
            self.places.push(waiter);
            self.places.len() as u32 - 1
        } else {
            let place = self.free;
            self.free = self.places[place as usize].after;
            self.places[place as usize] = waiter;
            place
        };
        match before {
            NONE => self.queues[shard].first = place,
            before => self.places[before as usize].after = place,
        }
        self.queues[shard].last = place;
        Place(place)
    }

    /// Whether nobody waits at a shard.
    pub(crate) fn is_empty(&self, shard: usize) -> bool {
        self.queues[shard].first == NONE
    }

    /// The first in a shard's queue: its waker, and whether it wants room for a mark too.
    pub(crate) fn first(&self, shard: usize) -> Option<(&Waker, bool)> {
        let waiter = self.places.get(self.queues[shard].first as usize)?;
        Some((waiter.waker.as_ref()?, waiter.marked))
    }

    pub(crate) fn is_first(&self, place: Place) -> bool {
        let shard = self.places[place.0 as usize].shard as usize;
        self.queues[shard].first == place.0
    }

    /// Gives the first in a shard's queue its answer and takes it out of the queue, not out of
    /// its place. Returns its waker.
    pub(crate) fn answer_first(&mut self, shard: usize, answer: Answer) -> Option<Waker> {
        let first = self.queues[shard].first;
        self.unlink(first);
        let waiter = &mut self.places[first as usize];
        waiter.answer = Some(answer);
        waiter.waker.take()
    }

    pub(crate) fn answer(&self, place: Place) -> Option<Answer> {
        self.places[place.0 as usize].answer
    }

    /// Changes the waker of somebody who still waits; returns the old one.
    pub(crate) fn set_waker(&mut self, place: Place, waker: Waker) -> Option<Waker> {
        self.places[place.0 as usize].waker.replace(waker)
    }

    /// Gives a place up, and leaves the queue if still in it. Returns the answer, if there was
    /// one, and the waker, to be dropped where foreign code may run.
    pub(crate) fn remove(&mut self, place: Place) -> (Option<Answer>, Option<Waker>) {
        let Place(index) = place;
        if self.places[index as usize].answer.is_none() {
            self.unlink(index);
        }
        let free = self.free;
        let waiter = &mut self.places[index as usize];
        waiter.after = free;
        self.free = index;
        (waiter.answer, waiter.waker.take())
    }

    fn unlink(&mut self, place: u32) {
        let Waiter { shard, before, after, .. } = self.places[place as usize];
        let queue = &mut self.queues[shard as usize];
        match before {
            NONE => queue.first = after,
            before => self.places[before as usize].after = after,
        }
        match after {
            NONE => queue.last = before,
            after => self.places[after as usize].before = before,
        }
    }
}

#[cfg(all(test, not(tidegate_loom)))]
mod tests {
    use super::*;

    #[test]
    fn waiters_leave_from_the_front_the_middle_and_the_end() {
        let mut waiters = Waiters::new(2);
        let mut places: Vec<_> =
            (0..5).map(|i| waiters.push(1, i % 2 == 1, Waker::noop().clone())).collect();
        assert!(waiters.is_empty(0));
        assert_eq!(waiters.remove(places.remove(2)).0, None);
        assert_eq!(waiters.remove(places.remove(3)).0, None);
        assert!(waiters.is_first(places[0]));
        assert!(waiters.answer_first(1, Answer::Room).is_some());
        assert_eq!(waiters.answer(places[0]), Some(Answer::Room));
        assert!(waiters.is_first(places[1]) && waiters.first(1).is_some_and(|(_, marked)| marked));
        assert_eq!(waiters.remove(places[0]).0, Some(Answer::Room));
        waiters.answer_first(1, Answer::Closed);
        waiters.answer_first(1, Answer::Closed);
        assert!(waiters.is_empty(1));
        assert_eq!(waiters.remove(places[2]).0, Some(Answer::Closed));
    }

    #[test]
    fn places_are_used_again() {
        let mut waiters = Waiters::new(1);
        for _ in 0..100 {
            let one = waiters.push(0, false, Waker::noop().clone());
            let two = waiters.push(0, false, Waker::noop().clone());
            waiters.remove(one);
            waiters.remove(two);
        }
        assert_eq!(waiters.places.len(), 2);
    }
}
