//! What is grouped: 32 bytes, by a number or by a name.

use std::fmt::Write;
use std::hash::Hash;

use arrayvec::ArrayString;
use engine::Item;

use crate::checksum::{Content, fold};
use crate::workload::Row;

/// An item of this workload.
pub(super) trait Pushed: Item + Content + Copy {
    /// The key as a map keeps it: not borrowed.
    type Name: Hash + Eq + Copy;

    /// The item with this key that stands at `seq` in its table.
    fn new(key: u32, seq: u64) -> Self;

    fn name(&self) -> Self::Name;

    /// The key's number, for the checksum.
    fn number(&self) -> u64;
}

impl Pushed for Row {
    type Name = u64;

    fn new(key: u32, seq: u64) -> Self {
        Self { key: u64::from(key), seq, rest: [seq.wrapping_mul(0x9FB2_1C65_1E98_DF25), !seq] }
    }

    #[inline]
    fn name(&self) -> u64 {
        self.key
    }

    #[inline]
    fn number(&self) -> u64 {
        self.key
    }
}

/// Bytes of a name.
const NAME_BYTES: usize = 12;

/// A row whose key is a `&str`, which it holds itself.
#[derive(Clone, Copy)]
pub(super) struct Named {
    /// `acct-` and seven digits.
    name: ArrayString<NAME_BYTES>,
    /// The number in the name.
    number: u32,
    rest: u32,
    seq: u64,
}

const _: () = assert!(size_of::<Named>() == 32, "the figures are for 32 bytes");

impl Item for Named {
    type Key<'a> = &'a str;

    #[inline]
    fn key(&self) -> &str {
        &self.name
    }
}

impl Content for Named {
    #[inline]
    fn hash(&self) -> u64 {
        let mut bytes = [0; 16];
        // A name of another length would panic here.
        bytes[..NAME_BYTES].copy_from_slice(self.name.as_bytes());
        let name = u128::from_le_bytes(bytes);
        let numbers = u64::from(self.number) << 32 | u64::from(self.rest);
        fold(name as u64, self.seq) ^ fold((name >> 64) as u64, numbers).rotate_left(32)
    }
}

impl Pushed for Named {
    type Name = ArrayString<NAME_BYTES>;

    fn new(key: u32, seq: u64) -> Self {
        let mut name = ArrayString::new();
        write!(name, "acct-{key:07}").expect("a key has seven digits at most");
        Self { name, number: key, rest: !(seq as u32), seq }
    }

    #[inline]
    fn name(&self) -> Self::Name {
        self.name
    }

    #[inline]
    fn number(&self) -> u64 {
        u64::from(self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_named_row_counts() {
        let row = Named::new(1_234_567, 89);
        let other_name = ArrayString::from("acct-1234568").expect("it fits");
        let first_letter = ArrayString::from("Acct-1234567").expect("it fits");
        let changed = [
            Named { name: other_name, ..row },
            Named { name: first_letter, ..row },
            Named { number: 1, ..row },
            Named { rest: 1, ..row },
            Named { seq: 1, ..row },
        ];
        assert_eq!(row.key(), "acct-1234567");
        assert!(changed.iter().all(|changed| changed.hash() != row.hash()));
    }
}
