//! G4: an item reaches its handler within `flush_after` of its push.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use engine::testing::Stepped;
use engine::{EngineProducer, Nanos, Patience, Sizing, Trigger};
use proptest::prelude::*;

use crate::witness::{LONG, MILLISECOND, Recorder, Style, Witness, assert_at_rest, tick};

const FLUSH_AFTER: Duration = Duration::from_millis(10);

/// What the engine may know and must keep of one item.
#[derive(Clone, Copy, Debug)]
struct Due {
    /// Not later than this.
    at: Nanos,
    /// What the engine takes for its push may lie back as far as the last turn before it.
    earliest: Nanos,
}

/// An engine and its clock, which moves from one deadline to the next and never past one.
struct Clockwork {
    witness: Witness,
    engine: Stepped<Recorder>,
    producers: Vec<EngineProducer<Recorder>>,
    last_turn: Nanos,
    seq: u64,
    due: HashMap<u64, Due>,
}

impl Clockwork {
    fn new(sizing: Sizing, producers: usize) -> Self {
        let witness = Witness::new(Style::Each);
        let engine = witness
            .stepped(|builder| builder.sizing(sizing).flush_after(FLUSH_AFTER).lanes(producers));
        let producers = (0..producers).map(|_| engine.producer().expect("free")).collect();
        let (last_turn, due) = (Nanos::ZERO, HashMap::new());
        Self { witness, engine, producers, last_turn, seq: 0, due }
    }

    fn push(&mut self, lane: usize, key: u64, patience: Patience) {
        let op = self.witness.op(lane as u32, key, self.seq).patience(patience);
        self.producers[lane].try_push(op).expect("there is room");
        let lingers = match patience {
            Patience::Engine => Nanos::from(FLUSH_AFTER),
            Patience::AtMost(most) => Nanos::from(most.min(FLUSH_AFTER)),
            Patience::None => Nanos::ZERO,
        };
        let due = Due {
            at: self.engine.now().saturating_add(lingers),
            earliest: self.last_turn.saturating_add(lingers).saturating_sub(tick(FLUSH_AFTER)),
        };
        self.due.insert(self.seq, due);
        self.seq += 1;
    }

    /// All turns of this moment; every item that comes is checked against its deadline.
    fn settle(&mut self) {
        self.engine.settle();
        let now = self.engine.now();
        self.last_turn = now;
        let book = self.witness.take();
        let mut due_of_call: HashMap<usize, bool> = HashMap::new();
        for seen in &book.seen {
            let due = self.due.remove(&seen.seq).expect("each comes once");
            assert!(now <= due.at, "{seen:?} came at {now} and was due at {}", due.at);
            *due_of_call.entry(seen.call).or_default() |= due.earliest <= now;
        }
        for (call, handed) in book.calls.iter().enumerate() {
            if handed.trigger == Trigger::Deadline {
                assert!(due_of_call[&call], "{handed:?} came too early, at {now}");
            }
        }
    }

    fn run_until(&mut self, until: Nanos) {
        while let Some(next) = self.engine.next_deadline().filter(|next| *next <= until) {
            self.advance_to(next);
            self.settle();
        }
        self.advance_to(until);
    }

    fn advance_to(&mut self, moment: Nanos) {
        self.engine.advance(moment.saturating_sub(self.engine.now()).into());
    }

    fn assert_nothing_left(&mut self) {
        self.run_until(self.engine.now().saturating_add(FLUSH_AFTER.into()));
        self.settle();
        assert!(self.due.is_empty(), "left: {:?}", self.due);
    }
}

fn patience() -> impl Strategy<Value = Patience> {
    prop_oneof![
        6 => Just(Patience::Engine),
        1 => (0_u64..12_000_000).prop_map(|ns| Patience::AtMost(Duration::from_nanos(ns))),
        1 => Just(Patience::None),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// G4, exactly: stepped from one deadline to the next, each item is handed over at its deadline
    /// or before; and a batch that its deadline ended was not handed over more than a tick, and the
    /// time since the turn before, too early.
    #[test]
    fn every_item_is_handed_over_by_its_deadline_and_no_batch_long_before(
        arrivals in prop::collection::vec(
            (0_u64..4_000_000, 0_usize..3, 0_u64..6, patience(), any::<bool>()),
            1..200,
        ),
        size in prop_oneof![Just(3_u32), Just(1_000)],
    ) {
        let mut clockwork = Clockwork::new(Sizing::Fixed(size), 3);
        let mut now = Nanos::ZERO;
        for (gap_ns, lane, key, patience, turns_before) in arrivals {
            now = now.saturating_add(Nanos::from_nanos(gap_ns));
            clockwork.run_until(now);
            if turns_before {
                clockwork.settle();
            }
            clockwork.push(lane, key, patience);
            clockwork.settle();
        }
        clockwork.assert_nothing_left();
    }
}

/// G4: later items do not reset the deadline of the first.
#[test]
fn a_steady_trickle_cannot_postpone_the_deadline() {
    let mut clockwork = Clockwork::new(Sizing::Fixed(1_000), 1);
    for step in 0..1_000_u64 {
        clockwork.run_until(Nanos::from_nanos(step * 300_000));
        clockwork.settle();
        clockwork.push(0, 7, Patience::Engine);
        clockwork.settle();
    }
    clockwork.assert_nothing_left();
    let batches = clockwork.engine.snapshot().batches;
    assert!((28..=33).contains(&batches), "300 ms in batches of 10 ms, not {batches}");
}

/// G4: a lane that is never empty, and a key that fills batch after batch, do not hold up others.
#[test]
fn a_busy_lane_cannot_hold_up_a_quiet_one() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| {
        builder.sizing(Sizing::Fixed(100)).flush_after(FLUSH_AFTER).drain_items(4)
    });
    let mut busy = engine.producer().expect("a lane is free");
    let mut quiet = engine.producer().expect("a lane is free");
    let mut seq = 0;
    let mut turn_of_a_busy_lane = |engine: &mut Stepped<Recorder>| {
        while busy.try_push(witness.op(0, 1, seq)).is_ok() {
            seq += 1;
        }
        engine.turn();
        let snapshot = engine.snapshot();
        assert!(snapshot.in_lanes >= 50, "the lane is never empty: {}", snapshot.in_lanes);
    };
    for round in 0..20 {
        turn_of_a_busy_lane(&mut engine);
        quiet.try_push(witness.op(1, 2, round)).expect("there is room");
        let pushed = engine.now();
        turn_of_a_busy_lane(&mut engine);
        let comes = |witness: &Witness| witness.take().seen.iter().any(|seen| seen.key == 2);
        assert!(!comes(&witness), "it lingers");
        for _ in 0..99 {
            engine.advance(Duration::from_micros(100));
            turn_of_a_busy_lane(&mut engine);
        }
        engine.advance(FLUSH_AFTER - Duration::from_micros(9_900));
        assert_eq!(engine.now(), pushed.saturating_add(FLUSH_AFTER.into()));
        turn_of_a_busy_lane(&mut engine);
        assert!(comes(&witness), "its deadline is now");
    }
}

/// G4: an item may have less patience than the engine, and never more.
#[test]
fn patience_shortens_the_deadline_and_never_extends_it() {
    let witness = Witness::new(Style::Each);
    let mut engine =
        witness.stepped(|builder| builder.sizing(Sizing::Fixed(100)).flush_after(FLUSH_AFTER));
    let mut producer = engine.producer().expect("a lane is free");
    engine.turn();
    let patiences = [
        Patience::Engine,
        Patience::AtMost(MILLISECOND),
        Patience::AtMost(Duration::from_secs(5)),
        Patience::None,
        Patience::AtMost(Duration::ZERO),
    ];
    for (key, patience) in patiences.into_iter().enumerate() {
        producer.try_push(witness.op(0, key as u64, 0).patience(patience)).expect("there is room");
    }
    let mut came = HashMap::new();
    while let Some(next) = {
        engine.settle();
        engine.next_deadline()
    } {
        let now = engine.now();
        came.extend(witness.take().calls.into_iter().map(|call| (call.key, (now, call.trigger))));
        engine.advance(next.saturating_sub(now).into());
    }
    let now = engine.now();
    came.extend(witness.take().calls.into_iter().map(|call| (call.key, (now, call.trigger))));
    let within_a_tick_of = |key: u64, moment: Duration| {
        let (at, trigger) = came[&key];
        let moment = Nanos::from(moment);
        assert_eq!(trigger, Trigger::Deadline);
        assert!(at <= moment && at.saturating_add(tick(FLUSH_AFTER)) > moment, "{key} at {at}");
    };
    within_a_tick_of(0, FLUSH_AFTER);
    within_a_tick_of(1, MILLISECOND);
    within_a_tick_of(2, FLUSH_AFTER);
    assert_eq!(came[&3], (Nanos::ZERO, Trigger::Patience));
    within_a_tick_of(4, Duration::ZERO);
}

/// G4: an impatient item that joins takes the whole batch with it, in order.
#[test]
fn an_impatient_item_shortens_the_deadline_of_the_batch_it_joins() {
    let witness = Witness::new(Style::Each);
    let mut engine =
        witness.stepped(|builder| builder.sizing(Sizing::Fixed(100)).flush_after(FLUSH_AFTER));
    let mut producer = engine.producer().expect("a lane is free");
    for (seq, patience) in [
        Patience::Engine,
        Patience::AtMost(2 * MILLISECOND),
        Patience::AtMost(5 * MILLISECOND),
        Patience::Engine,
    ]
    .into_iter()
    .enumerate()
    {
        producer.try_push(witness.op(0, 1, seq as u64).patience(patience)).expect("room");
        engine.settle();
    }
    engine.advance(MILLISECOND);
    engine.settle();
    assert!(witness.take().calls.is_empty());
    engine.advance(MILLISECOND);
    engine.settle();
    assert_eq!(witness.take().seqs(), [0, 1, 2, 3]);
}

/// G4: the deadline counts from the oldest item, whichever lane is drained first.
#[test]
fn an_older_item_from_another_lane_brings_the_batchs_deadline_forward() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| {
        builder.sizing(Sizing::Fixed(1_000)).flush_after(FLUSH_AFTER).drain_items(2).lanes(2)
    });
    let mut one = engine.producer().expect("a lane is free");
    let mut other = engine.producer().expect("a lane is free");
    engine.turn();
    // Lane one holds a backlog; its last item, of the key 9, is pushed at once but drained late.
    for seq in 0..40 {
        one.try_push(witness.op(0, 1, seq)).expect("there is room");
    }
    one.try_push(witness.op(0, 9, 40)).expect("there is room");
    engine.turn();
    engine.advance(5 * MILLISECOND);
    engine.turn();
    other.try_push(witness.op(1, 9, 0)).expect("there is room");
    engine.settle();
    assert_eq!(engine.snapshot().in_lanes, 0);
    assert!(witness.take().calls.is_empty(), "nothing is due after 5 ms");
    engine.advance(5 * MILLISECOND);
    engine.settle();
    let book = witness.take();
    let of_nine = book.calls.iter().find(|call| call.key == 9).expect("due 10 ms after the older");
    assert_eq!(of_nine.items, 2);
}

/// G4 with real threads, as a distribution: the wake-ups of the machine are in it, so it is shown
/// and not judged.
#[test]
fn lateness_on_real_threads_is_measured() {
    let witness = Witness::new(Style::Each);
    let engine = witness.started(|builder| {
        builder.sizing(Sizing::Fixed(1_000)).flush_after(MILLISECOND).lane_items(256)
    });
    thread::scope(|scope| {
        let mut producer = engine.producer().expect("a lane is free");
        let witness = &witness;
        scope.spawn(move || {
            for seq in 0..20_000 {
                producer.push(witness.op(0, seq % 10, seq)).expect("the engine is open");
            }
        });
    });
    let last = engine.shutdown(LONG).expect("it drains");
    assert_at_rest(&last, 20_000);
    assert_eq!(last.lateness.len(), last.execution.len());
    assert!(!last.lateness.is_empty());
    eprintln!("{last}");
}
