//! Wakers and clocks that panic: everyone else goes on as promised.
#![cfg(not(tidegate_loom))]

use ringbuf::{Lanes, LanesConfig, PushError, ShardLanes, ring};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

/// A waker that panics when it wakes.
struct BreaksAtWaking;

impl Wake for BreaksAtWaking {
    fn wake(self: Arc<Self>) {
        panic!("this waker breaks");
    }
}

/// A waker that panics when its last copy is dropped.
struct BreaksAtDropping;

impl Wake for BreaksAtDropping {
    fn wake(self: Arc<Self>) {}
}

impl Drop for BreaksAtDropping {
    fn drop(&mut self) {
        panic!("this waker breaks");
    }
}

/// A waker that counts.
#[derive(Default)]
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn panics(run: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(run)).is_err()
}

fn made<T, M>(lanes: usize) -> (Lanes<T, M>, ShardLanes<T, M>) {
    let config = LanesConfig { shards: 1, lanes, capacity: 1, marks: 1 };
    let (lanes, mut shards) = ringbuf::lanes(config, |_| Waker::noop().clone());
    (lanes, shards.remove(0))
}

#[test]
fn wakers_that_panic_at_the_close_keep_nobody_else_waiting() {
    let (lanes, mut shard) = made::<_, ()>(4);
    let mut claimed: Vec<_> = std::iter::from_fn(|| lanes.claim()).collect();
    let counts = Arc::new(Counts::default());
    let broken = Waker::from(Arc::new(BreaksAtWaking));
    for (n, waker) in [broken.clone(), broken, Arc::clone(&counts).into()].iter().enumerate() {
        claimed[n].try_push(0, n, || 0).unwrap();
        assert!(claimed[n].poll_room(0, 1, waker).is_pending());
    }
    shard.close();
    assert_eq!(counts.0.load(Ordering::Relaxed), 1, "the one behind the broken ones is woken");
    assert_eq!(claimed[3].try_push(0, 3, || 0), Err(PushError::Closed(3)));
    assert_eq!(claimed[3].try_mark(0, (), || 0), Err(PushError::Closed(())));
    assert_eq!(claimed[0].try_push(0, 4, || 0), Err(PushError::Closed(4)));
    let taken: Vec<_> = (0..4).flat_map(|lane| shard.run(lane, 9).collect::<Vec<_>>()).collect();
    assert_eq!((taken, shard.is_drained()), (vec![0, 1, 2], true));
}

#[test]
fn a_shard_dropped_with_a_broken_waker_drops_its_items_all_the_same() {
    let item = Arc::new(());
    let (lanes, shard) = made::<_, ()>(2);
    let (mut first, mut second) = (lanes.claim().unwrap(), lanes.claim().unwrap());
    first.try_push(0, Arc::clone(&item), || 0).unwrap();
    second.try_push(0, Arc::clone(&item), || 0).unwrap();
    assert!(first.poll_room(0, 1, &Waker::from(Arc::new(BreaksAtWaking))).is_pending());
    drop(shard);
    assert_eq!(Arc::strong_count(&item), 1);
    assert!(second.try_push(0, item, || 0).is_err_and(|error| error.is_closed()));
}

#[test]
fn a_waker_that_panics_does_so_in_nobody_elses_code() {
    let (mut producer, mut consumer) = ring(1);
    producer.try_push(1).unwrap();
    assert!(producer.poll_room(1, &Waker::from(Arc::new(BreaksAtWaking))).is_pending());
    assert_eq!(consumer.pop(), Some(1));
    assert!(producer.poll_room(1, Waker::noop()).is_ready());
}

#[test]
fn a_ring_closed_with_a_broken_waker_is_closed() {
    for drop_it in [false, true] {
        let item = Arc::new(());
        let (mut producer, mut consumer) = ring(1);
        producer.try_push(Arc::clone(&item)).unwrap();
        assert!(producer.poll_room(1, &Waker::from(Arc::new(BreaksAtWaking))).is_pending());
        if drop_it {
            drop(consumer);
            assert_eq!(Arc::strong_count(&item), 1, "what was in it went with it");
        } else {
            consumer.close();
            assert!(consumer.pop().is_some());
        }
        assert!(producer.try_push(item).is_err_and(|error| error.is_closed()));
    }
}

#[test]
fn a_clock_that_panics_at_a_closed_shard_leaves_its_lane_in_order() {
    let (item, mark) = (Arc::new(0), Arc::new(1));
    let (lanes, mut shard) = made(1);
    let mut lane = lanes.claim().unwrap();
    let broken = || -> u64 { panic!("no time") };
    // The shard closes while it lies: the push finds both.
    for kind in 0..4 {
        if kind == 0 {
            assert!(shard.lie_down());
            shard.close();
        } else {
            // What would ring again, had the first not rung: lie down once more.
            shard.doorbell().lie_down();
        }
        let (item, mark) = (Arc::clone(&item), Arc::clone(&mark));
        assert!(panics(|| match kind {
            0 => lane.try_push(0, item, broken).map_err(drop).unwrap(),
            1 => lane.try_push_marked(0, item, mark, broken).map_err(drop).unwrap(),
            2 => lane.try_mark(0, mark, broken).map_err(drop).unwrap(),
            _ => {
                let mut run = lane.run();
                run.stage(0, item).map_err(drop).unwrap();
                run.commit(broken).map_err(drop).unwrap();
            }
        }));
    }
    assert_eq!((Arc::strong_count(&item), Arc::strong_count(&mark)), (1, 1), "none is kept");
    let back = lane.try_push_marked(0, item, mark, || 0).unwrap_err();
    let PushError::Closed((item, mark)) = back else { panic!("it has closed") };
    assert_eq!((*item, *mark, lane.pushed(0), shard.is_drained()), (0, 1, 0, true));
}

#[test]
fn an_end_that_goes_with_a_broken_waker_is_gone() {
    let (mut producer, consumer) = ring(1);
    producer.try_push(0).unwrap();
    assert!(producer.poll_room(1, &Waker::from(Arc::new(BreaksAtDropping))).is_pending());
    assert!(panics(|| drop(producer)));
    assert!(consumer.is_closed());

    let (lanes, _shard) = made::<_, ()>(1);
    let mut lane = lanes.claim().unwrap();
    lane.try_push(0, 0, || 0).unwrap();
    assert!(lane.poll_room(0, 1, &Waker::from(Arc::new(BreaksAtDropping))).is_pending());
    assert!(panics(|| drop(lane)));
    assert!(lanes.claim().is_some(), "it was handed back");
}
