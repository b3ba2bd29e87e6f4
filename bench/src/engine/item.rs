//! What is pushed: 32 bytes, with a number or a name for a key.

use std::fmt::Debug;
use std::hash::Hash;

use arrayvec::ArrayString;
use engine::Item;

use crate::checksum::{Content, fold};
use crate::workload::Row;

/// An item of this workload.
pub(crate) trait Record: Item + Content + Copy + Debug + Send + Sync {
    /// The type of its key, as cells name it.
    const KEY: &'static str;

    /// The key as a map owns it: a copy, without a place on the heap.
    type Owned: Copy + Debug + Eq + Ord + Hash + Send + Sync + 'static;

    /// The key for a map of the peers.
    fn owned(&self) -> Self::Owned;

    /// The key's number, for the checksum.
    fn number(&self) -> u64;

    /// The item of a draw. `names` has one for each key, if this type has names at all.
    fn make(draw: Draw, names: &[Name]) -> Self;

    /// What `make` needs, for so many keys.
    fn names(keys: u32) -> Vec<Name>;
}

/// One item before it has its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    /// 0 to the number of keys less one.
    pub(crate) key: u32,
    /// The item's number in its stream.
    pub(crate) seq: u32,
    /// Well-mixed bits.
    pub(crate) noise: u64,
}

impl Record for Row {
    const KEY: &'static str = "u64";
    type Owned = u64;

    #[inline]
    fn owned(&self) -> u64 {
        self.key
    }

    #[inline]
    fn number(&self) -> u64 {
        self.key
    }

    #[inline]
    fn make(draw: Draw, _names: &[Name]) -> Self {
        let seq = u64::from(draw.seq);
        Self { key: u64::from(draw.key), seq, rest: [draw.noise, !seq] }
    }

    fn names(_keys: u32) -> Vec<Name> {
        Vec::new()
    }
}

/// A key of 12 characters that lies in its item, as people have it who want no heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name(ArrayString<12>);

impl Name {
    /// The name of a number below 100 million.
    fn of(key: u32) -> Self {
        Self(ArrayString::from(&format!("acct{key:08}")).expect("4 characters and 8 digits"))
    }

    #[inline]
    fn as_str(&self) -> &str {
        &self.0
    }
}

/// A row whose key is a `&str`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedRow {
    name: Name,
    /// The number that the name is made from.
    number: u32,
    seq: u32,
    rest: u64,
}

const _: () = assert!(size_of::<NamedRow>() == 32, "the figures are for 32 bytes");

impl Item for NamedRow {
    type Key<'a> = &'a str;

    #[inline]
    fn key(&self) -> &str {
        self.name.as_str()
    }
}

impl Content for NamedRow {
    #[inline]
    fn hash(&self) -> u64 {
        let mut name = [0; 16];
        name[..12].copy_from_slice(self.name.as_str().as_bytes());
        let name = u128::from_le_bytes(name);
        let numbers = u64::from(self.number) << 32 | u64::from(self.seq);
        fold(name as u64, (name >> 64) as u64) ^ fold(numbers, self.rest).rotate_left(32)
    }
}

impl Record for NamedRow {
    const KEY: &'static str = "str";
    type Owned = Name;

    #[inline]
    fn owned(&self) -> Name {
        self.name
    }

    #[inline]
    fn number(&self) -> u64 {
        u64::from(self.number)
    }

    #[inline]
    fn make(draw: Draw, names: &[Name]) -> Self {
        let Draw { key, seq, noise } = draw;
        Self { name: names[key as usize], number: key, seq, rest: noise }
    }

    fn names(keys: u32) -> Vec<Name> {
        (0..keys).map(Name::of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_name_of_its_own_and_every_byte_of_a_named_row_counts() {
        let names = NamedRow::names(1_000);
        let row = NamedRow::make(Draw { key: 7, seq: 9, noise: 11 }, &names);
        assert_eq!((row.key(), row.number()), ("acct00000007", 7));
        let others = [
            NamedRow { name: names[8], ..row },
            NamedRow { number: 8, ..row },
            NamedRow { seq: 10, ..row },
            NamedRow { rest: 12, ..row },
        ];
        for other in others {
            assert_ne!(other.hash(), row.hash(), "{other:?}");
        }
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), 1_000);
    }
}
