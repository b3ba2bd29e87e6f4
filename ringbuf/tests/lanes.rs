//! Lanes on one thread: claiming, marks, runs, sleeping, closing, waiting.
#![cfg(not(tidegate_loom))]

use ringbuf::{Closed, LANES_MAX, Lanes, LanesConfig, PushError, SHARDS_MAX, ShardLanes};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake, Waker};

#[derive(Default)]
struct Flag(AtomicUsize);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Flag {
    fn new() -> (Arc<Self>, Waker) {
        let flag = Arc::new(Self::default());
        (Arc::clone(&flag), Waker::from(flag))
    }

    fn wakes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

const CONFIG: LanesConfig = LanesConfig { shards: 2, lanes: 3, capacity: 3, marks: 2 };

fn made<T, M>(config: LanesConfig) -> (Lanes<T, M>, Vec<ShardLanes<T, M>>) {
    ringbuf::lanes(config, |_| Waker::noop().clone())
}

#[test]
fn the_lowest_free_lane_is_claimed_and_none_past_the_last() {
    let (lanes, shards) = made::<(), ()>(LanesConfig { lanes: 70, ..CONFIG });
    let mut claimed: Vec<_> = (0..70).map(|_| lanes.claim().unwrap()).collect();
    assert!(claimed.iter().enumerate().all(|(i, lane)| lane.index() == i));
    assert!(lanes.claim().is_none());
    assert_eq!((lanes.claimed(), shards[0].lanes_in_use()), (70, 70));
    claimed.remove(66);
    claimed.remove(5);
    assert_eq!(lanes.claim().unwrap().index(), 5);
    let _five = lanes.claim().unwrap();
    assert_eq!(lanes.claim().unwrap().index(), 66);
}

#[test]
fn a_shard_looks_only_at_lanes_that_were_ever_claimed() {
    let (lanes, shards) = made::<(), ()>(CONFIG);
    assert_eq!(shards[0].lanes_in_use(), 0);
    drop(lanes.claim());
    drop(lanes.claim());
    assert_eq!(shards[0].lanes_in_use(), 1);
}

#[test]
fn the_next_holder_continues_the_lane() {
    let (lanes, mut shards) = made::<_, ()>(CONFIG);
    for n in 0..4 {
        let mut lane = lanes.claim().unwrap();
        assert_eq!((lane.index(), lane.pushed(1)), (0, n));
        lane.try_push(1, n, || 0).unwrap();
    }
    assert!(lanes.claim().unwrap().try_push(1, 4, || 0).unwrap_err().is_full());
    assert_eq!(shards[1].run(0, 9).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(shards[0].look(0), 0);
}

#[test]
fn marks_come_with_their_items_and_alone_in_between() {
    let (lanes, mut shards) = made(LanesConfig { capacity: 8, marks: 8, ..CONFIG });
    let (mut lane, shard) = (lanes.claim().unwrap(), &mut shards[0]);
    lane.try_mark(0, "before all", || 0).unwrap();
    lane.try_push(0, 0, || 0).unwrap();
    lane.try_push_marked(0, 1, "of 1", || 0).unwrap();
    lane.try_push(0, 2, || 0).unwrap();
    lane.try_mark(0, "after 2", || 0).unwrap();

    assert_eq!(shard.look(0), 3);
    let mut drain = shard.run(0, 1);
    assert_eq!((drain.next_mark_seq(), drain.seq()), (0, 0));
    assert_eq!((drain.take_mark(), drain.take_mark()), (Some("before all"), None));
    assert_eq!((drain.next_mark_seq(), drain.next()), (1, Some(0)));
    assert_eq!(drain.take_mark(), None, "its item is not in this run");
    drop(drain);
    assert_eq!(shard.take_mark_at_head(0), None, "nor does it stand alone");

    let mut drain = shard.run(0, 9);
    assert_eq!((drain.take_mark(), drain.next()), (Some("of 1"), Some(1)));
    assert_eq!((drain.next_mark_seq(), drain.take_mark()), (3, None));
    assert_eq!((drain.next(), drain.take_mark()), (Some(2), Some("after 2")));
    assert_eq!((drain.next_mark_seq(), drain.take_mark()), (u64::MAX, None));
    drop(drain);

    lane.try_mark(0, "alone", || 0).unwrap();
    assert_eq!(shard.look(0), 0);
    assert_eq!(shard.take_mark_at_head(0), Some("alone"));
    assert_eq!((shard.head(0), shard.tail(0)), (3, 3));
}

#[test]
fn a_mark_that_was_not_asked_for_in_time_is_still_there() {
    let (lanes, mut shards) = made(CONFIG);
    lanes.claim().unwrap().try_push_marked(0, 0, 'a', || 0).unwrap();
    assert_eq!(shards[0].run(0, 9).next(), Some(0));
    assert_eq!(shards[0].take_mark_at_head(0), Some('a'));
}

#[test]
fn a_marked_push_is_refused_when_either_ring_is_full() {
    let (lanes, mut shards) = made(CONFIG);
    let (mut lane, shard) = (lanes.claim().unwrap(), &mut shards[0]);
    assert_eq!((lane.room(0), lane.mark_room(0)), (4, 2));
    lane.try_mark(0, 'a', || 0).unwrap();
    lane.try_push_marked(0, 0, 'b', || 0).unwrap();
    assert_eq!(lane.try_push_marked(0, 1, 'c', || 0), Err(PushError::Full((1, 'c'))));
    assert_eq!(lane.try_mark(0, 'c', || 0), Err(PushError::Full('c')));
    let (flag, waker) = Flag::new();
    assert!(lane.poll_marked_room(0, &waker).is_pending());
    assert_eq!(shard.run(0, 9).take_mark(), Some('a'));
    assert_eq!(flag.wakes(), 1);
    assert_eq!(lane.poll_marked_room(0, &waker), Poll::Ready(Ok(())));
    for n in 1..4 {
        lane.try_push(0, n, || 0).unwrap();
    }
    assert_eq!(lane.try_push_marked(0, 4, 'd', || 0), Err(PushError::Full((4, 'd'))));
    assert_eq!(lane.mark_room(0), 1);
}

#[test]
fn a_run_is_seen_at_once_and_only_when_committed() {
    let (lanes, mut shards) = made::<_, ()>(CONFIG);
    let mut lane = lanes.claim().unwrap();
    let mut run = lane.run();
    for n in 0..4 {
        run.stage(0, n).unwrap();
    }
    run.stage(1, 9).unwrap();
    assert_eq!(run.stage(0, 4), Err(PushError::Full(4)));
    assert_eq!((run.staged(0), run.staged(1), run.room(0), run.room(1)), (4, 1, 0, 3));
    assert_eq!((shards[0].look(0), shards[1].look(0)), (0, 0));
    run.commit(|| 0).unwrap();
    assert_eq!((shards[0].look(0), shards[1].look(0)), (4, 1));
    drop(lane.run());
    assert_eq!(lane.pushed(0), 4);
    assert_eq!(shards[0].run(0, 9).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn what_closed_shards_refuse_of_a_run_comes_back_in_order() {
    let (lanes, mut shards) = made::<_, ()>(CONFIG);
    let mut lane = lanes.claim().unwrap();
    lane.try_push(1, 0, || 0).unwrap();
    shards[1].close();
    let mut run = lane.run();
    for (shard, n) in [(0, 1), (1, 2), (0, 3), (1, 4)] {
        run.stage(shard, n).unwrap();
    }
    assert_eq!(run.commit(|| 0), Err(vec![2, 4]));
    assert_eq!(shards[0].run(0, 9).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(shards[1].run(0, 9).collect::<Vec<_>>(), [0]);
    assert!(shards[1].is_drained() && !shards[0].is_drained());
}

#[test]
fn a_closed_shard_gives_back_whatever_is_pushed_also_through_new_lanes() {
    let (lanes, mut shards) = made(CONFIG);
    let mut lane = lanes.claim().unwrap();
    shards[0].close();
    shards[0].close();
    for mut lane in [lanes.claim().unwrap(), lanes.claim().unwrap()] {
        for _ in 0..9 {
            assert_eq!(lane.try_push(0, 1, || 0), Err(PushError::Closed(1)));
            assert_eq!(lane.try_push_marked(0, 1, 'a', || 0), Err(PushError::Closed((1, 'a'))));
            assert_eq!(lane.try_mark(0, 'a', || 0), Err(PushError::Closed('a')));
        }
        assert_eq!(lane.poll_room(0, 1, Waker::noop()), Poll::Ready(Err(Closed(()))));
    }
    assert_eq!(lane.push(0, 2, || 0, 0), Err(Closed(2)));
    assert!(lane.is_closed(0) && !lane.is_closed(1));
    assert_eq!((shards[0].look(0), shards[0].is_drained()), (0, true));
    lane.try_push(1, 3, || 0).unwrap();
    assert_eq!(shards[1].run(0, 1).next(), Some(3));
}

#[test]
fn the_first_push_to_a_sleeping_shard_wakes_it_and_says_when() {
    let (flag, waker) = Flag::new();
    let (lanes, mut shards) = ringbuf::lanes::<_, ()>(CONFIG, |_| waker.clone());
    let (mut lane, shard) = (lanes.claim().unwrap(), &mut shards[0]);
    lane.try_push(0, 0, || unreachable!("it is awake")).unwrap();
    assert!(!shard.lie_down(), "there is an item");
    assert_eq!(shard.get_up(), None);
    assert_eq!(shard.run(0, 1).next(), Some(0));
    assert!(shard.lie_down());
    lane.try_push(0, 1, || 55).unwrap();
    lane.try_push(0, 2, || unreachable!("it was woken")).unwrap();
    assert_eq!((flag.wakes(), shard.get_up(), shard.get_up()), (1, Some(55), None));
    assert!(!shard.lie_down(), "both are there");
    assert_eq!(shard.run(0, 9).count(), 2);
    assert!(shard.lie_down());
    lanes.doorbell(0).knock();
    assert_eq!((flag.wakes(), shard.get_up()), (2, None));
    assert!(shard.doorbell().take_knock() && !shard.doorbell().take_knock());
}

#[test]
fn a_clock_that_panics_wakes_every_shard_all_the_same() {
    let (flag, waker) = Flag::new();
    let (lanes, mut shards) = ringbuf::lanes::<_, ()>(CONFIG, |_| waker.clone());
    let mut lane = lanes.claim().unwrap();
    assert!(shards.iter_mut().all(ShardLanes::lie_down));
    let mut run = lane.run();
    run.stage(0, 0).unwrap();
    run.stage(1, 1).unwrap();
    let broken = catch_unwind(AssertUnwindSafe(|| run.commit(|| panic!("no time"))));
    assert!(broken.is_err());
    assert_eq!(flag.wakes(), 2);
    for (n, shard) in shards.iter_mut().enumerate() {
        assert_eq!((shard.get_up(), shard.run(0, 9).next()), (Some(0), Some(n)));
    }
}

#[test]
fn a_lane_given_back_leaves_no_waker_behind() {
    let (flag, waker) = Flag::new();
    let (lanes, mut shards) = made::<_, ()>(CONFIG);
    let mut lane = lanes.claim().unwrap();
    while lane.try_push(0, (), || 0).is_ok() {}
    assert!(lane.poll_room(0, 1, &waker).is_pending());
    drop(waker);
    drop(lane);
    assert_eq!(Arc::strong_count(&flag), 1);
    assert_eq!((shards[0].run(0, 9).count(), flag.wakes()), (4, 0));
}

#[test]
fn sizes_that_cannot_work_are_refused() {
    let refused = |config, why: &str| {
        let made = catch_unwind(|| made::<(), ()>(config));
        let message = made.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains(why), "{message}");
    };
    refused(LanesConfig { lanes: LANES_MAX + 1, ..CONFIG }, "1 to 1024 lanes, not 1025");
    refused(LanesConfig { lanes: 0, ..CONFIG }, "not 0");
    refused(LanesConfig { shards: SHARDS_MAX + 1, ..CONFIG }, "1 to 4096 shards, not 4097");
    refused(LanesConfig { shards: usize::MAX, ..CONFIG }, "1 to 4096 shards");
    refused(LanesConfig { capacity: usize::MAX, ..CONFIG }, "too large");
    assert!(catch_unwind(|| made::<(), ()>(LanesConfig { shards: 0, ..CONFIG })).is_err());
    assert!(catch_unwind(|| made::<(), ()>(LanesConfig { capacity: 0, ..CONFIG })).is_err());
    let (lanes, _) = made::<(), ()>(LanesConfig { marks: 0, ..CONFIG });
    assert_eq!(lanes.config(), LanesConfig { capacity: 4, marks: 1, ..CONFIG });
}
