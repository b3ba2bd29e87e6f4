//! The heart of a shard that keeps a queue for each key: for engines that use more than batches.
//!
//! The plain [`Batcher`](crate::batcher) lets items grow together as they come, which is fastest, and can
//! neither take one out again nor put one in front. What calls, retries, limits, merges, entities,
//! follow-ups and detached batches need is here: an item waits in a node of its own, with a slip that
//! says who it is and who asks, in the list of its key; a batch is formed when it is handed over, by moving
//! the first items of a list side by side.
//!
//! The turn is the batcher's: [`begin`](Queues::begin), accept what arrives, [`decide`](Queues::decide),
//! [`hand_over`](Queues::hand_over) until nothing is ready. There is no clock and no thread here either.
//!
//! # Order
//!
//! What must stay in order is a *domain*: a key, or an entity where items name one (see
//! [`domain`]). A domain that is *held* (an item of it backs off, or is away in a detached batch) is not
//! handed over; what comes meanwhile queues up behind, to a limit.

mod accept;
mod chains;
mod control;
mod decide;
mod domain;
mod endings;
mod flights;
mod form;
mod hand_over;
mod hold;
mod isolate;
mod lists;
mod node;
mod places;
mod settle;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use ringbuf::{FlagReader, Returns};

pub(crate) use accept::{Arrived, Taken};

use crate::arena::{Arena, Block};
use crate::dead_letters::DeadLetters;
use crate::flight::{Boarding, Cargo, Knock};
use crate::hashes::Hashes;
use crate::item::Item;
use crate::key_queue::{KeyQueue, OpenedKeys, ReadyKeys};
use crate::nanos::Nanos;
use crate::operations::{FollowUpLimits, Operations};
use crate::retry::Backoff;
use crate::sizing::Aim;
use crate::spot::Locate;
use crate::table::Table;
use crate::table::{At, NOWHERE};
use crate::tally::Tally;
use crate::tray::{EmitRules, Tray};
use crate::tunables::Tunables;
use crate::verdict::Trigger;
use crate::verdicts::Verdicts;
use crate::wheel::Wheel;
use control::Flush;
pub(crate) use control::FlushAsked;
use domain::Domain;
pub(crate) use endings::{Departure, Ending};
use flights::Seat;
use isolate::{Seen, Suspicion};
#[cfg(test)]
pub(crate) use node::LOOKS;
use node::{Nodes, Slip};
use settle::Returning;

/// What a shard's queues are told, besides sizes.
pub(crate) struct Surroundings<T, E> {
    /// A random number of the engine's run.
    pub(crate) run: u64,
    pub(crate) shard: usize,
    /// Lanes of the engine: follow-ups come in one more.
    pub(crate) lanes: usize,
    pub(crate) locate: Locate<T>,
    pub(crate) dead_letters: Option<Arc<dyn DeadLetters<T, E>>>,
    /// Calls that are to be cancelled, by their reply slots.
    pub(crate) cancels: Option<FlagReader>,
    pub(crate) knock: Knock,
}

pub(crate) struct Queues<T: Item, R, E> {
    operations: Operations,
    now: Nanos,
    /// Items in the lanes when this turn began, and what it aims at.
    depth: usize,
    aim: Aim,
    /// The most items of a batch.
    largest: usize,
    nodes: Nodes<T, R, E>,
    keys: Table<KeyQueue>,
    domains: Table<Domain>,
    /// Keys with sealed batches that may go, and how many batches those are.
    ready: ReadyKeys,
    ready_batches: usize,
    /// Keys with an open batch, in the order in which those were opened.
    opened: OpenedKeys,
    /// Keys whose open batch goes at the end of this drain.
    urgent: Vec<At>,
    /// When open batches must go, by key; when items expire, and when backoffs are over, by node; when
    /// flights are over, by seat.
    lingers: Wheel,
    expiries: Wheel,
    backoffs: Wheel,
    flight_ends: Wheel,
    arena: Arena<T>,
    /// The block that batches are formed in.
    spare: Option<Block<T>>,
    verdicts: Verdicts<R, E>,
    slips: Vec<Slip<R, E>>,
    tray: Tray<T, R, E>,
    /// Items on their way back to the head of their queues; what of them goes there, the last first; and
    /// the entities of a batch.
    returning: Vec<Returning<T, R, E>>,
    fronts: Vec<At>,
    touched: Vec<u64>,
    /// Domains of the batch at hand: those that are seen to already, or with an item behind which the others
    /// must stay. Empty between.
    marked: Hashes,
    /// A call's item is back whose cancelling came while it was away.
    cancels_unheard: bool,
    returns: Returns<Cargo<T, R, E>>,
    seats: Vec<Seat<T, R, E>>,
    free_seats: Vec<u32>,
    /// A credit that was not used by the last call.
    boarding: Option<Boarding<T, R, E>>,
    suspicions: Vec<Suspicion<E>>,
    /// Of the latest suspicion.
    last_name: Seen,
    /// For who watches.
    endings: VecDeque<Ending>,
    flushes: Vec<Flush>,
    /// By reply slot: the node of the call.
    calls: Vec<At>,
    surroundings: Surroundings<T, E>,
    backoff: Backoff,
    /// Items so far, and those of them that no lane has brought: follow-ups.
    arrivals: u64,
    emitted: u64,
    /// Everything open is to go, and why.
    sweep: Option<Trigger>,
    /// What came up to this arrival was to be flushed.
    flushed: u64,
    /// Memory ran out in this drain.
    starved: bool,
    /// A lane waits for something that happens here.
    stalled: bool,
    /// Batches that may still be handed over in this turn.
    hand_overs: usize,
    /// What was accepted gets one attempt more at most.
    draining: bool,
    paused: bool,
    /// [Places](Self::places) when the turn began.
    at_begin: [u64; 4],
    pub(crate) tally: Tally,
}

/// The bytes of the parts of a shard's queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuesBytes {
    pub(crate) nodes: usize,
    pub(crate) keys: usize,
    pub(crate) timers: usize,
    pub(crate) batches: usize,
}

impl<T: Item, R, E> Queues<T, R, E> {
    /// All memory is taken here.
    pub(crate) fn new(
        operations: &Operations,
        now: Nanos,
        surroundings: Surroundings<T, E>,
    ) -> Self {
        let operations = operations.clone();
        let Room { largest, away, nodes, domains } = Room::of::<T>(&operations);
        let open_keys = operations.open_keys;
        let mut arena = Arena::new((away + 2) * largest, largest);
        let mut block = || arena.block(largest).expect("the arena was made for these");
        let spare = block();
        let seats = (0..away).map(|_| Seat::new(block(), largest)).collect();
        let rules = EmitRules {
            limits: operations.follow_ups,
            key_items_max: operations.key_items_max,
            weight_max: operations.weight_max(),
            locate: Rc::clone(&surroundings.locate),
            shard: surroundings.shard,
        };
        let tray = Tray::new(surroundings.run, largest, rules);
        let [expiring, backing_off] = timed::<T>(&operations, nodes);
        let longest = Nanos::from(operations.retry.longest);
        Self {
            now,
            depth: 0,
            aim: operations.sizing.aim(0),
            largest,
            nodes: Nodes::new(nodes),
            keys: Table::new(open_keys),
            domains: Table::new(domains),
            ready: ReadyKeys::EMPTY,
            ready_batches: 0,
            opened: OpenedKeys::EMPTY,
            urgent: Vec::with_capacity(open_keys),
            lingers: Wheel::new(open_keys, operations.flush_after, now),
            expiries: Wheel::new(expiring, HORIZON, now),
            backoffs: Wheel::new(backing_off, longest.min(HORIZON), now),
            flight_ends: Wheel::new(away, operations.in_flight_for.min(HORIZON), now),
            arena,
            spare: Some(spare),
            verdicts: Verdicts::with_capacity(largest),
            slips: Vec::with_capacity(largest),
            tray,
            returning: Vec::with_capacity(largest + operations.follow_ups.per_item as usize),
            fronts: Vec::with_capacity(fronts::<T>(largest, operations.follow_ups)),
            touched: Vec::with_capacity(entities::<T>(largest, operations.follow_ups)),
            marked: Hashes::new(entities::<T>(largest, operations.follow_ups).max(1)),
            cancels_unheard: false,
            returns: ringbuf::returns(away.max(1)),
            seats,
            free_seats: (0..away as u32).rev().collect(),
            boarding: None,
            suspicions: Vec::with_capacity(suspicions(&operations)),
            last_name: Seen::UNSUSPECTED,
            endings: VecDeque::with_capacity(endings(&operations)),
            flushes: Vec::new(),
            calls: vec![NOWHERE; operations.replies_max],
            backoff: Backoff::new(operations.retry, surroundings.shard),
            arrivals: 0,
            emitted: 0,
            sweep: None,
            flushed: 0,
            starved: false,
            stalled: false,
            hand_overs: 0,
            draining: false,
            paused: false,
            at_begin: [0; 4],
            tally: Tally::new(largest as u32),
            surroundings,
            operations,
        }
    }

    /// The heap bytes of [`new`](Self::new), part by part.
    pub(crate) fn bytes(operations: &Operations) -> QueuesBytes {
        let Room { largest, away, nodes, domains } = Room::of::<T>(operations);
        let open_keys = operations.open_keys;
        let [expiring, backing_off] = timed::<T>(operations, nodes);
        let returning = largest + operations.follow_ups.per_item as usize;
        let entities = entities::<T>(largest, operations.follow_ups);
        let seat = size_of::<Seat<T, R, E>>() + Seat::<T, R, E>::bytes(largest) + size_of::<u32>();
        QueuesBytes {
            nodes: Nodes::<T, R, E>::bytes(nodes) + operations.replies_max * size_of::<At>(),
            keys: Table::<KeyQueue>::bytes(open_keys)
                + Table::<Domain>::bytes(domains)
                + open_keys * size_of::<At>()
                + suspicions(operations) * size_of::<Suspicion<E>>(),
            timers: Wheel::bytes(open_keys)
                + Wheel::bytes(expiring)
                + Wheel::bytes(backing_off)
                + Wheel::bytes(away),
            // The arena says what can't be had by the largest number there is.
            batches: Arena::<T>::bytes((away + 2) * largest, largest).saturating_add(
                Verdicts::<R, E>::bytes(largest)
                    + largest * size_of::<Slip<R, E>>()
                    + Tray::<T, R, E>::bytes(largest, operations.follow_ups)
                    + returning * size_of::<Returning<T, R, E>>()
                    + entities * size_of::<u64>()
                    + Hashes::bytes(entities.max(1))
                    + fronts::<T>(largest, operations.follow_ups) * size_of::<At>()
                    + Returns::<Cargo<T, R, E>>::heap_bytes(away.max(1))
                    + away * seat
                    + endings(operations) * size_of::<Ending>(),
            ),
        }
    }

    /// A turn starts at `now`, with `depth` items in the lanes. Time does not run backwards here.
    pub(crate) fn begin(&mut self, now: Nanos, depth: usize) {
        self.now = self.now.max(now);
        (self.depth, self.aim) = (depth, self.operations.sizing.aim(depth));
        (self.starved, self.stalled) = (false, false);
        self.at_begin = self.places();
        if !self.aim.linger {
            self.sweep = self.sweep.or(Some(Trigger::Shallow));
        }
        self.tally.begin_turn(self.now, depth);
    }

    /// What holds from now on. What is open keeps its target and its deadline, and what is away stays
    /// away.
    pub(crate) fn tune(&mut self, tunables: &Tunables) {
        let operations = &mut self.operations;
        operations.sizing = tunables.sizing;
        operations.flush_after = Nanos::from(tunables.flush_after);
        operations.held_items_max = tunables.held_items_max;
        operations.key_items_max = tunables.key_items();
        operations.batch_weight_max = tunables.batch_weight();
        operations.in_flight_max = tunables.in_flight_max;
        operations.in_flight_for = Nanos::from(tunables.in_flight_for);
        self.aim = self.operations.sizing.aim(self.depth);
        self.lingers.refine(self.operations.flush_after);
        self.flight_ends.refine(self.operations.in_flight_for.min(HORIZON));
        let rules = &mut self.tray.emitting.rules;
        rules.key_items_max = self.operations.key_items_max;
        rules.weight_max = self.operations.weight_max();
    }

    /// Publishes the gauges that are not counted along the way.
    pub(crate) fn gauge(&mut self) {
        self.tally.counters.known_keys = self.keys.len() as u64;
    }

    /// Whether items have moved since the turn began.
    pub(crate) fn has_changed(&self) -> bool {
        self.places() != self.at_begin
    }

    /// Items settled, sealed, held, and away.
    fn places(&self) -> [u64; 4] {
        let counters = &self.tally.counters;
        let operations = &counters.operations;
        [counters.settled(), counters.ready, operations.held, operations.in_flight]
    }

    /// The time of this turn.
    pub(crate) fn now(&self) -> Nanos {
        self.now
    }

    /// Whether a lane waits for something that happens here: more of its items are no reason for a turn.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Nodes that are left when all comes back that is in a handler's hands, which has so many, and away.
    fn room_for_follow_ups(&self, in_hand: usize) -> usize {
        let away: usize = self.seats.iter().map(Seat::items).sum();
        self.nodes.room().saturating_sub(in_hand + away)
    }

    /// Items that no lane has brought.
    pub(crate) fn emitted(&self) -> u64 {
        self.emitted
    }

    /// Whether no item is here at all, nor away.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.len() == 0 && self.tally.counters.operations.in_flight == 0
    }
}

/// Items are handed over and settled before an engine ends; what is left fails.
impl<T: Item, R, E> Drop for Queues<T, R, E> {
    fn drop(&mut self) {
        self.fail_all();
        if let Some(block) = self.spare.take() {
            self.arena.release(block);
        }
        let unused = self.boarding.take().map(|boarding| boarding.spare);
        for block in self.seats.iter_mut().filter_map(Seat::take_block).chain(unused) {
            self.arena.release(block);
        }
    }
}

/// Numbers that several parts are sized by.
struct Room {
    /// Items of the largest batch.
    largest: usize,
    /// Batches that may be away.
    away: usize,
    /// Nodes: besides those that may wait, for all that may come back.
    nodes: usize,
    domains: usize,
}

impl Room {
    fn of<T: Item>(operations: &Operations) -> Self {
        let largest = operations.largest as usize;
        let away = operations.seats as usize;
        let back = (away + 1) * largest + operations.follow_ups.per_item as usize;
        let nodes = operations.open_items + back;
        let domains = if T::ENTITIES { nodes + back } else { operations.open_keys };
        Self { largest, away, nodes, domains }
    }
}

/// Nodes that may expire, and those that may back off.
fn timed<T: Item>(operations: &Operations, nodes: usize) -> [usize; 2] {
    [T::EXPIRES, operations.retry.attempts > 1].map(|timed| if timed { nodes } else { 0 })
}

/// Suspicions at a time: a key's first items are suspected once, and besides them what is away.
fn suspicions(operations: &Operations) -> usize {
    if operations.isolates { operations.open_keys + operations.seats as usize } else { 0 }
}

/// Ends of batches that are told at once.
fn endings(operations: &Operations) -> usize {
    if operations.observed { operations.in_flight_max as usize + suspicions(operations) } else { 0 }
}

/// Items of a batch whose entities are looked at when it is settled.
fn entities<T: Item>(largest: usize, follow_ups: FollowUpLimits) -> usize {
    if T::ENTITIES { largest + follow_ups.per_item as usize } else { 0 }
}

/// Items that go to the front of more than one queue at once.
fn fronts<T: Item>(largest: usize, follow_ups: FollowUpLimits) -> usize {
    entities::<T>(largest, follow_ups).max(follow_ups.per_item as usize)
}

/// Times up to this far ahead cost the wheels least.
const HORIZON: Nanos = Nanos::from_nanos(250_000_000);
