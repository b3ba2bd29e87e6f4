//! Cache lines that are needed soon, asked for beforehand: hints, which change nothing but time.
//!
//! A line that another core has written last takes a trip between the cores, of 20 to 200 ns, and a
//! loop that waits for one such trip after the other does little else. Asked for ahead, the trips
//! overlap.

/// Asks for the line at `place` to be brought into this core's cache, to be read.
///
/// Never faults, whatever the address, and does nothing where the processor can't be asked.
///
/// ```
/// let numbers = vec![1_u64; 1_000];
/// ringbuf::prefetch::to_read(numbers.as_ptr().wrapping_add(999));
/// ```
#[inline(always)]
pub fn to_read<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which does not fault whatever the address.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(place.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a hint, which does not fault whatever the address.
    unsafe {
        core::arch::asm!("prfm pldl1keep, [{0}]", in(reg) place, options(nostack, readonly, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = place;
}

/// As [`to_read`], to be written: the line leaves the other caches.
///
/// For a line that another core is going to read before, this is a bad turn.
#[inline(always)]
pub fn to_write<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which does not fault whatever the address; processors that don't know it take it
    // for no operation. In assembly, since the intrinsic of this name only reads unless the target says
    // more than that it is an x86-64.
    unsafe {
        core::arch::asm!("prefetchw [{0}]", in(reg) place, options(nostack, readonly, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a hint, which does not fault whatever the address.
    unsafe {
        core::arch::asm!("prfm pstl1keep, [{0}]", in(reg) place, options(nostack, readonly, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = place;
}
