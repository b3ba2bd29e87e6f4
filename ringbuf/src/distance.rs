//! Some distance between a producer and its consumer.
//!
//! A consumer that is faster than its producer takes each item as soon as it is there. Then both work
//! on the same cache lines, which go back and forth between the cores for every item: the slot's, and
//! that of the producer's number. Both get slower, far below what either could do. If the consumer
//! falls behind by some lines instead, the producer fills them undisturbed, and the consumer finds
//! many items with one look.
//!
//! So a consumer that finds little spins for a moment *before* it looks again. That is tried, and kept
//! up only as long as it brings items: where it does not (somebody sends an item and waits for the
//! answer), the next trial comes later each time, so that hardly an item waits for nothing.
//!
//! The idea is the temporal slip of FastForward (Giacomoni, Moseley, Vachharajani, "FastForward for
//! efficient pipeline parallelism: a cache-optimized concurrent lock-free queue", PPoPP 2008), which
//! finds its distance in another way.

/// Rounds of spinning that a trial begins with, and as many as there are at most: with 10 to 40 ns a
/// round, some 0.1 µs and 1 to 2 µs.
const ROUNDS: std::ops::RangeInclusive<u32> = 8..=64;

/// Bytes of items that are worth the wait: 32 lines. Further apart nothing more is won, and items wait.
const WANTED_BYTES: usize = 32 * 64;

/// With less than this many items the wait has brought nothing.
const FEW: usize = 8;

/// Finds at most that go by between two trials.
const TRIALS_APART: u32 = 1_024;

/// How far a consumer keeps behind; see the module.
///
/// ```
/// let (mut producer, mut consumer) = ringbuf::ring::<u64>(32);
/// producer.try_push(7).unwrap();
/// let mut distance = ringbuf::Distance::new(size_of::<u64>(), 32);
/// // Each time, in a consumer's loop:
/// distance.wait();
/// distance.found(consumer.len());
/// assert_eq!(consumer.pop(), Some(7));
/// ```
#[derive(Clone, Debug)]
pub struct Distance {
    /// Items that are worth the wait; 0 where no wait is.
    wanted: usize,
    /// With so many the producer waits for room.
    full: usize,
    /// Rounds to spin before the next look; 0 while the consumer keeps no distance.
    rounds: u32,
    /// Small finds to let go by before the next trial.
    left: u32,
    /// As many as go by after a trial that fails.
    apart: u32,
}

impl Distance {
    /// For items of so many bytes, in a ring with room for `capacity` of them. In one that is too small to
    /// fall behind in, a consumer never waits.
    #[must_use]
    pub fn new(item_bytes: usize, capacity: usize) -> Self {
        // No more than a half of the ring, or the producer would wait in turn.
        let wanted = (WANTED_BYTES / item_bytes.max(1)).max(2 * FEW).min(capacity / 2);
        let wanted = if wanted < 2 * FEW { 0 } else { wanted };
        Self { wanted, full: capacity, rounds: 0, left: 0, apart: 1 }
    }

    /// Spins, if that pays; to be called where nothing is known to be there, before looking.
    #[inline]
    pub fn wait(&self) {
        for _ in 0..self.rounds {
            std::hint::spin_loop();
        }
    }

    /// So many items were found by a look that came after [`wait`](Self::wait).
    #[inline]
    pub fn found(&mut self, items: usize) {
        if self.rounds == 0 {
            if items == 0 || items >= self.wanted / 2 {
                return;
            }
            if self.left > 0 {
                self.left -= 1;
            } else {
                self.rounds = *ROUNDS.start();
            }
        } else if items >= self.full {
            self.rounds = 0;
        } else if items < FEW {
            self.rounds = 0;
            self.left = self.apart;
            self.apart = (2 * self.apart).min(TRIALS_APART);
        } else {
            self.apart = 1;
            if items < self.wanted {
                self.rounds = (2 * self.rounds).min(*ROUNDS.end());
            } else if items > 4 * self.wanted {
                self.rounds = (self.rounds / 2).max(*ROUNDS.start());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A consumer that finds so many items each time; how long it waits before each look.
    fn rounds(distance: &mut Distance, finds: impl IntoIterator<Item = usize>) -> Vec<u32> {
        let look = |found| {
            distance.found(found);
            distance.rounds
        };
        finds.into_iter().map(look).collect()
    }

    #[test]
    fn a_consumer_at_its_producers_heels_falls_behind_until_what_it_finds_is_worth_it() {
        let mut distance = Distance::new(64, 8_192);
        assert_eq!(rounds(&mut distance, [1, 8, 16, 31]), [8, 16, 32, 64]);
        assert_eq!(
            rounds(&mut distance, [20, 32, 128]),
            [64, 64, 64],
            "far enough, and long enough"
        );
        assert_eq!(rounds(&mut distance, [129, 500, 500, 500]), [32, 16, 8, 8], "too far");
    }

    #[test]
    fn whoever_finds_nothing_or_much_never_waits() {
        let mut distance = Distance::new(64, 8_192);
        assert_eq!(rounds(&mut distance, [0, 0, 16, 8_192, 0]), [0; 5]);
    }

    #[test]
    fn where_waiting_brings_nothing_hardly_an_item_waits() {
        let mut distance = Distance::new(8, 8_192);
        // One item at a time, however long it is waited for.
        let waits = rounds(&mut distance, [1; 10_000]);
        let waited = waits.iter().filter(|&&rounds| rounds > 0).count();
        assert!(waited < 22, "{waited} of 10,000 waited");
        assert!(waits.iter().all(|&rounds| rounds <= *ROUNDS.start()));
        // And then, from the next trial on, it pays.
        let trial = (0..=TRIALS_APART).find(|_| rounds(&mut distance, [1]) != [0]);
        assert!(trial.is_some(), "it is tried again");
        assert_eq!(rounds(&mut distance, [50; 4]), [16, 32, 64, 64]);
    }

    #[test]
    fn large_items_and_items_without_a_size_ask_for_some_items_too() {
        assert_eq!(Distance::new(1 << 20, 8_192).wanted, 2 * FEW);
        assert_eq!(Distance::new(0, 8_192).wanted, WANTED_BYTES);
    }

    #[test]
    fn nobody_falls_behind_by_more_than_the_ring_has_room_for() {
        // What fills a small ring is much, though 32 lines would be more.
        let mut small = Distance::new(8, 64);
        assert_eq!(rounds(&mut small, [64; 100]), [0; 100]);
        // And where waiting lets it fill, that ends.
        assert_eq!(rounds(&mut small, [1, 10, 33, 64, 64]), [8, 16, 16, 0, 0]);
        let mut tiny = Distance::new(8, 16);
        assert_eq!(rounds(&mut tiny, [1, 7, 16, 3, 9]), [0; 5]);
    }
}
