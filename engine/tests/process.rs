//! A finite collection, handled on the calling thread.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::{
    Batch, Engine, Failure, Handler, Item, Oversize, ProcessError, PushError, Retry, Settled,
    Sizing, StartError, Verdict, process,
};

struct Number(u64);

impl Item for Number {
    type Key<'a> = u64;
    fn key(&self) -> u64 {
        self.0 % 7
    }
    const WEIGHS: bool = true;
    fn weight(&self) -> u32 {
        if self.0 == 1_000_000 { 1_000 } else { 1 }
    }
}

/// Doubles even numbers, fails odd ones, and counts its calls.
struct Double(Arc<AtomicUsize>);

impl Handler for Double {
    type Item = Number;
    type Reply = u64;
    type Error = u64;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        self.0.fetch_add(1, Relaxed);
        batch.settle_each(|number| match number.0 {
            odd if odd % 2 == 1 => Verdict::Failed(odd),
            even => Verdict::Done(even * 2),
        })
    }
}

fn expected(number: u64) -> Result<u64, Failure<u64>> {
    if number % 2 == 1 { Err(Failure::Handler(number)) } else { Ok(number * 2) }
}

#[test]
fn outcomes_come_in_the_items_order_at_every_sizing() {
    for sizing in [Sizing::Single, Sizing::Fixed(2), Sizing::Fixed(100), Sizing::default()] {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let outcomes = process((0..1_000).map(Number), move |_| Double(counted.clone()), sizing)
            .expect("it starts");
        assert!(outcomes.into_iter().eq((0..1_000).map(expected)), "{sizing}");
        if sizing == Sizing::Fixed(100) {
            // 143 items a key, or 142: a full batch of each, and the rest of it.
            assert_eq!(calls.load(Relaxed), 14);
        }
    }
}

#[test]
fn nothing_gives_nothing() {
    let calls = Arc::new(AtomicUsize::new(0));
    let outcomes = process([], move |_| Double(calls.clone()), Sizing::default());
    assert!(outcomes.expect("it starts").is_empty());
}

#[test]
fn a_collection_larger_than_what_is_on_its_way_at_once_passes() {
    let calls = Arc::new(AtomicUsize::new(0));
    let outcomes =
        process((0..150_000).map(Number), move |_| Double(calls.clone()), Sizing::Fixed(50))
            .expect("it starts");
    assert!(outcomes.into_iter().eq((0..150_000).map(expected)));
}

/// Panics at 13, wants to try 20 again until the third time.
struct Moody(Arc<Mutex<Vec<(u64, u32)>>>);

impl Handler for Moody {
    type Item = Number;
    type Reply = u64;
    type Error = &'static str;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let attempts: Vec<_> = (0..batch.len()).map(|at| batch.attempt(at)).collect();
        let mut attempts = attempts.into_iter();
        let seen = &self.0;
        batch.settle_each(|number| {
            let attempt = attempts.next().expect("one for each");
            seen.lock().expect("no panic in it").push((number.0, attempt));
            match number.0 {
                13 => panic!("thirteen"),
                20 if attempt < 3 => Verdict::Retry("later"),
                41 => Verdict::Retry("never"),
                number => Verdict::Done(number),
            }
        })
    }
}

#[test]
fn panics_and_retries_become_outcomes_and_order_stands() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seen_by = Arc::clone(&seen);
    let retry = Retry { first: Duration::from_millis(1), ..Retry::attempts(3) };
    let outcomes = Engine::builder(move |_| Moody(seen_by.clone()))
        .retry(retry)
        .sizing(Sizing::Fixed(10))
        .process((0..50).map(Number))
        .expect("it starts");
    for (number, outcome) in (0..).zip(outcomes) {
        match number {
            13 => assert_eq!(outcome, Err(Failure::Panicked)),
            41 => assert_eq!(outcome, Err(Failure::Dead("never"))),
            number => assert_eq!(outcome, Ok(number)),
        }
    }
    let seen = seen.lock().expect("no panic in it");
    let of_six: Vec<_> = seen.iter().filter(|(number, _)| number % 7 == 6).collect();
    let expected = [6, 13, 20, 20, 20, 27, 34, 41, 41, 41, 48];
    assert!(of_six.iter().map(|(number, _)| number).eq(&expected), "{of_six:?}");
}

#[test]
fn what_cannot_be_processed_comes_back() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let builder = Engine::builder(move |_| Double(counted.clone()))
        .batch_weight_max(10)
        .oversize(Oversize::Refused);
    match builder.process([1, 2, 1_000_000, 3].map(Number)) {
        Err(ProcessError::Refused { at: 2, cause: PushError::TooHeavy(()), items }) => {
            assert!(items.iter().map(|number| number.0).eq([1, 2, 1_000_000, 3]));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(calls.load(Relaxed), 0);

    let refusing = Engine::<Double>::try_builder(|_| Err("no database"));
    match refusing.process([Number(1)]) {
        Err(ProcessError::Start(StartError::Factory { .. }, items)) => assert_eq!(items.len(), 1),
        other => panic!("{other:?}"),
    }
}

/// Takes each batch along, to a thread of its own.
struct Away;

impl Handler for Away {
    type Item = Number;
    type Reply = u64;
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let Ok((settled, detached)) = batch.detach() else { panic!("there is a credit") };
        std::thread::spawn(move || {
            detached.settle_each(|number| Verdict::Done(number.0 + 1));
        });
        settled
    }
}

#[test]
fn batches_that_are_taken_along_are_waited_for() {
    let outcomes = Engine::builder(|_| Away)
        .in_flight_max(3)
        .sizing(Sizing::Fixed(4))
        .process((0..500).map(Number))
        .expect("it starts");
    assert!(outcomes.into_iter().eq((0..500).map(|number| Ok(number + 1))));
}

#[test]
fn a_shard_that_stops_leaves_nobody_waiting() {
    struct Explodes;
    impl Handler for Explodes {
        type Item = Number;
        type Reply = u64;
        type Error = u64;

        fn handle<'b>(&mut self, _: Batch<'b, Self>) -> Settled<'b> {
            std::panic::resume_unwind(Box::new("planted"))
        }
    }
    let builder = Engine::builder(|_| Explodes).sizing(Sizing::Single).drain_items(1);
    let outcomes = builder.after_panic(engine::AfterPanic::Stop).process((0..4).map(Number));
    let stopped = || Err(Failure::Stopped);
    assert_eq!(
        outcomes.expect("it starts"),
        [Err(Failure::Panicked), stopped(), stopped(), stopped()]
    );
}

#[test]
fn what_fills_no_batch_lingers_for_nothing_while_more_is_to_come() {
    // More than are on their way at a time, of so many keys that no batch fills.
    let calls = Arc::new(AtomicUsize::new(0));
    let builder = Engine::builder(move |_| Double(Arc::clone(&calls)))
        .sizing(Sizing::Fixed(30_000))
        .open_items(100_000)
        .flush_after(Duration::from_secs(3_600));
    let outcomes = builder.process((0..66_000).map(Number)).expect("it starts");
    assert!(outcomes.into_iter().eq((0..66_000).map(expected)));
}
