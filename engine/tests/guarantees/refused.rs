//! `start()` refuses what can't work, and says which setting, which value, and what is allowed.

use std::time::Duration;

use engine::testing::Stepped;
use engine::{
    Builder, Engine, Idle, Item, ProducerError, Shards, Sizing, StartError, Tiers, TiersError,
};

use crate::witness::{Recorder, Style, Witness};

type Change = fn(Builder<Recorder>) -> Builder<Recorder>;

/// Every setting with a value on either side of what it takes.
const REFUSED: [(&str, &str, Change); 27] = [
    ("shards", "0", |it| it.shards(Shards::Count(0))),
    ("shards", "1025", |it| it.shards(Shards::Count(1_025))),
    ("shards", "0", |it| it.shards(Shards::Cores(Vec::new()))),
    ("lanes", "0", |it| it.lanes(0)),
    ("lanes", "1025", |it| it.lanes(1_025)),
    ("lanes and handle_lanes together", "1025", |it| it.lanes(1_000).handle_lanes(25)),
    ("handle_lanes", "65", |it| it.handle_lanes(65)),
    ("lane_items", "0", |it| it.lane_items(0)),
    ("lane_items", "1", |it| it.lane_items(1)),
    ("lane_items", "16777217", |it| it.lane_items((1 << 24) + 1)),
    ("lane_marks", "1", |it| it.lane_marks(1)),
    ("lane_marks", "16777217", |it| it.lane_marks((1 << 24) + 1)),
    ("drain_items", "0", |it| it.drain_items(0)),
    ("drain_items", "65537", |it| it.drain_items(65_537)),
    ("flush_after", "0ns", |it| it.flush_after(Duration::ZERO)),
    ("flush_after", "999ns", |it| it.flush_after(Duration::from_nanos(999))),
    ("flush_after", "3601s", |it| it.flush_after(Duration::from_secs(3_601))),
    ("sizing", "0", |it| it.sizing(Sizing::Fixed(0))),
    ("sizing", "32769", |it| it.sizing(Sizing::Fixed(32_769))),
    ("open_keys", "0", |it| it.open_keys(0)),
    ("open_keys", "67108865", |it| it.open_keys((1 << 26) + 1)),
    ("open_items", "0", |it| it.open_items(0)),
    ("open_items", "1073741825", |it| it.open_items((1 << 30) + 1)),
    ("idle.spin", "2s", |it| it.idle(times(Duration::from_secs(2), Duration::ZERO))),
    ("idle.yielding", "2s", |it| it.idle(times(Duration::ZERO, Duration::from_secs(2)))),
    ("drop_within", "3601s", |it| it.drop_within(Duration::from_secs(3_601))),
    ("drop_within", "18446744073.709551615s", |it| it.drop_within(Duration::MAX)),
];

fn times(spin: Duration, yielding: Duration) -> Idle {
    Idle::Times { spin, yielding }
}

#[test]
fn every_setting_out_of_its_range_is_refused_by_name_value_and_range() {
    for (name, given, change) in REFUSED {
        let builder = || change(Witness::new(Style::Each).builder());
        let refusals = [
            builder().start().map(drop),
            Stepped::new(builder()).map(drop),
            builder().plan().map(drop),
        ];
        for refused in refusals {
            match refused {
                Err(StartError::Setting { field, value, allowed }) => {
                    assert_eq!((field, value.as_str()), (name, given));
                    assert!(allowed.contains(" to "), "{name} takes {allowed}");
                }
                other => panic!("{name} of {given}: {other:?}"),
            }
        }
    }
}

#[test]
fn the_ends_of_every_range_are_allowed() {
    let ends: [Change; 10] = [
        |it| it.lanes(1).handle_lanes(0),
        |it| it.lane_items(2).lane_marks(2),
        |it| it.drain_items(1),
        |it| it.drain_items(65_536),
        |it| it.flush_after(Duration::from_micros(1)),
        |it| it.flush_after(Duration::from_secs(3_600)),
        |it| it.sizing(Sizing::Fixed(1)),
        |it| it.sizing(Sizing::Fixed(32_768)),
        |it| it.open_keys(1).open_items(1),
        |it| it.idle(times(Duration::ZERO, Duration::from_secs(1))).drop_within(Duration::ZERO),
    ];
    for change in ends {
        let witness = Witness::new(Style::Each);
        let mut engine = witness.stepped(change);
        let mut producer = engine.producer().expect("a lane is free");
        for seq in 0..100 {
            while producer.try_push(witness.op(0, seq, seq)).is_err() {
                engine.turn();
            }
        }
        crate::witness::assert_at_rest(&engine.shutdown(), 100);
    }
}

#[test]
fn a_core_that_does_not_exist_or_is_named_twice_is_refused() {
    let witness = Witness::new(Style::Each);
    let refused = witness.builder().shards(Shards::Cores(vec![100_000])).start();
    assert!(matches!(refused, Err(StartError::NoSuchCore { core: 100_000, .. })), "{refused:?}");
    let Err(StartError::NoSuchCore { allowed, .. }) = refused else { return };
    let twice = Shards::Cores(vec![allowed[0], allowed[0]]);
    let refused = witness.builder().shards(twice).start();
    assert!(matches!(refused, Err(StartError::CoreTwice { .. })), "{refused:?}");
    assert_eq!(witness.items.made(), 0);
}

#[test]
fn memory_that_the_machine_does_not_have_is_refused_before_it_is_taken() {
    let witness = Witness::new(Style::Each);
    let refused = witness.builder().lane_items(1 << 24).lanes(1_023).shards(Shards::Count(64));
    match refused.start() {
        Err(StartError::Memory { bytes, part: "lanes", part_bytes, memory }) => {
            assert!(bytes > u128::from(memory) && bytes > part_bytes);
        }
        other => panic!("{other:?}"),
    }
}

/// A mebibyte.
struct Huge([u64; 1 << 17]);

impl Item for Huge {
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.0[0]
    }
}

/// More bytes than 64 bits count: the sum is refused like any other, in a checked build too.
#[test]
fn memory_beyond_what_can_be_counted_is_refused() {
    let huge = || {
        Engine::from_fn(|_, _: &[Huge]| Ok::<(), ()>(())).lanes(1_023).shards(Shards::Count(1_024))
    };
    let mut refusals = Vec::new();
    for lane_items in [8_192, 1 << 24] {
        let lanes = || huge().lane_items(lane_items);
        let open = || lanes().open_keys(1 << 26).open_items(1 << 30);
        refusals.extend([
            lanes().plan().map(drop),
            lanes().start().map(drop),
            Stepped::new(lanes()).map(drop),
            lanes().sizing(Sizing::Fixed(32_768)).start().map(drop),
            open().start().map(drop),
            open().sizing(Sizing::Fixed(32_768)).start().map(drop),
            open().lane_marks(1 << 24).handle_lanes(1).start().map(drop),
        ]);
    }
    for refused in refusals {
        match refused {
            Err(StartError::Memory { bytes, part_bytes, memory, .. }) => {
                assert!(bytes >= part_bytes && bytes > u128::from(memory), "{bytes}, {part_bytes}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn tables_that_cannot_be_tiers_are_refused_where_they_are_made() {
    assert_eq!(Tiers::new(&[]), Err(TiersError::Rows(0)));
    assert_eq!(Tiers::new(&[(9, 1), (9, 2)]), Err(TiersError::Depth { row: 1, depth: 9 }));
    assert_eq!(Tiers::new(&[(9, 0)]), Err(TiersError::Target { row: 0, target: 0 }));
}

#[test]
fn a_producer_too_many_is_refused_until_one_is_dropped() {
    let engine = Witness::new(Style::Each).started(|builder| builder.lanes(2).handle_lanes(0));
    assert_eq!(engine.handle().err(), Some(ProducerError::NoHandleLane));
    let first = engine.producer().expect("the first");
    let _second = engine.producer().expect("the second");
    assert_eq!(engine.producer().err(), Some(ProducerError::NoLane { lanes: 2 }));
    drop(first);
    assert!(engine.producer().is_ok());
}
