//! What a window cannot see is refused at the start; and the plan says what windows take.

use std::time::Duration;

use engine::testing::Stepped;
use engine::{
    BatchEvent, Builder, DeadLetter, Engine, Grouping, Handler, Item, Order, ProcessError,
    PushError, Retry, ShardBy, Sizing, StartError,
};

use crate::windowed;
use crate::witness::{Life, Op, Recorder, Style, Witness};

fn refusal<H: Handler>(builder: &Builder<H>) -> (&'static str, String, String) {
    match builder.plan().map(drop) {
        Err(StartError::Setting { field, value, allowed }) => (field, value, allowed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn windows_of_a_size_out_of_range_are_refused_by_field_value_and_range() {
    let witness = Witness::new(Style::Each);
    for items in [0, 1_023, 524_289, usize::MAX] {
        let builder = windowed(witness.builder()).grouping(Grouping::Windowed { items });
        let expected = ("grouping.items", items.to_string(), "1024 to 524288".to_owned());
        assert_eq!(refusal(&builder), expected);
        assert!(Stepped::new(builder).is_err());
    }
    for items in [1_024, 524_288] {
        let builder = windowed(witness.builder()).grouping(Grouping::Windowed { items });
        assert!(builder.plan().is_ok(), "{items}");
    }
}

#[test]
fn sizings_that_look_at_the_depth_or_at_single_items_are_refused() {
    let witness = Witness::new(Style::Each);
    for sizing in [Sizing::Single, Sizing::default()] {
        let builder = windowed(witness.builder()).sizing(sizing);
        let expected = ("sizing", sizing.to_string(), "fixed, with windows".to_owned());
        assert_eq!(refusal(&builder), expected);
    }
}

fn needs_queues<H: Handler>(builder: &Builder<H>, why: &str) {
    let allowed = "hashed, with what needs queues".to_owned();
    assert_eq!(refusal(builder), ("grouping", "windowed:1024".to_owned(), allowed), "{why}");
}

#[test]
fn every_operation_is_refused() {
    type Change = fn(Builder<Recorder>) -> Builder<Recorder>;
    let operations: [(&str, Change); 11] = [
        ("queues", |it| it.queues(true)),
        ("calls", |it| it.replies_max(1)),
        ("retries", |it| it.retry(Retry::attempts(2))),
        ("order", |it| it.order(Order::Waived)),
        ("dead letters", |it| it.dead_letters(|_: DeadLetter<'_, Op, Life>| ())),
        ("a limit of items a key", |it| it.key_items_max(9)),
        ("a limit of weight", |it| it.batch_weight_max(9)),
        ("isolation", |it| it.isolate_poisoned(true)),
        ("follow-ups", |it| it.follow_ups(1, 1)),
        ("detached batches", |it| it.in_flight_max(1)),
        ("an observer", |it| it.observer(|_: &BatchEvent| ())),
    ];
    let witness = Witness::new(Style::Each);
    for (why, change) in operations {
        needs_queues(&change(windowed(witness.builder())), why);
    }
}

/// What an item's type may ask for.
struct Asks<const EXPIRES: bool, const ENTITIES: bool, const ABSORBS: bool>;

impl<const EXPIRES: bool, const ENTITIES: bool, const ABSORBS: bool> Item
    for Asks<EXPIRES, ENTITIES, ABSORBS>
{
    type Key<'a> = ();
    const EXPIRES: bool = EXPIRES;
    const ENTITIES: bool = ENTITIES;
    const ABSORBS: bool = ABSORBS;

    fn key(&self) {}
}

/// Spread over shards, which needs that order is waived.
struct Spread;

impl Item for Spread {
    type Key<'a> = ();
    const SHARD_BY: ShardBy = ShardBy::Spread;

    fn key(&self) {}
}

#[test]
fn items_that_ask_for_queues_are_refused() {
    fn of<T: Item>() -> Builder<impl Handler<Item = T>> {
        Engine::from_fn(|_key, _items: &[T]| Ok::<(), ()>(()))
            .sizing(Sizing::Fixed(9))
            .grouping(Grouping::Windowed { items: 1_024 })
    }
    assert!(of::<Asks<false, false, false>>().plan().is_ok());
    needs_queues(&of::<Asks<true, false, false>>(), "expiry");
    needs_queues(&of::<Asks<false, true, false>>(), "entities");
    needs_queues(&of::<Asks<false, false, true>>(), "merging");
    needs_queues(&of::<Spread>().order(Order::Waived), "spread items");
    assert_eq!(refusal(&of::<Spread>()).0, "order");
}

#[test]
fn calls_find_no_slot_and_control_finds_no_queues() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(windowed);
    let mut producer = engine.producer().expect("a lane");
    match producer.call(witness.op(0, 1, 0)) {
        Err(PushError::NoReplySlot(op)) => assert_eq!(op.name(), (0, 1, 0)),
        other => panic!("{:?}", other.map(drop)),
    }
    assert!(engine.pause(&1).is_err() && engine.resume(&1).is_err());
    assert!(engine.flush(&1).is_err() && engine.resume_all().is_err());
    producer.push(witness.op(0, 1, 1)).expect("room");
    assert_eq!(engine.shutdown().done, 1, "and nothing has come of it");
    witness.assert_nobody_lives();

    let engine = witness.started(windowed);
    let second = Duration::from_secs(1);
    assert!(engine.pause(&1).is_err() && engine.step().is_err());
    assert!(engine.flush_all(second).is_err() && engine.resume_all().is_err());
    engine.shutdown(second).expect("there is nothing to drain");
}

#[test]
fn a_collection_is_not_processed_in_windows_and_comes_back() {
    let witness = Witness::new(Style::Each);
    let ops = (0..3).map(|seq| witness.op(0, 1, seq));
    match windowed(witness.builder()).process(ops) {
        Err(ProcessError::Start(error, back)) => {
            assert!(error.to_string().ends_with("hashed, with what needs queues"), "{error}");
            assert_eq!(back.len(), 3);
        }
        other => panic!("{:?}", other.map(drop)),
    }
}

#[test]
fn the_plan_shows_windows_and_each_of_their_parts_and_no_open_keys() {
    let witness = Witness::new(Style::Each);
    let plan = windowed(witness.builder()).plan().expect("allowed");
    let names: Vec<_> = plan.parts().iter().map(|part| part.name).collect();
    assert_eq!(
        names,
        ["lanes", "windows", "grouping of a window", "batches at hand", "histograms"]
    );
    let said = plan.to_string();
    assert!(said.contains("\nwindows      1,024 items each, two a shard"), "{said}");
    assert!(!said.contains("\nopen "), "{said}");
    // Each item with its hash, twice; one window besides, ordered.
    let [_, windows, grouping, batches, _] = plan.parts() else { panic!("{names:?}") };
    let item = size_of::<Op>() as u64;
    assert!(windows.bytes_each >= 2 * 1_024 * (item + 8), "{said}");
    assert!(grouping.bytes_each >= 1_024 * 16 && batches.bytes_each >= 1_024 * item, "{said}");
    let hashed = witness.builder().plan().expect("allowed").to_string();
    assert!(hashed.contains("\nopen         64 keys and 1,024 items a shard"), "{hashed}");
}
