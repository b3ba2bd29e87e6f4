//! Lanes: sleeping and closing against every kind of push, hand-over, marks.

use crate::watch::{Count, Item, Nap};
use crate::{explore, explore_without_light, list};
use loom::thread;
use ringbuf::{Lane, Lanes, LanesConfig, PushError, ShardLanes};

list![
    a_push_into_a_lane_claimed_late_wakes_the_shard,
    a_lane_claimed_by_another_thread_is_found_before_sleeping,
    a_run_wakes_every_shard_it_touches,
    a_marked_push_wakes_the_shard,
    a_mark_alone_wakes_the_shard,
    a_push_beside_items_that_must_wait_wakes_the_shard,
    whoever_sees_an_item_finds_its_mark,
    what_a_timed_out_shard_was_rung_for_is_there,
    a_push_that_races_the_close_is_accepted_or_given_back,
    a_run_that_races_the_close_is_accepted_up_to_the_final_head,
    an_item_and_its_mark_share_their_fate_at_the_close,
    a_mark_alone_that_races_the_close_is_accepted_or_given_back,
    a_lane_handed_over_continues_in_order,
    a_lane_handed_over_uses_slots_again_only_when_they_are_free,
    a_lane_thread_that_waits_for_room_is_woken,
    a_shard_that_closes_wakes_lanes_that_wait_for_room,
    room_for_marks_wakes_who_waits_for_it,
    two_who_claim_get_two_lanes,
    two_who_give_back_free_two_lanes,
];

/// A shard and where it sleeps.
struct Shard<T, M> {
    lanes: ShardLanes<T, M>,
    nap: Nap,
}

/// Lanes of one shard.
fn one_shard<T, M>(lanes: usize, capacity: usize) -> (Lanes<T, M>, Shard<T, M>) {
    let nap = Nap::default();
    let config = LanesConfig { shards: 1, lanes, capacity, marks: capacity };
    let (lanes, mut shards) = ringbuf::lanes(config, |_| nap.waker());
    (lanes, Shard { lanes: shards.remove(0), nap })
}

impl<T, M> Shard<T, M> {
    /// Sleeps until something comes, if there is nothing.
    fn sleep_if_empty(&mut self) {
        if self.lanes.lie_down() {
            self.nap.sleep(); // for good, should a push be missed
            self.lanes.get_up();
        } else {
            thread::yield_now();
        }
    }

    /// Takes the one item that some lane holds or will hold.
    fn wait_for_item(&mut self) -> T {
        loop {
            for lane in 0..self.lanes.lanes_in_use() {
                if let Some(item) = self.lanes.run(lane, 1).next() {
                    return item;
                }
            }
            self.sleep_if_empty();
        }
    }
}

fn a_push_into_a_lane_claimed_late_wakes_the_shard() {
    explore(3, || {
        let (lanes, mut shard) = one_shard::<_, ()>(1, 2);
        let pusher = thread::spawn(move || {
            let mut lane = lanes.claim().unwrap();
            lane.try_push(0, 7, || 3).unwrap();
        });
        assert_eq!(shard.wait_for_item(), 7);
        pusher.join().unwrap();
    });
}

fn a_lane_claimed_by_another_thread_is_found_before_sleeping() {
    explore(2, || {
        let (lanes, mut shard) = one_shard::<_, ()>(2, 1);
        let _first = lanes.claim().unwrap();
        let claimer = thread::spawn(move || {
            let mut lane = lanes.claim().unwrap();
            thread::spawn(move || lane.try_push(0, 7, || 3).unwrap()).join().unwrap();
        });
        assert_eq!(shard.wait_for_item(), 7);
        claimer.join().unwrap();
    });
}

fn a_run_wakes_every_shard_it_touches() {
    explore(2, || {
        let config = LanesConfig { shards: 2, lanes: 1, capacity: 2, marks: 1 };
        let (nap, wakes) = (Nap::default(), Count::default());
        let wakers = [nap.waker(), wakes.waker()];
        let (lanes, mut shards) = ringbuf::lanes::<_, ()>(config, |shard| wakers[shard].clone());
        let mut lane = lanes.claim().unwrap();
        assert!(shards[1].lie_down());
        let mut first = Shard { lanes: shards.remove(0), nap };
        let pusher = thread::spawn(move || {
            let mut run = lane.run();
            run.stage(0, 7).unwrap();
            run.stage(1, 8).unwrap();
            run.commit(|| 3).unwrap();
        });
        assert_eq!(first.wait_for_item(), 7);
        pusher.join().unwrap();
        assert_eq!((wakes.get(), shards[0].get_up()), (1, Some(3)));
        assert_eq!(shards[0].run(0, 9).next(), Some(8));
    });
}

fn a_marked_push_wakes_the_shard() {
    explore(3, || {
        let (lanes, mut shard) = one_shard(1, 2);
        let mut lane = lanes.claim().unwrap();
        let pusher = thread::spawn(move || lane.try_push_marked(0, 7, 'a', || 3).unwrap());
        assert_eq!(shard.wait_for_item(), 7);
        pusher.join().unwrap();
    });
}

fn a_mark_alone_wakes_the_shard() {
    explore(3, || {
        let (lanes, mut shard) = one_shard::<(), _>(1, 2);
        let mut lane = lanes.claim().unwrap();
        let pusher = thread::spawn(move || lane.try_mark(0, 'a', || 3).unwrap());
        let mark = loop {
            if let Some(mark) = shard.lanes.take_mark_at_head(0) {
                break mark;
            }
            shard.sleep_if_empty();
        };
        assert_eq!(mark, 'a');
        pusher.join().unwrap();
    });
}

fn a_push_beside_items_that_must_wait_wakes_the_shard() {
    explore(3, || {
        let (lanes, mut shard) = one_shard::<_, ()>(1, 2);
        let mut lane = lanes.claim().unwrap();
        lane.try_push(0, 6, || 3).unwrap();
        let pusher = thread::spawn(move || lane.try_push(0, 7, || 3).unwrap());
        // The first stays where it is until the second has come.
        while shard.lanes.look(0) < 2 {
            if shard.lanes.lie_down_beside() {
                shard.nap.sleep(); // for good, should the push be missed
                shard.lanes.get_up();
            } else {
                thread::yield_now();
            }
        }
        assert_eq!(shard.lanes.run(0, 2).collect::<Vec<_>>(), [6, 7]);
        pusher.join().unwrap();
    });
}

fn whoever_sees_an_item_finds_its_mark() {
    explore_without_light(3, || {
        let (lanes, mut shard) = one_shard(1, 4);
        let mut lane = lanes.claim().unwrap();
        let pusher = thread::spawn(move || {
            lane.try_push_marked(0, 0, 'a', || 0).unwrap();
            lane.try_mark(0, 'b', || 0).unwrap();
            lane.try_push_marked(0, 1, 'c', || 0).unwrap();
        });
        shard.lanes.look(0);
        let mut drain = shard.lanes.run(0, 2);
        for n in 0..drain.len() {
            if n == 0 {
                assert_eq!(drain.next_mark_seq(), 0);
                assert_eq!(drain.take_mark(), Some('a'));
            } else {
                assert_eq!((drain.take_mark(), drain.take_mark()), (Some('b'), Some('c')));
            }
            assert_eq!(drain.next(), Some(n));
        }
        drop(drain);
        pusher.join().unwrap();
    });
}

fn what_a_timed_out_shard_was_rung_for_is_there() {
    explore(3, || {
        let config = LanesConfig { shards: 1, lanes: 1, capacity: 1, marks: 1 };
        let (lanes, mut shards) = ringbuf::lanes::<_, ()>(config, |_| Count::default().waker());
        let mut shard = shards.remove(0);
        let mut lane = lanes.claim().unwrap();
        let pusher = thread::spawn(move || lane.try_push(0, 7, || 3).unwrap());
        if shard.lie_down() && shard.get_up() == Some(3) {
            assert_eq!(shard.run(0, 1).next(), Some(7));
        }
        pusher.join().unwrap();
    });
}

fn a_push_that_races_the_close_is_accepted_or_given_back() {
    explore(3, || {
        let (made, dropped) = (Count::default(), Count::default());
        let (lanes, mut shard) = one_shard::<_, ()>(1, 2);
        let counts = (made.clone(), dropped.clone());
        let pusher = thread::spawn(move || {
            let mut lane = lanes.claim().unwrap();
            let mut accepted = 0;
            for n in 0..2 {
                match lane.try_push(0, Item::new(n, &counts.0, &counts.1), || 0) {
                    Ok(()) => accepted += 1,
                    Err(PushError::Closed(back)) => assert_eq!(back.number, n),
                    Err(PushError::Full(_)) => unreachable!("there is room for both"),
                }
            }
            accepted
        });
        shard.lanes.close();
        let taken: Vec<_> = shard.lanes.run(0, 9).map(|item| item.number).collect();
        assert!(shard.lanes.is_drained());
        let accepted: usize = pusher.join().unwrap();
        assert_eq!(taken, (0..accepted).collect::<Vec<_>>());
        drop(shard);
        assert_eq!(made.get(), dropped.get());
    });
}

fn a_run_that_races_the_close_is_accepted_up_to_the_final_head() {
    explore(3, || {
        let (made, dropped) = (Count::default(), Count::default());
        let (lanes, mut shard) = one_shard::<_, ()>(1, 2);
        let mut lane = lanes.claim().unwrap();
        let counts = (made.clone(), dropped.clone());
        let pusher = thread::spawn(move || {
            let mut accepted = 0;
            for n in 0..2 {
                let mut run = lane.run();
                run.stage(0, Item::new(n, &counts.0, &counts.1)).unwrap();
                match run.commit(|| 0) {
                    Ok(()) => accepted += 1,
                    Err(back) => assert_eq!(back[0].number, n),
                }
            }
            accepted
        });
        shard.lanes.close();
        let taken: Vec<_> = shard.lanes.run(0, 9).map(|item| item.number).collect();
        let accepted: usize = pusher.join().unwrap();
        assert_eq!(taken, (0..accepted).collect::<Vec<_>>());
        drop(shard);
        assert_eq!(made.get(), dropped.get());
    });
}

fn an_item_and_its_mark_share_their_fate_at_the_close() {
    explore(3, || {
        let (lanes, mut shard) = one_shard(1, 2);
        let mut lane = lanes.claim().unwrap();
        let pusher = thread::spawn(move || {
            lane.try_mark(0, 9, || 0).is_ok().then_some(()).map_or(0, |()| 100)
                + match lane.try_push_marked(0, 0, 1, || 0) {
                    Ok(()) => 1,
                    Err(PushError::Closed(back)) => {
                        assert_eq!(back, (0, 1));
                        0
                    }
                    Err(PushError::Full(_)) => unreachable!("there is room"),
                }
        });
        shard.lanes.close();
        let (mut items, mut marks) = (Vec::new(), Vec::new());
        let mut drain = shard.lanes.run(0, 9);
        while !drain.is_empty() {
            marks.extend(std::iter::from_fn(|| drain.take_mark()));
            items.extend(drain.next());
        }
        drop(drain);
        marks.extend(std::iter::from_fn(|| shard.lanes.take_mark_at_head(0)));
        assert!(shard.lanes.is_drained());
        let accepted = pusher.join().unwrap();
        assert_eq!(items.len(), accepted % 100);
        assert_eq!(marks, [9, 1][..accepted / 100 + accepted % 100]);
    });
}

fn a_mark_alone_that_races_the_close_is_accepted_or_given_back() {
    explore(3, || {
        let (lanes, mut shard) = one_shard::<(), _>(1, 2);
        let mut lane = lanes.claim().unwrap();
        let pusher = thread::spawn(move || match lane.try_mark(0, 'a', || 0) {
            Ok(()) => true,
            Err(back) => {
                assert_eq!(back.into_inner(), 'a');
                false
            }
        });
        shard.lanes.close();
        let taken = shard.lanes.take_mark_at_head(0);
        assert_eq!(taken.is_some(), pusher.join().unwrap());
        assert!(shard.lanes.is_drained());
    });
}

/// Claims the only lane as soon as it is free.
fn claim_when_free<T, M>(lanes: &Lanes<T, M>) -> Lane<T, M> {
    loop {
        if let Some(lane) = lanes.claim() {
            return lane;
        }
        thread::yield_now();
    }
}

fn a_lane_handed_over_continues_in_order() {
    explore_without_light(2, || {
        let (lanes, mut shard) = one_shard::<_, ()>(1, 2);
        let pushers = [0, 1].map(|n| {
            let lanes = lanes.clone();
            thread::spawn(move || {
                let mut lane = claim_when_free(&lanes);
                let seq = lane.pushed(0);
                lane.try_push(0, (seq, n), || 0).unwrap();
            })
        });
        for pusher in pushers {
            pusher.join().unwrap();
        }
        let taken: Vec<_> = shard.lanes.run(0, 9).collect();
        assert_eq!(taken.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [0, 1]);
        assert_ne!(taken[0].1, taken[1].1);
    });
}

fn a_lane_handed_over_uses_slots_again_only_when_they_are_free() {
    explore_without_light(3, || {
        let (lanes, mut shard) = one_shard::<_, ()>(1, 1);
        lanes.claim().unwrap().try_push(0, 0, || 0).unwrap();
        let pusher = thread::spawn(move || {
            let mut lane = lanes.claim().unwrap();
            lane.try_push(0, 1, || 0).is_ok()
        });
        assert_eq!(shard.lanes.run(0, 1).next(), Some(0));
        let accepted = pusher.join().unwrap();
        assert_eq!(shard.lanes.run(0, 1).next(), accepted.then_some(1));
    });
}

fn a_lane_thread_that_waits_for_room_is_woken() {
    explore(3, || {
        let (lanes, mut shard) = one_shard::<_, ()>(1, 1);
        let mut lane = lanes.claim().unwrap();
        lane.try_push(0, 0, || 0).unwrap();
        let pusher = thread::spawn(move || lane.push(0, 1, || 0, 0).unwrap());
        assert_eq!(shard.lanes.run(0, 1).next(), Some(0));
        pusher.join().unwrap();
        assert_eq!(shard.lanes.run(0, 1).next(), Some(1));
    });
}

fn a_shard_that_closes_wakes_lanes_that_wait_for_room() {
    explore(3, || {
        let (lanes, mut shard) = one_shard::<_, ()>(1, 1);
        let mut lane = lanes.claim().unwrap();
        lane.try_push(0, 0, || 0).unwrap();
        let pusher = thread::spawn(move || lane.push(0, 1, || 0, 0).unwrap_err().into_inner());
        shard.lanes.close();
        assert_eq!(pusher.join().unwrap(), 1);
        assert_eq!(shard.lanes.run(0, 9).collect::<Vec<_>>(), [0]);
    });
}

fn room_for_marks_wakes_who_waits_for_it() {
    explore(2, || {
        let (lanes, mut shard) = one_shard::<(), _>(1, 1);
        let mut lane = lanes.claim().unwrap();
        lane.try_mark(0, 'a', || 0).unwrap();
        let pusher = thread::spawn(move || {
            ringbuf::wake::block_on_fn(0, |waker| lane.poll_marked_room(0, waker)).unwrap();
            lane.try_push_marked(0, (), 'b', || 0).unwrap();
        });
        assert_eq!(shard.lanes.take_mark_at_head(0), Some('a'));
        pusher.join().unwrap();
        assert_eq!(shard.lanes.run(0, 1).take_mark(), Some('b'));
    });
}

fn two_who_claim_get_two_lanes() {
    explore_without_light(3, || {
        let (lanes, shard) = one_shard::<(), ()>(2, 1);
        let claimer = {
            let lanes = lanes.clone();
            thread::spawn(move || lanes.claim().unwrap())
        };
        let first = lanes.claim().unwrap();
        let second = claimer.join().unwrap();
        assert_ne!(first.index(), second.index());
        assert_eq!((lanes.claimed(), shard.lanes.lanes_in_use()), (2, 2));
    });
}

fn two_who_give_back_free_two_lanes() {
    explore_without_light(3, || {
        let (lanes, _shard) = one_shard::<(), ()>(2, 1);
        let [first, second] = [(); 2].map(|()| lanes.claim().unwrap());
        let leaver = thread::spawn(move || drop(first));
        drop(second);
        leaver.join().unwrap();
        assert_eq!(lanes.claimed(), 0);
    });
}
