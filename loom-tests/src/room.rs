//! Waiting for room: a thread or a task, woken by the consumer or by its close.

use crate::watch::Count;
use crate::{explore, list};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use ringbuf::{Closed, ring};
use std::task::Poll;

list![
    a_thread_that_waits_for_room_is_woken,
    a_thread_waits_again_and_again,
    a_run_that_frees_room_wakes_who_waits,
    the_close_wakes_who_waits_for_room,
    a_task_that_was_told_to_wait_is_woken,
    a_waker_is_replaced_while_it_is_being_woken,
    a_waiter_that_gives_up_leaves_nothing_behind,
    what_was_done_before_a_wake_is_seen_after_it,
    what_two_did_before_they_woke_is_seen_after_one_look,
];

fn a_thread_that_waits_for_room_is_woken() {
    explore(3, || {
        let (mut producer, mut consumer) = ring(1);
        producer.try_push(0).unwrap();
        let pusher = thread::spawn(move || producer.push(1, 0).unwrap());
        assert_eq!(consumer.pop(), Some(0));
        pusher.join().unwrap();
        assert_eq!(consumer.pop(), Some(1));
    });
}

fn a_thread_waits_again_and_again() {
    explore(2, || {
        let (mut producer, mut consumer) = ring(1);
        producer.try_push(0).unwrap();
        let pusher = thread::spawn(move || {
            producer.push(1, 0).unwrap();
            producer.push(2, 0).unwrap();
        });
        for n in 0..3 {
            while consumer.peek().is_none() {
                thread::yield_now();
            }
            assert_eq!(consumer.pop(), Some(n));
        }
        pusher.join().unwrap();
    });
}

fn a_run_that_frees_room_wakes_who_waits() {
    explore(3, || {
        let (mut producer, mut consumer) = ring(2);
        let mut fill = producer.fill(2);
        fill.extend(0..2);
        fill.commit().unwrap();
        let pusher = thread::spawn(move || {
            producer.wait_for_room(2, 0).unwrap();
            assert_eq!(producer.room(), 2);
        });
        assert!(consumer.run(1).eq(0..1));
        assert!(consumer.run(1).eq(1..2));
        pusher.join().unwrap();
    });
}

fn the_close_wakes_who_waits_for_room() {
    explore(3, || {
        let (mut producer, mut consumer) = ring(1);
        producer.try_push(0).unwrap();
        let pusher = thread::spawn(move || assert_eq!(producer.push(1, 0), Err(Closed(1))));
        consumer.close();
        pusher.join().unwrap();
        assert_eq!((consumer.pop(), consumer.pop()), (Some(0), None));
    });
}

fn a_task_that_was_told_to_wait_is_woken() {
    explore(3, || {
        let (mut producer, mut consumer) = ring(1);
        producer.try_push(0).unwrap();
        let wakes = Count::default();
        let waker = wakes.waker();
        let pusher = thread::spawn(move || (producer.poll_room(1, &waker), producer));
        assert_eq!(consumer.pop(), Some(0));
        let (answer, _producer) = pusher.join().unwrap();
        match answer {
            Poll::Ready(room) => assert_eq!(room, Ok(())),
            Poll::Pending => assert_eq!(wakes.get(), 1, "told to wait, and forgotten"),
        }
    });
}

fn a_waker_is_replaced_while_it_is_being_woken() {
    explore(3, || {
        let (mut producer, mut consumer) = ring(2);
        let mut fill = producer.fill(2);
        fill.extend(0..2);
        fill.commit().unwrap();
        let (first, second) = (Count::default(), Count::default());
        let wakers = (first.waker(), second.waker());
        let pusher = thread::spawn(move || {
            let once = producer.poll_room(2, &wakers.0);
            let twice = producer.poll_room(2, &wakers.1);
            (once, twice, producer)
        });
        assert_eq!(consumer.pop(), Some(0));
        assert_eq!(consumer.pop(), Some(1));
        let (_, twice, _producer) = pusher.join().unwrap();
        if twice.is_pending() {
            assert!(second.get() >= 1, "the last waker counts");
        }
    });
}

fn a_waiter_that_gives_up_leaves_nothing_behind() {
    explore(3, || {
        let (mut producer, mut consumer) = ring(1);
        producer.try_push(0).unwrap();
        let wakes = Count::default();
        let waker = wakes.waker();
        let pusher = thread::spawn(move || {
            let _ = producer.poll_room(1, &waker);
            drop(producer);
        });
        assert_eq!(consumer.pop(), Some(0));
        pusher.join().unwrap();
    });
}

fn what_was_done_before_a_wake_is_seen_after_it() {
    explore(3, || {
        let event = Arc::new(AtomicBool::new(false));
        let mut other = None;
        ringbuf::wake::block_on_fn(0, |waker| {
            if other.is_none() {
                let (event, waker) = (Arc::clone(&event), waker.clone());
                other = Some(thread::spawn(move || {
                    // Relaxed, so that the wake alone orders it.
                    event.store(true, Ordering::Relaxed);
                    waker.wake();
                }));
                return Poll::Pending;
            }
            assert!(event.load(Ordering::Relaxed), "woken, and the event is not to be seen");
            Poll::Ready(())
        });
        other.unwrap().join().unwrap();
    });
}

fn what_two_did_before_they_woke_is_seen_after_one_look() {
    explore(2, || {
        let events = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let mut others = None;
        ringbuf::wake::block_on_fn(0, |waker| {
            if others.is_none() {
                others = Some(events.clone().map(|event| {
                    let waker = waker.clone();
                    thread::spawn(move || {
                        // Relaxed, so that the wakes alone order it.
                        event.store(true, Ordering::Relaxed);
                        waker.wake();
                    })
                }));
            }
            // For good, should one wake swallow what the other was for.
            let both = events.iter().all(|event| event.load(Ordering::Relaxed));
            if both { Poll::Ready(()) } else { Poll::Pending }
        });
        for other in others.unwrap() {
            other.join().unwrap();
        }
    });
}
