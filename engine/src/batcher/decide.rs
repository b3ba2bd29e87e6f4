//! Which open batches must go now.

use super::Batcher;
use crate::groups::Index;
use crate::item::Item;
use crate::limits::LOOK_AHEAD;
use crate::nanos::Nanos;
use crate::verdict::Trigger;

impl<T: Item, R, E> Batcher<T, R, E> {
    /// Everything open now, and what opens until that is done, is to be handed over.
    pub(crate) fn sweep(&mut self, trigger: Trigger) {
        self.sweep = match (self.sweep, trigger) {
            (Some(Trigger::Drain), _) | (_, Trigger::Drain) => Some(Trigger::Drain),
            (_, trigger) => Some(trigger),
        };
    }

    /// After a drain: seals what must go now, as far as the queue of ready batches has room.
    #[inline]
    pub(crate) fn decide(&mut self) {
        if !self.urgent.is_empty() {
            self.seal_urgent();
        }
        if let Some(trigger) = self.sweep {
            self.seal_swept(trigger);
        }
        self.seal_overdue();
        if self.starved {
            self.seal_oldest();
        }
    }

    /// Whether the next [`decide`](Self::decide) has work left over from the last one, whatever
    /// arrives.
    pub(crate) fn is_behind(&self) -> bool {
        !self.urgent.is_empty()
            || (self.sweep.is_some() && self.groups.open_batches() > 0)
            || self.timers.next().is_some_and(|next| next <= self.now)
    }

    /// When [`decide`](Self::decide) has something to do, if nothing arrives before.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.timers.next()
    }
}

/// The steps behind.
impl<T: Item, R, E> Batcher<T, R, E> {
    fn seal_urgent(&mut self) {
        // In the order of arrival; the list is as short as the drain was.
        let mut urgent = std::mem::take(&mut self.urgent);
        let now = urgent.len().min(self.ready.room());
        for index in urgent.drain(..now) {
            if let Some(trigger) = self.groups.record(index).urgent.take() {
                self.seal(index, trigger);
            }
        }
        self.urgent = urgent;
    }

    /// Looks at a bounded number of records: most may be idle, and what is overdue must not wait for a
    /// walk through all of them.
    fn seal_swept(&mut self, trigger: Trigger) {
        let most = self.ready.room();
        for _ in 0..most {
            match self.groups.pop_opened() {
                Some(index) => self.seal(index, trigger),
                None => {
                    self.sweep = None;
                    return;
                }
            }
        }
    }

    fn seal_overdue(&mut self) {
        while self.ready.room() > 0 {
            let Some(rung) = self.timers.ring(self.now) else { return };
            if let Some(soon) = self.timers.ahead(LOOK_AHEAD) {
                self.groups.prefetch(soon);
            }
            if self.is_of_use(rung) {
                self.ring(rung.index);
            }
        }
    }

    /// The timer of a record rang. It may have been for a batch that went by size, and a younger one be
    /// open, or none.
    fn ring(&mut self, index: Index) {
        let record = self.groups.record(index);
        record.timer = Nanos::MAX;
        if record.block.is_none() {
            return;
        }
        let deadline = record.deadline;
        if self.timers.is_due(deadline, self.now) {
            self.seal(index, Trigger::Deadline);
        } else {
            self.ring_by(index, deadline);
        }
    }

    /// Flushes an eighth of the open batches, the oldest first.
    #[cold]
    fn seal_oldest(&mut self) {
        let mut most = (self.groups.open_batches() / 8).max(1);
        while most > 0 && self.ready.room() > 0 {
            let Some(oldest) = self.timers.take_earliest() else { return };
            if self.is_of_use(oldest) {
                let record = self.groups.record(oldest.index);
                record.timer = Nanos::MAX;
                most -= usize::from(record.block.is_some());
                self.seal(oldest.index, Trigger::Pressure);
            }
        }
    }
}
