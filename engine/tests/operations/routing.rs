//! One item to several destinations.

use std::time::Duration;

use engine::{Failure, PushError, Sizing, Verdict};

use crate::scene::{Hand, Op, acting, at_rest, handling, stepped};

#[test]
fn each_destination_has_a_result_in_order_and_an_unknown_one_fails_alone() {
    let act = handling(|hand: Hand<'_, Op>| {
        hand.settle_each(
            |op| if op.key == 2 { Verdict::Failed("down") } else { Verdict::Done(op.n) },
        )
    });
    let builder = acting(act).replies_max(8).destinations(|op: &Op| op.key < 10);
    let (mut engine, mut producer) = stepped(builder);
    let legs = [1, 99, 2, 3].map(|key| Op::new(key, 5));
    let tickets = producer.route(legs).expect("room");
    engine.settle();
    let answers = tickets.wait_for(Duration::ZERO).expect("all are answered");
    let expected = [Ok(5), Err(Failure::UnknownDestination), Err(Failure::Handler("down")), Ok(5)];
    assert_eq!(answers.as_slice(), expected);
    let last = at_rest(engine);
    assert_eq!((last.accepted, last.done, last.failed), (3, 2, 1));
}

#[test]
fn a_route_without_room_for_all_takes_none() {
    let act = handling(|hand: Hand<'_, Op>| hand.settle_each(|op| Verdict::Done(op.n)));
    let (mut engine, mut producer) = stepped(acting(act).lane_items(4).replies_max(16));
    for n in 0..2 {
        producer.push(Op::new(1, n)).expect("room");
    }
    let error = producer.try_route([1, 2, 3].map(|key| Op::new(key, 7))).expect_err("two slots");
    assert!(matches!(error.cause, PushError::Full(())), "{error:?}");
    let keys: Vec<_> = error.legs.iter().map(|op| op.key).collect();
    assert_eq!(keys, [1, 2, 3]);
    engine.settle();
    let tickets = producer.try_route(error.legs).expect("room");
    engine.settle();
    assert_eq!(tickets.wait_for(Duration::ZERO).expect("answered").len(), 3);
    // More than the lane ever has room for.
    assert!(producer.route((0..5).map(|n| Op::new(n, 1))).is_err());
    assert_eq!(at_rest(engine).accepted, 5);
}

#[test]
fn two_hundred_items_to_four_destinations_make_four_calls() {
    let act = handling(|hand: Hand<'_, Op>| hand.settle_each(|op| Verdict::Done(op.n)));
    let builder = acting(act).sizing(Sizing::Fixed(200)).lane_marks(1_024).replies_max(1_024);
    let (mut engine, mut producer) = stepped(builder);
    let tickets: Vec<_> = (0..200)
        .map(|n| producer.route((0..4).map(|key| Op::new(key, n))).expect("room"))
        .collect();
    engine.settle();
    for ticket in tickets {
        assert_eq!(ticket.wait_for(Duration::ZERO).expect("answered").len(), 4);
    }
    let last = at_rest(engine);
    assert_eq!((last.batches, last.done), (4, 800));
}
