//! G6: room is kept for one key, and an item of another comes back.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use engine::{Patience, Permit, PushError, Shards};

use crate::witness::{MILLISECOND, Op, Style, Witness, assert_at_rest};

/// The room that is there at once.
fn permit<'h>(handle: &'h engine::Handle<Op>, key: u64) -> Permit<'h, Op> {
    let room = pin!(handle.reserve(&key)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(permit)) = room else { panic!("there is room for key {key}") };
    permit
}

/// G6: whatever lane and shard the other key has; the room that was kept goes to who comes next.
#[test]
fn an_item_of_another_key_than_room_was_reserved_for_comes_back() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| {
        builder.shards(Shards::Count(4)).handle_lanes(4).lane_items(2).lane_marks(2)
    });
    let handle = engine.handle().expect("there are handle lanes");
    let mut accepted = 0;
    // Enough that each shard and lane is another key's.
    for other in 1..100 {
        for patience in [Patience::Engine, Patience::None, Patience::AtMost(MILLISECOND)] {
            let permit = permit(&handle, 0);
            let refused = permit.push(witness.op(0, other, 7).patience(patience));
            let Err(PushError::WrongKey(back)) = refused else { panic!("{refused:?}") };
            assert_eq!((back.name(), back.patience), ((0, other, 7), patience));
        }
    }
    assert_eq!(engine.snapshot().accepted, 0);
    for seq in 0..10 {
        let (one, two) = (permit(&handle, 0), permit(&handle, 0));
        let refused = one.push(witness.op(0, 1, 7)).expect_err("the room is for key 0");
        assert!(!refused.is_full() && !refused.to_string().is_empty());
        assert_eq!(format!("{refused:?}"), "WrongKey(..)");
        assert_eq!(refused.into_inner().name(), (0, 1, 7));
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
