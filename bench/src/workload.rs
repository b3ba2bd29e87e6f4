//! What is pushed: rows of 32 bytes with evenly spread keys, the same ones for everybody.

use engine::Item;

use crate::checksum::{Checksum, Digest};
use crate::noise::{Noise, below};

/// 32 bytes, all of which count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// 0 to the number of keys less one.
    pub(crate) key: u64,
    /// The row's number in its workload.
    pub(crate) seq: u64,
    pub(crate) rest: [u64; 2],
}

const _: () = assert!(size_of::<Row>() == 32, "the figures are for 32 bytes");

impl Item for Row {
    type Key<'a> = u64;

    #[inline]
    fn key(&self) -> u64 {
        self.key
    }
}

/// A number of rows over a number of keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) items: u64,
    /// At least 1.
    pub(crate) keys: u32,
}

impl Workload {
    /// The rows, made as they are asked for; always the same.
    pub(crate) fn rows(self) -> Rows {
        Rows { next: 0, items: self.items, keys: u64::from(self.keys), noise: Noise::default() }
    }

    /// What a checksum over all rows must come to.
    pub(crate) fn digest(self) -> Digest {
        let mut sum = Checksum::new(self.keys);
        for row in self.rows() {
            sum.add(row.key, &[row]);
        }
        sum.digest()
    }
}

/// See [`Workload::rows`].
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    next: u64,
    items: u64,
    keys: u64,
    noise: Noise,
}

impl Rows {
    /// Whether all were made.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.items
    }
}

impl Iterator for Rows {
    type Item = Row;

    #[inline]
    fn next(&mut self) -> Option<Row> {
        if self.is_empty() {
            return None;
        }
        let seq = self.next;
        self.next += 1;
        let bits = self.noise.next();
        Some(Row { key: below(bits, self.keys), seq, rest: [bits, !seq] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_always_the_same_and_their_keys_are_spread_evenly() {
        let workload = Workload { items: 80_000, keys: 8 };
        assert!(workload.rows().eq(workload.rows()));
        let mut items = [0_u32; 8];
        workload.rows().for_each(|row| items[row.key as usize] += 1);
        assert!(items.iter().all(|n| (9_500..10_500).contains(n)), "{items:?}");
    }
}
