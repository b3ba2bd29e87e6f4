//! Memory that is touched at random, on huge pages where the system has them.

use std::{alloc::Layout, mem::MaybeUninit, ptr::NonNull};

use allocator_api2::alloc::{AllocError, Allocator, Global};

/// Asks the system to back some memory of ours with huge pages, where it can be asked and where a whole
/// one lies in it. Blocks, records and table are touched at random: with small pages, nearly every touch
/// beyond ten thousand keys misses the processor's table of pages too (measured: a fifth to a third of
/// the time at 10,000 to a million keys). What is touched first in a huge page makes all of it resident.
pub(super) fn prefer_huge_pages(first: NonNull<u8>, bytes: usize) {
    /// As on x86-64 and on ARM with pages of 4 KiB; elsewhere the advice just covers a little less.
    const HUGE: usize = 2 * 1024 * 1024;
    let start = first.addr().get().next_multiple_of(HUGE);
    let end = (first.addr().get() + bytes) / HUGE * HUGE;
    if start >= end {
        return;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: advice about whole pages inside one allocation, which does not change what they hold. If
    // it is refused, the memory is as good as before.
    unsafe {
        libc::madvise(first.as_ptr().with_addr(start).cast(), end - start, libc::MADV_HUGEPAGE);
    }
}

/// As [`prefer_huge_pages`], for a vector that will not grow.
pub(crate) fn vec_on_huge_pages<T>(capacity: usize) -> Vec<T> {
    let mut vec = Vec::with_capacity(capacity);
    let room: &mut [MaybeUninit<T>] = vec.spare_capacity_mut();
    prefer_huge_pages(NonNull::from(&mut *room).cast(), size_of_val(room));
    vec
}

/// The global allocator, but for advice on huge pages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OnHugePages;

// SAFETY: the global allocator does it all.
unsafe impl Allocator for OnHugePages {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let memory = Global.allocate(layout)?;
        prefer_huge_pages(memory.cast(), memory.len());
        Ok(memory)
    }

    unsafe fn deallocate(&self, memory: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's word: it came from `allocate`, and so from there.
        unsafe { Global.deallocate(memory, layout) };
    }
}
