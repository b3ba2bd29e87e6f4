//! What a shard knows of a key while items of it are here, and how it is found.

use crate::nanos::Nanos;
use crate::table::{At, Hashed, NOWHERE, Table};
use crate::verdict::Trigger;

/// The waiting items of one key hash: sealed batches in front, the open one behind.
#[derive(Clone, Debug)]
pub(crate) struct KeyQueue {
    pub(crate) hash: u64,
    /// The list of nodes that may be handed over, oldest first.
    pub(crate) head: At,
    pub(crate) tail: At,
    /// Items of this key on the shard, wherever: in the list, behind others of their entity, backing off,
    /// in flight.
    pub(crate) items: u32,
    /// Sealed batches in the list.
    pub(crate) batches: u32,
    /// Nodes of the open batch, at the end of the list, their weight, and how many it may hold.
    pub(crate) open: u32,
    pub(crate) open_weight: u64,
    /// Accepted items that the nodes of the open batch stand for, and those of the sealed ones.
    pub(crate) open_units: u64,
    pub(crate) sealed_units: u64,
    /// What stands in the list must wait for something else than its turn.
    pub(crate) held: bool,
    pub(crate) target: u32,
    /// Counts the batches that were opened.
    pub(crate) epoch: u32,
    /// How long the items of the open batch linger, unless they have less patience.
    pub(crate) lingers: Nanos,
    /// When the open batch must go; [`Nanos::MAX`] without one.
    pub(crate) deadline: Nanos,
    /// The open batch goes at the end of this drain, and why.
    pub(crate) urgent: Option<Trigger>,
    pub(crate) paused: bool,
    /// It stands in the line of ready keys: only with a sealed batch.
    pub(crate) queued: bool,
    /// It stands among the urgent.
    pub(crate) hurried: bool,
    /// Its neighbours in the lists of keys.
    neighbours: [Neighbours; 2],
}

/// Beside a key in a list of keys.
#[derive(Clone, Copy, Debug)]
struct Neighbours {
    before: At,
    after: At,
}

impl Neighbours {
    const NONE: Self = Self { before: NOWHERE, after: NOWHERE };
}

/// The list of keys with an open batch, and that of keys with sealed batches that may go.
pub(crate) type OpenedKeys = KeyList<0>;
pub(crate) type ReadyKeys = KeyList<1>;

/// A list of keys that runs through their records: a key stands in it once, and leaves it from wherever
/// it stands.
#[derive(Debug)]
pub(crate) struct KeyList<const NTH: usize> {
    first: At,
    last: At,
}

impl<const NTH: usize> KeyList<NTH> {
    pub(crate) const EMPTY: Self = Self { first: NOWHERE, last: NOWHERE };

    pub(crate) fn first(&self) -> Option<At> {
        (self.first != NOWHERE).then_some(self.first)
    }

    pub(crate) fn push_back(&mut self, keys: &mut Table<KeyQueue>, key: At) {
        let before = std::mem::replace(&mut self.last, key);
        keys[key].neighbours[NTH] = Neighbours { before, after: NOWHERE };
        match before {
            NOWHERE => self.first = key,
            before => keys[before].neighbours[NTH].after = key,
        }
    }

    pub(crate) fn push_front(&mut self, keys: &mut Table<KeyQueue>, key: At) {
        let after = std::mem::replace(&mut self.first, key);
        keys[key].neighbours[NTH] = Neighbours { before: NOWHERE, after };
        match after {
            NOWHERE => self.last = key,
            after => keys[after].neighbours[NTH].before = key,
        }
    }

    /// Takes out a key that stands here.
    pub(crate) fn remove(&mut self, keys: &mut Table<KeyQueue>, key: At) {
        let Neighbours { before, after } =
            std::mem::replace(&mut keys[key].neighbours[NTH], Neighbours::NONE);
        match before {
            NOWHERE => self.first = after,
            before => keys[before].neighbours[NTH].after = after,
        }
        match after {
            NOWHERE => self.last = before,
            after => keys[after].neighbours[NTH].before = before,
        }
    }
}

impl KeyQueue {
    fn new(hash: u64) -> Self {
        Self {
            hash,
            head: NOWHERE,
            tail: NOWHERE,
            items: 0,
            batches: 0,
            open: 0,
            open_weight: 0,
            open_units: 0,
            sealed_units: 0,
            held: false,
            target: 1,
            epoch: 0,
            lingers: Nanos::ZERO,
            deadline: Nanos::MAX,
            urgent: None,
            paused: false,
            queued: false,
            hurried: false,
            neighbours: [Neighbours::NONE; 2],
        }
    }

    /// Nothing speaks of it any more.
    fn is_idle(&self) -> bool {
        self.items == 0 && !(self.queued || self.paused || self.hurried)
    }
}

impl Hashed for KeyQueue {
    fn hash(&self) -> u64 {
        self.hash
    }
}

impl Table<KeyQueue> {
    /// The queue of this hash, made if there is none; `None` when there is no room.
    pub(crate) fn find_or_make(&mut self, hash: u64) -> Option<At> {
        match self.find(hash) {
            Some(at) => Some(at),
            None => self.insert(KeyQueue::new(hash)),
        }
    }

    /// Forgets a key that nothing speaks of any more.
    pub(crate) fn forget_if_idle(&mut self, at: At) {
        if self[at].is_idle() {
            self.remove(at);
        }
    }
}
