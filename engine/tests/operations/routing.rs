//! One item to several destinations.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use engine::{
    AfterPanic, Builder, Engine, Failure, Handler, Idle, Patience, Producer, PushError, RouteError,
    Shards, Sizing, Verdict,
};

use crate::scene::{
    Hand, Op, PLACED, acting, at_rest, conserved, handling, panic_quietly, stepped,
};

/// An operation on the shard that its key names.
type Leg = Op<PLACED>;

fn legs(keys: &[u64]) -> Vec<Leg> {
    keys.iter().map(|key| Leg::new(*key, *key as i64)).collect()
}

fn keys<const CAN: u8>(error: &RouteError<Op<CAN>>) -> Vec<u64> {
    error.legs.iter().map(|leg| leg.key).collect()
}

/// Two shards; an operation of this number panics, and with it its shard ends.
const STOPS: i64 = -1;

fn two_shards() -> Builder<impl Handler<Item = Leg, Reply = i64, Error = &'static str> + use<>> {
    let act = handling(|hand: Hand<'_, Leg>| {
        hand.settle_each(|leg| match leg.n {
            STOPS => panic_quietly(),
            n => Verdict::Done(n),
        })
    });
    acting(act).shards(Shards::Count(2)).after_panic(AfterPanic::Stop).lane_items(4).replies_max(8)
}

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
    assert_eq!(at_rest(engine).accepted, 5);
}

#[test]
fn a_route_for_which_a_lane_never_has_room_is_refused_and_not_waited_for() {
    for (items, marks) in [(4, 64), (64, 4)] {
        let act = handling(|hand: Hand<'_, Op>| hand.settle_each(|op| Verdict::Done(op.n)));
        let builder = acting(act).lane_items(items).lane_marks(marks).replies_max(16);
        // On its own thread: were it to wait, it would wait for itself.
        let (mut engine, mut producer) = stepped(builder);
        let error = producer.route((0..5).map(|key| Op::new(key, 1))).expect_err("four slots");
        assert!(matches!(error.cause, PushError::NeverFits(())), "{error:?}");
        assert_eq!(keys(&error), [0, 1, 2, 3, 4]);
        let four = producer.route((0..4).map(|key| Op::new(key, 1))).expect("there is room");
        engine.settle();
        assert_eq!(four.wait_for(Duration::ZERO).expect("answered").len(), 4);
        assert_eq!(at_rest(engine).accepted, 4);
    }
}

#[test]
fn a_route_over_two_shards_takes_none_while_one_lane_is_full() {
    for (items, marks) in [(4, 64), (64, 4)] {
        for full in [0, 1] {
            let builder = two_shards().lane_items(items).lane_marks(marks);
            let (mut engine, mut producer) = stepped(builder);
            for n in 0..3 {
                let patience = Patience::None;
                producer.push(Leg { patience, ..Leg::new(full, n) }).expect("there is room");
            }
            // With room for one of two.
            let wanted = [1 - full, full, full];
            let error = producer.try_route(legs(&wanted)).expect_err("one lane is full");
            assert!(matches!(error.cause, PushError::Full(())), "{error:?}");
            assert_eq!(keys(&error), wanted);
            engine.settle();
            assert_eq!(engine.snapshot().accepted, 3, "none was taken");
            let tickets = producer.try_route(error.legs).expect("there is room again");
            engine.settle();
            let answers = tickets.wait_for(Duration::ZERO).expect("all are answered");
            assert!(answers.into_iter().eq(wanted.map(|key| Ok(key as i64))));
            assert_eq!(at_rest(engine).accepted, 6);
        }
    }
}

#[test]
fn a_route_without_a_slot_for_each_answer_takes_none_and_no_slot() {
    let (mut engine, mut producer) = stepped(two_shards().replies_max(3));
    let error = producer.route(legs(&[0, 1, 2, 3])).expect_err("three slots");
    assert!(matches!(error.cause, PushError::NoReplySlot(())), "{error:?}");
    assert_eq!(keys(&error), [0, 1, 2, 3]);
    engine.settle();
    assert_eq!(engine.snapshot().accepted, 0);
    let tickets = producer.route(legs(&[0, 1, 2])).expect("all three are free again");
    engine.settle();
    assert_eq!(tickets.wait_for(Duration::ZERO).expect("answered").len(), 3);
    assert_eq!(at_rest(engine).accepted, 3);
}

#[test]
fn a_route_to_a_shard_that_has_ended_takes_none_whichever_leg_comes_first() {
    for ended in [0, 1] {
        let (mut engine, mut producer) = stepped(two_shards());
        producer.push(Leg::new(ended, STOPS)).expect("there is room");
        producer.flush().expect("it is open");
        engine.settle();
        for wanted in [[0, 1], [1, 0]] {
            let error = producer.route(legs(&wanted)).expect_err("one shard is no more");
            assert!(matches!(error.cause, PushError::Closed(())), "{error:?}");
            assert_eq!(keys(&error), wanted);
        }
        let tickets = producer.route(legs(&[1 - ended])).expect("the other goes on");
        engine.settle();
        let answers = tickets.wait_for(Duration::ZERO).expect("it is answered");
        assert_eq!(answers.as_slice(), [Ok(1 - ended as i64)]);
        let last = at_rest(engine);
        assert_eq!((last.accepted, last.done, last.failed), (2, 1, 1));
    }
}

/// Lets a handler pass, once for each message.
type Leave = Sender<()>;

/// A running engine of two shards whose handlers have both come to a gate, with the number `n` in their
/// hands and lanes that are full; and how much was accepted.
#[expect(clippy::type_complexity, reason = "a closure's handler has no shorter name")]
fn held_up(
    n: i64,
) -> (
    Engine<impl Handler<Item = Leg, Reply = i64, Error = &'static str> + use<>>,
    Producer<Leg, i64, &'static str>,
    [Leave; 2],
    u64,
) {
    let (came, comes) = channel();
    let (leave_0, gate_0) = channel::<()>();
    let (leave_1, gate_1) = channel::<()>();
    let gates: Arc<[Mutex<Receiver<()>>; 2]> = Arc::new([gate_0, gate_1].map(Mutex::new));
    let act = handling(move |hand: Hand<'_, Leg>| {
        let shard = hand.key() as usize % 2;
        let first = hand.items()[0].n <= 0;
        if first {
            came.send(()).expect("the test listens");
            let gate = gates[shard].lock().expect("one shard each");
            gate.recv().expect("the test gives leave");
        }
        hand.settle_each(|leg| if leg.n == STOPS { panic_quietly() } else { Verdict::Done(leg.n) })
    });
    let engine = acting(act)
        .shards(Shards::Count(2))
        .after_panic(AfterPanic::Stop)
        .idle(Idle::Times { spin: Duration::ZERO, yielding: Duration::ZERO })
        .sizing(Sizing::Single)
        .lane_items(2)
        .replies_max(8)
        .start()
        .expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    let mut accepted = 0;
    for shard in [0, 1] {
        producer.push(Leg::new(shard, n)).expect("there is room");
        comes.recv().expect("a handler comes to the gate");
        accepted += 1;
    }
    for shard in [0, 1] {
        while producer.try_push(Leg::new(shard, 9)).is_ok() {
            accepted += 1;
        }
    }
    (engine, producer, [leave_0, leave_1], accepted)
}

#[test]
fn a_route_waits_for_room_in_every_lane_and_is_woken() {
    for first in [0, 1] {
        let (engine, mut producer, leave, before) = held_up(0);
        let (began, begin) = channel();
        let routing = thread::spawn(move || {
            began.send(()).expect("the test listens");
            let tickets = producer.route(legs(&[4, 5, 7, 6])).expect("it is open");
            tickets.wait()
        });
        begin.recv().expect("the route begins");
        leave[first].send(()).expect("the handler waits");
        leave[1 - first].send(()).expect("the handler waits");
        let answers = routing.join().expect("it was woken");
        assert_eq!(answers.as_slice(), [Ok(4), Ok(5), Ok(7), Ok(6)]);
        let last = engine.shutdown(Duration::from_secs(30)).expect("it drains");
        assert_eq!(last.accepted, before + 4);
        conserved(&last);
    }
}

#[test]
fn a_route_that_waits_for_a_shard_that_ends_takes_none() {
    for first in [0, 1] {
        let (engine, mut producer, leave, before) = held_up(STOPS);
        let (began, begin) = channel();
        let routing = thread::spawn(move || {
            began.send(()).expect("the test listens");
            producer.route(legs(&[4, 5])).map(|_| ()).expect_err("both shards end")
        });
        begin.recv().expect("the route begins");
        leave[first].send(()).expect("the handler waits");
        leave[1 - first].send(()).expect("the handler waits");
        let error = routing.join().expect("it was woken");
        assert!(matches!(error.cause, PushError::Closed(())), "{error:?}");
        assert_eq!(keys(&error), [4, 5]);
        assert_eq!(engine.snapshot().accepted, before, "what lay in the lanes, and no leg");
    }
}

/// Routes until the engine has closed; says how many legs were done.
fn route_until_closed(mut producer: Producer<Leg, i64, &'static str>) -> u64 {
    let mut done = 0;
    loop {
        match producer.route(legs(&[0, 1, 2, 3])) {
            Ok(tickets) => {
                let answers = tickets.wait();
                let taken = answers.iter().take_while(|answer| answer.is_ok()).count();
                assert!(taken >= 1, "one whose first leg is not taken is given back: {answers:?}");
                for (key, answer) in answers.into_iter().enumerate() {
                    match answer {
                        Ok(n) => {
                            assert_eq!(n, key as i64, "another leg's answer");
                            done += 1;
                        }
                        Err(failure) => assert_eq!(failure, Failure::Stopped),
                    }
                }
            }
            Err(error) => {
                assert!(matches!(error.cause, PushError::Closed(())), "{error:?}");
                assert_eq!(keys(&error), [0, 1, 2, 3]);
                return done;
            }
        }
    }
}

#[test]
fn of_a_route_that_races_the_shutdown_each_leg_is_done_or_stopped_or_all_come_back() {
    for round in 0..300 {
        let engine = two_shards().start().expect("the settings are right");
        let producer = engine.producer().expect("a lane is free");
        let start = Barrier::new(2);
        let (done, last) = thread::scope(|scope| {
            let routing = scope.spawn(|| {
                start.wait();
                route_until_closed(producer)
            });
            start.wait();
            for _ in 0..round % 5 {
                thread::yield_now();
            }
            let last = engine.shutdown(Duration::from_secs(30)).expect("it drains");
            (routing.join().expect("it does not panic"), last)
        });
        assert_eq!((last.accepted, last.done), (done, done), "{last}");
        conserved(&last);
    }
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
