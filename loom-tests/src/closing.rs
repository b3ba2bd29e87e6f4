//! The close race on rings that begin in the middle, fill and wrap, and pushes after it.

use crate::watch::{Count, Item, Nap};
use crate::{explore, list};
use loom::thread;
use ringbuf::{Lane, LanesConfig, PushError, ReplyPool, ShardLanes, ring};
use std::task::{Poll, Waker};

list![
    single_pushes_into_a_ring_that_fills,
    single_pushes_into_a_ring_for_one,
    runs_over_the_end_of_the_ring,
    lane_pushes_into_a_ring_that_fills,
    lane_runs_over_the_end_of_the_ring,
    marked_pushes_into_rings_that_fill,
    marks_alone_into_a_ring_that_fills,
    a_push_to_two_shards_beside_their_close_is_answered_or_given_back,
];

/// What one producer was told about the items that it pushed, by number.
#[derive(Debug, Default)]
struct Told {
    accepted: Vec<usize>,
    closed: bool,
}

impl Told {
    /// Notes the answer to the push of `n`; of what goes back, `number` says which it is.
    fn hear<T>(&mut self, n: usize, answer: Result<(), PushError<T>>, number: fn(&T) -> usize) {
        match answer {
            Ok(()) => {
                assert!(!self.closed, "accepted after the close");
                self.accepted.push(n);
            }
            Err(PushError::Closed(back)) => {
                assert_eq!(number(&back), n, "another item goes back");
                self.closed = true;
            }
            Err(PushError::Full(back)) => {
                assert_eq!(number(&back), n, "another item goes back");
                assert!(!self.closed, "full after the close");
            }
        }
    }
}

/// How many items were made and how many dropped.
#[derive(Debug, Clone, Default)]
struct Counts(Count, Count);

impl Counts {
    fn item(&self, number: usize) -> Item {
        Item::new(number, &self.0, &self.1)
    }

    fn assert_even(&self) {
        assert_eq!(self.0.get(), self.1.get(), "made and dropped");
    }
}

fn push_against_a_close(capacity: usize, pushes: usize) {
    let counts = Counts::default();
    let (mut producer, mut consumer) = ring(capacity);
    // The next slot is not the first, and one of them is taken.
    producer.try_push(counts.item(9)).unwrap();
    assert!(consumer.pop().is_some());
    producer.try_push(counts.item(0)).unwrap();
    let pusher = {
        let counts = counts.clone();
        thread::spawn(move || {
            let mut told = Told::default();
            for n in 1..=pushes {
                told.hear(n, producer.try_push(counts.item(n)), |item| item.number);
            }
            told.accepted
        })
    };
    let mut taken: Vec<_> = consumer.pop().map(|item| item.number).into_iter().collect();
    consumer.close();
    taken.extend(std::iter::from_fn(|| consumer.pop()).map(|item| item.number));
    let accepted = pusher.join().unwrap();
    assert_eq!(taken, [&[0], &accepted[..]].concat());
    drop(consumer);
    counts.assert_even();
}

fn single_pushes_into_a_ring_that_fills() {
    explore(3, || push_against_a_close(2, 3));
}

fn single_pushes_into_a_ring_for_one() {
    explore(3, || push_against_a_close(1, 2));
}

fn runs_over_the_end_of_the_ring() {
    explore(3, || {
        let counts = Counts::default();
        let (mut producer, mut consumer) = ring(4);
        for n in 0..3 {
            producer.try_push(counts.item(n)).unwrap();
        }
        consumer.run(3).skip_in_place(3);
        let pusher = {
            let counts = counts.clone();
            thread::spawn(move || {
                let (mut accepted, mut closed) = (Vec::new(), false);
                for first in [0, 3] {
                    let mut fill = producer.fill(3);
                    // The second is one or three too many, and is cut short by the room.
                    fill.extend((first..first + 3).map(|n| counts.item(n)));
                    let numbers = first..first + fill.len();
                    let kept = match fill.commit() {
                        Ok(count) => {
                            assert!(count == 0 || !closed, "accepted after the close");
                            count
                        }
                        Err(back) => {
                            closed = true;
                            let back: Vec<_> =
                                back.into_inner().iter().map(|item| item.number).collect();
                            let kept = numbers.len() - back.len();
                            assert!(numbers.clone().skip(kept).eq(back));
                            kept
                        }
                    };
                    accepted.extend(numbers.take(kept));
                }
                accepted
            })
        };
        consumer.close();
        let taken: Vec<_> = consumer.run(9).map(|item| item.number).collect();
        assert_eq!(taken, pusher.join().unwrap());
        drop(consumer);
        counts.assert_even();
    });
}

/// The only lane to the only shard, in the middle of its rings: one item and one mark came and went.
fn lane_in_the_middle<T, M>(item: T, mark: M) -> (Lane<T, M>, ShardLanes<T, M>) {
    let config = LanesConfig { shards: 1, lanes: 1, capacity: 2, marks: 2 };
    let (lanes, mut shards) = ringbuf::lanes(config, |_| Waker::noop().clone());
    let (mut lane, mut shard) = (lanes.claim().unwrap(), shards.remove(0));
    assert!(lane.try_push_marked(0, item, mark, || 0).is_ok());
    let mut drain = shard.run(0, 1);
    assert!(drain.take_mark().is_some() && drain.next().is_some());
    drop(drain);
    (lane, shard)
}

fn lane_pushes_into_a_ring_that_fills() {
    explore(3, || {
        let counts = Counts::default();
        let (mut lane, mut shard) = lane_in_the_middle(counts.item(9), ());
        lane.try_push(0, counts.item(0), || 0).map_err(|_| ()).unwrap();
        let pusher = {
            let counts = counts.clone();
            thread::spawn(move || {
                let mut told = Told::default();
                for n in 1..=3 {
                    told.hear(n, lane.try_push(0, counts.item(n), || 0), |item| item.number);
                }
                told.accepted
            })
        };
        let mut taken: Vec<_> = shard.run(0, 1).map(|item| item.number).collect();
        shard.close();
        taken.extend(shard.run(0, 9).map(|item| item.number));
        assert!(shard.is_drained());
        let accepted = pusher.join().unwrap();
        assert_eq!(taken, [&[0], &accepted[..]].concat());
        drop(shard);
        counts.assert_even();
    });
}

fn lane_runs_over_the_end_of_the_ring() {
    explore(3, || {
        let counts = Counts::default();
        let (mut lane, mut shard) = lane_in_the_middle(counts.item(9), ());
        let pusher = {
            let counts = counts.clone();
            thread::spawn(move || {
                let (mut accepted, mut closed) = (Vec::new(), false);
                for first in [0, 2] {
                    let mut run = lane.run();
                    let items = (first..first + 2).map(|n| counts.item(n));
                    let numbers = first..first + run.extend(0, items);
                    let kept = match run.commit(|| 0) {
                        Ok(()) => {
                            assert!(numbers.is_empty() || !closed, "accepted after the close");
                            numbers.len()
                        }
                        Err(back) => {
                            closed = true;
                            let kept = numbers.len() - back.len();
                            let back = back.iter().map(|item| item.number);
                            assert!(numbers.clone().skip(kept).eq(back));
                            kept
                        }
                    };
                    accepted.extend(numbers.take(kept));
                }
                accepted
            })
        };
        shard.close();
        let taken: Vec<_> = shard.run(0, 9).map(|item| item.number).collect();
        assert_eq!(taken, pusher.join().unwrap());
        drop(shard);
        counts.assert_even();
    });
}

fn marked_pushes_into_rings_that_fill() {
    explore(2, || {
        let (mut lane, mut shard) = lane_in_the_middle(9, 9);
        lane.try_push_marked(0, 0, 0, || 0).unwrap();
        let pusher = thread::spawn(move || {
            let mut told = Told::default();
            for n in 1..=3 {
                told.hear(n, lane.try_push_marked(0, n, n, || 0), |(item, mark)| {
                    assert_eq!(item, mark, "the mark of another item goes back");
                    *item
                });
            }
            told.accepted
        });
        let take = |shard: &mut ShardLanes<usize, usize>, max| {
            let (mut items, mut marks) = (Vec::new(), Vec::new());
            let mut drain = shard.run(0, max);
            while !drain.is_empty() {
                marks.extend(std::iter::from_fn(|| drain.take_mark()));
                items.extend(drain.next());
            }
            assert_eq!(items, marks, "each item has its own mark");
            items
        };
        let mut taken = take(&mut shard, 1);
        shard.close();
        taken.extend(take(&mut shard, 9));
        assert!(shard.is_drained());
        let accepted = pusher.join().unwrap();
        assert_eq!(taken, [&[0], &accepted[..]].concat());
    });
}

fn marks_alone_into_a_ring_that_fills() {
    explore(3, || {
        let (mut lane, mut shard) = lane_in_the_middle(9, 9);
        lane.try_mark(0, 0, || 0).unwrap();
        let pusher = thread::spawn(move || {
            let mut told = Told::default();
            for n in 1..=3 {
                told.hear(n, lane.try_mark(0, n, || 0), |mark| *mark);
            }
            told.accepted
        });
        let mut taken: Vec<usize> = shard.take_mark_at_head(0).into_iter().collect();
        shard.close();
        taken.extend(std::iter::from_fn(|| shard.take_mark_at_head(0)));
        assert!(shard.is_drained());
        let accepted = pusher.join().unwrap();
        assert_eq!(taken, [&[0], &accepted[..]].concat());
    });
}

/// One item to two shards, each with somebody who waits for its answer: what was taken is answered; with
/// what was not its answer goes, and whoever waits hears that there is none.
fn a_push_to_two_shards_beside_their_close_is_answered_or_given_back() {
    explore(1, || {
        let config = LanesConfig { shards: 2, lanes: 1, capacity: 1, marks: 1 };
        let (lanes, mut shards) = ringbuf::lanes(config, |_| Waker::noop().clone());
        let (mut lane, pool) = (lanes.claim().unwrap(), ReplyPool::new(2));
        let asked = [pool.open().unwrap(), pool.open().unwrap()];
        let pusher = thread::spawn(move || {
            let mut taken = Vec::new();
            let mut replies = Vec::new();
            for (shard, (answer, reply)) in asked.into_iter().enumerate() {
                match lane.try_push_marked(shard, shard, answer, || 0) {
                    Ok(()) => taken.push(shard),
                    Err(PushError::Closed((item, answer))) => {
                        assert_eq!(item, shard, "another item goes back");
                        drop(answer);
                    }
                    Err(PushError::Full(_)) => panic!("there was room"),
                }
                replies.push(reply);
            }
            let answers: Vec<Option<usize>> = replies
                .into_iter()
                .map(|mut reply| {
                    let nap = Nap::default();
                    loop {
                        if let Poll::Ready(answer) = reply.poll(&nap.waker()) {
                            return answer;
                        }
                        nap.sleep(); // for good, should an answer be lost
                    }
                })
                .collect();
            for (shard, answer) in answers.into_iter().enumerate() {
                assert_eq!(answer, taken.contains(&shard).then_some(shard));
            }
        });
        for shard in &mut shards {
            shard.close();
            let mut drain = shard.run(0, 9);
            while !drain.is_empty() {
                let answer = drain.take_mark();
                let item = drain.next().unwrap();
                answer.expect("an item without its mark").answer(item);
            }
        }
        pusher.join().unwrap();
        assert_eq!(pool.free(), 2, "a slot is lost");
    });
}
