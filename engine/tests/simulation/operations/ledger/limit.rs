//! The limit of a key's items, exactly: which of those that are pushed find their key full.
//!
//! An item's key is hashed when a shard looks at it in its lane, and what is refused then is dropped before
//! anything else happens. So for each item it is known how many of its key were there when it came, and
//! whether it was taken. Where that cannot be known for a while it is kept apart: an item that was looked at
//! last of its lane may have stayed there, until the next turn finds it again or does not; where a key lives on
//! several shards it must be learnt which entity is where; and a batch that is away for too long is given up
//! within a tick of the timers.

use std::collections::HashMap;

use engine::Nanos;

use super::{Entry, Ledger, State};

/// More than a tick of the timers: so much later a batch that is away for too long has been given up.
const GIVES_UP_WITHIN: Nanos = Nanos::from_nanos(2_000_000);

#[derive(Debug, Default)]
pub(super) struct Limit {
    /// By key: what shards have taken in and not settled.
    here: HashMap<u64, Vec<u64>>,
    at_hand: Option<LookedAt>,
    /// Looked at last of their lanes, and in which turn: they may lie there still.
    unsure: Vec<(u64, u64)>,
    turn: u64,
    /// By domain, once a handler has seen an item of it.
    shards: HashMap<u64, usize>,
    /// Items that failed as `KeyFull`.
    failed: Bounds,
}

/// At least so many, and at most.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    least: u64,
    most: u64,
}

/// An item in its lane, while a shard decides whether to take it.
#[derive(Clone, Copy, Debug)]
struct LookedAt {
    id: u64,
    full: Full,
}

/// Whether an item found its key full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Full {
    #[default]
    No,
    Perhaps,
    Yes,
}

impl Ledger {
    /// The key of an item is hashed: at its push, before it is known here, and when a shard looks at it.
    pub(crate) fn look_at(&mut self, id: u64) {
        if self.limit.at_hand.is_some_and(|looked| looked.id == id) {
            return;
        }
        self.decide_at_hand();
        let stayed = self.limit.unsure.iter().any(|(of, _)| *of == id);
        match self.entries.get(&id) {
            Some(entry) if entry.in_lane || stayed => {}
            _ => return,
        }
        self.leave_key(id);
        let way = self.entries[&id].way;
        // What was before it in its lane has gone.
        let mut unsure = std::mem::take(&mut self.limit.unsure);
        unsure.retain(|(of, _)| self.entries[of].way != way || self.meets(*of, id) != Some(true));
        self.limit.unsure = unsure;
        self.limit.at_hand = Some(LookedAt { id, full: self.is_full(id) });
    }

    /// Whether two items are on one shard, if that is known.
    fn meets(&self, one: u64, other: u64) -> Option<bool> {
        let terms = self.terms();
        let [one, other] = [one, other].map(|id| self.entries[&id]);
        if terms.one_shard
            || one.domain == other.domain
            || (!terms.entities && one.key == other.key)
        {
            return Some(true);
        }
        let shard = |entry: Entry| self.limit.shards.get(&entry.domain);
        Some(shard(one)? == shard(other)?)
    }

    /// Whether there are as many of an item's key on its shard as may be.
    fn is_full(&self, id: u64) -> Full {
        let mut count = Bounds::default();
        for other in self.limit.here.get(&self.entries[&id].key).into_iter().flatten() {
            let meets = self.meets(*other, id);
            let taken = self.limit.unsure.iter().all(|(of, _)| of != other);
            let unsettled = self.entries[other].until > self.now;
            count.least += u64::from(meets == Some(true) && taken && unsettled);
            count.most += u64::from(meets != Some(false));
        }
        let most = self.terms().key_items_max;
        match (count.least >= most, count.most >= most) {
            (true, _) => Full::Yes,
            (false, true) => Full::Perhaps,
            (false, false) => Full::No,
        }
    }

    /// What a shard looked at last was taken, refused, or left in its lane.
    pub(crate) fn decide_at_hand(&mut self) {
        self.look_who_is_gone();
        let Some(LookedAt { id, full }) = self.limit.at_hand.take() else { return };
        let (now, short, turn) = (self.now, self.terms().short, self.limit.turn);
        let entry = self.entry(id);
        entry.in_lane = false;
        let Entry { gone, state, expires, cancelled, key, .. } = *entry;
        if matches!(state, State::Absorbed(_)) {
            return;
        }
        if !gone {
            assert_ne!(full, Full::Yes, "#{id} was taken though its key was full: {entry:?}");
            self.limit.here.entry(key).or_default().push(id);
            self.limit.unsure.push((id, turn));
            return;
        }
        let found = match (expires <= now, cancelled) {
            // It expires first; a long lane may have forgotten how long it waited.
            (true, _) if short => Full::No,
            (true, _) => {
                if full == Full::No {
                    Full::No
                } else {
                    Full::Perhaps
                }
            }
            // That is asked last.
            (false, true) => full,
            (false, false) => {
                assert_ne!(full, Full::No, "#{id} was refused though its key had room: {entry:?}");
                Full::Yes
            }
        };
        entry.full = found;
        self.limit.failed.least += u64::from(found == Full::Yes);
        self.limit.failed.most += u64::from(found != Full::No);
    }

    /// A turn of all shards is over: each has looked at the first item of all its lanes.
    pub(crate) fn end_turn(&mut self) {
        self.decide_at_hand();
        let turn = self.limit.turn;
        self.limit.unsure.retain(|(_, when)| *when == turn);
        self.limit.turn += 1;
        let (entries, now) = (&self.entries, self.now);
        for here in self.limit.here.values_mut() {
            here.retain(|id| entries[id].until.saturating_add(GIVES_UP_WITHIN) > now);
        }
    }

    /// A shard has taken an item in.
    pub(super) fn join_key(&mut self, id: u64) {
        self.limit.here.entry(self.entries[&id].key).or_default().push(id);
    }

    /// An item is settled, or was not taken in.
    pub(super) fn leave_key(&mut self, id: u64) {
        if let Some(here) = self.limit.here.get_mut(&self.entries[&id].key) {
            here.retain(|of| *of != id);
        }
        self.limit.unsure.retain(|(of, _)| *of != id);
    }

    /// A handler has seen an item on this shard.
    pub(super) fn note_shard(&mut self, id: u64, shard: usize) {
        self.limit.unsure.retain(|(of, _)| *of != id);
        self.limit.shards.insert(self.entries[&id].domain, shard);
    }

    /// So many items have failed as `KeyFull`, the engine says.
    pub(super) fn check_key_full(&self, said: u64) {
        let Bounds { least, most } = self.limit.failed;
        assert!((least..=most).contains(&said), "{said} are not {least} to {most}");
    }
}
