//! A block of counters that one thread publishes and any number read without ever stopping it.
//!
//! The writer makes a version number odd, writes the words, and makes it even again; a reader
//! copies the words between two looks at the number and tries again unless both looks saw the
//! same even one. The words are relaxed atomics, so that a torn copy is no data race, only thrown
//! away. The fences are those of Hans Boehm, "Can seqlocks get along with programming language
//! memory models?" (MSPC 2012).
//!
//! ```
//! let (mut writer, reader) = ringbuf::seqlock(3);
//! writer.publish(&[1, 2, 3]);
//! let mut block = [0; 3];
//! reader.read(&mut block);
//! assert_eq!(block, [1, 2, 3]);
//! ```
//!
//! Beside the block stands one number, its *progress*: what has changed since, where writing the
//! whole block each time would cost too much. One plain store moves it on; the next block begins
//! with a progress of 0, and a reader never sees one block with the progress of another.

use crate::sync::{Arc, AtomicU64, Ordering, fence, pause};
use crossbeam_utils::CachePadded;

#[derive(Debug)]
struct Shared {
    /// Odd while the words are being written; grows by 2 with each block.
    version: CachePadded<AtomicU64>,
    words: Box<[AtomicU64]>,
    /// Since the block with this version.
    progress: AtomicU64,
}

/// The one end that publishes blocks. Dropping it leaves the last block readable.
#[derive(Debug)]
pub struct SeqlockWriter {
    shared: Arc<Shared>,
    version: u64,
}

/// An end that reads the latest block. Clone it for as many readers as there are.
#[derive(Debug, Clone)]
pub struct SeqlockReader {
    shared: Arc<Shared>,
}

/// A block of `words` numbers, all 0 until the first [`publish`](SeqlockWriter::publish).
pub fn seqlock(words: usize) -> (SeqlockWriter, SeqlockReader) {
    let shared = Arc::new(Shared {
        version: CachePadded::new(AtomicU64::new(0)),
        words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        progress: AtomicU64::new(0),
    });
    (SeqlockWriter { shared: Arc::clone(&shared), version: 0 }, SeqlockReader { shared })
}

impl SeqlockWriter {
    /// Replaces the block. Never waits, whatever readers do.
    ///
    /// # Panics
    /// If `block` has not as many words as the lock was made for.
    pub fn publish(&mut self, block: &[u64]) {
        assert_eq!(block.len(), self.shared.words.len(), "a block has one fixed number of words");
        self.shared.version.store(self.version + 1, Ordering::Relaxed);
        // Release [torn]: a reader that sees one of the words below also sees the odd number
        // above, or a later one, when it looks again.
        fence(Ordering::Release);
        for (place, word) in self.shared.words.iter().zip(block) {
            place.store(*word, Ordering::Relaxed);
        }
        self.shared.progress.store(0, Ordering::Relaxed);
        self.version += 2;
        // Release [whole]: a reader that starts from this number sees all words of this block.
        self.shared.version.store(self.version, Ordering::Release);
    }

    /// Says how far things have come since the last block. One plain store.
    #[inline]
    pub fn progress(&mut self, progress: u64) {
        // Relaxed: whoever sees it together with an older block finds the version changed, by the
        // fence of [torn] that came before it.
        self.shared.progress.store(progress, Ordering::Relaxed);
    }

    /// How many words a block has.
    pub fn words(&self) -> usize {
        self.shared.words.len()
    }
}

impl SeqlockReader {
    /// Copies the latest block, and returns how far things have come since. Tries again while the
    /// writer is in the middle of one, so it can be kept waiting by a writer that does nothing
    /// else, and yields its core meanwhile.
    ///
    /// # Panics
    /// If `block` has not as many words as the lock was made for.
    pub fn read(&self, block: &mut [u64]) -> u64 {
        let mut round = 0;
        loop {
            if let Some(progress) = self.try_read(block) {
                return progress;
            }
            pause(round);
            round += 1;
        }
    }

    /// As [`read`](Self::read), unless the writer is in the middle of a block: then `None`, and
    /// what is in `block` means nothing.
    ///
    /// # Panics
    /// If `block` has not as many words as the lock was made for.
    pub fn try_read(&self, block: &mut [u64]) -> Option<u64> {
        assert_eq!(block.len(), self.shared.words.len(), "a block has one fixed number of words");
        // Acquire [whole]: the words below are at least those of the block with this number.
        let before = self.shared.version.load(Ordering::Acquire);
        if before % 2 == 1 {
            return None;
        }
        for (word, place) in block.iter_mut().zip(&self.shared.words) {
            *word = place.load(Ordering::Relaxed);
        }
        let progress = self.shared.progress.load(Ordering::Relaxed);
        // Acquire [torn]: if any word above came from a later block, the look below finds the
        // number changed.
        fence(Ordering::Acquire);
        (self.shared.version.load(Ordering::Relaxed) == before).then_some(progress)
    }

    /// How many words a block has.
    pub fn words(&self) -> usize {
        self.shared.words.len()
    }
}

#[cfg(all(test, not(tidegate_loom)))]
mod tests {
    use super::*;

    #[test]
    fn before_the_first_block_all_words_are_zero() {
        let (writer, reader) = seqlock(4);
        let mut block = [9; 4];
        reader.read(&mut block);
        assert_eq!(block, [0; 4]);
        assert_eq!((writer.words(), reader.words()), (4, 4));
    }

    #[test]
    fn the_last_block_outlives_its_writer() {
        let (mut writer, reader) = seqlock(2);
        writer.publish(&[1, 2]);
        writer.publish(&[3, 4]);
        drop(writer);
        let mut block = [0; 2];
        assert!(reader.try_read(&mut block).is_some());
        assert_eq!(block, [3, 4]);
    }

    #[test]
    #[should_panic(expected = "one fixed number of words")]
    fn a_block_of_another_size_is_refused() {
        seqlock(2).0.publish(&[1]);
    }

    #[test]
    fn no_reader_sees_half_a_block() {
        let (mut writer, reader) = seqlock(8);
        std::thread::scope(|scope| {
            for reader in [reader.clone(), reader] {
                scope.spawn(move || {
                    let mut block = [0; 8];
                    let mut last = 0;
                    while last < 20_000 {
                        reader.read(&mut block);
                        assert!(block.iter().all(|word| *word == block[0]), "torn: {block:?}");
                        assert!(block[0] >= last, "went back from {last} to {}", block[0]);
                        last = block[0];
                    }
                });
            }
            for n in 1..=20_000 {
                writer.publish(&[n; 8]);
            }
        });
    }
}
