//! `hierarchical_hash_wheel_timer` 1.4: its wheel of four levels of 256 slots whose timers can be cancelled,
//! with FxHash, its default, for the map of those that were not. Its tick is a millisecond by name alone, so
//! here it is the others' tick. What expired is armed again without an allocation; what was cancelled can't
//! be, since the wheel keeps a weak reference to it until its time has come.

use std::rc::Rc;
use std::time::Duration;

use hierarchical_hash_wheel_timer::IdOnlyTimerEntry;
use hierarchical_hash_wheel_timer::wheels::cancellable::QuadWheelWithOverflow;

use super::Armed;
use super::alarms::Alarms;
use super::plan::{START, TICK};

type Entry = IdOnlyTimerEntry<u32>;

pub(super) struct HashWheel {
    wheel: QuadWheelWithOverflow<Entry>,
    tick: u64,
    /// What expired, by token.
    spare: Vec<Option<Rc<Entry>>>,
}

impl Alarms for HashWheel {
    fn new(case: Armed) -> Self {
        let spare = (0..case.armed).map(|_| None).collect();
        Self { wheel: QuadWheelWithOverflow::new(), tick: START / TICK, spare }
    }

    #[inline]
    fn arm(&mut self, token: u32, at: u64) {
        let delay = Duration::from_millis(at.div_ceil(TICK) - self.tick);
        let spare = self.spare[token as usize].take();
        let entry = spare.unwrap_or_else(|| Rc::new(Entry::new(token, Duration::ZERO)));
        self.wheel.insert_ref_with_delay(entry, delay).expect("the deadline is ahead");
    }

    #[inline]
    fn rearm(&mut self, token: u32, at: u64) {
        self.wheel.cancel(&token).expect("the token is armed");
        self.arm(token, at);
    }

    #[inline]
    fn expire(&mut self, now: u64, expired: &mut Vec<u32>) {
        while self.tick < now / TICK {
            self.tick += 1;
            for entry in self.wheel.tick() {
                expired.push(entry.id);
                let token = entry.id as usize;
                self.spare[token] = Some(entry);
            }
        }
    }
}
