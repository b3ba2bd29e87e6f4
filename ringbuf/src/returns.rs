//! Values that many threads hand back to one, a slot for each.
//!
//! The one thread mints a [`Return`] for a slot ([`Returns::handle`]) and gives it away. Whoever has it
//! [gives](Return::give) a value, or drops it, which says that none will come. The one thread
//! [takes](Returns::take) what came back, and may then mint the slot's next handle.
//!
//! ```
//! let mut returns = ringbuf::returns::<String>(8);
//! let (given, dropped) = (returns.handle(5), returns.handle(2));
//! std::thread::spawn(move || given.give("done".to_owned())).join().unwrap();
//! drop(dropped);
//! assert_eq!(returns.take(), Some((2, None)));
//! assert_eq!(returns.take(), Some((5, Some("done".to_owned()))));
//! assert_eq!(returns.take(), None);
//! ```
//!
//! A slot is a cell and a [flag](crate::flags): the handle fills the cell and raises the flag, the reader
//! takes the flag and empties the cell. Trap: a handle that is leaked (`mem::forget`) never comes back.

use crate::flags::{FlagReader, Flags, flags};
use crate::sync::{Arc, UnsafeCell};
use std::alloc::Layout;
use std::fmt;

/// Where the value of one slot lies. Empty while its handle is not given away.
struct Cell<V>(UnsafeCell<Option<V>>);

// SAFETY: the cell is the handle's until it raises its flag, which it does last and once, and then the
// reader's until it mints the slot's next handle; `Returns::handle` sees to it that there is one handle at
// a time. [raised] of the flags orders the first change of hands; the second is a move of the handle from
// the reader's thread, which whatever moves it orders. Values move between threads, so `V: Send`; no two
// threads see one value, so `V: Sync` is not asked for.
unsafe impl<V: Send> Sync for Cell<V> {}

impl<V> Cell<V> {
    fn put(&self, value: V) {
        self.0.with_mut(|place| {
            // SAFETY: called by the one handle, before it raises its flag, see `Sync`. Nothing is
            // dropped: the reader has left the cell empty.
            unsafe { *place = Some(value) };
        });
    }

    fn take(&self) -> Option<V> {
        self.0.with_mut(|place| {
            // SAFETY: called by the reader, after it took the flag, see `Sync`.
            unsafe { (*place).take() }
        })
    }
}

struct Shared<V> {
    cells: Box<[Cell<V>]>,
    flags: Flags,
}

/// The one end that mints handles, and takes what comes back.
///
/// Dropped, it leaves handles that are out as they are; what they give is dropped with the last of them.
pub struct Returns<V> {
    shared: Arc<Shared<V>>,
    reader: FlagReader,
    /// Of each slot, whether it has a handle whose end was not taken yet.
    is_out: Box<[bool]>,
    out: usize,
}

/// `slots` slots, without a handle out. Nothing allocates after this.
///
/// Waking the reader is up to whoever gives: he knocks at its [`Doorbell`](crate::Doorbell) after giving,
/// and after dropping a handle too. (A handle that others drop may stand in a struct whose next field
/// knocks when it is dropped.)
///
/// ```
/// use ringbuf::{Doorbell, wake::thread_waker};
/// use std::sync::Arc;
///
/// let bell = Arc::new(Doorbell::new(thread_waker()));
/// let mut returns = ringbuf::returns(1);
/// let (back, knocker) = (returns.handle(0), Arc::clone(&bell));
/// let worker = std::thread::spawn(move || {
///     back.give(7);
///     knocker.knock();
/// });
/// while !bell.take_knock() {
///     std::thread::park();
/// }
/// assert_eq!(returns.take(), Some((0, Some(7))));
/// worker.join().unwrap();
/// ```
///
/// # Panics
/// If `slots` is not in 1 ..= [`FLAGS_MAX`](crate::FLAGS_MAX).
pub fn returns<V>(slots: usize) -> Returns<V> {
    let (flags, reader) = flags(slots);
    let cells = (0..slots).map(|_| Cell(UnsafeCell::new(None))).collect();
    Returns {
        shared: Arc::new(Shared { cells, flags }),
        reader,
        is_out: vec![false; slots].into_boxed_slice(),
        out: 0,
    }
}

impl<V> Returns<V> {
    /// Mints the handle of a slot.
    ///
    /// # Panics
    /// If there is no such slot, or if it has a handle whose end was not taken yet.
    #[inline]
    pub fn handle(&mut self, slot: u32) -> Return<V> {
        let slots = self.slots();
        let Some(is_out) = self.is_out.get_mut(slot as usize) else {
            panic!("no slot {slot}: there are {slots}");
        };
        assert!(!*is_out, "the handle of slot {slot} is out");
        *is_out = true;
        self.out += 1;
        Return { shared: Arc::clone(&self.shared), slot }
    }

    /// Takes what came back: the slot and its value, or `None` in its place when its handle was dropped
    /// without giving one. The slot's next handle may then be minted. One load when nothing came back.
    ///
    /// Slots come in no order in particular, and each that came back comes before any comes twice.
    #[inline]
    pub fn take(&mut self) -> Option<(u32, Option<V>)> {
        let slot = self.reader.take()?;
        let is_out = &mut self.is_out[slot as usize];
        debug_assert!(*is_out, "slot {slot} came back without having been out");
        *is_out = false;
        self.out -= 1;
        Some((slot, self.shared.cells[slot as usize].take()))
    }

    /// Whether [`take`](Self::take) would find nothing, as far as this thread can tell. One load.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }

    /// Whether the slot has a handle whose end was not taken yet.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn is_out(&self, slot: u32) -> bool {
        self.is_out[slot as usize]
    }

    /// How many slots have a handle whose end was not taken yet. One that was leaked (`mem::forget`)
    /// counts for good.
    pub fn out(&self) -> usize {
        self.out
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.is_out.len()
    }

    /// What `slots` slots take on the heap, in bytes, before rounding by the allocator.
    pub fn heap_bytes(slots: usize) -> usize {
        let counts = Layout::new::<[usize; 2]>();
        let (shared, _) =
            counts.extend(Layout::new::<Shared<V>>()).expect("a head is some hundred bytes");
        let of_slot = size_of::<Cell<V>>() + size_of::<bool>();
        shared.pad_to_align().size() + slots * of_slot + Flags::heap_bytes(slots)
    }
}

impl<V> fmt::Debug for Returns<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slots, out) = (self.slots(), self.out);
        f.debug_struct("Returns").field("slots", &slots).field("out", &out).finish_non_exhaustive()
    }
}

/// The right to hand back one value through one slot. Dropped without one, it says that none will come.
///
/// Lock-free, and allocates nothing. The caller wakes the reader afterwards, see [`returns`].
#[must_use = "dropped, it says that no value will come"]
pub struct Return<V> {
    shared: Arc<Shared<V>>,
    slot: u32,
}

impl<V> Return<V> {
    /// Hands the value back.
    pub fn give(self, value: V) {
        self.shared.cells[self.slot as usize].put(value);
        // Dropping raises the flag.
    }

    /// The slot's number.
    #[inline]
    pub fn slot(&self) -> u32 {
        self.slot
    }
}

impl<V> Drop for Return<V> {
    fn drop(&mut self) {
        self.shared.flags.raise(self.slot);
    }
}

impl<V> fmt::Debug for Return<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Return").field("slot", &self.slot).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(tidegate_loom)))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn what_is_given_comes_back_with_its_slot_and_the_slot_can_be_used_again() {
        let mut returns = returns(100);
        assert_eq!((returns.slots(), returns.out(), returns.is_empty()), (100, 0, true));
        for round in 0..3 {
            let handles: Vec<_> = (0..100).map(|slot| returns.handle(slot)).collect();
            assert_eq!((returns.out(), returns.take()), (100, None));
            for handle in handles.into_iter().rev() {
                let slot = handle.slot();
                if slot % 3 != round {
                    handle.give(slot + 1_000);
                }
            }
            assert!(!returns.is_empty() && returns.is_out(5));
            for slot in 0..100 {
                let value = (slot % 3 != round).then_some(slot + 1_000);
                assert_eq!(returns.take(), Some((slot, value)));
            }
            assert_eq!((returns.take(), returns.out(), returns.is_out(5)), (None, 0, false));
        }
    }

    #[test]
    fn a_slot_has_one_handle_until_its_end_is_taken() {
        let mut returns = returns(2);
        let mut refused = |slot: u32, out: usize| {
            assert!(catch_unwind(AssertUnwindSafe(|| returns.handle(slot))).is_err());
            assert_eq!(returns.out(), out);
        };
        refused(2, 0);
        let handle = returns.handle(1);
        let mut refused = |out: usize| {
            assert!(catch_unwind(AssertUnwindSafe(|| returns.handle(1))).is_err());
            assert_eq!(returns.out(), out);
        };
        refused(1);
        handle.give('a');
        refused(1);
        assert_eq!(returns.take(), Some((1, Some('a'))));
        drop(returns.handle(1));
        assert_eq!(returns.take(), Some((1, None)));
    }

    #[test]
    fn what_the_reader_is_not_there_to_take_is_dropped_once() {
        let value = Arc::new(());
        let mut returns = returns(3);
        let [before, after, never] = [0, 1, 2].map(|slot| returns.handle(slot));
        before.give(Arc::clone(&value));
        drop(returns);
        assert_eq!(Arc::strong_count(&value), 2, "others may still give");
        after.give(Arc::clone(&value));
        drop(never);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_value_that_panics_when_dropped_takes_no_other_along() {
        struct Panics(bool, #[allow(dead_code)] Arc<()>);

        impl Drop for Panics {
            fn drop(&mut self) {
                assert!(!self.0, "a bad drop");
            }
        }

        let value = Arc::new(());
        let mut returns = returns(3);
        for slot in 0..3 {
            returns.handle(slot).give(Panics(slot == 1, Arc::clone(&value)));
        }
        assert!(catch_unwind(AssertUnwindSafe(|| drop(returns))).is_err(), "the panic goes on");
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn heap_bytes_are_those_of_cells_and_flags() {
        let slots = |n| Returns::<u64>::heap_bytes(n) - Flags::heap_bytes(n);
        assert_eq!(slots(64) - slots(63), 16 + 1);
    }

    #[test]
    fn many_threads_hand_back_through_slots_that_are_used_again_and_again() {
        const SLOTS: u32 = 70;
        let mut returns = returns(SLOTS as usize);
        let (to, work) = std::sync::mpsc::channel::<(Return<u32>, u32)>();
        let work = std::sync::Mutex::new(work);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    loop {
                        let Ok((handle, round)) = work.lock().unwrap().recv() else {
                            return;
                        };
                        if (handle.slot() + round) % 5 != 0 {
                            let value = handle.slot() << 16 | round;
                            handle.give(value);
                        }
                    }
                });
            }
            let mut rounds = [0_u32; SLOTS as usize];
            for slot in 0..SLOTS {
                to.send((returns.handle(slot), 0)).unwrap();
            }
            while returns.out() > 0 {
                let Some((slot, value)) = returns.take() else {
                    std::thread::yield_now();
                    continue;
                };
                let round = &mut rounds[slot as usize];
                assert_eq!(value, ((slot + *round) % 5 != 0).then_some(slot << 16 | *round));
                *round += 1;
                if *round < 50 {
                    to.send((returns.handle(slot), *round)).unwrap();
                }
            }
            drop(to);
            assert_eq!(rounds, [50; SLOTS as usize]);
        });
    }
}
