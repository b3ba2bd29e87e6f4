//! G2: items of one key from one producer are handled in the order of their pushes.

use std::thread;

use engine::testing::Stepped;
use engine::{EngineHandle, EngineProducer, Item, Shards, Sizing};

use crate::witness::{Deed, Dice, LONG, Recorder, Style, Witness, assert_at_rest, sizings};

/// Pushes `count` items in one of three ways each time, numbered from `first`.
fn push_mixed(
    witness: &Witness,
    producer: &mut EngineProducer<Recorder>,
    from: u32,
    seqs: std::ops::Range<u64>,
    dice: &mut Dice,
) {
    let mut seqs = seqs.peekable();
    while let Some(seq) = seqs.next() {
        let key = dice.below(5);
        match dice.below(3) {
            0 => producer.push(witness.op(from, key, seq)).expect("the engine is open"),
            1 => {
                let mut op = witness.op(from, key, seq);
                while let Err(full) = producer.try_push(op) {
                    assert!(full.is_full(), "the engine is open");
                    op = full.into_inner();
                    thread::yield_now();
                }
            }
            _ => {
                let more = 1 + dice.below(40) as usize;
                let rest: Vec<u64> = seqs.by_ref().take(more).collect();
                let run = std::iter::once(seq).chain(rest);
                let mut run = run.map(|seq| witness.op(from, seq % 5, seq));
                producer.push_run(&mut run).expect("the engine is open");
            }
        }
    }
}

fn assert_all_seen(witness: &Witness, count: u64) {
    witness.assert_in_order();
    assert_eq!(witness.book(|book| book.seen.len()) as u64, count, "each came once");
}

/// G2, under every sizing, with panics in between: what a panic leaves goes back to the head.
#[test]
fn order_holds_under_every_sizing_and_across_panics_on_many_lanes_and_shards() {
    for (style, sizing) in [Style::Each, Style::Owned, Style::Bulk]
        .into_iter()
        .flat_map(|style| sizings().map(|sizing| (style, sizing)))
    {
        let witness = Witness::new(style);
        let mut engine = witness
            .stepped(|builder| builder.sizing(sizing).shards(Shards::Count(3)).drain_items(9));
        let mut dice = Dice(3);
        let mut producers: Vec<_> = (0..4).map(|_| engine.producer().expect("free")).collect();
        let mut pushed = 0;
        for seq in 0..1_500 {
            for (from, producer) in producers.iter_mut().enumerate() {
                let deeds = [Deed::Done, Deed::Done, Deed::Panic, Deed::Fail, Deed::LeaveOnce];
                // In a bulk call a panic fails the batch, and what is left without a verdict is
                // overtaken by what is not: neither has an order to keep.
                let deed = match dice.one_of(&deeds) {
                    Deed::Panic | Deed::LeaveOnce if style == Style::Bulk => Deed::Done,
                    deed => deed,
                };
                let op = witness.op(from as u32, dice.below(4), seq).deed(deed);
                pushed += u64::from(producer.try_push(op).is_ok());
            }
            if dice.below(8) == 0 {
                engine.advance(std::time::Duration::from_micros(dice.below(5_000)));
                engine.turn();
            }
        }
        let last = engine.shutdown();
        assert_at_rest(&last, pushed);
        assert_all_seen(&witness, pushed);
        assert!(style == Style::Bulk || last.handler_panics > 100, "panics were planted");
    }
}

/// G2: a lane that changes hands keeps its order: what the first producer pushed comes first.
#[test]
fn order_holds_across_a_producer_that_is_dropped_and_its_lane_claimed_again() {
    for sizing in sizings() {
        let witness = Witness::new(Style::Each);
        let mut engine = witness.stepped(|builder| builder.sizing(sizing).lanes(1));
        let mut seq = 0;
        for round in 0..200 {
            let mut producer = engine.producer().expect("the last one was dropped");
            assert!(engine.producer().is_err(), "there is one lane");
            assert_eq!(producer.lane(), 1, "after the lane of the shared handle");
            for _ in 0..round % 7 {
                producer.try_push(witness.op(0, seq % 2, seq)).expect("there is room");
                seq += 1;
            }
            if round % 3 == 0 {
                engine.turn();
            }
        }
        let last = engine.shutdown();
        assert_at_rest(&last, seq);
        assert_all_seen(&witness, seq);
    }
}

/// G2 with real threads: producers of their own, lanes claimed again, and threads that share the
/// handle, in all ways to push.
#[test]
fn order_holds_on_real_threads_through_every_way_in() {
    const EACH: u64 = 2_000;
    for sizing in sizings() {
        let witness = Witness::new(Style::Each);
        let engine = witness.started(|builder| {
            builder.sizing(sizing).shards(Shards::Count(2)).lanes(2).handle_lanes(2)
        });
        let handle = engine.handle().expect("there are handle lanes");
        thread::scope(|scope| {
            for from in 0..2_u32 {
                let (engine, witness) = (&engine, &witness);
                scope.spawn(move || {
                    let mut dice = Dice(u64::from(from));
                    // Four producers in a row, each on a lane that another one had.
                    for part in 0..4 {
                        let mut producer = engine.producer().expect("two lanes, two threads");
                        let seqs = part * EACH / 4..(part + 1) * EACH / 4;
                        // A lane of one's own is not promised again: each is a producer anew.
                        let from = from * 4 + part as u32;
                        push_mixed(witness, &mut producer, from, seqs, &mut dice);
                    }
                });
            }
            for from in 100..102 {
                let (handle, witness) = (handle.clone(), &witness);
                scope.spawn(move || push_shared(witness, &handle, from, EACH));
            }
        });
        let last = engine.shutdown(LONG).expect("it drains");
        assert_at_rest(&last, 4 * EACH);
        assert_all_seen(&witness, 4 * EACH);
        drop(handle);
        witness.assert_nobody_lives();
    }
}

/// Pushes through the handle: waiting, trying, or with room reserved first.
fn push_shared(witness: &Witness, handle: &EngineHandle<Recorder>, from: u32, count: u64) {
    let mut dice = Dice(u64::from(from));
    for seq in 0..count {
        let op = witness.op(from, dice.below(5), seq);
        match dice.below(3) {
            0 => handle.push(op).expect("the engine is open"),
            1 => {
                let mut op = op;
                while let Err(full) = handle.try_push(op) {
                    op = full.into_inner();
                    thread::yield_now();
                }
            }
            _ => {
                let room = ringbuf::wake::block_on(handle.reserve(&op.key()), 0);
                room.expect("the engine is open").push(op).expect("the engine is open");
            }
        }
    }
}

/// G2: one key alone, so that every panic leaves a rest, and nothing but the head is the right place
/// for it.
#[test]
fn what_a_panic_left_comes_before_everything_that_waits() {
    let witness = Witness::new(Style::Each);
    let mut engine: Stepped<Recorder> = witness.stepped(|builder| builder.sizing(Sizing::Fixed(4)));
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..12 {
        let deed = if seq % 4 == 1 { Deed::Panic } else { Deed::Done };
        producer.try_push(witness.op(0, 7, seq).deed(deed)).expect("there is room");
    }
    engine.turn();
    let book = witness.take();
    assert_eq!(book.seqs(), (0..12).collect::<Vec<_>>());
    let sizes: Vec<_> = book.calls.iter().map(|call| call.items).collect();
    assert_eq!(sizes, [4, 2, 4, 2, 4, 2]);
}
