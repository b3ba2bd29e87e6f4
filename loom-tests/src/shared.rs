//! The shared lane: permits, first come first served, and leaving early.

use crate::{explore, list};
use loom::thread;
use ringbuf::wake::block_on;
use ringbuf::{Lanes, LanesConfig, PushError, ShardLanes, SharedLane};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

list![
    a_permit_is_handed_to_whoever_waits,
    a_cancelled_wait_hands_its_turn_on,
    a_dropped_permit_hands_its_room_on,
    the_close_answers_everyone_who_waits,
    nobody_pushes_past_a_permit,
];

fn shared(capacity: usize) -> (Arc<SharedLane<usize, ()>>, ShardLanes<usize, ()>) {
    let config = LanesConfig { shards: 1, lanes: 1, capacity, marks: 1 };
    let (lanes, mut shards): (Lanes<_, _>, _) = ringbuf::lanes(config, |_| Waker::noop().clone());
    (Arc::new(SharedLane::new(lanes.claim().unwrap())), shards.remove(0))
}

fn a_permit_is_handed_to_whoever_waits() {
    explore(2, || {
        let (lane, mut shard) = shared(1);
        lane.try_push(0, 0, || 0).unwrap();
        let pusher = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || {
                block_on(lane.reserve(0), 0).unwrap().push(1, || 0).unwrap();
            })
        };
        assert_eq!(shard.run(0, 1).next(), Some(0));
        pusher.join().unwrap();
        assert_eq!(shard.run(0, 1).next(), Some(1));
    });
}

fn a_cancelled_wait_hands_its_turn_on() {
    explore(2, || {
        let (lane, mut shard) = shared(1);
        lane.try_push(0, 0, || 0).unwrap();
        let mut first = Box::pin(lane.reserve(0));
        let mut context = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending());
        let second = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || {
                // Behind the one that is cancelled, whenever that happens.
                block_on(lane.reserve(0), 0).unwrap().push(1, || 0).unwrap();
            })
        };
        let drainer = thread::spawn(move || {
            assert_eq!(shard.run(0, 1).next(), Some(0));
            shard
        });
        drop(first);
        second.join().unwrap();
        assert_eq!(drainer.join().unwrap().run(0, 1).next(), Some(1));
    });
}

fn a_dropped_permit_hands_its_room_on() {
    explore(2, || {
        let (lane, mut shard) = shared(1);
        let permit = lane.try_reserve(0).unwrap();
        let pusher = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || {
                block_on(lane.reserve(0), 0).unwrap().push(1, || 0).unwrap();
            })
        };
        drop(permit);
        pusher.join().unwrap();
        assert_eq!(shard.run(0, 1).next(), Some(1));
    });
}

fn the_close_answers_everyone_who_waits() {
    explore(2, || {
        let (lane, mut shard) = shared(1);
        lane.try_push(0, 0, || 0).unwrap();
        let waiters = [(); 2].map(|()| {
            let lane = Arc::clone(&lane);
            thread::spawn(move || assert!(block_on(lane.reserve(0), 0).is_err()))
        });
        shard.close();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

fn nobody_pushes_past_a_permit() {
    explore(3, || {
        let (lane, mut shard) = shared(1);
        let permit = lane.try_reserve(0).unwrap();
        let pusher = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || match lane.try_push(0, 2, || 0) {
                Ok(()) => true,
                Err(PushError::Full(_)) => false,
                Err(PushError::Closed(_)) => unreachable!("nobody closes"),
            })
        };
        let mut permit = Some(permit);
        let mut next = pin!(lane.reserve(0));
        let mut context = Context::from_waker(Waker::noop());
        assert!(next.as_mut().poll(&mut context).is_pending());
        permit.take().unwrap().push(1, || 0).unwrap();
        assert_eq!(shard.run(0, 1).next(), Some(1));
        assert!(!pusher.join().unwrap(), "the room was promised, and then somebody waited");
        assert!(next.as_mut().poll(&mut context).is_ready());
    });
}
