//! The shared lane: permits, the order of waiters, and leaving early.
#![cfg(not(tidegate_loom))]

use ringbuf::wake::{BRIEF_SPIN, block_on};
use ringbuf::{LanesConfig, PushError, ShardLanes, SharedLane};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

#[derive(Default)]
struct Flag(AtomicUsize);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn made<T, M>(capacity: usize, marks: usize) -> (SharedLane<T, M>, ShardLanes<T, M>) {
    let config = LanesConfig { shards: 1, lanes: 1, capacity, marks };
    let (lanes, mut shards) = ringbuf::lanes(config, |_| Waker::noop().clone());
    (SharedLane::new(lanes.claim().unwrap()), shards.remove(0))
}

fn poll<F: Future + Unpin>(future: &mut F, flag: &Arc<Flag>) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(flag))))
}

#[test]
fn room_that_is_promised_is_taken_by_nobody_else() {
    let (lane, mut shard) = made::<_, ()>(2, 1);
    let permit = lane.try_reserve(0).unwrap();
    lane.try_push(0, 1, || 0).unwrap();
    assert_eq!(lane.try_push(0, 2, || 0), Err(PushError::Full(2)));
    assert!(lane.try_reserve(0).is_err());
    permit.push(3, || 0).unwrap();
    assert_eq!((shard.run(0, 9).collect::<Vec<_>>(), lane.pushed(0)), (vec![1, 3], 2));
    drop(lane.try_reserve(0).unwrap());
    lane.try_push(0, 4, || 0).unwrap();
    lane.try_push(0, 5, || 0).unwrap();
}

#[test]
fn those_who_wait_are_served_in_the_order_in_which_they_came() {
    let (lane, mut shard) = made::<_, ()>(1, 1);
    lane.try_push(0, 0, || 0).unwrap();
    let flags: [Arc<Flag>; 3] = Default::default();
    let mut waits = [lane.reserve(0), lane.reserve(0), lane.reserve(0)];
    for (wait, flag) in waits.iter_mut().zip(&flags) {
        assert!(poll(wait, flag).is_pending());
    }
    for turn in 0..3 {
        assert_eq!(shard.run(0, 1).next(), Some(turn));
        assert_eq!(lane.try_push(0, 9, || 0), Err(PushError::Full(9)), "nobody barges in");
        let woken: Vec<_> = flags.iter().map(|flag| flag.0.load(Ordering::Relaxed)).collect();
        assert_eq!(woken, [1, usize::from(turn > 0), usize::from(turn > 1)]);
        let Poll::Ready(Ok(permit)) = poll(&mut waits[turn], &flags[turn]) else {
            panic!("it was woken for room");
        };
        permit.push(turn + 1, || 0).unwrap();
    }
    assert_eq!(shard.run(0, 1).next(), Some(3));
    lane.try_push(0, 4, || 0).unwrap();
}

#[test]
fn whoever_leaves_early_hands_on() {
    let (lane, mut shard) = made::<_, ()>(1, 1);
    lane.try_push(0, 0, || 0).unwrap();
    let flags: [Arc<Flag>; 4] = Default::default();
    let mut waits: Vec<_> = (0..4).map(|_| lane.reserve(0)).collect();
    for (wait, flag) in waits.iter_mut().zip(&flags) {
        assert!(poll(wait, flag).is_pending());
    }
    drop(waits.remove(1)); // from the middle
    drop(waits.remove(0)); // the first
    assert_eq!(shard.run(0, 1).next(), Some(0));
    assert_eq!(flags[2].0.load(Ordering::Relaxed), 1);
    drop(waits.remove(0)); // woken, never polled
    assert_eq!(flags[3].0.load(Ordering::Relaxed), 1);
    let Poll::Ready(Ok(permit)) = poll(&mut waits[0], &flags[3]) else {
        panic!("the last one's turn");
    };
    drop(permit);
    lane.try_push(0, 1, || 0).unwrap();
}

#[test]
fn all_the_room_there_is_goes_to_those_who_wait_at_once() {
    let (lane, mut shard) = made::<_, ()>(4, 1);
    for n in 0..4 {
        lane.try_push(0, n, || 0).unwrap();
    }
    let flags: [Arc<Flag>; 3] = Default::default();
    let mut waits = [lane.reserve(0), lane.reserve(0), lane.reserve(0)];
    for (wait, flag) in waits.iter_mut().zip(&flags) {
        assert!(poll(wait, flag).is_pending());
    }
    assert_eq!(shard.run(0, 2).count(), 2);
    assert!(poll(&mut waits[0], &flags[0]).is_ready());
    assert_eq!(flags[1].0.load(Ordering::Relaxed), 1, "room for two");
    assert!(poll(&mut waits[1], &flags[1]).is_ready());
    assert!(poll(&mut waits[2], &flags[2]).is_ready(), "both permits were dropped");
}

#[test]
fn the_close_answers_permits_and_those_who_wait() {
    let (lane, mut shard) = made::<_, ()>(2, 1);
    let permit = lane.try_reserve(0).unwrap();
    lane.try_push(0, 0, || 0).unwrap();
    let flags: [Arc<Flag>; 2] = Default::default();
    let mut waits = [lane.reserve(0), lane.reserve(0)];
    for (wait, flag) in waits.iter_mut().zip(&flags) {
        assert!(poll(wait, flag).is_pending());
    }
    shard.close();
    assert!(lane.is_closed(0));
    assert_eq!(permit.push(1, || 0).unwrap_err().into_inner(), 1);
    assert!(matches!(poll(&mut waits[0], &flags[0]), Poll::Ready(Err(_))));
    assert_eq!(flags[1].0.load(Ordering::Relaxed), 1, "the answer is handed on");
    assert!(matches!(poll(&mut waits[1], &flags[1]), Poll::Ready(Err(_))));
    assert!(lane.try_reserve(0).is_err_and(|error| error.is_closed()));
    assert_eq!(lane.try_push(0, 2, || 0), Err(PushError::Closed(2)));
}

#[test]
fn a_permit_for_an_item_and_a_mark_holds_room_for_both() {
    let (lane, mut shard) = made(4, 2);
    let permit = lane.try_reserve_marked(0).unwrap();
    lane.try_push_marked(0, 0, 'a', || 0).unwrap();
    assert_eq!(lane.try_mark(0, 'b', || 0), Err(PushError::Full('b')));
    assert_eq!(lane.try_push_marked(0, 1, 'b', || 0), Err(PushError::Full((1, 'b'))));
    let plain = lane.try_reserve(0).unwrap();
    assert_eq!(plain.push_marked(1, 'b', || 0), Err(PushError::Full((1, 'b'))));
    permit.push_marked(1, 'b', || 0).unwrap();
    let flag = Arc::default();
    let mut wait = lane.reserve_marked(0);
    assert!(poll(&mut wait, &flag).is_pending());
    let mut drain = shard.run(0, 9);
    assert_eq!((drain.take_mark(), drain.next()), (Some('a'), Some(0)));
    assert_eq!((drain.take_mark(), drain.next()), (Some('b'), Some(1)));
    drop(drain);
    let Poll::Ready(Ok(permit)) = poll(&mut wait, &flag) else {
        panic!("room for a mark again");
    };
    permit.push(2, || 0).unwrap();
    drop(wait);
    assert_eq!(lane.into_inner().room(0), 3);
}

#[test]
fn many_threads_push_through_one_lane_without_loss() {
    const EACH: u64 = 3_000;
    let (lane, mut shard) = made::<u64, ()>(4, 1);
    let lane = &lane;
    let mut sum = 0;
    std::thread::scope(|scope| {
        for first in [0, EACH, 2 * EACH] {
            scope.spawn(move || {
                for n in first..first + EACH {
                    match n % 3 {
                        0 => block_on(lane.reserve(0), BRIEF_SPIN).unwrap().push(n, || 0).unwrap(),
                        1 => {
                            // Given up, once asked for.
                            let mut wait = lane.reserve(0);
                            let _ = poll(&mut wait, &Arc::default());
                            drop(wait);
                            block_on(lane.reserve(0), 0).unwrap().push(n, || 0).unwrap();
                        }
                        _ => {
                            while lane.try_push(0, n, || 0).is_err() {
                                drop(block_on(lane.reserve(0), 0).unwrap());
                            }
                        }
                    }
                }
            });
        }
        let mut count = 0;
        while count < 3 * EACH {
            let run = shard.run(0, 3);
            if run.is_empty() {
                drop(run);
                std::thread::yield_now();
                continue;
            }
            for n in run {
                sum += n;
                count += 1;
            }
        }
    });
    assert_eq!(sum, (0..3 * EACH).sum());
}
