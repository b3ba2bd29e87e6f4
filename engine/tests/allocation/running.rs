//! Running engines, and those who wait for them or ask something of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::yield_now;
use std::time::Duration;

use engine::{
    Batch, BatchEvent, Builder, Engine, Handler, Item, Outcomes, Producer, Settled, Shards, Sizing,
    Tickets, Verdict,
};

use crate::{ALLOCATIONS, allocations};

const LONG: Duration = Duration::from_secs(60);

/// Rounds until everything is warm, and rounds in all. Each has another key, so that no shard is left out.
const WARM: u64 = 64;
const ROUNDS: u64 = 512;

struct Job {
    key: u64,
    /// It is done once the gate is open for it.
    gate: u64,
}

impl Job {
    fn new(key: u64) -> Self {
        Self { key, gate: 0 }
    }
}

impl Item for Job {
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.key
    }
}

/// What a handler tells the test, and what the test tells it.
#[derive(Default)]
struct Gate {
    /// Open for jobs up to this one.
    open: AtomicU64,
    /// What each shard's thread had allocated when it last came to its handler.
    allocated: [AtomicU64; 2],
}

impl Gate {
    /// What all shards had allocated. Whoever has an answer sees all up to the call that it comes from.
    fn allocated(&self) -> u64 {
        self.allocated.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

struct Does {
    shard: usize,
    gate: Arc<Gate>,
}

impl Handler for Does {
    type Item = Job;
    type Reply = u64;
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let Self { shard, gate } = self;
        gate.allocated[*shard].store(ALLOCATIONS.get(), Ordering::Relaxed);
        batch.settle_each(|job| {
            // Acquire [open]: it only says when.
            while gate.open.load(Ordering::Acquire) < job.gate {
                yield_now();
            }
            Verdict::Done(job.key)
        })
    }
}

fn started(gate: &Arc<Gate>, change: impl FnOnce(Builder<Does>) -> Builder<Does>) -> Engine<Does> {
    let gate = Arc::clone(gate);
    let builder = Engine::builder(move |shard| Does { shard: shard.index(), gate: gate.clone() })
        .shards(Shards::Count(2))
        .pin(false)
        .flush_after(Duration::from_millis(1))
        .replies_max(64);
    change(builder).start().expect("the settings can work")
}

/// Goes through all rounds; of those after the warm-up, what this thread allocated, and what the shards did.
fn after_warm_up(gate: &Gate, mut round: impl FnMut(u64)) -> (u64, u64) {
    (1..=WARM).for_each(&mut round);
    let before = gate.allocated();
    let own = allocations(|| (WARM + 1..=ROUNDS).for_each(&mut round));
    (own, gate.allocated() - before)
}

/// A thread of this process.
#[cfg(target_os = "linux")]
struct Thread(std::path::PathBuf);

#[cfg(target_os = "linux")]
impl Thread {
    fn current() -> Self {
        let folder = std::fs::read_link("/proc/thread-self").expect("Linux has it");
        Self(std::path::Path::new("/proc").join(folder).join("stat"))
    }

    /// Whether it waits in the kernel.
    fn sleeps(&self) -> bool {
        let stat = std::fs::read_to_string(&self.0).expect("the thread lives");
        // The state follows the name, which is in parentheses.
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S'))
    }
}

/// Elsewhere nobody says whether it has gone to sleep yet: some answers come before that.
#[cfg(not(target_os = "linux"))]
struct Thread;

#[cfg(not(target_os = "linux"))]
impl Thread {
    fn current() -> Self {
        Self
    }

    fn sleeps(&self) -> bool {
        true
    }
}

#[test]
fn a_thread_that_sleeps_until_its_answer_comes_allocates_nothing_nor_does_who_wakes_it() {
    let gate = Arc::<Gate>::default();
    let engine = started(&gate, |builder| builder);
    let mut producer = engine.producer().expect("a lane");
    let (here, thread) = channel();
    let called = AtomicU64::new(0);
    let (own, shards) = std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            here.send(Thread::current()).expect("the test listens");
            after_warm_up(&gate, |nth| {
                let job = Job { key: nth, gate: nth };
                let ticket = producer.call(job).expect("there is room");
                called.store(nth, Ordering::Release);
                assert_eq!(ticket.wait(), Ok(nth));
            })
        });
        let thread = thread.recv().expect("it has begun");
        for nth in 1..=ROUNDS {
            while called.load(Ordering::Acquire) < nth || !thread.sleeps() {
                assert!(!waits.is_finished(), "it waits for the answer {nth}");
                yield_now();
            }
            // Release [open].
            gate.open.store(nth, Ordering::Release);
        }
        waits.join().expect("all answers came")
    });
    assert_eq!((own, shards), (0, 0), "who waits, and the shards");
}

/// A task that says whether it was woken.
#[derive(Default)]
struct Task(AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Polls once, then has the gate opened, and polls again when it is woken.
fn woken<F: Future + Unpin>(
    mut future: F,
    task: &Arc<Task>,
    waker: &Waker,
    open: impl FnOnce(),
) -> F::Output {
    let mut poll = || Pin::new(&mut future).poll(&mut Context::from_waker(waker));
    assert!(poll().is_pending(), "the gate is shut");
    open();
    loop {
        while !task.0.swap(false, Ordering::Acquire) {
            yield_now();
        }
        if let Poll::Ready(output) = poll() {
            return output;
        }
    }
}

#[test]
fn a_task_that_is_woken_by_its_answer_allocates_nothing_nor_does_who_wakes_it() {
    let gate = Arc::<Gate>::default();
    let engine = started(&gate, |builder| builder);
    let mut producer = engine.producer().expect("a lane");
    let task = Arc::<Task>::default();
    let waker = Waker::from(Arc::clone(&task));
    let counts = after_warm_up(&gate, |nth| {
        let ticket = producer.call(Job { key: nth, gate: nth }).expect("there is room");
        let open = || gate.open.store(nth, Ordering::Release);
        assert_eq!(woken(ticket, &task, &waker, open), Ok(nth));
    });
    assert_eq!(counts, (0, 0), "who polls, and the shards");
}

type Hear = fn(Tickets<u64, ()>) -> Outcomes<u64, ()>;

/// The ways in which many answers are heard.
const HEARINGS: [Hear; 3] = [
    |tickets| tickets.wait(),
    |tickets| tickets.wait_for(LONG).expect("they come"),
    |tickets| ringbuf::wake::block_on(tickets, 0),
];

/// For each way of hearing, what it takes to `ask` for so many jobs and to hear their answers.
fn asking(
    jobs: u64,
    ask: impl Fn(&mut Producer<Job, u64, ()>, u64) -> Tickets<u64, ()>,
) -> [(u64, u64); 3] {
    let gate = Arc::<Gate>::default();
    let engine = started(&gate, |builder| builder);
    let mut producer = engine.producer().expect("a lane");
    HEARINGS.map(|hear| {
        after_warm_up(&gate, |nth| {
            let heard = hear(ask(&mut producer, nth));
            assert!(heard.into_iter().eq((nth..nth + jobs).map(Ok)), "round {nth}");
        })
    })
}

fn jobs(first: u64, jobs: u64) -> impl Iterator<Item = Job> {
    (first..first + jobs).map(Job::new)
}

#[test]
fn a_route_to_four_destinations_allocates_nothing_until_all_is_heard() {
    for legs in [1, 4] {
        let counts =
            asking(legs, |producer, nth| producer.route(jobs(nth, legs)).expect("there is room"));
        assert_eq!(counts, [(0, 0); 3], "{legs} legs");
    }
}

#[test]
fn a_longer_route_allocates_four_times_and_once_for_the_answers() {
    for legs in [5, 40] {
        let counts =
            asking(legs, |producer, nth| producer.route(jobs(nth, legs)).expect("there is room"));
        assert_eq!(counts, [(5 * (ROUNDS - WARM), 0); 3], "{legs} legs");
    }
}

#[test]
fn four_calls_at_once_allocate_nothing_and_more_once_for_the_ticket_and_once_for_the_answers() {
    for (calls, allocations) in [(1, 0), (4, 0), (5, 2), (40, 2)] {
        let counts = asking(calls, |producer, nth| {
            producer.call_all(&mut jobs(nth, calls)).expect("there is room")
        });
        assert_eq!(counts, [(allocations * (ROUNDS - WARM), 0); 3], "{calls} calls");
    }
}

#[test]
fn with_an_observer_a_running_shard_allocates_nothing_either() {
    let gate = Arc::<Gate>::default();
    let seen = Arc::<AtomicU64>::default();
    let sees = Arc::clone(&seen);
    let observer = move |event: &BatchEvent| {
        sees.fetch_add(event.done as u64, Ordering::Relaxed);
    };
    let engine = started(&gate, |builder| builder.sizing(Sizing::Fixed(10)).observer(observer));
    let mut producer = engine.producer().expect("a lane");
    let counts = after_warm_up(&gate, |nth| {
        producer.push_run(&mut jobs(nth, 64)).expect("open");
        assert_eq!(producer.call(Job::new(nth)).expect("there is room").wait(), Ok(nth));
    });
    assert_eq!(counts, (0, 0), "who pushes, and the shards");
    let last = engine.shutdown(LONG).expect("it drains");
    assert_eq!((last.done, seen.load(Ordering::Relaxed)), (65 * ROUNDS, 65 * ROUNDS));
}

/// Does something to a key, for which `push` pushes.
type Ask = fn(&Engine<Does>, key: u64, push: &mut dyn FnMut());

/// What it takes to ask for something, with so many items, two a batch, of each key.
fn asked(items: u64, ask: Ask) -> (u64, u64) {
    let gate = Arc::<Gate>::default();
    let engine = started(&gate, |builder| builder.sizing(Sizing::Fixed(2)).queues(true));
    let mut producer = engine.producer().expect("a lane");
    after_warm_up(&gate, |key| {
        ask(&engine, key, &mut || {
            producer.push_run(&mut (0..items).map(|_| Job::new(key))).expect("open");
        });
        assert_eq!(producer.call(Job::new(key)).expect("there is room").wait(), Ok(key));
    })
}

/// Items of a key, where they are many.
const MANY: u64 = 500;

/// Whether asking took a few allocations a round, however many items and batches were there. How many they are
/// is not promised: a thread that must wait for what a shard says allocates once more.
fn a_few((own, shards): (u64, u64)) -> bool {
    own + shards < (ROUNDS - WARM) * MANY / 10
}

#[test]
fn to_pause_a_key_and_resume_it_takes_no_allocation_of_its_shard_and_none_for_each_item() {
    let ask: Ask = |engine, key, push| {
        engine.pause(&key).expect("there are queues");
        push();
        engine.resume(&key).expect("there are queues");
    };
    for items in [1, MANY] {
        let counts = asked(items, ask);
        assert_eq!(counts.1, 0, "{items} items");
        assert!(a_few(counts), "{items} items: {counts:?}");
    }
}

#[test]
fn to_flush_a_key_takes_its_shard_as_many_allocations_for_one_item_as_for_many() {
    let ask: Ask = |engine, key, push| {
        push();
        engine.flush(&key, LONG).expect("nothing is paused");
    };
    let (one, many) = (asked(1, ask), asked(MANY, ask));
    assert_eq!(one.1, many.1, "the shards");
    assert!(a_few(one) && a_few(many), "{one:?}, {many:?}");
}

#[test]
fn to_pause_resume_and_flush_everything_takes_no_allocation_for_each_item_or_batch() {
    let counts = asked(MANY, |engine, _, push| {
        engine.pause_all().expect("there are queues");
        push();
        engine.resume_all().expect("there are queues");
        engine.flush_all(LONG).expect("nothing is paused");
    });
    assert!(a_few(counts), "{counts:?}");
}
