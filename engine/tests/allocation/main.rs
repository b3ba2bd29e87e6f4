//! After warm-up nothing allocates: per item or per batch, on the producer's side or the shard's.
//!
//! The allocator counts for each thread on its own, so these tests may run side by side. What a stepped
//! engine does, it does on the test's thread; a running shard's count is read in its handler.

mod operations;
mod plain;
mod running;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    pub(crate) static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count_one() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

// SAFETY: every call goes on to the system's allocator as it came. The count is a constant-initialised
// thread-local without a destructor, so that counting neither allocates nor finds it gone.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller's word.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        // SAFETY: the caller's word.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's word.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// What this thread allocates while `work` runs.
pub(crate) fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn the_allocator_counts_what_its_thread_allocates() {
    let mut kept = Vec::new();
    assert_eq!(allocations(|| kept.push(Box::new(1_u64))), 2, "a vector's memory, and a box");
    assert_eq!(allocations(|| kept.reserve_exact(100)), 1, "it grew");
    assert_eq!(allocations(|| kept.clear()), 0);
}
