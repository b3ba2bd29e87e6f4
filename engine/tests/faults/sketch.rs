//! Where the sketch that this engine answers to lost items, their order, or the time of its callers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use engine::{Engine, Sizing};

use crate::rows::{Log, Row, row};

/// The sketch that this engine answers to: results came in another order than the items, and what
/// did not fit was silently gone.
#[test]
fn no_item_is_silently_dropped_and_each_group_keeps_its_order() {
    let log = Log::default();
    let engine = log.builder().lane_items(16).sizing(Sizing::Fixed(7)).start().expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..5_000 {
        producer.push(row(seq % 3, seq)).expect("open");
    }
    let last = engine.shutdown(Duration::from_secs(60)).expect("it drains");
    assert_eq!(last.done, 5_000);
    for key in 0..3 {
        let of_key = log.0.lock().expect("nobody panics with it").clone().into_iter();
        let seqs: Vec<u64> =
            of_key.filter(|seen| seen.key == key).flat_map(|seen| seen.seqs).collect();
        assert!(seqs.into_iter().eq((0..5_000).filter(|seq| seq % 3 == key)));
    }
}

/// The same sketch: one slow group held up, and after five seconds killed, the caller of all. Here a
/// slow call delays its own shard, and nobody who pushes.
#[test]
fn a_slow_group_does_not_hold_up_those_who_push() {
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let handled = Arc::new(AtomicU64::new(0));
    let count = handled.clone();
    let engine = Engine::from_fn(move |_, rows: &[Row]| {
        let _ = released.lock().expect("nobody panics with it").recv();
        count.fetch_add(rows.len() as u64, Relaxed);
        Ok::<(), ()>(())
    })
    .pin(false)
    .lane_items(128)
    .start()
    .expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..128 {
        producer.try_push(row(seq, seq)).expect("the lane takes them while the handler waits");
    }
    assert_eq!(handled.load(Relaxed), 0);
    drop(release);
    assert_eq!(engine.shutdown(Duration::from_secs(60)).expect("it drains").done, 128);
}
