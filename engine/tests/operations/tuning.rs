//! Sizing and limits that are changed while the engine runs, with queues and without.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::testing::Stepped;
use engine::{
    AfterPanic, Builder, Detached, EngineProducer, Grouping, Oversize, Settled, Shards, Sizing,
    Trigger, Tunables, TuneError, Verdict,
};

use crate::scene::{
    Actor, Book, Hand, LINGER, Op, WEIGHS, acting, at_rest, handling, numbers, stepped,
};

/// A handler that notes what it is given, and why then, in [`GIVEN`].
type Noter = Actor<Op>;

thread_local! {
    /// A stepped engine's handlers are on the test's own thread.
    static GIVEN: Book<(Vec<i64>, Trigger)> = Book::new();
}

fn note(hand: Hand<'_, Op>) -> Settled<'_> {
    GIVEN.with(|given| given.note((numbers(&hand), hand.trigger())));
    hand.settle_each(|op| Verdict::Done(op.n))
}

/// What was handed over since this was asked the last time.
fn given() -> Vec<(Vec<i64>, Trigger)> {
    GIVEN.with(Book::take)
}

fn noting() -> Builder<Noter> {
    acting(note as fn(Hand<'_, Op>) -> Settled<'_>)
}

/// An engine of each kind, with batches of 4 that linger for 10 ms.
fn of_each_kind(check: impl Fn(&str, Stepped<Noter>, EngineProducer<Noter>)) {
    let builder = || noting().sizing(Sizing::Fixed(4)).batch_items_max(8);
    let windows = Grouping::Windowed { items: 1_024 };
    let kinds = [
        ("queues", builder()),
        ("plain", builder().queues(false)),
        ("windows", builder().queues(false).grouping(windows)),
    ];
    for (kind, builder) in kinds {
        let (engine, producer) = stepped(builder);
        check(kind, engine, producer);
    }
}

fn push(producer: &mut EngineProducer<Noter>, numbers: impl Iterator<Item = i64>) {
    for n in numbers {
        producer.push(Op::new(7, n)).expect("there is room");
    }
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_batch_that_is_open_keeps_its_deadline_also_for_who_joins_it_later() {
    for (linger, other) in [(LINGER, MS), (LINGER, 10 * LINGER), (LINGER, 1_000_000 * MS)] {
        of_each_kind(|kind, mut engine, mut producer| {
            push(&mut producer, 0..1);
            engine.settle();
            engine.tune(|tunables| tunables.flush_after = other).expect("it may be");
            assert_eq!(engine.tunables().flush_after, other);
            push(&mut producer, 1..2);
            engine.advance(linger - MS);
            engine.settle();
            assert_eq!(given(), [], "{kind}, {other:?}: its deadline has not come");
            engine.advance(MS);
            engine.settle();
            assert_eq!(given(), [(vec![0, 1], Trigger::Deadline)], "{kind}, {other:?}");
            // The next one lingers as was said since.
            push(&mut producer, 2..3);
            engine.settle();
            engine.advance(other - other / 10);
            engine.settle();
            assert_eq!(given(), [], "{kind}, {other:?}");
            engine.advance(other / 10);
            engine.settle();
            assert_eq!(given(), [(vec![2], Trigger::Deadline)], "{kind}, {other:?}");
            at_rest(engine);
        });
    }
}

#[test]
fn a_batch_that_is_open_keeps_its_target_and_those_after_it_have_the_new_one() {
    for (sizing, target) in [(Sizing::Fixed(2), 2), (Sizing::Fixed(8), 8), (Sizing::Fixed(1), 1)] {
        of_each_kind(|kind, mut engine, mut producer| {
            push(&mut producer, 0..1);
            engine.settle();
            engine.tune(|tunables| tunables.sizing = sizing).expect("there is memory");
            push(&mut producer, 1..4);
            engine.settle();
            engine.advance(LINGER);
            engine.settle();
            push(&mut producer, 4..20);
            engine.settle();
            engine.advance(LINGER);
            engine.settle();
            let given: Vec<_> = given().into_iter().map(|(numbers, _)| numbers).collect();
            let after: Vec<_> = (4..20).collect();
            let expected = std::iter::once(vec![0, 1, 2, 3]);
            let expected = expected.chain(after.chunks(target).map(<[_]>::to_vec));
            assert!(given.iter().cloned().eq(expected), "{kind}, {sizing}: {given:?}");
            at_rest(engine);
        });
    }
}

#[test]
fn single_items_pass_nobody_who_waits_in_a_batch_from_before_and_come_back_to_batches() {
    of_each_kind(|kind, mut engine, mut producer| {
        push(&mut producer, 0..1);
        engine.settle();
        let single = |tunables: &mut Tunables| tunables.sizing = Sizing::Fixed(1);
        engine.tune(single).expect("there is memory");
        push(&mut producer, 1..7);
        engine.settle();
        engine.advance(LINGER);
        engine.settle();
        push(&mut producer, 7..9);
        engine.tune(|tunables| tunables.sizing = Sizing::Fixed(2)).expect("there is memory");
        push(&mut producer, 9..13);
        engine.settle();
        engine.advance(LINGER);
        engine.settle();
        let given: Vec<i64> = given().into_iter().flat_map(|(numbers, _)| numbers).collect();
        assert!(given.iter().copied().eq(0..13), "{kind}: {given:?}");
        at_rest(engine);
    });
}

#[test]
fn with_tiers_a_shallow_turn_sends_what_lingered_before() {
    for queues in [false, true] {
        let (mut engine, mut producer) = stepped(noting().queues(queues).batch_items_max(200));
        push(&mut producer, 0..1);
        engine.settle();
        assert_eq!(engine.snapshot().open, 1);
        engine.tune(|tunables| tunables.sizing = Sizing::default()).expect("there is memory");
        engine.settle();
        assert_eq!(engine.snapshot().triggers[Trigger::Shallow.index()], 1);
        engine.tune(|tunables| tunables.sizing = Sizing::Fixed(200)).expect("there is memory");
        push(&mut producer, 1..2);
        engine.settle();
        assert_eq!(engine.snapshot().open, 1, "it lingers at any depth");
        at_rest(engine);
    }
}

/// What is said of a change, which must change nothing.
fn said(builder: Builder<Noter>, change: fn(&mut Tunables)) -> String {
    let (mut engine, _) = stepped(builder);
    let before = engine.tunables();
    let refused = engine.tune(change).expect_err("it can't be");
    assert_eq!(engine.tunables(), before);
    refused.to_string()
}

#[test]
fn what_cannot_be_is_refused_with_field_value_and_what_is_allowed() {
    let plain = || noting().queues(false);
    let windows = || plain().grouping(Grouping::Windowed { items: 1_024 });
    let queues = || noting().in_flight_max(3);
    let refusing = || noting().batch_weight_max(40).oversize(Oversize::Refused);
    let table = [
        (said(plain(), |t| t.sizing = Sizing::Fixed(0)), "sizing is 0; allowed: 1 to 32768"),
        (
            said(plain(), |t| t.sizing = Sizing::Fixed(101)),
            "sizing is fixed:101; allowed: up to 100 items (`batch_items_max`)",
        ),
        (
            said(queues(), |t| (t.flush_after, t.sizing) = (MS, Sizing::Fixed(101))),
            "sizing is fixed:101; allowed: up to 100 items (`batch_items_max`)",
        ),
        (
            said(windows(), |t| t.sizing = Sizing::Single),
            "sizing is single; allowed: fixed, with windows",
        ),
        (
            said(windows(), |t| t.sizing = Sizing::Fixed(101)),
            "sizing is fixed:101; allowed: up to 100 items (`batch_items_max`)",
        ),
        (
            said(plain(), |t| t.flush_after = Duration::ZERO),
            "flush_after is 0ns; allowed: 1µs to 3600s",
        ),
        (
            said(plain(), |t| t.key_items_max = Some(5)),
            "key_items_max is 5; allowed: none, in an engine that keeps no queues (`queues`)",
        ),
        (
            said(windows(), |t| t.in_flight_max = 1),
            "in_flight_max is 1; allowed: 0, in an engine that keeps no queues (`queues`)",
        ),
        (
            said(plain(), |t| t.held_items_max = 1),
            "held_items_max is 1; allowed: 1024, in an engine that keeps no queues (`queues`)",
        ),
        (
            said(plain(), |t| t.in_flight_for = MS),
            "in_flight_for is 1ms; allowed: 30s, in an engine that keeps no queues (`queues`)",
        ),
        (
            said(queues(), |t| t.in_flight_max = 4),
            "in_flight_max is 4; allowed: 0 to 3, as at the start",
        ),
        (
            said(queues(), |t| t.key_items_max = Some(0)),
            "key_items_max is 0; allowed: 1 to 1073741824",
        ),
        (
            said(queues(), |t| t.batch_weight_max = Some(0)),
            "batch_weight_max is 0; allowed: 1 to 281474976710656",
        ),
        (
            said(refusing(), |t| t.batch_weight_max = None),
            "batch_weight_max is none; allowed: 40, where heavier items are refused (`oversize`)",
        ),
    ];
    for (said, expected) in table {
        assert_eq!(said, expected);
    }
    let refused = Stepped::new(noting().batch_items_max(99)).expect_err("it is too small");
    let expected = "sizing is fixed:100; allowed: up to 99 items (`batch_items_max`)";
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn credits_shrink_by_withholding_what_comes_back_and_grow_again() {
    type Away = Arc<Mutex<VecDeque<Detached<Op, i64, &'static str>>>>;
    let away = Away::default();
    let taken = Arc::clone(&away);
    let act = handling(move |hand: Hand<'_, Op>| match hand.detach() {
        Ok((settled, detached)) => {
            taken.lock().expect("one thread").push_back(detached);
            settled
        }
        Err(hand) => hand.settle_each(|op| Verdict::Done(op.n)),
    });
    let (mut engine, mut producer) = stepped(acting(act).sizing(Sizing::Single).in_flight_max(3));
    let are_away = || away.lock().expect("one thread").len();
    let bring_back = || {
        let detached = away.lock().expect("one thread").pop_front().expect("one is away");
        detached.settle_each(|op| Verdict::Done(op.n));
    };
    for key in 0..9 {
        producer.push(Op::new(key, 0)).expect("room");
    }
    engine.settle();
    assert_eq!(are_away(), 3);
    engine.tune(|tunables| tunables.in_flight_max = 1).expect("it may be less");
    engine.settle();
    assert_eq!((are_away(), engine.snapshot().in_flight), (3, 3), "what is away stays away");
    for (left, settled) in [(2, 1), (1, 2), (1, 3), (1, 4)] {
        bring_back();
        engine.settle();
        assert_eq!((are_away(), engine.snapshot().done), (left, settled));
    }
    engine.tune(|tunables| tunables.in_flight_max = 2).expect("it was 3");
    engine.settle();
    assert_eq!(are_away(), 2, "the next goes at once");
    engine.tune(|tunables| tunables.in_flight_max = 0).expect("it may be less");
    engine.settle();
    assert_eq!((are_away(), engine.snapshot().done), (2, 7), "nobody can take more along");
    producer.push(Op::new(20, 0)).expect("room");
    engine.settle();
    assert_eq!((are_away(), engine.snapshot().done), (2, 8));
    engine.tune(|tunables| tunables.in_flight_max = 3).expect("it was 3");
    for key in 30..33 {
        producer.push(Op::new(key, 0)).expect("room");
    }
    engine.settle();
    assert_eq!(are_away(), 3, "none was lost");
    while are_away() > 0 {
        bring_back();
        engine.settle();
    }
    assert_eq!(at_rest(engine).done, 13);
}

#[test]
fn limits_of_keys_weights_and_times_away_hold_from_the_next_turn_on() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op<WEIGHS>>| {
        notes.note(numbers(&hand));
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let (mut engine, mut producer) = stepped(acting(act).key_items_max(2).batch_weight_max(100));
    for n in 0..3 {
        producer.push(Op::new(1, n).weighing(30)).expect("room");
    }
    engine.settle();
    assert_eq!(engine.snapshot().key_full, 1);
    engine.tune(|t| (t.key_items_max, t.batch_weight_max) = (None, Some(60))).expect("allowed");
    for n in 3..6 {
        producer.push(Op::new(1, n).weighing(30)).expect("room");
    }
    engine.settle();
    engine.advance(LINGER);
    engine.settle();
    assert_eq!(engine.snapshot().key_full, 1, "there is no limit any more");
    assert_eq!(book.take(), [vec![0, 1], vec![3, 4], vec![5]], "no batch weighs more than 60");
    engine.tune(|tunables| tunables.key_items_max = Some(1)).expect("allowed");
    for n in 6..8 {
        producer.push(Op::new(1, n).weighing(30)).expect("room");
    }
    engine.settle();
    assert_eq!(engine.snapshot().key_full, 2);
    at_rest(engine);
}

#[test]
fn what_is_pushed_after_a_change_has_returned_is_sized_by_it_on_every_shard() {
    for queues in [false, true] {
        let book = Book::new();
        let notes = book.clone();
        let act = handling(move |hand: Hand<'_, Op>| {
            notes.note(numbers(&hand));
            hand.settle_each(|op| Verdict::Done(op.n))
        });
        let engine = acting(act)
            .queues(queues)
            .sizing(Sizing::Fixed(50))
            .flush_after(Duration::from_secs(3_600))
            .shards(Shards::Count(2))
            .start()
            .expect("the settings are right");
        let mut producer = engine.producer().expect("a lane");
        for round in 0..100 {
            let target = [1, 2, 5, 50][round % 4];
            std::thread::scope(|scope| {
                let tune = || engine.tune(|tunables| tunables.sizing = Sizing::Fixed(target));
                scope.spawn(tune).join().expect("no panic").expect("allowed");
            });
            for n in 0..100_u64 {
                producer.push(Op::new(n % 2, n as i64)).expect("it is open");
            }
            // Nothing waits, too, as long as a shard has not looked.
            while engine.snapshot().done < 100 * (round as u64 + 1) {
                std::thread::yield_now();
            }
            let given = book.take();
            assert_eq!(given.len(), 100 / target as usize, "{given:?}");
        }
        engine.shutdown(Duration::from_secs(60)).expect("it ends");
    }
}

#[test]
fn a_shard_is_told_that_it_would_wait_for_itself_and_may_look() {
    let (say, said) = std::sync::mpsc::channel();
    type Ask = Box<dyn Fn() -> (TuneError, Tunables) + Send>;
    let (give, given) = std::sync::mpsc::channel::<Ask>();
    let given = Arc::new(Mutex::new(given));
    let act = handling(move |hand: Hand<'_, Op>| {
        if hand.items()[0].n == 0 {
            let ask = given.lock().expect("one thread").recv().expect("the test gives it");
            say.send(ask()).expect("the test listens");
        }
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let engine = Arc::new(acting(act).start().expect("the settings are right"));
    let own = Arc::downgrade(&engine);
    let mut producer = engine.producer().expect("a lane");
    producer.push(Op::new(1, 0)).expect("room");
    let ask = move || {
        let engine = own.upgrade().expect("it runs");
        (engine.tune(|_| ()).expect_err("on its own thread"), engine.tunables())
    };
    give.send(Box::new(ask)).expect("the handler listens");
    let (refused, seen) = said.recv().expect("it was handed over");
    assert_eq!((refused, seen), (TuneError::WouldDeadlock, engine.tunables()));
}

#[test]
fn an_engine_whose_shards_have_all_stopped_is_closed() {
    let act = handling(|_: Hand<'_, Op>| -> Settled<'_> { crate::scene::panic_quietly() });
    let builder = acting(act).after_panic(AfterPanic::Stop);
    let engine = builder.start().expect("the settings are right");
    let mut producer = engine.producer().expect("a lane");
    producer.push(Op::new(1, 0)).expect("room");
    while engine.snapshot().stopped_shards == 0 {
        std::thread::yield_now();
    }
    let mut said = engine.tune(|tunables| tunables.flush_after = MS);
    // Its thread may be on its way out.
    while said.is_ok() {
        said = engine.tune(|tunables| tunables.flush_after = MS);
    }
    assert_eq!(said, Err(TuneError::Closed));
}
