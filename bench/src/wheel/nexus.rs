//! `nexus-timer` 1.5: its `TimeoutQueue` for equal deadlines and its `Wheel` for mixed ones, as it advises,
//! both with a bounded slab and the others' tick. The wheel is polled with rebalancing, as it advises for
//! steady polling, and a timer is moved by `reschedule`.

use std::time::{Duration, Instant};

use nexus_timer::{
    BoundedTimeoutQueue, BoundedWheel, TimeoutQueueBuilder, TimerHandle, WheelBuilder,
};

use super::Armed;
use super::alarms::Alarms;
use super::plan::{EQUAL, START, TICK};

const TICK_DURATION: Duration = Duration::from_nanos(TICK);

/// What timers are cancelled by, by their tokens. One that expired must be given back.
type Handles = Vec<Option<TimerHandle<u32>>>;

fn handles(case: Armed) -> Handles {
    (0..case.armed).map(|_| None).collect()
}

/// For equal deadlines.
pub(super) struct NexusQueue {
    queue: BoundedTimeoutQueue<u32>,
    /// The moment of the latest poll.
    now: Instant,
    now_ns: u64,
    handles: Handles,
}

impl Alarms for NexusQueue {
    fn new(case: Armed) -> Self {
        let now = Instant::now();
        let queue = TimeoutQueueBuilder::new(Duration::from_nanos(EQUAL))
            .tick_duration(TICK_DURATION)
            .bounded(case.armed as usize)
            .build(now)
            .expect("the settings are allowed");
        Self { queue, now, now_ns: START, handles: handles(case) }
    }

    #[inline]
    fn arm(&mut self, token: u32, at: u64) {
        debug_assert_eq!(at, self.now_ns + EQUAL, "for equal deadlines alone");
        self.handles[token as usize] = Some(self.queue.schedule(self.now, token));
    }

    #[inline]
    fn rearm(&mut self, token: u32, at: u64) {
        if let Some(handle) = self.handles[token as usize].take() {
            self.queue.cancel(handle);
        }
        self.arm(token, at);
    }

    #[inline]
    fn expire(&mut self, now: u64, expired: &mut Vec<u32>) {
        self.now += Duration::from_nanos(now - self.now_ns);
        self.now_ns = now;
        let before = expired.len();
        self.queue.poll(self.now, expired);
        for &token in &expired[before..] {
            if let Some(handle) = self.handles[token as usize].take() {
                self.queue.free(handle);
            }
        }
    }
}

/// A handle must not be dropped.
impl Drop for NexusQueue {
    fn drop(&mut self) {
        self.handles.drain(..).flatten().for_each(|handle| self.queue.free(handle));
    }
}

/// For mixed deadlines.
pub(super) struct NexusWheel {
    wheel: BoundedWheel<u32>,
    /// The moment zero.
    origin: Instant,
    handles: Handles,
}

impl NexusWheel {
    #[inline]
    fn moment(&self, ns: u64) -> Instant {
        self.origin + Duration::from_nanos(ns)
    }
}

impl Alarms for NexusWheel {
    fn new(case: Armed) -> Self {
        let origin = Instant::now();
        let wheel = WheelBuilder::new()
            .tick_duration(TICK_DURATION)
            .bounded(case.armed as usize)
            .build(origin + Duration::from_nanos(START))
            .expect("the settings are allowed");
        Self { wheel, origin, handles: handles(case) }
    }

    #[inline]
    fn arm(&mut self, token: u32, at: u64) {
        let at = self.moment(at);
        self.handles[token as usize] = Some(self.wheel.schedule(at, token));
    }

    #[inline]
    fn rearm(&mut self, token: u32, at: u64) {
        let at = self.moment(at);
        let handle = &mut self.handles[token as usize];
        *handle = handle.take().map(|handle| self.wheel.reschedule(handle, at));
    }

    #[inline]
    fn expire(&mut self, now: u64, expired: &mut Vec<u32>) {
        let before = expired.len();
        self.wheel.poll_and_rebalance(self.moment(now), expired);
        for &token in &expired[before..] {
            if let Some(handle) = self.handles[token as usize].take() {
                self.wheel.free(handle);
            }
        }
    }
}

/// A handle must not be dropped.
impl Drop for NexusWheel {
    fn drop(&mut self) {
        self.handles.drain(..).flatten().for_each(|handle| self.wheel.free(handle));
    }
}
