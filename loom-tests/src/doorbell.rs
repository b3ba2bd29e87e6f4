//! The doorbell: sleeping, ringing, knocking.

use crate::watch::{Count, Nap};
use crate::{explore, explore_without_light, list};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use ringbuf::Doorbell;

list![
    a_sleeper_never_misses_what_was_published,
    of_two_ringers_one_wakes_the_sleeper,
    a_ring_is_seen_with_what_came_before_it,
    a_knock_is_seen_with_what_came_before_it,
    two_knocks_hand_on_what_both_did,
    a_knock_wakes_a_sleeper_in_every_case,
    a_knock_is_taken_now_or_later,
    a_close_by_another_thread_and_a_sleep_do_not_undo_each_other,
];

fn a_sleeper_never_misses_what_was_published() {
    explore(3, || {
        let nap = Nap::default();
        let bell = Arc::new(Doorbell::new(nap.waker()));
        let item = Arc::new(AtomicBool::new(false));
        let ringer = {
            let (bell, item) = (Arc::clone(&bell), Arc::clone(&item));
            thread::spawn(move || {
                item.store(true, Ordering::Relaxed);
                bell.ring_if_asleep(|| 1);
            })
        };
        bell.lie_down();
        if !item.load(Ordering::Relaxed) {
            nap.sleep(); // for good, should the ring be lost
            assert_eq!(bell.get_up(), Some(1));
            assert!(item.load(Ordering::Relaxed));
        }
        ringer.join().unwrap();
    });
}

fn of_two_ringers_one_wakes_the_sleeper() {
    explore(2, || {
        let wakes = Count::default();
        let bell = Arc::new(Doorbell::new(wakes.waker()));
        bell.lie_down();
        let ringers = [5, 6].map(|time| {
            let bell = Arc::clone(&bell);
            thread::spawn(move || bell.ring_if_asleep(|| time))
        });
        let [first, second] = ringers.map(|ringer| ringer.join().unwrap());
        assert!(first != second && wakes.get() == 1, "exactly one rings");
        assert_eq!(bell.get_up(), Some(if first { 5 } else { 6 }));
        assert_eq!(bell.get_up(), None);
    });
}

fn a_ring_is_seen_with_what_came_before_it() {
    explore_without_light(3, || {
        // Nothing wakes this sleeper but its own timeout, so only the bell's word orders.
        let bell = Arc::new(Doorbell::new(Count::default().waker()));
        let item = Arc::new(AtomicBool::new(false));
        bell.lie_down();
        let ringer = {
            let (bell, item) = (Arc::clone(&bell), Arc::clone(&item));
            thread::spawn(move || {
                item.store(true, Ordering::Relaxed);
                bell.ring_if_asleep(|| 7)
            })
        };
        let told = bell.get_up() == Some(7);
        if told {
            assert!(item.load(Ordering::Relaxed));
        }
        assert_eq!(ringer.join().unwrap(), told, "a ring is told, or there was none");
    });
}

fn a_knock_is_seen_with_what_came_before_it() {
    explore(3, || {
        let bell = Arc::new(Doorbell::new(Count::default().waker()));
        let order = Arc::new(AtomicUsize::new(0));
        let knocker = {
            let (bell, order) = (Arc::clone(&bell), Arc::clone(&order));
            thread::spawn(move || {
                order.store(1, Ordering::Relaxed);
                bell.knock();
            })
        };
        if bell.take_knock() {
            assert_eq!(order.load(Ordering::Relaxed), 1);
            assert!(!bell.take_knock(), "a knock is taken once");
        }
        knocker.join().unwrap();
    });
}

fn two_knocks_hand_on_what_both_did() {
    let seen_both = Count::default();
    let times = seen_both.clone();
    explore(2, move || {
        let bell = Arc::new(Doorbell::new(Count::default().waker()));
        let orders = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let knocked = Arc::new(AtomicUsize::new(0));
        let knockers = orders.clone().map(|order| {
            let (bell, knocked) = (Arc::clone(&bell), Arc::clone(&knocked));
            thread::spawn(move || {
                order.store(true, Ordering::Relaxed);
                bell.knock();
                knocked.fetch_add(1, Ordering::Relaxed);
            })
        });
        // Relaxed, so that the one take alone hands on both. And once, not until it is so: after a
        // yield loom has a thread see the newest of everything.
        if knocked.load(Ordering::Relaxed) == 2 && bell.take_knock() {
            times.add(1);
            assert!(orders.iter().all(|order| order.load(Ordering::Relaxed)));
        }
        for knocker in knockers {
            knocker.join().unwrap();
        }
    });
    assert!(seen_both.get() > 0, "it never came to the take that this is about");
}

fn a_knock_wakes_a_sleeper_in_every_case() {
    explore(3, || {
        let nap = Nap::default();
        let bell = Arc::new(Doorbell::new(nap.waker()));
        let knocker = {
            let bell = Arc::clone(&bell);
            thread::spawn(move || bell.knock())
        };
        while !bell.take_knock() {
            bell.lie_down();
            nap.sleep();
            bell.get_up();
        }
        knocker.join().unwrap();
    });
}

fn a_knock_is_taken_now_or_later() {
    explore(3, || {
        let bell = Arc::new(Doorbell::new(Count::default().waker()));
        let orders = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let knocker = {
            let (bell, orders) = (Arc::clone(&bell), orders.clone());
            thread::spawn(move || {
                for order in orders {
                    order.store(true, Ordering::Relaxed);
                    bell.knock();
                }
            })
        };
        let seen_at_once = bell.take_knock() && orders[1].load(Ordering::Relaxed);
        knocker.join().unwrap();
        assert!(bell.take_knock() || seen_at_once, "the second knock is gone");
    });
}

fn a_close_by_another_thread_and_a_sleep_do_not_undo_each_other() {
    explore_without_light(3, || {
        let bell = Arc::new(Doorbell::new(Count::default().waker()));
        let closer = {
            let bell = Arc::clone(&bell);
            thread::spawn(move || bell.close())
        };
        bell.lie_down();
        bell.get_up();
        bell.lie_down();
        closer.join().unwrap();
        assert!(bell.is_closed());
        assert!(bell.ring_if_asleep(|| 1), "it lies");
    });
}
