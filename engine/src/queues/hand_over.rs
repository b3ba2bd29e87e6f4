//! Ready batches to the handler, and batches that it takes along.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Queues;
use super::form::Formed;
use super::settle::{Decided, Ended};
use crate::batch::{Desk, Group};
use crate::flight::Boarding;
use crate::handed_over::{Came, HandedOver, Seen};
use crate::handler::Handler;
use crate::item::Item;
use crate::table::At;
use crate::tally::Tally;
use crate::verdict::Trigger;

impl<T: Item, R, E> Queues<T, R, E> {
    /// Hands the batch over that has been ready longest, and settles what the handler decided.
    pub(crate) fn hand_over<H>(
        &mut self,
        handler: &mut H,
        before: impl FnOnce(&mut Tally, usize),
    ) -> Option<HandedOver>
    where
        H: Handler<Item = T, Reply = R, Error = E>,
    {
        self.hand_overs = self.hand_overs.saturating_sub(1);
        let formed = loop {
            let key = self.next_ready()?;
            if let Some(formed) = self.form(key, self.largest as u32) {
                break formed;
            }
        };
        Some(self.call(formed, handler, before))
    }

    /// Hands exactly one item over, the one that came first, paused or not; `None` if none may be.
    pub(crate) fn step<H>(
        &mut self,
        handler: &mut H,
        before: impl FnOnce(&mut Tally, usize),
    ) -> Option<HandedOver>
    where
        H: Handler<Item = T, Reply = R, Error = E>,
    {
        if !self.has_credit() {
            return None;
        }
        let formed = loop {
            let key = self.first_to_step()?;
            self.seal(key, Trigger::Step);
            if let Some(formed) = self.form(key, 1) {
                break Formed { trigger: Trigger::Step, ..formed };
            }
        };
        Some(self.call(formed, handler, before))
    }

    /// The key whose first item came first of all that may be handed over.
    fn first_to_step(&self) -> Option<At> {
        let may = |&key: &At| {
            self.nodes.get(self.keys[key].head).is_some() && (T::ENTITIES || !self.is_key_held(key))
        };
        let first = |&key: &At| self.nodes[self.keys[key].head].slip.arrival;
        self.keys.places().filter(may).min_by_key(first)
    }

    fn call<H>(
        &mut self,
        formed: Formed<T>,
        handler: &mut H,
        before: impl FnOnce(&mut Tally, usize),
    ) -> HandedOver
    where
        H: Handler<Item = T, Reply = R, Error = E>,
    {
        let Formed { key, mut block, trigger, since, deadline, complete } = formed;
        let (items, hash) = (block.len(), self.keys[key].hash);
        let units: u64 = self.slips.iter().map(|slip| slip.units()).sum();
        self.tally.counters.in_handler += units;
        self.tally.handed_over(items, trigger);
        before(&mut self.tally, items);

        self.tray.boarding = self.board();
        self.tray.emitting.room = self.room_for_follow_ups(items);
        let seat = self.tray.boarding.as_ref().map(Boarding::seat);
        // The handler's follow-ups look at how full their keys are.
        std::mem::swap(&mut self.tray.emitting.keys, &mut self.keys);
        let Self { tray, verdicts, .. } = self;
        let mut desk = Desk::with_tray(&mut block, trigger, verdicts, tray);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let _settled = handler.handle(Group::new(&mut desk));
        }))
        .err();
        let stage = desk.stage();
        std::mem::swap(&mut self.tray.emitting.keys, &mut self.keys);
        self.tally.counters.in_handler -= units;
        self.tray.emitting.discard();
        self.tally.counters.drop_panics += std::mem::take(&mut self.tray.emitting.drop_panics);

        let (mut away, mut came) = (None, Came::default());
        if stage.is_away() {
            debug_assert!(block.is_empty(), "the batch's items are away");
            let Some(seat) = seat else { unreachable!("nobody leaves without a seat") };
            self.take_off(seat, key, trigger, complete);
            away = Some(seat);
        } else {
            self.boarding = self.boarding.take().or_else(|| self.tray.boarding.take());
            let how = match stage.is_decided() {
                true => {
                    let (at_hand, as_one) = (self.tray.at_hand, self.tray.failed_as_one);
                    Decided::By { at_hand, as_one }
                }
                false => Decided::ByPanic,
            };
            let mut slips = std::mem::take(&mut self.slips);
            let mut verdicts = std::mem::take(&mut self.verdicts);
            let mut emitted = std::mem::take(&mut self.tray.emitting.emitted);
            let ended = Ended {
                key,
                trigger,
                block: &mut block,
                verdicts: &mut verdicts,
                slips: &mut slips,
                emitted: &mut emitted,
                given_away: self.tray.given_away,
                complete,
                how,
            };
            came = self.settle(ended);
            self.slips = slips;
            self.verdicts = verdicts;
            self.tray.emitting.emitted = emitted;
        }
        self.spare = Some(block);
        self.queue_or_forget(key);
        let absorbed = units as usize - items;
        let seen = Some(Seen { trigger, hash, absorbed, came, away });
        HandedOver { items, since, deadline, panic, seen }
    }

    /// A key whose batch has gone.
    pub(super) fn queue_or_forget(&mut self, key: At) {
        if self.keys.is_there(key) {
            self.queue(key);
            self.keys.forget_if_idle(key);
        }
    }
}
