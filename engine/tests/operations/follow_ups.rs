//! Follow-ups run before everything that waits for their key.

use engine::{EmitError, Item, Order, ShardBy, Shards, Sizing, Trigger, Verdict};

use crate::scene::{
    Book, ENTITIES, Hand, Op, acting, at_rest, handling, numbers, panic_quietly, run_out, sizings,
    stepped,
};

#[test]
fn what_an_item_emits_runs_before_what_waits_in_its_order_under_every_sizing() {
    for sizing in sizings() {
        let book = Book::new();
        let notes = book.clone();
        let act = handling(move |hand: Hand<'_, Op>| {
            hand.settle_each_with(|op, follow_ups| {
                notes.note(op.n);
                if op.n == 10 || op.n == 11 {
                    follow_ups.emit(Op::new(op.key, op.n * 10)).expect("room");
                    follow_ups.emit(Op::new(op.key, op.n * 10 + 1)).expect("room");
                }
                Verdict::Done(0)
            })
        });
        let (mut engine, mut producer) = stepped(acting(act).sizing(sizing).follow_ups(4, 2));
        for n in [9, 10, 11, 12] {
            producer.push(Op::new(1, n)).expect("room");
        }
        run_out(&mut engine);
        assert_eq!(book.take(), [9, 10, 100, 101, 11, 110, 111, 12], "{sizing}");
        let last = at_rest(engine);
        assert_eq!((last.accepted, last.follow_ups, last.done), (8, 4, 8), "{sizing}");
    }
}

#[test]
fn what_follows_up_goes_without_lingering_and_says_so() {
    let calls = Book::new();
    let notes = calls.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        notes.note((numbers(&hand), hand.trigger()));
        hand.settle_each_with(|op, follow_ups| {
            if op.n == 2 {
                follow_ups.emit(Op::new(op.key, 20)).expect("room");
                follow_ups.emit(Op::new(op.key + 1, 21)).expect("room");
            }
            Verdict::Done(0)
        })
    });
    let builder = acting(act).shards(Shards::Count(1)).follow_ups(2, 1);
    let (mut engine, mut producer) = stepped(builder);
    for n in [1, 2, 3] {
        producer.push(Op::new(1, n)).expect("room");
    }
    producer.flush().expect("room");
    engine.settle();
    let mut calls = calls.take();
    assert_eq!(calls.remove(0), (vec![1, 2, 3], Trigger::Flush));
    calls.sort_by_key(|(numbers, _)| numbers[0]);
    let follow = Trigger::FollowUp;
    assert_eq!(calls, [(vec![20, 3], follow), (vec![21], follow)]);
    assert_eq!(at_rest(engine).triggers[Trigger::FollowUp.index()], 2);
}

#[test]
fn follow_ups_count_only_if_their_item_is_done() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        hand.settle_each_with(|op, follow_ups| {
            notes.note(op.n);
            if op.n < 3 {
                follow_ups.emit(Op::new(1, 100 + op.n)).expect("room");
            }
            match op.n {
                0 => Verdict::Failed("bad"),
                1 => Verdict::Retry("again"),
                2 => panic_quietly(),
                _ => Verdict::Done(0),
            }
        })
    });
    let (mut engine, mut producer) = stepped(acting(act).follow_ups(1, 1));
    for n in 0..4 {
        producer.push(Op::new(1, n)).expect("room");
    }
    run_out(&mut engine);
    assert_eq!(book.take(), [0, 1, 2, 3]);
    let last = at_rest(engine);
    assert_eq!((last.accepted, last.follow_ups), (4, 0));
}

#[test]
fn a_follow_up_past_a_limit_comes_back_with_the_reason() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        hand.settle_each_with(|op, follow_ups| {
            for n in 1..=4 {
                match follow_ups.emit(Op::new(1, op.n * 10 + n)) {
                    Ok(()) => {}
                    Err(EmitError::TooMany(op)) => notes.note(("too many", op.n)),
                    Err(EmitError::TooDeep(op)) => notes.note(("too deep", op.n)),
                    Err(EmitError::KeyFull(op)) => notes.note(("key full", op.n)),
                    Err(other) => panic!("{other:?}"),
                }
            }
            Verdict::Done(0)
        })
    });
    let (mut engine, mut producer) = stepped(acting(act.clone()).follow_ups(3, 1));
    producer.push(Op::new(1, 1)).expect("room");
    run_out(&mut engine);
    let back = book.take();
    assert_eq!(back[0], ("too many", 14));
    assert_eq!(back.len(), 1 + 3 * 4);
    assert!(back[1..].iter().all(|(why, _)| *why == "too deep"), "{back:?}");
    assert_eq!(at_rest(engine).accepted, 4);

    let (mut engine, mut producer) = stepped(acting(act).follow_ups(9, 1).key_items_max(3));
    producer.push(Op::new(1, 1)).expect("room");
    run_out(&mut engine);
    assert_eq!(book.take()[..2], [("key full", 13), ("key full", 14)]);
    assert_eq!(at_rest(engine).accepted, 3);
}

#[test]
fn a_follow_up_without_follow_ups_or_for_another_shard_comes_back() {
    let act = handling(|hand: Hand<'_, Op>| {
        hand.settle_each_with(|_, follow_ups| {
            let back = follow_ups.emit(Op::new(1, 2));
            assert!(matches!(back, Err(EmitError::NotSetUp(_))));
            Verdict::Done(0)
        })
    });
    let (mut engine, mut producer) = stepped(acting(act));
    producer.push(Op::new(1, 1)).expect("room");
    run_out(&mut engine);
    assert_eq!(at_rest(engine).done, 1);

    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        hand.settle_each_with(|op, follow_ups| {
            if op.n == 0 {
                for key in 0..32 {
                    match follow_ups.emit(Op::new(key, 1)) {
                        Ok(()) => notes.note(true),
                        Err(EmitError::NotHere(_)) => notes.note(false),
                        Err(other) => panic!("{other:?}"),
                    }
                }
            }
            Verdict::Done(0)
        })
    });
    let builder = acting(act).shards(Shards::Count(2)).follow_ups(32, 1);
    let (mut engine, mut producer) = stepped(builder);
    producer.push(Op::new(1, 0)).expect("room");
    run_out(&mut engine);
    let taken = book.take();
    let here = taken.iter().filter(|here| **here).count();
    assert!(here > 0 && here < 32, "{taken:?}");
    assert_eq!(at_rest(engine).done, 1 + here as u64);
}

#[test]
fn a_follow_up_of_another_key_of_the_same_entity_runs_before_what_waits_for_that_entity() {
    for sizing in sizings() {
        let book = Book::new();
        let notes = book.clone();
        let act = handling(move |hand: Hand<'_, Op<ENTITIES>>| {
            hand.settle_each_with(|op, follow_ups| {
                notes.note((op.entity, op.n));
                if op.n == 1 {
                    follow_ups.emit(Op::new(2, 10).of(7)).expect("room");
                    follow_ups.emit(Op::new(1, 11).of(7)).expect("room");
                }
                Verdict::Done(0)
            })
        });
        let (mut engine, mut producer) = stepped(acting(act).sizing(sizing).follow_ups(4, 2));
        for (key, n, entity) in [(1, 1, 7), (1, 2, 7), (2, 3, 7), (2, 4, 8), (1, 5, 8)] {
            producer.push(Op::new(key, n).of(entity)).expect("room");
        }
        run_out(&mut engine);
        let done = book.take();
        let of = |entity: u64| -> Vec<i64> {
            done.iter().filter(|op| op.0 == Some(entity)).map(|op| op.1).collect()
        };
        assert_eq!((of(7), of(8)), (vec![1, 10, 11, 2, 3], vec![4, 5]), "{sizing}");
        let last = at_rest(engine);
        assert_eq!((last.follow_ups, last.out_of_order), (2, 0), "{sizing}");
    }
}

/// Goes to all shards in turns.
struct Anywhere(u64);

impl Item for Anywhere {
    type Key<'a> = ();
    const SHARD_BY: ShardBy = ShardBy::Spread;

    fn key(&self) {}
}

#[test]
fn what_is_spread_over_shards_follows_up_where_it_is() {
    let act = handling(|hand: Hand<'_, Anywhere>| {
        hand.settle_each_with(|op, follow_ups| {
            let emitted = op.0 == 0 || follow_ups.emit(Anywhere(op.0 - 1)).is_ok();
            if emitted { Verdict::Done(0) } else { Verdict::Failed("refused") }
        })
    });
    let builder = acting(act).shards(Shards::Count(3)).order(Order::Waived).follow_ups(1, 4);
    let (mut engine, mut producer) = stepped(builder);
    for _ in 0..9 {
        producer.push(Anywhere(2)).expect("there is room");
    }
    run_out(&mut engine);
    let last = at_rest(engine);
    assert_eq!((last.done, last.follow_ups, last.failed), (27, 18, 0));
    assert!(last.shards.iter().all(|shard| shard.done == 9), "{last}");
}

#[test]
fn whether_a_key_is_full_for_a_follow_up_does_not_follow_from_the_size_of_batches() {
    let of = |sizing| {
        let book = Book::new();
        let notes = book.clone();
        let act = handling(move |hand: Hand<'_, Op>| {
            hand.settle_each_with(|op, follow_ups| {
                if op.n == 3 {
                    let emitted = follow_ups.emit(Op::new(1, 4));
                    notes.note(matches!(emitted, Err(EmitError::KeyFull(_))));
                }
                Verdict::Done(op.n)
            })
        });
        let builder = acting(act).follow_ups(1, 2).key_items_max(3).sizing(sizing);
        let (mut engine, mut producer) = stepped(builder);
        for n in 1..=3 {
            producer.push(Op::new(1, n)).expect("room");
        }
        run_out(&mut engine);
        (book.take(), engine.snapshot().done)
    };
    assert_eq!(of(Sizing::Single), of(Sizing::Fixed(100)), "single and batched are one program");
}

#[test]
fn emit_says_that_there_is_no_room_only_where_there_is_none() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        hand.settle_each_with(|op, follow_ups| {
            if op.n == 1 {
                follow_ups.emit(Op::new(1, 2)).expect("there is room");
                notes.note(follow_ups.emit(Op::new(2, 3)).is_ok());
                notes.note(follow_ups.emit(Op::new(2, 4)).is_ok());
                let more = follow_ups.emit(Op::new(3, 5));
                notes.note(!matches!(more, Err(EmitError::NoRoom(_))));
            }
            Verdict::Done(op.n)
        })
    });
    let (mut engine, mut producer) = stepped(acting(act).follow_ups(8, 2).open_keys(2));
    producer.push(Op::new(1, 1)).expect("room");
    run_out(&mut engine);
    assert_eq!(book.take(), [true, true, false], "one key is here, there are places for two");
    at_rest(engine);
}

struct Bomb {
    armed: bool,
}

impl Item for Bomb {
    type Key<'a> = ();

    fn key(&self) {}
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.armed {
            panic_quietly();
        }
    }
}

#[test]
fn a_panic_of_the_end_of_a_follow_up_that_is_dropped_is_counted() {
    let act = handling(|hand: Hand<'_, Bomb>| {
        hand.settle_each_with(|_, follow_ups| {
            assert!(follow_ups.emit(Bomb { armed: true }).is_ok());
            Verdict::Failed("no")
        })
    });
    let (mut engine, mut producer) = stepped(acting(act).follow_ups(2, 2));
    producer.push(Bomb { armed: false }).unwrap_or_else(|_| panic!("room"));
    run_out(&mut engine);
    assert_eq!(engine.snapshot().drop_panics, 1);
}
