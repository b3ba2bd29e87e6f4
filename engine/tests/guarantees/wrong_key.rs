//! G6: room is kept on one key's way, and an item of a key that takes another comes back.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use engine::{EngineHandle, Patience, Permit, PushError, Shards};

use crate::witness::{Life, MILLISECOND, Op, Recorder, Style, Witness, assert_at_rest};

/// The room that is there at once.
fn permit<'h>(handle: &'h EngineHandle<Recorder>, key: u64) -> Permit<'h, Op, Life, Life> {
    let room = pin!(handle.reserve(&key)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(permit)) = room else { panic!("there is room for key {key}") };
    permit
}

/// G6: an item that goes to another lane or another shard comes back; the room that was kept for it
/// goes to who comes next. An item that takes the same way is as good as any.
#[test]
fn an_item_that_takes_another_way_than_room_was_reserved_on_comes_back() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| {
        builder.shards(Shards::Count(4)).handle_lanes(4).lane_items(2).lane_marks(2)
    });
    let handle = engine.handle().expect("there are handle lanes");
    let patience = [Patience::Engine, Patience::None, Patience::AtMost(MILLISECOND)];
    let (mut accepted, mut elsewhere) = (0, Vec::new());
    // Sixteen ways: most of so many keys take another than key 0.
    for key in 1..100 {
        let mut refused = 0;
        for (seq, patience) in (0..).zip(patience) {
            let op = witness.op(0, key, seq).patience(patience);
            match permit(&handle, 0).push(op) {
                Ok(()) => accepted += 1,
                Err(PushError::WrongKey(back)) => {
                    assert_eq!((back.name(), back.patience), ((0, key, seq), patience));
                    refused += 1;
                }
                Err(other) => panic!("{other}"),
            }
            engine.settle();
            assert_eq!(engine.snapshot().accepted, accepted);
        }
        assert!([0, 3].contains(&refused), "key {key} takes one way: {refused} of 3 refused");
        elsewhere.extend((refused > 0).then_some(key));
    }
    assert!(elsewhere.len() >= 60, "{elsewhere:?}");
    for seq in 0..10 {
        let (one, two) = (permit(&handle, 0), permit(&handle, 0));
        let refused = one.push(witness.op(0, elsewhere[0], 7)).expect_err("it goes elsewhere");
        assert!(!refused.is_full() && refused.to_string().contains("another key"), "{refused}");
        assert_eq!(format!("{refused:?}"), "WrongKey(..)");
        assert_eq!(refused.into_inner().name(), (0, elsewhere[0], 7));
        // Both places are there: the one that is kept, and the one that went back.
        two.push(witness.op(0, 0, 2 * seq)).expect("its room was kept");
        permit(&handle, 0).push(witness.op(0, 0, 2 * seq + 1)).expect("there is room");
        accepted += 2;
        engine.settle();
    }
    assert_at_rest(&engine.shutdown(), accepted);
    witness.assert_in_order();
    drop(handle);
    witness.assert_nobody_lives();
}

/// G6: with one lane to one shard, room is room.
#[test]
fn where_all_keys_take_one_way_room_for_one_is_room_for_all() {
    let witness = Witness::new(Style::Each);
    let engine = witness.stepped(|builder| builder.shards(Shards::Count(1)).handle_lanes(1));
    let handle = engine.handle().expect("there is a handle lane");
    for seq in 0..50 {
        permit(&handle, 0).push(witness.op(0, seq % 5, seq)).expect("it takes the same way");
    }
    assert_at_rest(&engine.shutdown(), 50);
    assert_eq!(witness.book(|book| book.seen.len()), 50);
    witness.assert_in_order();
}
