//! What must stay in order: an entity, or, where there are none, a key.
//!
//! The items of a domain are handled in the order in which they came. Where each key is a domain of its
//! own, that is the order of its list. With entities, a domain's waiting items stand in a *chain* across
//! keys, and only its first ones, as far as they have one key, stand in that key's list: what is behind
//! follows when those are settled. So items of one entity never overtake one another, and each key's
//! batches still hold items of as many entities as there are.

use crate::nanos::Nanos;
use crate::table::{At, Hashed, NOWHERE, Table};
use crate::verdict::Trigger;

/// A domain with items on the shard.
#[derive(Clone, Debug)]
pub(crate) struct Domain {
    pub(crate) hash: u64,
    /// The chain, oldest first; empty where keys are domains.
    pub(crate) head: At,
    pub(crate) tail: At,
    /// Waiting items, and those of them that are behind others in the chain, in no list.
    pub(crate) waiting: u32,
    pub(crate) behind: u32,
    /// Items in the hands of detached batches.
    pub(crate) in_flight: u32,
    /// Items that back off: each has a timer of its own, and all must be over.
    pub(crate) backing_off: u32,
    /// When one of those behind must be handed over, and so all before it; and why one of them goes at once.
    pub(crate) due: Nanos,
    pub(crate) urgent: Option<Trigger>,
}

impl Hashed for Domain {
    fn hash(&self) -> u64 {
        self.hash
    }
}

impl Domain {
    pub(crate) fn new(hash: u64) -> Self {
        Self {
            hash,
            head: NOWHERE,
            tail: NOWHERE,
            waiting: 0,
            behind: 0,
            in_flight: 0,
            backing_off: 0,
            due: Nanos::MAX,
            urgent: None,
        }
    }

    /// Whether its items must wait for something else than their turn.
    pub(crate) fn is_held(&self) -> bool {
        self.in_flight > 0 || self.backing_off > 0
    }
}

impl Table<Domain> {
    /// The domain of this hash, made if there is none; `None` when there is no room.
    pub(crate) fn find_or_make(&mut self, hash: u64) -> Option<At> {
        match self.find(hash) {
            Some(at) => Some(at),
            None => self.insert(Domain::new(hash)),
        }
    }

    /// Forgets a domain without items.
    pub(crate) fn forget_if_idle(&mut self, at: At) {
        let domain = &self[at];
        if domain.waiting == 0 && !domain.is_held() {
            self.remove(at);
        }
    }
}
