//! Every item is dropped exactly once, whatever panics or leaks.
#![cfg(not(tidegate_loom))]

use ringbuf::{LanesConfig, ring};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

/// An item that counts its drops, and panics in one of them.
struct Fragile {
    drops: Arc<AtomicUsize>,
    breaks: bool,
}

impl Drop for Fragile {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
        assert!(!self.breaks, "this one breaks");
    }
}

struct Shop(Arc<AtomicUsize>);

impl Shop {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn item(&self, breaks: bool) -> Fragile {
        Fragile { drops: Arc::clone(&self.0), breaks }
    }

    fn dropped(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn panics(run: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(run)).is_err()
}

#[test]
fn a_panicking_drop_leaves_no_other_item_behind() {
    // Each place once, in a ring that has wrapped, so that the items lie in two slices.
    for broken in 0..4 {
        let shop = Shop::new();
        let (mut producer, mut consumer) = ring(4);
        for _ in 0..3 {
            producer.try_push(shop.item(false)).unwrap();
        }
        consumer.run(3).skip_in_place(3);
        for n in 0..4 {
            producer.try_push(shop.item(n == broken)).unwrap();
        }
        assert!(panics(|| drop(consumer)));
        drop(producer);
        assert_eq!(shop.dropped(), 7, "broken item {broken}");
    }
}

#[test]
fn a_panicking_drop_in_a_run_loses_no_place() {
    let shop = Shop::new();
    let (mut producer, mut consumer) = ring(8);
    for n in 0..6 {
        producer.try_push(shop.item(n == 1)).unwrap();
    }
    assert!(panics(|| {
        for item in consumer.run(4) {
            drop(item);
        }
    }));
    assert_eq!((shop.dropped(), consumer.len()), (2, 4));
    assert!(panics(|| {
        let mut fill = producer.fill(2);
        fill.extend([shop.item(true), shop.item(false)]);
    }));
    assert_eq!((shop.dropped(), producer.room()), (4, 4));
    drop((producer, consumer));
    assert_eq!(shop.dropped(), 8);
}

#[test]
fn an_iterator_that_panics_leaves_what_it_gave_before() {
    let (mut producer, mut consumer) = ring(8);
    let mut fill = producer.fill(8);
    assert!(panics(|| {
        fill.extend((0..).inspect(|n| assert!(*n < 3, "out of items")));
    }));
    assert_eq!(fill.len(), 3);
    assert_eq!(fill.commit(), Ok(3));
    assert_eq!(consumer.run(9).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn whichever_end_goes_first_the_items_are_dropped_once() {
    for consumer_first in [true, false] {
        let shop = Shop::new();
        let (mut producer, mut consumer) = ring(4);
        for _ in 0..3 {
            producer.try_push(shop.item(false)).unwrap();
        }
        drop(consumer.pop());
        if consumer_first {
            drop(consumer);
            assert_eq!(shop.dropped(), 3, "they go with the consumer");
            assert!(producer.try_push(shop.item(false)).is_err_and(|error| error.is_closed()));
        } else {
            drop(producer);
            assert_eq!(shop.dropped(), 1);
            drop(consumer);
        }
        assert_eq!(shop.dropped(), 3 + usize::from(consumer_first));
    }
}

#[test]
fn a_leaked_run_leaks_its_items_and_no_more() {
    let shop = Shop::new();
    let (mut producer, mut consumer) = ring(4);
    let mut fill = producer.fill(4);
    fill.extend([shop.item(false), shop.item(false)]);
    std::mem::forget(fill);
    for _ in 0..4 {
        producer.try_push(shop.item(false)).unwrap();
    }
    let mut run = consumer.run(3);
    drop(run.next());
    std::mem::forget(run);
    assert_eq!((consumer.len(), consumer.taken()), (1, 3));
    drop(consumer.pop());
    assert_eq!(producer.room(), 4);
    drop((producer, consumer));
    assert_eq!(shop.dropped(), 2, "two were never accepted and two leaked with the run");
}

#[test]
fn lanes_drop_what_nobody_took() {
    let shop = Shop::new();
    let config = LanesConfig { shards: 2, lanes: 2, capacity: 4, marks: 2 };
    let (lanes, mut shards) = ringbuf::lanes(config, |_| Waker::noop().clone());
    let mut lane = lanes.claim().unwrap();
    lane.try_push_marked(0, shop.item(false), shop.item(false), || 0).unwrap();
    lane.try_mark(1, shop.item(false), || 0).unwrap();
    let mut run = lane.run();
    run.stage(0, shop.item(false)).map_err(|_| ()).unwrap();
    run.stage(1, shop.item(false)).map_err(|_| ()).unwrap();
    drop(run);
    assert_eq!(shop.dropped(), 2, "a run that is not committed drops what it staged");
    lane.try_push(1, shop.item(false), || 0).unwrap();
    let mut leaked = lane.run();
    leaked.stage(1, shop.item(false)).map_err(|_| ()).unwrap();
    std::mem::forget(leaked);
    assert_eq!(shards[1].look(0), 1, "a leaked run was never accepted");
    drop(shards.remove(0));
    assert_eq!(shop.dropped(), 4);
    drop((lanes, lane));
    drop(shards);
    assert_eq!(shop.dropped(), 6);
}
