//! G8: pushes that race the shutdown. Each that returned Ok is settled, each that lost gave its item
//! back, and the counts match exactly.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use engine::{EngineHandle, EngineProducer, Idle, Item, PushError, Shards, Sizing};

use crate::witness::{Dice, LONG, Recorder, Style, Witness, assert_at_rest};

/// Pushes until the engine is closed; says how many were accepted. Every item that is refused must
/// be the one that was pushed.
fn push_until_closed(
    witness: &Witness,
    mut producer: EngineProducer<Recorder>,
    from: u32,
    way: u64,
) -> u64 {
    let mut seq = 0;
    loop {
        let op = witness.op(from, seq % 3, seq);
        let pushed = match way {
            0 => producer.push(op),
            1 => producer.try_push(op),
            _ => {
                let mut run = (seq..seq + 5).map(|seq| witness.op(from, seq % 3, seq));
                match producer.push_run(&mut run) {
                    Ok(accepted) => {
                        assert_eq!(accepted, 5);
                        seq += 5;
                        continue;
                    }
                    Err(error) => {
                        let PushError::Closed(back) = error.cause else { panic!("{error:?}") };
                        let rest = run.count();
                        assert_eq!(error.accepted + back.len() + rest, 5);
                        return seq + error.accepted as u64;
                    }
                }
            }
        };
        match pushed {
            Ok(()) => seq += 1,
            Err(PushError::Closed(back)) => {
                assert_eq!(back.name(), (from, seq % 3, seq));
                return seq;
            }
            Err(PushError::Full(back)) => {
                assert_eq!(back.name(), (from, seq % 3, seq));
                thread::yield_now();
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn push_shared_until_closed(
    witness: &Witness,
    handle: &EngineHandle<Recorder>,
    from: u32,
    reserves: bool,
) -> u64 {
    let mut seq = 0;
    loop {
        let op = witness.op(from, seq % 3, seq);
        let pushed = if reserves {
            match ringbuf::wake::block_on(handle.reserve(&op.key()), 0) {
                Ok(room) => room.push(op),
                Err(PushError::Closed(())) => return seq,
                Err(error) => panic!("{error:?}"),
            }
        } else {
            handle.push(op)
        };
        match pushed {
            Ok(()) => seq += 1,
            Err(PushError::Closed(back)) => {
                assert_eq!(back.seq, seq);
                return seq;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// One small engine, pushed into from all sides while it closes.
fn race(round: u64) {
    let mut dice = Dice(round);
    let witness = Witness::new(Style::Each);
    let idle = dice.one_of(&[0, 20]).pipe(Duration::from_micros);
    let engine = witness.started(|builder| {
        builder
            .shards(Shards::Count(1 + dice.below(2) as usize))
            .lanes(2)
            .handle_lanes(1)
            .lane_items(dice.one_of(&[2, 8, 64]))
            .lane_marks(2)
            .open_keys(4)
            .open_items(16)
            .sizing(dice.one_of(&[Sizing::Single, Sizing::Fixed(4), Sizing::default()]))
            .idle(Idle::Times { spin: idle, yielding: idle })
    });
    let handle = engine.handle().expect("there is a handle lane");
    let ways = [dice.below(3), dice.below(3)];
    let reserves = dice.below(2) == 0;
    let start = Barrier::new(4);
    let (accepted, last) = thread::scope(|scope| {
        let (witness, start, handle) = (&witness, &start, &handle);
        let mut pushers: Vec<_> = (0..2)
            .map(|from| {
                let producer = engine.producer().expect("a lane is free");
                scope.spawn(move || {
                    start.wait();
                    push_until_closed(witness, producer, from, ways[from as usize])
                })
            })
            .collect();
        pushers.push(scope.spawn(move || {
            start.wait();
            push_shared_until_closed(witness, handle, 9, reserves)
        }));
        start.wait();
        for _ in 0..dice.below(4) {
            thread::yield_now();
        }
        let last = engine.shutdown(LONG).expect("it drains");
        let accepted: Vec<u64> =
            pushers.into_iter().map(|pusher| pusher.join().expect("no panic")).collect();
        (accepted, last)
    });
    // Only of a run may a part be refused by one shard and what follows be accepted by another.
    assert_at_rest(&last, accepted.iter().sum());
    assert_eq!(last.done, last.accepted);
    assert_eq!(witness.book(|book| book.seen.len()) as u64, last.accepted);
    witness.assert_in_order();
    drop(handle);
    witness.assert_nobody_lives();
}

/// Calls a function behind its argument.
trait Pipe: Sized {
    fn pipe<R>(self, call: impl FnOnce(Self) -> R) -> R {
        call(self)
    }
}

impl Pipe for u64 {}

/// G8, a thousand times over, with lanes of every size.
#[test]
fn every_push_that_races_the_shutdown_is_settled_or_gives_its_item_back() {
    for round in 0..1_000 {
        race(round);
    }
}

/// G8: closing is seen by a producer that is claimed, and dropped, while it happens.
#[test]
fn producers_that_come_and_go_while_the_engine_closes_lose_nothing() {
    for round in 0..300 {
        let witness = Witness::new(Style::Each);
        let engine =
            witness.started(|builder| builder.lanes(1).lane_items(4).sizing(Sizing::Fixed(3)));
        let mut producer = engine.producer().expect("a lane is free");
        let (accepted, last) = thread::scope(|scope| {
            let witness = &witness;
            let pusher = scope.spawn(move || {
                let mut seq = 0;
                while producer.push(witness.op(0, seq % 2, seq)).is_ok() {
                    seq += 1;
                }
                seq
            });
            for _ in 0..round % 5 {
                thread::yield_now();
            }
            let last = engine.shutdown(LONG).expect("it drains");
            (pusher.join().expect("no panic"), last)
        });
        assert_at_rest(&last, accepted);
        witness.assert_in_order();
        witness.assert_nobody_lives();
    }
}
