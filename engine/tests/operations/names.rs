//! The names that items bear, for idempotency keys.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::{ItemId, Shards, Verdict};

use crate::scene::{Book, Hand, Op, PLACED, acting, at_rest, handling, punctual, run_out, stepped};

/// An operation of this number emits another, and is tried twice.
const EMITS: i64 = 1_000;
/// What that one emits.
const EMITTED: i64 = 2_000;

#[test]
fn no_two_items_bear_one_name_not_even_when_a_lane_is_dropped_and_claimed_again() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op<PLACED>>| {
        let name = |at: usize| hand.id(at).expect("there are queues");
        let of = |at: usize| (hand.items()[at].clone(), name(at), hand.attempt(at));
        let attempts: Vec<_> = (0..hand.len()).map(of).collect();
        attempts.iter().for_each(|(op, name, _)| notes.note((op.clone(), *name)));
        hand.settle_each_with(|op, follow_ups| {
            let tried =
                attempts.iter().find(|(other, ..)| other == op).expect("it is of the batch");
            if op.n < EMITS || op.n >= EMITTED {
                return Verdict::Done(op.n);
            }
            if tried.2 == 1 {
                return Verdict::Retry("once more");
            }
            let next = Op { n: op.n + EMITTED, ..op.clone() };
            follow_ups.emit(next).expect("there is room");
            Verdict::Done(op.n)
        })
    });
    let builder = acting(act).shards(Shards::Count(2)).retry(punctual(2)).follow_ups(1, 1);
    let (mut engine, first) = stepped(builder);
    let mut producers = vec![first, engine.producer().expect("a lane is free")];
    let mut n = 0;
    let mut pushed = 0;
    for _life in 0..5 {
        for producer in &mut producers {
            for key in 0..4 {
                producer.push(Op::new(key, n)).expect("there is room");
                producer.push(Op::new(key, EMITS + n)).expect("there is room");
                n += 1;
                pushed += 2;
            }
        }
        // With what it pushed still in the lane, the one time.
        if n % 16 == 0 {
            run_out(&mut engine);
        }
        let lanes: Vec<_> = producers.iter().map(engine::Producer::lane).collect();
        producers.clear();
        producers = (0..2).map(|_| engine.producer().expect("a lane is free")).collect();
        let again: Vec<_> = producers.iter().map(engine::Producer::lane).collect();
        assert_eq!(again, lanes, "the same lanes");
    }
    engine.advance(Duration::from_millis(1));
    run_out(&mut engine);
    let mut names: BTreeMap<ItemId, Op<PLACED>> = BTreeMap::new();
    let mut runs = Vec::new();
    for (op, id) in book.take() {
        assert_eq!(id.shard() as u64, op.key % 2, "{id}");
        runs.push(id.run());
        let other = names.insert(id, op.clone());
        assert!(other.is_none_or(|other| other == op), "{id} is the name of {op:?} and another");
    }
    assert!(runs.windows(2).all(|pair| pair[0] == pair[1]), "one run");
    assert_eq!(
        names.len(),
        pushed + pushed / 2,
        "each that was pushed, and what half of them emitted"
    );
    at_rest(engine);
}
