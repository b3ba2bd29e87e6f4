//! Returns: giving and dropping against taking and minting anew; a reader that sleeps.

use crate::watch::{Count, Item, Nap};
use crate::{explore, list};
use loom::sync::Arc;
use loom::thread;
use ringbuf::{Doorbell, Return, Returns, returns};

list![
    what_is_given_comes_back_and_its_slot_is_minted_anew,
    a_gift_and_a_dropped_handle_come_back_once_each,
    a_gift_to_a_reader_that_is_gone_is_dropped,
    a_sleeping_reader_is_woken_by_a_gift,
];

fn give_in(handle: Return<Item>, item: Item) -> thread::JoinHandle<()> {
    thread::spawn(move || handle.give(item))
}

fn next(returns: &mut Returns<Item>) -> (u32, Option<Item>) {
    loop {
        match returns.take() {
            Some(back) => return back,
            None => thread::yield_now(),
        }
    }
}

fn what_is_given_comes_back_and_its_slot_is_minted_anew() {
    explore(3, || {
        let (made, dropped) = (Count::default(), Count::default());
        let mut returns = returns(1);
        let first = give_in(returns.handle(0), Item::new(1, &made, &dropped));
        let early = returns.take();
        let (slot, item) = early.unwrap_or_else(|| next(&mut returns));
        assert_eq!((slot, item.unwrap().number), (0, 1));
        let second = give_in(returns.handle(0), Item::new(2, &made, &dropped));
        let (slot, item) = next(&mut returns);
        assert_eq!((slot, item.unwrap().number), (0, 2));
        first.join().unwrap();
        second.join().unwrap();
        assert!(returns.take().is_none());
        assert_eq!((made.get(), dropped.get()), (2, 2));
    });
}

fn a_gift_and_a_dropped_handle_come_back_once_each() {
    explore(3, || {
        let (made, dropped) = (Count::default(), Count::default());
        let mut returns = returns(2);
        let giver = give_in(returns.handle(0), Item::new(1, &made, &dropped));
        let handle = returns.handle(1);
        let dropper = thread::spawn(move || drop(handle));
        for _ in 0..2 {
            match next(&mut returns) {
                (0, Some(item)) => assert_eq!(item.number, 1),
                (1, None) => {}
                other => panic!("{other:?} came back"),
            }
        }
        assert_eq!(returns.out(), 0);
        giver.join().unwrap();
        dropper.join().unwrap();
        assert_eq!((made.get(), dropped.get()), (1, 1));
    });
}

fn a_gift_to_a_reader_that_is_gone_is_dropped() {
    explore(3, || {
        let (made, dropped) = (Count::default(), Count::default());
        let mut returns = returns(1);
        let giver = give_in(returns.handle(0), Item::new(1, &made, &dropped));
        drop(returns);
        giver.join().unwrap();
        assert_eq!((made.get(), dropped.get()), (1, 1));
    });
}

fn a_sleeping_reader_is_woken_by_a_gift() {
    for knocks in [false, true] {
        explore(2, move || {
            let (made, dropped) = (Count::default(), Count::default());
            let nap = Nap::default();
            let bell = Arc::new(Doorbell::new(nap.waker()));
            let mut returns = returns(1);
            let (handle, ringer) = (returns.handle(0), Arc::clone(&bell));
            let item = Item::new(1, &made, &dropped);
            let giver = thread::spawn(move || {
                handle.give(item);
                if knocks {
                    ringer.knock();
                } else {
                    ringer.ring_if_asleep(|| 0);
                }
            });
            let mut back = returns.take();
            while back.is_none() {
                bell.lie_down();
                if returns.is_empty() {
                    nap.sleep(); // for good, should the ring be lost
                }
                bell.get_up();
                back = returns.take();
            }
            assert_eq!(back.unwrap().1.unwrap().number, 1);
            giver.join().unwrap();
        });
    }
}
