//! Flags that any number of threads raise and one thread takes.
//!
//! A flag is a bit of a word. Above each 64 words stands one more, with a bit for each of them, and so on
//! up to a single word, the root: an empty look is one load of the root, and a raised flag is found in as
//! many steps as there are levels (one up to 64 flags, two up to 4,096, at most four). To raise a flag
//! sets its bit on each level, from the lowest up; to take one clears a word at a time, from the root
//! down, so a bit that stands on some level has been set on all below it, and nothing is lost.
//!
//! What the reader has cleared and not yet handed out it keeps to itself, and looks at the root again
//! only when that is used up. So each flag raised by then comes once before any comes twice: a flag that
//! is raised all the time holds up no other.
//!
//! ```
//! let (flags, mut reader) = ringbuf::flags(1_000);
//! assert_eq!(reader.take(), None);
//! flags.raise(700);
//! flags.raise(3);
//! assert_eq!([reader.take(), reader.take(), reader.take()], [Some(3), Some(700), None]);
//! ```

use crate::sync::{Arc, AtomicU64, Ordering};
use crossbeam_utils::CachePadded;
use std::alloc::Layout;

/// How many flags there may be.
pub const FLAGS_MAX: usize = 1 << 24;

/// A word has 2^6 bits.
const WORD: u32 = 6;
const LEVELS_MAX: usize = 4;

const _: () = assert!(FLAGS_MAX == 1 << (WORD * LEVELS_MAX as u32), "four levels suffice");

#[derive(Debug)]
struct Board {
    root: CachePadded<AtomicU64>,
    /// The levels beneath the root, the lowest (the flags themselves) first.
    lower: Box<[Box<[AtomicU64]>]>,
    count: usize,
}

impl Board {
    #[inline]
    fn word(&self, level: usize, index: usize) -> &AtomicU64 {
        match self.lower.get(level) {
            Some(words) => &words[index],
            None => &self.root,
        }
    }
}

/// How many words each level beneath the root has, the lowest first.
fn lower(count: usize) -> impl Iterator<Item = usize> {
    let above = |words: &usize| Some(words.div_ceil(1 << WORD));
    std::iter::successors(above(&count), above).take_while(|words| *words > 1)
}

/// The end that raises flags. Clone it for as many threads as there are, or share it.
#[derive(Debug, Clone)]
pub struct Flags {
    board: Arc<Board>,
}

/// The one end that takes flags.
#[derive(Debug)]
pub struct FlagReader {
    board: Arc<Board>,
    /// Of each level, the lowest first: the bits of one word that were cleared there and not yet
    /// followed down.
    held: [u64; LEVELS_MAX],
    /// Which word of its level those are of.
    at: [usize; LEVELS_MAX],
}

/// `count` flags, numbered from 0, none of them raised. Nothing allocates after this.
///
/// # Panics
/// If `count` is not in 1 ..= [`FLAGS_MAX`].
pub fn flags(count: usize) -> (Flags, FlagReader) {
    let range = 1..=FLAGS_MAX;
    assert!(range.contains(&count), "there are 1 to {FLAGS_MAX} flags, not {count}");
    let board = Arc::new(Board {
        root: CachePadded::new(AtomicU64::new(0)),
        lower: lower(count).map(|words| (0..words).map(|_| AtomicU64::new(0)).collect()).collect(),
        count,
    });
    let flags = Flags { board: Arc::clone(&board) };
    (flags, FlagReader { board, held: [0; LEVELS_MAX], at: [0; LEVELS_MAX] })
}

impl Flags {
    /// Raises a flag: the reader will take it at least once from now on, and whoever takes it sees what
    /// was done before this. Raised again before it is taken, it may come once or twice.
    ///
    /// Waking the reader is up to the caller. Costs one read-modify-write a level.
    ///
    /// # Panics
    /// If there is no such flag.
    pub fn raise(&self, flag: u32) {
        let (flag, count) = (flag as usize, self.board.count);
        assert!(flag < count, "no flag {flag}: there are {count}");
        let mut bit = flag;
        for level in 0..=self.board.lower.len() {
            let word = bit >> WORD;
            // Release [raised]: whoever clears the bit sees what was done before, and the bits beneath.
            let of_word = 1 << (bit % (1 << WORD));
            self.board.word(level, word).fetch_or(of_word, Ordering::Release);
            bit = word;
        }
    }

    /// How many flags there are.
    pub fn count(&self) -> usize {
        self.board.count
    }

    /// What `count` flags take on the heap, in bytes, before rounding by the allocator.
    pub fn heap_bytes(count: usize) -> usize {
        let counts = Layout::new::<[usize; 2]>();
        let (shared, _) =
            counts.extend(Layout::new::<Board>()).expect("a board's head is some hundred bytes");
        let of_level = |words| words * size_of::<AtomicU64>() + size_of::<Box<[AtomicU64]>>();
        shared.pad_to_align().size() + lower(count).map(of_level).sum::<usize>()
    }
}

impl FlagReader {
    /// Takes a flag that was raised, going round. One load when there is none.
    pub fn take(&mut self) -> Option<u32> {
        let root = self.board.lower.len();
        let mut level = 0;
        loop {
            // Up to where something is left to follow down.
            while level <= root && self.held[level] == 0 {
                level += 1;
            }
            if level > root {
                if self.board.root.load(Ordering::Relaxed) == 0 {
                    return None;
                }
                level = root;
                self.clear(level, 0);
            }
            let bit = self.held[level].trailing_zeros() as usize;
            self.held[level] &= self.held[level] - 1;
            let beneath = self.at[level] << WORD | bit;
            if level == 0 {
                return Some(beneath as u32);
            }
            // Perhaps empty: its flags may have been taken along with earlier ones.
            level -= 1;
            self.clear(level, beneath);
        }
    }

    fn clear(&mut self, level: usize, word: usize) {
        self.at[level] = word;
        // Acquire [raised]: what was done before the flags were raised is visible, and so are the bits
        // beneath.
        self.held[level] = self.board.word(level, word).swap(0, Ordering::Acquire);
    }

    /// Whether [`take`](Self::take) would find nothing, as far as this thread can tell. One load.
    /// `false` where all that is left was taken along with earlier flags, too.
    pub fn is_empty(&self) -> bool {
        self.held == [0; LEVELS_MAX] && self.board.root.load(Ordering::Relaxed) == 0
    }

    /// How many flags there are.
    pub fn count(&self) -> usize {
        self.board.count
    }
}

#[cfg(all(test, not(tidegate_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::panic::catch_unwind;

    #[test]
    fn one_two_three_and_four_levels_hold_every_flag() {
        for (count, levels) in
            [(1, 1), (2, 1), (64, 1), (65, 2), (4_096, 2), (4_097, 3), (262_145, 4), (FLAGS_MAX, 4)]
        {
            let (flags, mut reader) = flags(count);
            assert_eq!(flags.board.lower.len() + 1, levels, "{count}");
            assert_eq!((flags.count(), reader.count()), (count, count));
            let last = count as u32 - 1;
            let some = BTreeSet::from([0, last / 2, last]);
            some.iter().for_each(|flag| flags.raise(*flag));
            assert!(!reader.is_empty());
            let taken: Vec<_> = std::iter::from_fn(|| reader.take()).collect();
            assert!(taken.iter().eq(&some), "{count}: {taken:?}");
            assert!(reader.is_empty());
            let refused = catch_unwind(move || flags.raise(count as u32)).unwrap_err();
            let said = refused.downcast_ref::<String>().unwrap();
            assert_eq!(*said, format!("no flag {count}: there are {count}"));
        }
    }

    #[test]
    fn no_flags_and_too_many_are_refused() {
        assert!(catch_unwind(|| flags(0)).is_err());
        assert!(catch_unwind(|| flags(FLAGS_MAX + 1)).is_err());
    }

    #[test]
    fn heap_bytes_follow_the_levels() {
        let one_level = Flags::heap_bytes(64);
        assert_eq!(Flags::heap_bytes(1), one_level);
        assert_eq!(Flags::heap_bytes(65), one_level + 2 * 8 + 16);
        assert_eq!(Flags::heap_bytes(4_097), one_level + (65 + 2) * 8 + 2 * 16);
    }

    #[test]
    fn a_flag_that_is_raised_all_the_time_holds_up_no_other() {
        let (flags, mut reader) = flags(200);
        flags.raise(150);
        flags.raise(199);
        flags.raise(3);
        let mut seen = Vec::new();
        for _ in 0..6 {
            flags.raise(3);
            seen.extend(reader.take());
        }
        assert_eq!(seen[..3], [3, 150, 199], "each once before any twice");
        assert!(seen[3..].iter().all(|flag| *flag == 3));
    }

    proptest! {
        #[test]
        fn raised_and_taken_in_any_order_as_a_set_would_have_it(
            count in prop_oneof![1_u32..200, 4_000_u32..5_000],
            steps in prop::collection::vec(any::<Option<prop::sample::Index>>(), 0..300),
        ) {
            let (flags, mut reader) = flags(count as usize);
            // What must come, and what may come a second time: raised anew while it was held.
            let (mut due, mut again) = (BTreeSet::new(), BTreeSet::new());
            let check = |flag: Option<u32>, due: &mut BTreeSet<u32>, again: &mut BTreeSet<u32>| {
                match flag {
                    Some(flag) => assert!(due.remove(&flag) || again.remove(&flag)),
                    None => {
                        assert!(due.is_empty());
                        again.clear();
                    }
                }
            };
            for step in steps {
                if let Some(index) = step {
                    let flag = index.index(count as usize) as u32;
                    flags.raise(flag);
                    if !due.insert(flag) {
                        again.insert(flag);
                    }
                } else {
                    check(reader.take(), &mut due, &mut again);
                }
            }
            while let Some(flag) = reader.take() {
                check(Some(flag), &mut due, &mut again);
            }
            check(None, &mut due, &mut again);
            prop_assert!(reader.is_empty());
        }
    }

    #[test]
    fn of_many_threads_every_flag_comes() {
        const EACH: u32 = 3_000;
        let (flags, mut reader) = flags(3 * EACH as usize);
        let mut taken = vec![0; 3 * EACH as usize];
        std::thread::scope(|scope| {
            for n in 0..3 {
                let flags = &flags;
                // Interleaved, so that threads meet in the same words.
                scope.spawn(move || (0..EACH).for_each(|flag| flags.raise(flag * 3 + n)));
            }
            let mut left = taken.len();
            while left > 0 {
                match reader.take() {
                    Some(flag) => {
                        taken[flag as usize] += 1;
                        left -= 1;
                    }
                    None => std::thread::yield_now(),
                }
            }
        });
        assert!(taken.iter().all(|times| *times == 1));
        assert_eq!(reader.take(), None);
    }
}
