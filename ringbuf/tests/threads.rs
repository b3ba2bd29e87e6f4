//! Real threads: order, sums, waiting, and closing in the middle.
#![cfg(not(tidegate_loom))]

use ringbuf::wake::{BRIEF_SPIN, thread_waker};
use ringbuf::{Closed, LanesConfig, PushError, ring};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// Folds a number into a sum that notices a change of order.
fn fold(sum: u64, n: u64) -> u64 {
    sum.wrapping_mul(31).wrapping_add(n)
}

#[test]
fn single_items_arrive_in_order() {
    for capacity in [1, 2, 3, 64] {
        let count = 50_000 / if capacity < 4 { 10 } else { 1 };
        let (mut producer, mut consumer) = ring(capacity);
        let pusher = thread::spawn(move || {
            for n in 0..count {
                producer.push(n, BRIEF_SPIN).unwrap();
            }
        });
        let mut sum = 0;
        loop {
            let last_look = consumer.is_closed();
            while let Some(n) = consumer.pop() {
                sum = fold(sum, n);
            }
            if last_look {
                break;
            }
            thread::yield_now();
        }
        pusher.join().unwrap();
        assert_eq!(sum, (0..count).fold(0, fold));
    }
}

#[test]
fn runs_arrive_in_order() {
    let (mut producer, mut consumer) = ring(100);
    let pusher = thread::spawn(move || {
        let mut next = 0;
        for len in (1..).map(|n| n * 7 % 61 + 1) {
            if next >= 200_000_u64 {
                return;
            }
            producer.wait_for_room(1, 0).unwrap();
            let mut fill = producer.fill(len);
            next += fill.extend(next..200_000) as u64;
            fill.commit().unwrap();
        }
    });
    let (mut sum, mut count) = (0, 0);
    while count < 200_000 {
        for n in consumer.run(37) {
            sum = fold(sum, n);
            count += 1;
        }
    }
    pusher.join().unwrap();
    assert_eq!(sum, (0..200_000).fold(0, fold));
}

#[test]
fn a_push_that_waits_is_woken_by_room_and_by_the_close() {
    let (mut producer, mut consumer) = ring(2);
    let pusher = thread::spawn(move || {
        let mut accepted = 0_u32;
        loop {
            match producer.push(accepted, 0) {
                Ok(()) => accepted += 1,
                Err(Closed(back)) => return (accepted, back),
            }
        }
    });
    for n in 0..1_000 {
        let item = loop {
            match consumer.pop() {
                Some(item) => break item,
                None => thread::yield_now(),
            }
        };
        assert_eq!(item, n);
    }
    consumer.close();
    let rest = consumer.run(9).len() as u32;
    let (accepted, back) = pusher.join().unwrap();
    assert_eq!((accepted, back), (1_000 + rest, 1_000 + rest));
}

#[test]
fn a_push_racing_the_close_is_accepted_or_given_back_ten_thousand_times() {
    // Two threads for all rounds: each round hands one ring's ends over and races.
    let (mut to_pusher, mut rings) = ring::<(ringbuf::Producer<u64>, u64)>(1);
    let (mut answers, mut answered) = ring::<u64>(1);
    let pusher = thread::spawn(move || {
        while let Some((mut producer, runs)) = next(&mut rings) {
            let mut accepted = 0;
            loop {
                if runs == 1 {
                    let mut fill = producer.fill(3);
                    let staged = fill.extend(accepted..) as u64;
                    match fill.commit() {
                        Ok(count) => accepted += count as u64,
                        Err(Closed(back)) => {
                            accepted += staged - back.len() as u64;
                            assert_eq!(back[0], accepted, "the accepted part is a prefix");
                            break;
                        }
                    }
                    if staged == 0 && producer.is_closed() {
                        break;
                    }
                    continue;
                }
                match producer.try_push(accepted) {
                    Ok(()) => accepted += 1,
                    Err(PushError::Full(_)) => {}
                    Err(PushError::Closed(back)) => {
                        assert_eq!(back, accepted);
                        break;
                    }
                }
            }
            answers.push(accepted, 0).unwrap();
        }
    });
    for round in 0..10_000_u64 {
        let (producer, mut consumer) = ring(8);
        to_pusher.push((producer, round % 2), 0).unwrap();
        let mut taken = 0;
        for _ in 0..round % 50 {
            for item in consumer.run(2) {
                assert_eq!(item, taken);
                taken += 1;
            }
            std::hint::spin_loop();
        }
        consumer.close();
        for item in consumer.run(9) {
            assert_eq!(item, taken);
            taken += 1;
        }
        let accepted = next(&mut answered).unwrap();
        assert_eq!(accepted, taken, "round {round}");
    }
    drop(to_pusher);
    pusher.join().unwrap();
}

/// The next item, or none once the producer is gone.
fn next<T>(consumer: &mut ringbuf::Consumer<T>) -> Option<T> {
    loop {
        let last_look = consumer.is_closed();
        if let Some(item) = consumer.pop() {
            return Some(item);
        }
        if last_look {
            return None;
        }
        thread::yield_now();
    }
}

#[test]
fn a_sleeping_shard_misses_no_push_of_any_lane() {
    const EACH: u64 = 20_000;
    let config = LanesConfig { shards: 1, lanes: 2, capacity: 16, marks: 4 };
    let (lanes, mut shards) = ringbuf::lanes(config, |_| thread_waker());
    let mut shard = shards.remove(0);
    let pushers = [0, 1].map(|pusher: u64| {
        let lanes = lanes.clone();
        thread::spawn(move || {
            // Claimed, dropped and claimed again, while the shard sleeps and wakes.
            let mut next = 0;
            while next < EACH {
                let mut lane = lanes.claim().expect("there are as many lanes as pushers");
                for _ in 0..100 {
                    let item = (pusher, next);
                    if next % 64 == 0 {
                        let mut mark = next;
                        let mut item = item;
                        while let Err(error) = lane.try_push_marked(0, item, mark, || 1) {
                            (item, mark) = error.into_inner();
                            lane.wait_for_room(0, 1, 0).unwrap();
                            thread::yield_now();
                        }
                    } else {
                        lane.push(0, item, || 1, 0).unwrap();
                    }
                    next += 1;
                }
            }
        })
    });
    // A pusher may come back on the other lane, so its order holds lane by lane.
    let mut next_least = [[0; 2]; 2];
    let (mut count, mut sums) = (0, [0; 2]);
    while count < 2 * EACH {
        for (lane, next_least) in next_least.iter_mut().enumerate().take(shard.lanes_in_use()) {
            shard.look(lane);
            let mut drain = shard.run(lane, 8);
            while !drain.is_empty() {
                let mark = drain.take_mark();
                let (pusher, n) = drain.next().unwrap();
                assert_eq!(mark, (n % 64 == 0).then_some(n));
                assert!(n >= next_least[pusher as usize], "order of one pusher in one lane");
                next_least[pusher as usize] = n + 1;
                sums[pusher as usize] += n;
                count += 1;
            }
        }
        if count < 2 * EACH && shard.lie_down() {
            thread::park();
            shard.get_up();
        }
    }
    assert_eq!(sums, [(0..EACH).sum::<u64>(); 2]);
    for pusher in pushers {
        pusher.join().unwrap();
    }
    shard.close();
    assert!(shard.is_drained());
}

#[test]
fn lanes_racing_the_close_lose_nothing() {
    for round in 0..300 {
        let config = LanesConfig { shards: 1, lanes: 2, capacity: 4, marks: 2 };
        let (lanes, mut shards) = ringbuf::lanes::<_, ()>(config, |_| thread_waker());
        let mut shard = shards.remove(0);
        let (accepted, started) = (AtomicU64::new(0), AtomicBool::new(false));
        let mut taken = 0;
        thread::scope(|scope| {
            for _ in 0..2 {
                let mut lane = lanes.claim().unwrap();
                let (accepted, started) = (&accepted, &started);
                scope.spawn(move || {
                    started.store(true, Ordering::Relaxed);
                    while lane.push(0, (), || 0, 0).is_ok() {
                        accepted.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while !started.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            for turn in 0..round % 40 {
                taken += shard.run(turn % 2, 3).count() as u64;
            }
            shard.close();
            for lane in 0..2 {
                taken += shard.run(lane, 9).count() as u64;
            }
            assert!(shard.is_drained());
        });
        assert_eq!(accepted.into_inner(), taken, "round {round}");
    }
}
