//! A store-load barrier whose cost falls on the rare side alone.
//!
//! Two threads each store to one place and then load the other's. For at least one of them to
//! see the other's store, each needs a full fence between its store and its load. Here one side
//! does this per push and the other once per sleep, per close or per wait. So the frequent side
//! calls [`light`], the rare side [`heavy`], and any pair of the two orders like two fences of
//! `SeqCst`.
//!
//! On Linux `heavy` is `membarrier(2)`: the kernel runs a full barrier on every core that runs a
//! thread of this process, as if that thread had called it at that moment. `light` then only has
//! to keep the compiler from moving the store past the load. The argument: at the moment of that
//! barrier a light side is either past its store, which is then visible to whatever the heavy
//! side loads afterwards, or before its store and hence before its load too, which then sees what
//! the heavy side stored before. A thread that is not running has passed a full barrier when it
//! was switched out.
//!
//! Where the kernel refuses, and on other systems, both are `fence(SeqCst)`. This is decided once
//! in a process, by [`prepare`], which whoever builds a structure that uses the pair calls first.
//! A model cannot show an interrupt of another core, so in models both are fences too: what they
//! check is that the pair stands where two full fences suffice. A fence also publishes, though,
//! which `light` does not do in earnest; so protocols that do not need the pair are modelled
//! with a `light` that does nothing.

#[cfg(not(all(target_os = "linux", not(tidegate_loom), not(miri))))]
use crate::sync::{Ordering, fence};

#[cfg(all(target_os = "linux", not(tidegate_loom), not(miri)))]
mod imp {
    use std::io::Write;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering, fence};

    /// True once the kernel has accepted; until then, and otherwise, both sides fence.
    static ASYMMETRIC: AtomicBool = AtomicBool::new(false);
    static DECIDED: OnceLock<()> = OnceLock::new();

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: membarrier takes two integers, a CPU that is ignored without its flag, and
        // touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    pub(super) fn prepare() {
        DECIDED.get_or_init(|| {
            // Once registered, one call now shows that later ones are let through too.
            let asymmetric = membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
                && membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED);
            // Relaxed: a thread can only reach a structure after this returned in the thread
            // that built it, so whatever handed it over has ordered this store too.
            ASYMMETRIC.store(asymmetric, Ordering::Relaxed);
        });
    }

    pub(super) const MAY_BE_ASYMMETRIC: bool = true;

    #[inline(always)]
    pub(super) fn light<A>(place: &A) -> &A {
        if ASYMMETRIC.load(Ordering::Relaxed) {
            pass(place)
        } else {
            fence(Ordering::SeqCst);
            place
        }
    }

    /// Keeps the compiler from looking at `place`, through what this returns, before it has made
    /// all stores that come earlier in the program.
    ///
    /// A `compiler_fence` does this too, but as if it might write to all memory: after it, every
    /// field that was in a register is loaded again, which costs a push more than all else in it.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
    #[inline(always)]
    pub(super) fn pass<A>(place: &A) -> &A {
        let mut at = std::ptr::from_ref(place);
        // SAFETY: no instruction at all. To the compiler it may read any memory, so that earlier
        // stores come before it, and it makes the address, so that what is loaded through the
        // address comes after it. In truth the address is the one that went in, so it may be
        // made the reference again that it was.
        unsafe {
            std::arch::asm!(
                "/* {0} */",
                inout(reg) at,
                options(readonly, nostack, preserves_flags)
            );
            &*at
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
    #[inline(always)]
    pub(super) fn pass<A>(place: &A) -> &A {
        std::sync::atomic::compiler_fence(Ordering::SeqCst);
        place
    }

    pub(super) fn heavy() {
        fence(Ordering::SeqCst);
        if ASYMMETRIC.load(Ordering::Relaxed) {
            interrupt_all();
        }
    }

    /// How often a barrier that the kernel has no memory for at the moment is asked for again.
    const ATTEMPTS: usize = 1_000;

    /// The barrier of the kernel, which has accepted it once.
    fn interrupt_all() {
        for _ in 0..ATTEMPTS {
            if membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
                return;
            }
            if !passes(std::io::Error::last_os_error().raw_os_error()) {
                break;
            }
            std::thread::yield_now();
        }
        give_up();
    }

    /// Whether the kernel's refusal may pass: interrupted, or short of memory.
    fn passes(error: Option<i32>) -> bool {
        matches!(error, Some(libc::EINTR | libc::ENOMEM | libc::EAGAIN))
    }

    /// Without the barrier a wake-up or an item would be lost some day, silently. And with it there
    /// is no going back: the light sides of other threads have gone without a fence already. Nor
    /// may this unwind: a close that stops halfway leaves its producers spinning for a final head.
    #[cold]
    fn give_up() -> ! {
        let error = std::io::Error::last_os_error();
        // All that can still be done is to say why; where even that fails there is nobody to tell.
        let _ = writeln!(
            std::io::stderr(),
            "ringbuf: membarrier(2) was accepted when the first ring was built and is refused now \
             ({error}): a system-call filter that is put on a process must be there before"
        );
        std::process::abort()
    }

    pub(super) fn is_asymmetric() -> bool {
        ASYMMETRIC.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_refusal_that_may_pass_is_told_from_one_that_stays() {
            assert!(passes(Some(libc::EINTR)) && passes(Some(libc::ENOMEM)));
            assert!(!passes(Some(libc::EPERM)) && !passes(Some(libc::ENOSYS)) && !passes(None));
        }

        #[test]
        fn the_barrier_of_the_kernel_is_there_again_and_again() {
            prepare();
            if is_asymmetric() {
                (0..100).for_each(|_| interrupt_all());
            }
        }
    }
}

#[cfg(not(all(target_os = "linux", not(tidegate_loom), not(miri))))]
mod imp {
    use super::{Ordering, fence};

    pub(super) const MAY_BE_ASYMMETRIC: bool = false;

    pub(super) fn prepare() {}

    /// Never reached where `MAY_BE_ASYMMETRIC` is false, but it has to be there.
    #[inline(always)]
    pub(super) fn pass<A>(place: &A) -> &A {
        fence(Ordering::SeqCst);
        place
    }

    #[inline(always)]
    #[cfg_attr(tidegate_loom, track_caller)]
    pub(super) fn light<A>(place: &A) -> &A {
        #[cfg(tidegate_loom)]
        if !crate::sync::canary::light_is_a_fence() {
            return place;
        }
        fence(Ordering::SeqCst);
        place
    }

    #[cfg_attr(tidegate_loom, track_caller)]
    pub(super) fn heavy() {
        fence(Ordering::SeqCst);
    }

    pub(super) fn is_asymmetric() -> bool {
        false
    }
}

/// Decides, once in a process, how the pair works. Cheap when decided.
///
/// `heavy` may only pair with a `light` that runs after this returned.
pub(crate) fn prepare() {
    imp::prepare();
}

/// The frequent side's half: after its store, before its load of `place`, which must go through
/// the reference that this returns.
#[inline(always)]
#[cfg_attr(tidegate_loom, track_caller)]
pub(crate) fn light<A>(place: &A) -> &A {
    imp::light(place)
}

/// Whether the frequent side may have to go without a fence here; if not, [`light`] alone is used.
pub(crate) const MAY_BE_ASYMMETRIC: bool = imp::MAY_BE_ASYMMETRIC;

/// The half of the frequent side where it is known that it goes without a fence
/// ([`pushes_without_fence`]): as [`light`], but does not ask.
///
/// For a place that says itself whether a fence is needed: it is looked at through this first, and
/// where it says so, once more through [`light`].
#[inline(always)]
pub(crate) fn pass<A>(place: &A) -> &A {
    imp::pass(place)
}

/// The rare side's half: after its store, before its load. Some microseconds where it is the
/// kernel's.
#[cfg_attr(tidegate_loom, track_caller)]
pub(crate) fn heavy() {
    imp::heavy();
}

/// Whether the frequent side goes without a fence in this process.
///
/// True on Linux where the kernel offers `membarrier(2)`: then a push is free of fences, and
/// going to sleep, closing or waiting for room costs a system call that briefly interrupts the
/// cores on which this process runs. False elsewhere: a push then has a full fence. To be asked
/// after a ring or lanes were built.
///
/// The first ring that a process builds decides, for good. A filter of system calls (seccomp) that
/// refuses `membarrier` is respected if it is there by then; one that is put on later and refuses
/// what was granted ends the process with a message, since pushes have relied on it by then. So
/// install the filter first, or let `membarrier` through.
pub fn pushes_without_fence() -> bool {
    imp::is_asymmetric()
}
