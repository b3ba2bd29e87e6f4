//! The ring against its plain twin: a `VecDeque` under the same random operations.
#![cfg(not(tidegate_loom))]

use proptest::prelude::*;
use ringbuf::{Closed, PushError, ring};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

/// An item that counts those of its kind that are alive.
#[derive(Debug)]
struct Counted(u32, Arc<AtomicIsize>);

impl Counted {
    fn new(number: u32, alive: &Arc<AtomicIsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(number, Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone)]
enum Operation {
    Push,
    Pop,
    /// Fill up to `max`, put `items` in, then commit or not.
    Fill {
        max: usize,
        items: usize,
        commit: bool,
    },
    /// Drain up to `max` and take `items` of them.
    Drain {
        max: usize,
        items: usize,
    },
    Skip {
        max: usize,
        items: usize,
    },
    Close,
}

fn operation() -> impl Strategy<Value = Operation> {
    let n = 0_usize..12;
    prop_oneof![
        6 => Just(Operation::Push),
        6 => Just(Operation::Pop),
        4 => (n.clone(), n.clone(), prop::bool::weighted(0.8))
            .prop_map(|(max, items, commit)| Operation::Fill { max, items, commit }),
        4 => (n.clone(), n.clone()).prop_map(|(max, items)| Operation::Drain { max, items }),
        1 => (n.clone(), n).prop_map(|(max, items)| Operation::Skip { max, items }),
        1 => Just(Operation::Close),
    ]
}

/// What a ring must do, as plainly as possible.
struct Twin {
    items: VecDeque<u32>,
    capacity: usize,
    closed: bool,
}

impl Twin {
    fn room(&self) -> usize {
        self.capacity - self.items.len()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_ring_does_what_a_queue_does(
        asked in 1_usize..9,
        operations in prop::collection::vec(operation(), 0..80),
    ) {
        let alive = Arc::new(AtomicIsize::new(0));
        let (mut producer, mut consumer) = ring(asked);
        let capacity = asked.next_power_of_two();
        prop_assert_eq!((producer.capacity(), consumer.capacity()), (capacity, capacity));
        let mut twin = Twin { items: VecDeque::new(), capacity, closed: false };
        let mut number = 0;
        let mut next = || {
            number += 1;
            Counted::new(number, &alive)
        };
        let (mut pushed, mut taken) = (0, 0);
        for operation in operations {
            match operation {
                Operation::Push => {
                    let item = next();
                    let number = item.0;
                    match producer.try_push(item) {
                        Ok(()) => {
                            prop_assert!(twin.room() > 0 && !twin.closed);
                            twin.items.push_back(number);
                            pushed += 1;
                        }
                        Err(PushError::Full(back)) => {
                            prop_assert_eq!((back.0, twin.room(), twin.closed), (number, 0, false));
                        }
                        Err(PushError::Closed(back)) => {
                            prop_assert_eq!((back.0, twin.closed), (number, true));
                        }
                    }
                }
                Operation::Pop => {
                    let item = consumer.pop().map(|item| item.0);
                    prop_assert_eq!(item, twin.items.pop_front());
                    taken += u64::from(item.is_some());
                }
                Operation::Fill { max, items, commit } => {
                    let mut fill = producer.fill(max);
                    prop_assert_eq!(fill.room(), max.min(twin.room()));
                    let first: Vec<_> = (0..items).map(|_| next()).collect();
                    let numbers: Vec<_> = first.iter().map(|item| item.0).collect();
                    let count = fill.extend(first);
                    prop_assert_eq!(count, items.min(max).min(twin.room()));
                    prop_assert_eq!((fill.len(), fill.is_empty()), (count, count == 0));
                    if commit {
                        match fill.commit() {
                            Ok(accepted) => {
                                prop_assert!(accepted == count && (count == 0 || !twin.closed));
                                twin.items.extend(&numbers[..count]);
                                pushed += count as u64;
                            }
                            Err(Closed(back)) => {
                                prop_assert!(twin.closed && count > 0);
                                let back: Vec<_> = back.iter().map(|item| item.0).collect();
                                prop_assert_eq!(&back[..], &numbers[..count]);
                            }
                        }
                    }
                }
                Operation::Drain { max, items } => {
                    let mut run = consumer.run(max);
                    let there = max.min(twin.items.len());
                    prop_assert_eq!((run.len(), run.seq()), (there, taken));
                    let (first, second) = run.as_slices();
                    let numbers: Vec<_> = first.iter().chain(second).map(|item| item.0).collect();
                    prop_assert!(numbers.iter().eq(twin.items.iter().take(there)));
                    for _ in 0..items {
                        prop_assert_eq!(
                            run.peek().map(|item| item.0),
                            twin.items.front().copied().filter(|_| !run.is_empty())
                        );
                        let Some(item) = run.next() else { break };
                        prop_assert_eq!(Some(item.0), twin.items.pop_front());
                        taken += 1;
                    }
                }
                Operation::Skip { max, items } => {
                    let mut run = consumer.run(max);
                    let count = run.len().min(items);
                    run.skip_in_place(items);
                    twin.items.drain(..count);
                    taken += count as u64;
                }
                Operation::Close => {
                    consumer.close();
                    twin.closed = true;
                    prop_assert!(producer.is_closed());
                }
            }
            prop_assert_eq!(consumer.len(), twin.items.len());
            prop_assert_eq!(consumer.is_empty(), twin.items.is_empty());
            prop_assert_eq!(consumer.peek().map(|item| item.0), twin.items.front().copied());
            prop_assert_eq!(producer.room(), twin.room());
            prop_assert_eq!((producer.pushed(), consumer.taken()), (pushed, taken));
            prop_assert_eq!(alive.load(Ordering::Relaxed), twin.items.len() as isize);
        }
        drop(producer);
        prop_assert!(consumer.is_closed());
        drop(consumer);
        prop_assert_eq!(alive.load(Ordering::Relaxed), 0);
    }
}
