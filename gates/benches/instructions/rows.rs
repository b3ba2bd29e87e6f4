//! The items of every gate: 32 bytes, by a number, in an order that is random and always the same.

use engine::{Batch, Handler, Item, Settled};

/// An item.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) key: u64,
    _rest: [u64; 3],
}

const _: () = assert!(size_of::<Row>() == 32, "the figures are for 32 bytes");

impl Item for Row {
    type Key<'a> = u64;

    #[inline]
    fn key(&self) -> u64 {
        self.key
    }
}

/// Rows without end, of keys from 0 to `keys` less one, all equally often.
pub(crate) struct Rows {
    keys: u64,
    state: u64,
}

impl Rows {
    pub(crate) fn of_keys(keys: u64) -> Self {
        Self { keys, state: 0x9E37_79B9_7F4A_7C15 }
    }
}

impl Iterator for Rows {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        // Marsaglia's xorshift ("Xorshift RNGs", 2003).
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let key = ((self.state >> 32) * self.keys) >> 32;
        Some(Row { key, _rest: [self.state; 3] })
    }
}

/// Takes what comes, and does nothing with it: what is counted beside it is the engine's own.
#[derive(Default)]
pub(crate) struct Taking {
    pub(crate) items: u64,
}

impl Handler for Taking {
    type Item = Row;
    type Reply = ();
    type Error = ();

    #[inline]
    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        self.items += batch.len() as u64;
        batch.settle_all(|_, _| Ok(()))
    }
}
