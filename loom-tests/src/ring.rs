//! The ring between one producer and one consumer: order, wrapping, runs, closing.

use crate::watch::{Count, Item};
use crate::{explore, explore_without_light, list};
use loom::thread;
use ringbuf::{PushError, ring};

list![
    a_full_ring_wraps_and_keeps_order,
    a_slot_is_used_again_only_after_its_item_left,
    runs_wrap_and_keep_order,
    a_run_left_halfway_keeps_the_rest,
    a_push_that_races_the_close_is_accepted_or_given_back,
    a_run_that_races_the_close_is_accepted_up_to_the_final_head,
    a_consumer_dropped_in_the_middle_drops_each_item_once,
    when_the_producer_is_gone_one_more_look_finds_everything,
];

fn a_full_ring_wraps_and_keeps_order() {
    explore_without_light(3, || {
        let (mut producer, mut consumer) = ring(2);
        producer.try_push(0).unwrap();
        producer.try_push(1).unwrap();
        let pusher = thread::spawn(move || {
            for n in 2..4 {
                while producer.try_push(n).is_err() {
                    thread::yield_now();
                }
            }
        });
        for n in 0..4 {
            let item = loop {
                match consumer.pop() {
                    Some(item) => break item,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(item, n);
        }
        assert_eq!(consumer.pop(), None);
        pusher.join().unwrap();
    });
}

fn a_slot_is_used_again_only_after_its_item_left() {
    explore_without_light(3, || {
        let (mut producer, mut consumer) = ring(1);
        producer.try_push(0).unwrap();
        let pusher = thread::spawn(move || producer.try_push(1).is_ok());
        assert_eq!(consumer.pop(), Some(0));
        let second = consumer.pop();
        let accepted = pusher.join().unwrap();
        let left = second.or_else(|| consumer.pop());
        assert_eq!(left, accepted.then_some(1));
    });
}

fn runs_wrap_and_keep_order() {
    explore_without_light(3, || {
        let (mut producer, mut consumer) = ring(2);
        producer.try_push(0).unwrap();
        let pusher = thread::spawn(move || {
            let mut next = 1;
            while next < 4 {
                let mut fill = producer.fill(2);
                next += fill.extend(next..4);
                if fill.commit().unwrap() == 0 {
                    thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < 4 {
            let run = consumer.run(2);
            if run.is_empty() {
                drop(run);
                thread::yield_now();
                continue;
            }
            for item in run {
                assert_eq!(item, next);
                next += 1;
            }
        }
        pusher.join().unwrap();
    });
}

fn a_run_left_halfway_keeps_the_rest() {
    explore_without_light(3, || {
        let (mut producer, mut consumer) = ring(2);
        producer.fill(2).commit().unwrap();
        let mut fill = producer.fill(2);
        fill.extend(0..2);
        fill.commit().unwrap();
        let pusher = thread::spawn(move || {
            let mut fill = producer.fill(2);
            fill.extend(2..4);
            fill.commit().unwrap()
        });
        let mut run = consumer.run(2);
        assert_eq!(run.as_slices().0.len() + run.as_slices().1.len(), 2);
        assert_eq!(run.next(), Some(0));
        assert_eq!(run.peek(), Some(&1));
        drop(run);
        let more = pusher.join().unwrap();
        assert!(more <= 1, "only one slot was freed");
        let rest: Vec<_> = consumer.run(2).collect();
        assert_eq!(rest, [1, 2][..=more]);
    });
}

fn a_push_that_races_the_close_is_accepted_or_given_back() {
    explore(3, || {
        let (made, dropped) = (Count::default(), Count::default());
        let (mut producer, mut consumer) = ring(2);
        let counts = (made.clone(), dropped.clone());
        let pusher = thread::spawn(move || {
            let mut accepted = 0;
            for n in 0..2 {
                match producer.try_push(Item::new(n, &counts.0, &counts.1)) {
                    Ok(()) => accepted += 1,
                    Err(PushError::Closed(back)) => assert_eq!(back.number, n),
                    Err(PushError::Full(_)) => unreachable!("there is room for both"),
                }
            }
            accepted
        });
        consumer.close();
        let mut taken = Vec::new();
        while let Some(item) = consumer.pop() {
            taken.push(item.number);
        }
        let accepted: usize = pusher.join().unwrap();
        assert_eq!(taken, (0..accepted).collect::<Vec<_>>());
        drop(consumer);
        assert_eq!(made.get(), dropped.get());
    });
}

fn a_run_that_races_the_close_is_accepted_up_to_the_final_head() {
    explore(3, || {
        let (made, dropped) = (Count::default(), Count::default());
        let (mut producer, mut consumer) = ring(4);
        let counts = (made.clone(), dropped.clone());
        let pusher = thread::spawn(move || {
            let mut accepted = 0;
            for first in [0, 2] {
                let mut fill = producer.fill(2);
                fill.extend((first..first + 2).map(|n| Item::new(n, &counts.0, &counts.1)));
                accepted += match fill.commit() {
                    Ok(count) => count,
                    Err(back) => 2 - back.into_inner().len(),
                };
            }
            accepted
        });
        consumer.close();
        let taken: Vec<_> = consumer.run(9).map(|item| item.number).collect();
        let accepted: usize = pusher.join().unwrap();
        assert_eq!(taken, (0..accepted).collect::<Vec<_>>());
        drop(consumer);
        assert_eq!(made.get(), dropped.get());
    });
}

fn a_consumer_dropped_in_the_middle_drops_each_item_once() {
    explore(3, || {
        let (made, dropped) = (Count::default(), Count::default());
        let (mut producer, mut consumer) = ring(2);
        producer.try_push(Item::new(0, &made, &dropped)).unwrap();
        let counts = (made.clone(), dropped.clone());
        let pusher = thread::spawn(move || {
            for n in 1..3 {
                let _ = producer.try_push(Item::new(n, &counts.0, &counts.1));
            }
        });
        let first = consumer.pop().map(|item| item.number);
        assert_eq!(first, Some(0));
        drop(consumer);
        pusher.join().unwrap();
        assert_eq!((made.get(), dropped.get()), (3, 3));
    });
}

fn when_the_producer_is_gone_one_more_look_finds_everything() {
    explore_without_light(3, || {
        let (mut producer, mut consumer) = ring(2);
        let pusher = thread::spawn(move || producer.try_push(7).unwrap());
        if consumer.is_closed() {
            assert_eq!(consumer.pop(), Some(7));
        }
        pusher.join().unwrap();
        assert!(consumer.is_closed());
    });
}
