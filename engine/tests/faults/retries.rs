//! What is tried again.

use std::sync::atomic::Ordering::Relaxed;

use engine::Retry;
use engine::testing::Stepped;

use crate::parcels::{Parcel, Scale};
use crate::rows::MILLISECOND;

/// Flink: what failed was tried again at once, and for ever.
#[test]
fn retries_have_a_delay_that_grows_and_an_end() {
    let scale = Scale::default();
    let retry = Retry {
        first: 20 * MILLISECOND,
        jitter: 0.0,
        longest: 100 * MILLISECOND,
        ..Retry::attempts(4)
    };
    let mut engine = Stepped::new(scale.builder().retry(retry)).expect("it starts");
    let mut producer = engine.producer().expect("a lane");
    producer.try_push(Parcel { weight: 1, retries: u32::MAX }).expect("there is room");
    for ms in 0..1_000 {
        scale.now.store(ms, Relaxed);
        engine.settle();
        engine.advance(MILLISECOND);
    }
    let times: Vec<u64> = scale.take().into_iter().map(|(at, _)| at).collect();
    let waits: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Up to a tick of the wheel, and of this test's clock, longer.
    let near = |wait: u64, least: u64| (least..=least + 2).contains(&wait);
    assert!(waits.len() == 3, "{times:?}");
    assert!(near(waits[0], 20) && near(waits[1], 40) && near(waits[2], 80), "{waits:?}");
    assert_eq!(engine.snapshot().dead, 1);
}
