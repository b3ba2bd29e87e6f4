//! A ring between one producer and one consumer.
//!
//! [`ring`] makes the two ends; each belongs to one thread at a time and may be moved to another.
//! One item costs a write, a store and a load of a line that hardly ever changes; runs of items
//! ([`Producer::fill`], [`Consumer::run`]) share even that. How the ends work, and why, is told in
//! the source beside them (`ends.rs`).
//!
//! Closing works both ways. When the producer is dropped, the consumer still gets what is in the
//! ring. When the consumer closes or is dropped, every push learns for sure whether its item was
//! accepted: what was pushed before the close is, and everything else is given back.

use crate::barrier::heavy;
use crate::ends::{Core, Head, Tail};
use crate::error::{Closed, PushError};
use crate::wake;
use std::task::{Poll, Waker};

/// A ring with room for `capacity` items, rounded up to a power of two
/// ([`Producer::capacity`] says to what).
///
/// Allocates all it will ever need; the memory of the slots is touched only as they are used.
///
/// # Panics
/// If `capacity` is 0, or if the slots would take more bytes than an allocation may.
///
/// ```
/// let (mut producer, mut consumer) = ringbuf::ring(1000);
/// assert_eq!(producer.capacity(), 1024);
/// producer.try_push("hello").unwrap();
/// assert_eq!(consumer.pop(), Some("hello"));
/// assert_eq!(consumer.pop(), None);
/// ```
pub fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let core = Core::new(capacity);
    (Producer { tail: Tail::new(&core) }, Consumer { head: Head::new(&core) })
}

/// The end that pushes. Dropping it closes the ring for the consumer, behind what is in it.
#[derive(Debug)]
pub struct Producer<T> {
    pub(crate) tail: Tail<T>,
}

/// The end that takes. Dropping it closes the ring and drops what is in it.
#[derive(Debug)]
pub struct Consumer<T> {
    pub(crate) head: Head<T>,
}

impl<T> Producer<T> {
    /// Pushes one item if there is room.
    ///
    /// `Ok` means accepted: the consumer will find it, unless it drops what it has not taken.
    ///
    /// # Errors
    /// Both give the item back. [`PushError::Full`]: no room now. [`PushError::Closed`]: the
    /// consumer has closed, and has not accepted this item.
    #[inline(always)]
    pub fn try_push(&mut self, item: T) -> Result<(), PushError<T>> {
        if !self.tail.has_room() {
            return Err(PushError::refused(self.is_closed_for_good(), item));
        }
        self.tail.push(item);
        // Between publishing and looking whether the consumer has closed.
        if self.tail.core().has_closed() && self.tail.settle() > 0 {
            return self.tail.unstage().map_or(Ok(()), |item| Err(PushError::Closed(item)));
        }
        Ok(())
    }

    /// Whether the consumer has closed; if so, it accepts nothing more when this returns.
    #[cold]
    fn is_closed_for_good(&self) -> bool {
        let closed = self.is_closed();
        if closed {
            // So that no later push is accepted where this one was told of the close.
            self.tail.final_head();
        }
        closed
    }

    /// Pushes one item, waiting for room as long as it takes.
    ///
    /// Spins for `spin` rounds ([`wake::BRIEF_SPIN`] unless you know better; 0 on a machine with
    /// more busy threads than cores), then parks the thread until the consumer has taken
    /// something.
    ///
    /// # Errors
    /// The item, when the consumer has closed and has not accepted it.
    pub fn push(&mut self, item: T, spin: u32) -> Result<(), Closed<T>> {
        let mut item = match self.try_push(item) {
            Ok(()) => return Ok(()),
            Err(PushError::Closed(item)) => return Err(Closed(item)),
            Err(PushError::Full(item)) => item,
        };
        loop {
            // An error here comes up again below, with the item.
            let _ = self.wait_for_room(1, spin);
            match self.try_push(item) {
                Ok(()) => return Ok(()),
                Err(PushError::Closed(back)) => return Err(Closed(back)),
                Err(PushError::Full(back)) => item = back,
            }
        }
    }

    /// Waits until there is room for `wanted` items: `spin` rounds on the core, then parked.
    ///
    /// # Errors
    /// If the consumer has closed.
    ///
    /// # Panics
    /// If `wanted` is more than the capacity.
    pub fn wait_for_room(&mut self, wanted: usize, spin: u32) -> Result<(), Closed<()>> {
        for _ in 0..spin {
            if self.tail.room(wanted) >= wanted || self.is_closed() {
                break;
            }
            std::hint::spin_loop();
        }
        wake::block_on_fn(0, |waker| self.poll_room(wanted, waker))
    }

    /// Ready when there is room for `wanted` items or the consumer has closed; else `waker` is
    /// woken when the consumer has taken something or closes, and this is to be asked again.
    ///
    /// The last waker counts. Costs a heavy barrier when it answers `Pending`.
    ///
    /// # Panics
    /// If `wanted` is more than the capacity: that much room there never is.
    pub fn poll_room(&mut self, wanted: usize, waker: &Waker) -> Poll<Result<(), Closed<()>>> {
        let capacity = self.capacity();
        assert!(wanted <= capacity, "room for {wanted} never comes in a ring of {capacity}");
        let (room, errand) = self.tail.poll_room(Core::is_closed, wanted, waker);
        errand.run();
        room
    }

    /// For how many items there is room, at least: the consumer only makes it more.
    pub fn room(&mut self) -> usize {
        let all = self.tail.capacity();
        self.tail.room(all)
    }

    /// For how many items there is room in an empty ring: a power of two.
    pub fn capacity(&self) -> usize {
        self.tail.capacity()
    }

    /// How many items were accepted so far; the number that the next one gets.
    pub fn pushed(&self) -> u64 {
        self.tail.seq()
    }

    /// Whether the consumer has closed or is gone. `false` may be out of date at once; a push
    /// tells for sure.
    pub fn is_closed(&self) -> bool {
        self.tail.core().is_closed()
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        let errand = self.tail.stop_waiting();
        self.tail.core().set_gone();
        // Last: a waker's drop is foreign code, and may panic.
        errand.run();
    }
}

impl<T> Consumer<T> {
    /// Takes the next item, if there is one.
    ///
    /// Frees its slot at once, and wakes a producer that waits for room. A consumer that finds next to
    /// nothing each time it looks is at its producer's heels, which slows both down; in a ring of 32 slots or
    /// more it then spins for a moment before it looks, 1 to 3 µs at most, as long as that pays: see
    /// [`Distance`](crate::Distance).
    #[inline(always)]
    pub fn pop(&mut self) -> Option<T> {
        self.head.pop()
    }

    /// The next item, where it lies.
    pub fn peek(&mut self) -> Option<&T> {
        if self.head.known() == 0 {
            self.head.look();
        }
        self.head.peek()
    }

    /// How many items are there to be taken, at least: the producer only makes it more.
    pub fn len(&mut self) -> usize {
        self.head.look()
    }

    /// Whether there is nothing to be taken now.
    pub fn is_empty(&mut self) -> bool {
        self.len() == 0
    }

    /// For how many items there is room in an empty ring: a power of two.
    pub fn capacity(&self) -> usize {
        self.head.capacity()
    }

    /// How many items were taken so far; the number of the next one.
    pub fn taken(&self) -> u64 {
        self.head.seq()
    }

    /// Whether the producer is gone. If so, what is there now is all that will ever be: look
    /// once more after this.
    ///
    /// ```
    /// # let (mut producer, mut consumer) = ringbuf::ring(8);
    /// # producer.try_push(1).unwrap();
    /// # drop(producer);
    /// loop {
    ///     let last_look = consumer.is_closed();
    ///     while let Some(item) = consumer.pop() {
    ///         // …
    /// #       assert_eq!(item, 1);
    ///     }
    ///     if last_look {
    ///         break;
    ///     }
    /// }
    /// ```
    pub fn is_closed(&self) -> bool {
        self.head.core().is_gone()
    }

    /// Accepts nothing more: what was pushed so far stays to be taken, and every later push gives
    /// its item back. Wakes a producer that waits for room. Costs a heavy barrier; does nothing
    /// the second time.
    pub fn close(&mut self) {
        if self.head.core().is_closed() {
            return;
        }
        self.head.core().set_closed();
        // Between the word that we have closed and the last look at the tail.
        heavy();
        self.head.finish(|_, tail| tail);
        // Last, since it may run foreign code.
        self.head.wake_waiter();
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.close();
        self.head.discard();
    }
}
