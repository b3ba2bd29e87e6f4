//! Where items wait, each with what goes with it, in lists that run through them.
//!
//! A slab of nodes, taken all at the start. A node stands in the list of its key while it may be handed
//! over, and, in an engine with entities, in the chain of its entity for as long as it waits at all. The
//! links of the lists lie apart from the nodes, side by side: so a list can be followed, and what comes
//! next brought into the cache, without a look at the nodes themselves.

use ringbuf::{Answer, prefetch};

use super::isolate::Seen;
use crate::arena::vec_on_huge_pages;
use crate::identity::Origin;
use crate::nanos::Nanos;
use crate::spot::Spot;
use crate::table::{At, NOWHERE};
use crate::verdict::{Outcome, Trigger};

/// What goes with an item, through all its attempts.
pub(crate) struct Slip<R, E> {
    /// The key's hash.
    pub(crate) hash: u64,
    /// The hash of what must stay in order: the entity's, or the key's.
    pub(crate) domain: u64,
    pub(crate) origin: Origin,
    /// The shard has taken so many items before it.
    pub(crate) arrival: u64,
    /// Not after its push.
    pub(crate) since: Nanos,
    /// When it must be handed over, at the latest.
    pub(crate) deadline: Nanos,
    /// When it is of no use any more.
    pub(crate) expires: Nanos,
    /// Attempts that it has spent: 1,000 at most.
    pub(crate) attempts: u16,
    /// How many follow-ups lie between it and what was pushed.
    pub(crate) depth: u16,
    /// Items that were folded into it.
    pub(crate) absorbed: u32,
    /// As the item said when it came, or when it last absorbed.
    pub(crate) weight: u32,
    pub(crate) seen: Seen,
    /// Who waits for the outcome.
    pub(crate) answer: Option<Answer<Outcome<R, E>>>,
}

/// Since when an item waits, and how long it may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// Not after its push.
    pub(crate) since: Nanos,
    pub(crate) lingers: Nanos,
    /// When it is of no use any more.
    pub(crate) expires: Nanos,
}

impl<R, E> Slip<R, E> {
    /// Of an item that comes now, for which nobody waits.
    pub(crate) fn new(spot: Spot, origin: Origin, arrival: u64, waits: Waits, weight: u32) -> Self {
        let Waits { since, lingers, expires } = waits;
        Self {
            hash: spot.hash,
            domain: spot.domain,
            origin,
            arrival,
            since,
            deadline: since.saturating_add(lingers),
            expires,
            attempts: 0,
            depth: 0,
            absorbed: 0,
            weight,
            seen: Seen::NEVER,
            answer: None,
        }
    }
}

/// Where a waiting item counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a batch that may still grow, or behind others of its entity.
    Open,
    /// In a batch that is to be handed over.
    Ready,
    /// Its key or its entity must wait.
    Held,
}

/// One waiting item.
pub(crate) struct Node<T, R, E> {
    pub(crate) item: T,
    pub(crate) slip: Slip<R, E>,
    /// Its key's queue, and its domain's record.
    pub(crate) key: At,
    pub(crate) domain: At,
    /// In no list, it waits for something else than those before it. (In a list it is as that is.)
    pub(crate) held: bool,
    /// It stands in its key's list.
    pub(crate) listed: bool,
    /// In which of the key's open batches it came to the list.
    pub(crate) epoch: u32,
    /// It is the last of its batch, which goes because of this.
    pub(crate) cut: Option<Trigger>,
    /// It is itself to go at once, and why: also when it is taken out of its batch again.
    pub(crate) asked: Option<Trigger>,
    /// Neighbours in the entity's chain.
    pub(crate) chain_before: At,
    pub(crate) chain_after: At,
}

impl<T, R, E> Node<T, R, E> {
    /// In no list yet.
    pub(crate) fn new(item: T, slip: Slip<R, E>, key: At, domain: At) -> Self {
        Self {
            item,
            slip,
            key,
            domain,
            held: false,
            listed: false,
            epoch: 0,
            cut: None,
            asked: None,
            chain_before: NOWHERE,
            chain_after: NOWHERE,
        }
    }
}

const CACHE_LINE: usize = 64;

/// Neighbours in the list of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    pub(crate) before: At,
    pub(crate) after: At,
}

impl Links {
    const NONE: Self = Self { before: NOWHERE, after: NOWHERE };
}

/// Nodes by their places, a fixed number of them.
pub(crate) struct Nodes<T, R, E> {
    slots: Vec<Option<Node<T, R, E>>>,
    /// Of the nodes that stand in a list.
    links: Vec<Links>,
    /// Free places, the one used last on top.
    free: Vec<At>,
}

#[cfg(test)]
thread_local! {
    /// How often this thread has looked at a node.
    pub(crate) static LOOKS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// A node is looked at: who walks through many of them is found out by a test.
#[inline(always)]
fn look() {
    #[cfg(test)]
    LOOKS.set(LOOKS.get() + 1);
}

impl<T, R, E> Nodes<T, R, E> {
    /// Room for `most`; nothing is allocated later.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            slots: vec_on_huge_pages(most),
            links: Vec::with_capacity(most),
            free: Vec::with_capacity(most),
        }
    }

    /// The heap bytes of [`new`](Self::new).
    pub(crate) fn bytes(most: usize) -> usize {
        most * (size_of::<Option<Node<T, R, E>>>() + size_of::<Links>() + size_of::<At>())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// How many more there may be.
    pub(crate) fn room(&self) -> usize {
        self.slots.capacity() - self.len()
    }

    /// Puts one in.
    ///
    /// # Panics
    ///
    /// When all places are taken.
    pub(crate) fn insert(&mut self, node: Node<T, R, E>) -> At {
        match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = Some(node);
                at
            }
            None => {
                assert!(self.slots.len() < self.slots.capacity(), "whoever inserts looks for room");
                self.slots.push(Some(node));
                self.links.push(Links::NONE);
                (self.slots.len() - 1) as At
            }
        }
    }

    /// Takes one out that is there.
    pub(crate) fn remove(&mut self, at: At) -> Node<T, R, E> {
        let Some(node) = self.slots[at as usize].take() else { unreachable!("a node is there") };
        self.free.push(at);
        node
    }

    /// The one at this place, if there is one.
    pub(crate) fn get(&self, at: At) -> Option<&Node<T, R, E>> {
        look();
        self.slots.get(at as usize)?.as_ref()
    }

    /// Neighbours in the list that a node stands in.
    pub(crate) fn links(&self, at: At) -> Links {
        look();
        self.links[at as usize]
    }

    pub(crate) fn links_mut(&mut self, at: At) -> &mut Links {
        &mut self.links[at as usize]
    }

    /// Brings a node of a list into the cache; says which one comes after it.
    pub(crate) fn fetch(&self, at: At) -> At {
        let Some(links) = self.links.get(at as usize) else { return NOWHERE };
        let node = (&raw const self.slots[at as usize]).cast::<u8>();
        for line in (0..size_of::<Option<Node<T, R, E>>>()).step_by(CACHE_LINE) {
            prefetch::to_read(node.wrapping_add(line));
        }
        links.after
    }

    /// Places that were ever used: all nodes are below.
    pub(crate) fn places(&self) -> At {
        self.slots.len() as At
    }
}

impl<T, R, E> std::ops::Index<At> for Nodes<T, R, E> {
    type Output = Node<T, R, E>;

    fn index(&self, at: At) -> &Self::Output {
        look();
        let Some(node) = &self.slots[at as usize] else { unreachable!("a node is there") };
        node
    }
}

impl<T, R, E> std::ops::IndexMut<At> for Nodes<T, R, E> {
    fn index_mut(&mut self, at: At) -> &mut Self::Output {
        look();
        let Some(node) = &mut self.slots[at as usize] else { unreachable!("a node is there") };
        node
    }
}
