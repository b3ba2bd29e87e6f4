//! Whether it ever ends.

use std::sync::mpsc;
use std::time::Duration;

use engine::{
    Batch, Detached, Engine, Handler, PushError, Retry, Settled, Sizing, Snapshot, Verdict,
};

use crate::rows::{Log, Row, row};

/// batch-aint-one: a shutdown might never finish. Here it does with items in every place, with
/// panics while it drains, and with producers that are still there.
#[test]
fn shutdown_finishes_with_items_everywhere_and_panics_on_the_way() {
    for _ in 0..100 {
        let log = Log::default();
        let builder = log.builder().flush_after(Duration::from_secs(3_600)).drain_items(2);
        let engine = builder.start().expect("allowed");
        let mut producer = engine.producer().expect("a lane is free");
        for seq in 0..50 {
            producer.push(Row { panics: seq % 7 == 0, ..row(seq % 9, seq) }).expect("open");
        }
        let last = engine.shutdown(Duration::from_secs(60)).expect("it finishes");
        assert_eq!((last.accepted, last.failed, last.done), (50, 8, 42));
        drop(producer);
    }
}

/// batch-aint-one, again: with a key that is paused, an item that backs off for longer than anybody waits,
/// and a batch that somebody has taken along.
#[test]
fn shutdown_finishes_with_a_paused_key_a_backoff_and_a_batch_that_is_away() {
    struct Leaving(mpsc::Sender<Detached<Row, (), ()>>);

    impl Handler for Leaving {
        type Item = Row;
        type Reply = ();
        type Error = ();

        fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
            match batch.key() {
                BACKS_OFF => batch.settle_each(|_| Verdict::Retry(())),
                LEAVES => {
                    let (settled, away) = batch.detach().expect("there is a credit");
                    self.0.send(away).expect("somebody takes it");
                    settled
                }
                _ => batch.settle_each(|_| Verdict::Done(())),
            }
        }
    }

    const PAUSED: u64 = 0;
    const BACKS_OFF: u64 = 1;
    const LEAVES: u64 = 2;
    const OTHER: u64 = 3;

    let (gone, leaves) = mpsc::channel();
    let hour = Duration::from_secs(3_600);
    let retry = Retry { first: hour, longest: hour, jitter: 0.0, ..Retry::attempts(5) };
    let engine = Engine::builder(move |_| Leaving(gone.clone()))
        .pin(false)
        .sizing(Sizing::Single)
        .retry(retry)
        .in_flight_max(2)
        .in_flight_for(hour)
        .start()
        .expect("allowed");
    engine.pause(&PAUSED).expect("there are queues");
    let mut producer = engine.producer().expect("a lane is free");
    for key in [PAUSED, BACKS_OFF, LEAVES] {
        producer.push(row(key, 0)).expect("open");
    }
    let away = leaves.recv().expect("it is taken along");
    let stands =
        |snapshot: &Snapshot| (snapshot.held, snapshot.retries, snapshot.in_flight) == (2, 1, 1);
    while !stands(&engine.snapshot()) {
        std::thread::yield_now();
    }
    let settling = std::thread::spawn(move || {
        // Pushes come back from when the engine closes: the batch is given back after that.
        while !matches!(producer.try_push(row(OTHER, 0)), Err(PushError::Closed(_))) {
            std::thread::yield_now();
        }
        away.settle_each(|_| Verdict::Done(()));
    });
    let last = engine.shutdown(Duration::from_secs(60)).expect("it finishes");
    settling.join().expect("it settles");
    assert_eq!((last.dead, last.failed, last.waiting()), (1, 0, 0), "{last}");
    assert_eq!(last.accepted, last.done + last.dead, "{last}");
}
