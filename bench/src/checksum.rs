//! Whether everything arrived, once, and in the order of its key.
//!
//! A sum over all items would hide that two of them changed places. So each key has a rolling hash, in
//! which the order matters, over every byte of its items; and those, each with the number of its items,
//! are added up, since the order *between* keys is free.

use std::fmt;

use crate::workload::Row;

/// What can be checked: an item all of whose bytes count.
pub(crate) trait Content {
    /// A hash over every byte.
    fn hash(&self) -> u64;
}

impl Content for Row {
    #[inline]
    fn hash(&self) -> u64 {
        fold(self.key, self.seq) ^ fold(self.rest[0], self.rest[1]).rotate_left(32)
    }
}

/// The rolling hashes of one consumer.
pub(crate) struct Checksum {
    keys: Vec<Rolling>,
}

#[derive(Clone, Copy, Default)]
struct Rolling {
    hash: u64,
    items: u64,
}

/// What a checksum came to. Those of several consumers that share no key add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    items: u64,
    hash: u64,
}

const MULTIPLIER: u64 = 0x9FB2_1C65_1E98_DF25;

/// Multiplies to 128 bits and folds them (Wang Yi, "wyhash", 2019).
#[inline]
pub(crate) fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one ^ 0xA076_1D64_78BD_642F) * u128::from(other ^ MULTIPLIER);
    product as u64 ^ (product >> 64) as u64
}

impl Checksum {
    /// For keys from 0 to `keys` less one.
    pub(crate) fn new(keys: u32) -> Self {
        Self { keys: vec![Rolling::default(); keys as usize] }
    }

    /// Adds a batch of one key.
    ///
    /// # Panics
    ///
    /// If there is no such key.
    #[inline]
    pub(crate) fn add<T: Content>(&mut self, key: u64, items: &[T]) {
        let rolling = &mut self.keys[key as usize];
        let mut hash = rolling.hash;
        for item in items {
            // The items' own hashes do not wait for each other; only the rolling one does.
            hash = (hash.rotate_left(5) ^ item.hash()).wrapping_mul(MULTIPLIER);
        }
        rolling.hash = hash;
        rolling.items += items.len() as u64;
    }

    pub(crate) fn digest(&self) -> Digest {
        let of_key = |(key, rolling): (usize, &Rolling)| Digest {
            items: rolling.items,
            hash: match rolling.items {
                0 => 0,
                items => fold(fold(key as u64, items), rolling.hash),
            },
        };
        self.keys.iter().enumerate().map(of_key).fold(Digest::default(), Digest::and)
    }
}

impl Digest {
    /// So many items that came to `hash`, for a workload that has a checksum of its own.
    pub(crate) fn of(items: u64, hash: u64) -> Self {
        Self { items, hash }
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { items: self.items + other.items, hash: self.hash.wrapping_add(other.hash) }
    }

    /// The number of items.
    pub(crate) fn items(self) -> u64 {
        self.items
    }

    /// Nothing, if this is what was expected.
    ///
    /// # Errors
    ///
    /// [`Mismatch`], naming `run`.
    pub(crate) fn check(self, expected: Self, run: &str) -> Result<(), Mismatch> {
        if self == expected {
            return Ok(());
        }
        Err(Mismatch { run: run.to_owned(), expected, found: self })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x} over {} items", self.hash, self.items)
    }
}

/// What arrived is not what was pushed.
#[derive(Debug)]
pub(crate) struct Mismatch {
    run: String,
    expected: Digest,
    found: Digest,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, expected, found } = self;
        write!(f, "{run}: the checksum is {found}, not {expected}; ")?;
        f.write_str(match found.items.cmp(&expected.items) {
            std::cmp::Ordering::Less => "items were lost",
            std::cmp::Ordering::Greater => "items came more than once",
            std::cmp::Ordering::Equal => {
                "items came out of order, changed, or in each other's place"
            }
        })
    }
}

impl std::error::Error for Mismatch {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workload;

    const WORKLOAD: Workload = Workload { items: 1_000, keys: 7 };

    /// What checking a changed stream of rows says.
    fn check(change: impl FnOnce(&mut Vec<Row>)) -> Result<(), String> {
        let mut rows: Vec<Row> = WORKLOAD.rows().collect();
        change(&mut rows);
        let mut sum = Checksum::new(WORKLOAD.keys);
        rows.iter().for_each(|row| sum.add(row.key, &[*row]));
        sum.digest().check(WORKLOAD.digest(), "test").map_err(|error| error.to_string())
    }

    /// The places of two neighbours of one key.
    fn neighbours(rows: &[Row]) -> (usize, usize) {
        let next = rows[1..].iter().position(|row| row.key == rows[0].key);
        (0, 1 + next.expect("a key comes more than once"))
    }

    #[test]
    fn what_arrives_as_it_was_pushed_passes_however_it_was_cut_into_batches() {
        assert_eq!(check(|_| ()), Ok(()));
        let mut by_key = vec![Vec::new(); WORKLOAD.keys as usize];
        WORKLOAD.rows().for_each(|row| by_key[row.key as usize].push(row));
        for size in [1, 3, 100] {
            let mut sum = Checksum::new(WORKLOAD.keys);
            for rows in by_key.iter().rev().flat_map(|rows| rows.chunks(size)) {
                sum.add(rows[0].key, rows);
            }
            assert_eq!(sum.digest(), WORKLOAD.digest());
        }
    }

    #[test]
    fn consumers_that_share_no_key_add_up() {
        let mut sums = [Checksum::new(WORKLOAD.keys), Checksum::new(WORKLOAD.keys)];
        WORKLOAD.rows().for_each(|row| sums[row.key as usize % 2].add(row.key, &[row]));
        assert_eq!(sums[0].digest().and(sums[1].digest()), WORKLOAD.digest());
    }

    #[test]
    fn two_items_of_a_key_that_changed_places_are_found() {
        let swapped = check(|rows| {
            let (one, other) = neighbours(rows);
            rows.swap(one, other);
        });
        assert!(swapped.unwrap_err().contains("out of order"));
    }

    #[test]
    fn an_item_that_was_lost_is_found() {
        for lost in [0, 500, 999] {
            let lost = check(|rows| {
                rows.remove(lost);
            });
            assert!(lost.unwrap_err().contains("lost"));
        }
    }

    #[test]
    fn an_item_that_came_twice_is_found() {
        for twice in [0, 500, 999] {
            let repeated = check(|rows| rows.insert(twice, rows[twice]));
            assert!(repeated.unwrap_err().contains("more than once"));
        }
    }

    #[test]
    fn an_item_that_came_twice_in_place_of_one_that_was_lost_is_found() {
        let replaced = check(|rows| {
            let (one, other) = neighbours(rows);
            rows[other] = rows[one];
        });
        assert!(replaced.is_err());
    }

    #[test]
    fn every_byte_counts() {
        for bit in 0..64 {
            for word in 0..3 {
                let changed = check(|rows| match word {
                    0 => rows[7].seq ^= 1 << bit,
                    _ => rows[7].rest[word - 1] ^= 1 << bit,
                });
                assert!(changed.is_err(), "bit {bit} of word {word}");
            }
        }
        assert!(check(|rows| rows[7].key = (rows[7].key + 1) % 7).is_err());
    }
}
