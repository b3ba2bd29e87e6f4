//! What a set of lanes takes on the heap is what it says, to the byte; and pushing, draining and
//! waiting allocate nothing.
#![cfg(not(tidegate_loom))]

use ringbuf::{Lanes, LanesConfig, ring};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::task::Waker;

struct Counting;

thread_local! {
    static BYTES: Cell<isize> = const { Cell::new(0) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn note(bytes: isize) {
    // At the end of a thread there may be nothing to count with.
    let _ = BYTES.try_with(|count| count.set(count.get() + bytes));
    let _ = CALLS.try_with(|count| count.set(count.get() + usize::from(bytes > 0)));
}

// SAFETY: hands everything on to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize);
        // SAFETY: the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        note(-(layout.size() as isize));
        // SAFETY: the caller's word.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn lanes_take_the_bytes_they_say() {
    for (shards, lanes, capacity, marks) in
        [(1, 1, 1, 0), (2, 3, 100, 7), (3, 65, 64, 8), (65, 2, 8, 1)]
    {
        let config = LanesConfig { shards, lanes, capacity, marks };
        let before = BYTES.get();
        let (set, ends) = ringbuf::lanes::<[u8; 24], u32>(config, |_| Waker::noop().clone());
        let claimed: Vec<_> = (0..lanes).map(|_| set.claim().unwrap()).collect();
        let vectors =
            ends.capacity() * size_of_val(&ends[0]) + claimed.capacity() * size_of_val(&claimed[0]);
        let taken = BYTES.get() - before - vectors as isize;
        assert_eq!(taken as usize, Lanes::<[u8; 24], u32>::heap_bytes(config), "{config:?}");
        drop((set, ends, claimed));
        assert_eq!(BYTES.get(), before);
    }
}

#[test]
fn one_lane_more_takes_the_bytes_of_a_lane() {
    let config = LanesConfig { shards: 2, lanes: 5, capacity: 30, marks: 3 };
    let bytes = |lanes| Lanes::<u64, u64>::heap_bytes(LanesConfig { lanes, ..config });
    assert_eq!(bytes(6) - bytes(5), Lanes::<u64, u64>::bytes_per_lane(config));
}

#[test]
fn nothing_allocates_once_a_thread_has_waited_for_the_first_time() {
    let (mut producer, mut consumer) = ring(4);
    let config = LanesConfig { shards: 2, lanes: 1, capacity: 4, marks: 2 };
    let (lanes, mut shards) = ringbuf::lanes(config, |_| Waker::noop().clone());
    let mut lane = lanes.claim().unwrap();
    let mut turn = |n: u64| {
        ringbuf::wake::block_on(async {}, 0);
        producer.push(n, 0).unwrap();
        let mut fill = producer.fill(3);
        fill.extend([n; 3]);
        fill.commit().unwrap();
        assert!(producer.poll_room(1, Waker::noop()).is_pending());
        assert_eq!(consumer.pop(), Some(n));
        assert_eq!(consumer.run(9).count(), 3);
        lane.try_push_marked(0, n, n, || n).unwrap();
        let mut run = lane.run();
        run.stage(0, n).unwrap();
        run.stage(1, n).unwrap();
        run.commit(|| n).unwrap();
        for shard in &mut shards {
            while shard.run(0, 2).take_mark().is_some() {}
            assert!(shard.run(0, 9).all(|item| item == n));
            shard.lie_down();
            shard.get_up();
        }
    };
    turn(0);
    let before = CALLS.get();
    (1..100).for_each(&mut turn);
    assert_eq!(CALLS.get(), before);
}
