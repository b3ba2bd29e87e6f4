//! compiles
//!
//! The positive control of the rings: items that borrow may be pushed where they outlive both ends.

use ringbuf::{LanesConfig, lanes, ring, wake::thread_waker};

pub fn sums(text: &str) -> usize {
    let (mut producer, mut consumer) = ring::<&str>(2);
    producer.try_push(text).unwrap();
    let config = LanesConfig { shards: 1, lanes: 1, capacity: 1, marks: 1 };
    let (lanes, mut shards) = lanes::<&str, &str>(config, |_| thread_waker());
    lanes.claim().unwrap().try_push_marked(0, text, text, || 0).unwrap();
    consumer.pop().map_or(0, str::len) + shards[0].run(0, 1).map(str::len).sum::<usize>()
}
