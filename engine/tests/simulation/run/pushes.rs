//! The ways in.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use engine::{Nanos, Patience, PushError};

use super::Run;
use super::op::Op;
use super::settings::largest;
use crate::oracle::Accepted;

/// Of the handle's one lane; producers are numbered from 1.
pub(super) const SHARED_WAY: u64 = 0;

impl Run {
    /// A new item, and what is to be expected of it.
    fn item(&mut self, way: u64) -> (Op, Accepted) {
        let patience = match self.dice.below(if self.bursts { 4 } else { 12 }) {
            0 if self.bursts => Patience::AtMost(self.flush_after / 10),
            0 => Patience::None,
            1 => {
                let most = self.flush_after.as_nanos() as u64 * 2;
                Patience::AtMost(Duration::from_nanos(self.dice.below(most)))
            }
            _ => Patience::Engine,
        };
        let lingers = match patience {
            Patience::Engine => self.flush_after,
            Patience::AtMost(most) => most.min(self.flush_after),
            Patience::None => Duration::ZERO,
        };
        let op = Op {
            id: self.next_id,
            key: self.dice.below(self.keys),
            deed: self.dice.one_of(self.deeds),
            patience,
            alive: Arc::clone(&self.alive),
        };
        self.next_id += 1;
        self.alive.fetch_add(1, Relaxed);
        let after = |moment: Nanos| moment.saturating_add(lingers.into());
        let accepted = Accepted {
            id: op.id,
            way,
            key: op.key,
            deed: op.deed,
            hasty: patience == Patience::None,
            due: after(self.engine.now()),
            not_before: after(self.last_turn).saturating_sub(self.tick),
            most: largest(self.terms.sizing),
        };
        (op, accepted)
    }

    /// Whether a push was accepted; if not, it must have had a reason, and the item is back.
    fn is_accepted(
        &self,
        pushed: Result<(), PushError<Op>>,
        id: u64,
        (items, marks): (usize, usize),
    ) -> bool {
        let Err(error) = pushed else { return true };
        match &error {
            PushError::Closed(_) => assert!(self.terms.stops, "nothing has closed"),
            PushError::Full(_) | PushError::WouldDeadlock(_) => {
                let room = self.engine.plan().lane_items();
                let full = items >= room || marks >= self.lane_marks;
                assert!(full, "G6: refused with {items} items and {marks} marks pushed");
            }
            other => panic!("nothing was reserved: {other}"),
        }
        assert_eq!(error.into_inner().id, id, "G6: the item comes back");
        false
    }

    pub(super) fn push(&mut self) {
        if self.ways.is_empty() {
            return self.come_or_go();
        }
        let at = self.dice.below(self.ways.len() as u64) as usize;
        let (op, accepted) = self.item(self.ways[at].number);
        let marks = usize::from(op.patience != Patience::Engine);
        let way = &mut self.ways[at];
        let before = (way.pushed, way.marks);
        let pushed =
            if accepted.id % 2 == 0 { way.producer.push(op) } else { way.producer.try_push(op) };
        if self.is_accepted(pushed, accepted.id, before) {
            self.oracle.accept(accepted);
            self.ways[at].pushed += 1;
            self.ways[at].marks += marks;
        }
    }

    pub(super) fn push_run(&mut self) {
        if self.ways.is_empty() {
            return self.come_or_go();
        }
        let at = self.dice.below(self.ways.len() as u64) as usize;
        let count = 1 + self.dice.below(if self.bursts { 500 } else { 20 }) as usize;
        let number = self.ways[at].number;
        let made: Vec<_> = (0..count).map(|_| self.item(number)).collect();
        let (ops, expected): (Vec<_>, Vec<_>) = made.into_iter().unzip();
        let marks = |op: &Op| usize::from(op.patience != Patience::Engine);
        let marks = ops.iter().map(marks).sum::<usize>();
        let mut ops = ops.into_iter();
        let way = &mut self.ways[at];
        let pushed = if count.is_multiple_of(2) {
            way.producer.push_run(&mut ops)
        } else {
            way.producer.try_push_run(&mut ops)
        };
        way.pushed += count;
        way.marks += marks;
        let before = (way.pushed, way.marks);
        match pushed {
            Ok(accepted) => assert_eq!(accepted, count),
            Err(error) => {
                let closed = matches!(error.cause, PushError::Closed(_));
                let back = error.cause.into_inner();
                assert_eq!(error.accepted + back.len() + ops.len(), count, "G6: none is lost");
                if closed {
                    assert!(self.terms.stops, "nothing has closed");
                    let refused: Vec<u64> =
                        back.iter().chain(ops.as_slice()).map(|op| op.id).collect();
                    let accepted = expected.into_iter().filter(|item| !refused.contains(&item.id));
                    return accepted.for_each(|item| self.oracle.accept(item));
                }
                for op in back {
                    let id = op.id;
                    self.is_accepted(Err(PushError::Full(op)), id, before);
                }
                let accepted = expected.into_iter().take(error.accepted);
                return accepted.for_each(|item| self.oracle.accept(item));
            }
        }
        expected.into_iter().for_each(|item| self.oracle.accept(item));
    }

    pub(super) fn push_shared(&mut self) {
        let (op, accepted) = self.item(SHARED_WAY);
        let marks = usize::from(op.patience != Patience::Engine);
        let pushed = match accepted.id % 2 {
            0 => self.handle.push(op),
            _ => self.handle.try_push(op),
        };
        if self.is_accepted(pushed, accepted.id, self.shared) {
            self.oracle.accept(accepted);
            self.shared.0 += 1;
            self.shared.1 += marks;
        }
    }

    pub(super) fn flush(&mut self) {
        let Some(way) = self.ways.first_mut() else { return };
        way.marks += 1;
        let marks = way.marks;
        match way.producer.flush() {
            Ok(()) => {}
            Err(PushError::Closed(())) => assert!(self.terms.stops, "nothing has closed"),
            Err(_) => assert!(marks > self.lane_marks, "room for marks is left"),
        }
        // Some shards may have got their mark before one had no room.
        self.oracle.flushed = true;
    }
}
