//! Batches that handlers have taken along.
//!
//! Each takes a *seat*: a credit, and what it needs to be away, kept for the next. Its slips stay here, so
//! that its items can be answered when their time is up, whoever has them in their hands then.

use std::sync::Arc;

use super::node::Slip;
use super::settle::{Decided, Ended};
use super::{Departure, Queues};
use crate::arena::Block;
use crate::flight::{Boarding, Cargo, Ending};
use crate::handed_over::Came;
use crate::identity::Standing;
use crate::item::Item;
use crate::observer::BatchStage;
use crate::table::At;
use crate::verdict::{Failure, Trigger};
use crate::verdicts::Verdicts;

/// What a batch needs to be away, and what stays here of it.
pub(super) struct Seat<T, R, E> {
    /// Here while the seat is free, and not promised.
    block: Option<Block<T>>,
    verdicts: Verdicts<R, E>,
    marks: Vec<Standing>,
    /// Of the batch that is away; none when its time was up.
    slips: Vec<Slip<R, E>>,
    key: At,
    trigger: Trigger,
    complete: bool,
    /// What who watches was told of it.
    pub(super) told: Option<Departure>,
}

impl<T, R, E> Seat<T, R, E> {
    pub(super) fn new(block: Block<T>, largest: usize) -> Self {
        Self {
            block: Some(block),
            verdicts: Verdicts::with_capacity(largest),
            marks: Vec::with_capacity(largest),
            slips: Vec::with_capacity(largest),
            key: 0,
            trigger: Trigger::Size,
            complete: true,
            told: None,
        }
    }

    /// The heap bytes of [`new`](Self::new), without the block.
    pub(super) fn bytes(largest: usize) -> usize {
        largest * (size_of::<Slip<R, E>>() + size_of::<Standing>())
            + Verdicts::<R, E>::bytes(largest)
    }

    /// Items that are away.
    pub(super) fn items(&self) -> usize {
        self.slips.len()
    }

    pub(super) fn take_block(&mut self) -> Option<Block<T>> {
        self.block.take()
    }
}

impl<T: Item, R, E> Queues<T, R, E> {
    /// Whether a handler that takes its batch along may be called. (Whether it will, nobody knows.)
    pub(super) fn has_credit(&self) -> bool {
        let most = self.operations.in_flight_max as usize;
        most == 0 || self.away() < most
    }

    /// Batches that are away.
    fn away(&self) -> usize {
        let taken = self.seats.len() - self.free_seats.len();
        taken - usize::from(self.boarding.is_some())
    }

    /// A credit; none where no batch may be taken along.
    pub(super) fn board(&mut self) -> Option<Boarding<T, R, E>> {
        if self.operations.in_flight_max == 0 {
            return None;
        }
        if let Some(boarding) = self.boarding.take() {
            return Some(boarding);
        }
        let slot = self.free_seats.pop()?;
        let seat = &mut self.seats[slot as usize];
        let Some(spare) = seat.block.take() else { unreachable!("a free seat has its block") };
        Some(Boarding {
            spare,
            verdicts: std::mem::take(&mut seat.verdicts),
            marks: std::mem::take(&mut seat.marks),
            way_back: self.returns.handle(slot),
            knock: Arc::clone(&self.surroundings.knock),
        })
    }

    /// The handler has taken its batch along: its items' domains are held.
    pub(super) fn take_off(&mut self, seat: u32, key: At, trigger: Trigger, complete: bool) {
        let place = &mut self.seats[seat as usize];
        std::mem::swap(&mut place.slips, &mut self.slips);
        (place.key, place.trigger, place.complete) = (key, trigger, complete);
        let end = self.now.saturating_add(self.operations.in_flight_for);
        self.flight_ends.arm_not_before(seat, end);
        for at in 0..self.seats[seat as usize].slips.len() {
            let slip = &self.seats[seat as usize].slips[at];
            let (domain, units) = (slip.domain, slip.units());
            self.tally.counters.operations.in_flight += units;
            let Some(domain) = self.domains.find_or_make(domain) else {
                unreachable!("there is a domain for each item")
            };
            self.domains[domain].in_flight += 1;
            if self.domains[domain].in_flight == 1 {
                self.held(domain);
            }
        }
    }

    /// Batches that have come back.
    pub(super) fn land(&mut self) {
        if self.seats.is_empty() {
            return;
        }
        while let Some((seat, cargo)) = self.returns.take() {
            // Without its cargo only when the shard itself let go of a way back.
            if let Some(cargo) = cargo {
                self.unload(seat, cargo);
            }
        }
    }

    fn unload(&mut self, seat: u32, cargo: Cargo<T, R, E>) {
        let Cargo { mut block, mut verdicts, mut marks, ending } = cargo;
        let place = &mut self.seats[seat as usize];
        let (key, trigger, complete) = (place.key, place.trigger, place.complete);
        let mut slips = std::mem::take(&mut place.slips);
        if slips.is_empty() {
            // Its time was up: whatever it says comes too late.
            self.tally.counters.operations.late_returns += 1;
            self.tally.counters.operations.overdue_batches -= 1;
            let items = block.len();
            self.tally.counters.drop_panics += block.settle_front(items) as u64;
            self.tally.counters.drop_panics += verdicts.clear() as u64;
        } else {
            self.flight_ends.cancel(seat);
            self.come_back(&slips);
            let how = match ending {
                Ending::Settled { failed_as_one: as_one } => Decided::By { at_hand: None, as_one },
                Ending::Panicked(Some(at)) => Decided::By { at_hand: Some(at), as_one: false },
                Ending::Panicked(None) => Decided::ByPanic,
                Ending::Abandoned => Decided::ByLeaving,
            };
            let stage = match ending {
                Ending::Settled { .. } | Ending::Panicked(_) => BatchStage::Returned,
                Ending::Abandoned => BatchStage::Abandoned,
            };
            let mut emitted = Vec::new();
            let (block, verdicts) = (&mut block, &mut verdicts);
            let (slips, emitted) = (&mut slips, &mut emitted);
            let came = self.settle(Ended {
                key,
                trigger,
                block,
                verdicts,
                slips,
                emitted,
                given_away: 0,
                complete,
                how,
            });
            self.end_departure(seat, stage, came);
            self.after_flight(key);
        }
        marks.clear();
        let place = &mut self.seats[seat as usize];
        (place.slips, place.verdicts, place.marks) = (slips, verdicts, marks);
        place.block = Some(block);
        self.free_seats.push(seat);
    }

    /// What a batch's absence held up goes on.
    fn after_flight(&mut self, key: At) {
        if !T::ENTITIES && self.keys.is_there(key) {
            self.recount_key(key);
            if let Some(domain) = self.domains.find(self.keys[key].hash) {
                self.release(domain, Trigger::Resume);
                self.domains.forget_if_idle(domain);
            }
        }
        self.queue_or_forget(key);
    }

    /// Nothing of a batch is away any more, as far as holds and counts go.
    fn come_back(&mut self, slips: &[Slip<R, E>]) {
        for slip in slips {
            self.tally.counters.operations.in_flight -= slip.units();
            if let Some(domain) = self.domains.find(slip.domain) {
                self.domains[domain].in_flight -= 1;
                if T::ENTITIES && !self.domains[domain].is_held() {
                    self.recount_domain(domain);
                }
            }
        }
    }

    /// Batches that were away for too long.
    pub(super) fn end_flights(&mut self) {
        while let Some(seat) = self.flight_ends.expire(self.now) {
            let timed_out = self.fail_flight(seat, BatchStage::TimedOut, || Failure::TimedOut);
            self.tally.counters.operations.timed_out += timed_out;
        }
    }

    /// The items of a batch that is away fail; what comes back later changes nothing. Says how many.
    fn fail_flight(
        &mut self,
        seat: u32,
        stage: BatchStage,
        failure: impl Fn() -> Failure<E>,
    ) -> u64 {
        let place = &mut self.seats[seat as usize];
        let key = place.key;
        let mut slips = std::mem::take(&mut place.slips);
        self.tally.counters.operations.overdue_batches += 1;
        self.come_back(&slips);
        let mut failed = 0;
        for slip in slips.drain(..) {
            let (units, domain) = (slip.units(), slip.domain);
            self.lose_suspect(slip.seen);
            failed += units;
            self.tally.counters.failed += units;
            self.keys[key].items -= 1;
            self.conclude(slip, Err(failure()));
            if !self.marked.insert(domain) {
                continue;
            }
            if let Some(domain) = self.domains.find(domain) {
                self.release(domain, Trigger::Resume);
                self.domains.forget_if_idle(domain);
            }
        }
        self.marked.clear();
        self.seats[seat as usize].slips = slips;
        let came = Came { failed: failed as usize, ..Came::default() };
        self.end_departure(seat, stage, came);
        self.queue_or_forget(key);
        failed
    }

    /// All that is away fails, since the engine stops; says how many items that were.
    pub(super) fn fail_flights(&mut self) -> u64 {
        let mut failed = 0;
        for seat in 0..self.seats.len() as u32 {
            if !self.seats[seat as usize].slips.is_empty() {
                self.flight_ends.cancel(seat);
                failed += self.fail_flight(seat, BatchStage::Stopped, || Failure::Stopped);
            }
        }
        failed
    }
}
