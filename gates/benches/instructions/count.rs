//! Which part of a gate is counted.

use std::hint::black_box;

/// Callgrind counts while a function of this name runs, with all that it calls.
pub(crate) const PATTERN: &str = "*in_the_count*";

/// Runs `work`, counted.
#[inline(never)]
pub(crate) fn in_the_count<R>(work: impl FnOnce() -> R) -> R {
    let result = work();
    // Two functions of the same instructions may become one, under either's name. This one has a number
    // that no other has; and it ends after what it calls, rather than with a jump there.
    black_box(0x7469_6465_u32);
    result
}

/// Runs a part of a gate again and again: `warm` times to get past its beginnings (growth, first uses,
/// rare sizes), then for as many items as a gate has. The part calls what it is given with what is to be
/// counted.
pub(crate) fn rounds(items: usize, warm: usize, mut round: impl FnMut(&Counting)) {
    for _ in 0..warm {
        round(&Counting(false));
    }
    assert!(gates::ITEMS.is_multiple_of(items), "the rounds come to the number of items of a gate");
    for _ in 0..gates::ITEMS / items {
        round(&Counting(true));
    }
}

/// Whether a round counts.
pub(crate) struct Counting(bool);

impl Counting {
    /// Runs `work`, counted or not.
    #[inline]
    pub(crate) fn part<R>(&self, work: impl FnOnce() -> R) -> R {
        if self.0 { in_the_count(work) } else { work() }
    }
}
