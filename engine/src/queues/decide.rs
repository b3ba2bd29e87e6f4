//! Which open batches must go now.

use super::Queues;
use crate::item::Item;
use crate::limits::SWEEP_MOST;
use crate::nanos::Nanos;
use crate::verdict::Trigger;

impl<T: Item, R, E> Queues<T, R, E> {
    /// Everything open now, and what opens until that is done, is to be handed over.
    pub(crate) fn sweep(&mut self, trigger: Trigger) {
        if trigger == Trigger::Flush {
            self.flushed = self.arrivals;
        }
        self.sweep = match (self.sweep, trigger) {
            (Some(Trigger::Drain), _) | (_, Trigger::Drain) => Some(Trigger::Drain),
            (_, trigger) => Some(trigger),
        };
    }

    /// After a drain: seals what must go now.
    pub(crate) fn decide(&mut self) {
        self.land();
        self.obey_cancels();
        self.expire();
        self.end_backoffs();
        self.end_flights();
        self.seal_urgent();
        if let Some(trigger) = self.sweep {
            self.seal_swept(trigger);
        }
        while let Some(key) = self.lingers.expire(self.now) {
            self.seal(key, Trigger::Deadline);
        }
        if self.starved {
            self.seal_oldest();
        }
        self.forget_flushes();
        self.hand_overs = self.ready_batches;
    }

    /// Whether the next turn has work left over from this one, whatever arrives.
    pub(crate) fn is_behind(&self) -> bool {
        self.has_ready()
            || !self.urgent.is_empty()
            || !self.returns.is_empty()
            || (self.sweep.is_some() && self.tally.counters.open_batches > 0)
            || self.next_deadline().is_some_and(|next| next <= self.now)
    }

    /// When [`decide`](Self::decide) has something to do, if nothing arrives before.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        let wheels = [&self.lingers, &self.expiries, &self.backoffs, &self.flight_ends];
        wheels.into_iter().filter_map(|wheel| wheel.next()).min()
    }

    fn seal_urgent(&mut self) {
        // In the order of arrival.
        let mut urgent = std::mem::take(&mut self.urgent);
        for key in urgent.drain(..) {
            let record = &mut self.keys[key];
            record.hurried = false;
            if let Some(trigger) = record.urgent.take() {
                self.seal(key, trigger);
            }
            self.keys.forget_if_idle(key);
        }
        self.urgent = urgent;
    }

    /// Looks at a bounded number of keys: what is overdue must not wait for a walk through all of them.
    fn seal_swept(&mut self, trigger: Trigger) {
        for _ in 0..SWEEP_MOST {
            let Some(first) = self.opened.first() else {
                self.sweep = None;
                return;
            };
            self.seal(first, trigger);
        }
    }

    /// Flushes an eighth of the open batches, the oldest first.
    fn seal_oldest(&mut self) {
        let most = (self.tally.counters.open_batches / 8).max(1);
        for _ in 0..most {
            let Some(key) = self.lingers.earliest() else { return };
            self.seal(key, Trigger::Pressure);
        }
    }
}
