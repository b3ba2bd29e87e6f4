//! Faults that other batchers had, each kept out by a test. They are named to say what to look for,
//! not to judge: each is a good project that others, this one included, learn from.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use engine::testing::Stepped;
use engine::{
    Batch, Builder, Detached, Engine, Failure, Handler, Item, Nanos, Oversize, Producer, PushError,
    Retry, Settled, Sizing, Snapshot, Trigger, Verdict,
};

const FLUSH_AFTER: Duration = Duration::from_millis(10);
const MILLISECOND: Duration = Duration::from_millis(1);

#[derive(Debug)]
struct Row {
    key: u64,
    seq: u64,
    panics: bool,
}

impl Item for Row {
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.key
    }
}

fn row(key: u64, seq: u64) -> Row {
    Row { key, seq, panics: false }
}

/// A batch as it was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    key: u64,
    seqs: Vec<u64>,
    trigger: Trigger,
}

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<Seen>>>);

impl Log {
    fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().expect("nobody panics with it"))
    }

    /// The sizes of the batches handed over since the last time.
    fn sizes(&self) -> Vec<usize> {
        self.take().iter().map(|seen| seen.seqs.len()).collect()
    }

    fn builder(&self) -> Builder<Logging> {
        let log = self.clone();
        Engine::builder(move |_| Logging(log.clone()))
            .pin(false)
            .open_keys(256)
            .open_items(4_096)
            .flush_after(FLUSH_AFTER)
            .sizing(Sizing::Fixed(100))
    }

    fn stepped(&self) -> (Stepped<Logging>, Producer<Row>) {
        let mut engine = Stepped::new(self.builder()).expect("allowed");
        let producer = engine.producer().expect("a lane is free");
        engine.turn();
        (engine, producer)
    }
}

struct Logging(Log);

impl Handler for Logging {
    type Item = Row;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let seqs = batch.items().iter().map(|row| row.seq).collect();
        let seen = Seen { key: batch.key(), seqs, trigger: batch.trigger() };
        self.0.0.lock().expect("nobody panics with it").push(seen);
        batch.settle_each(|row| {
            if row.panics {
                std::panic::resume_unwind(Box::new("planted"));
            }
            Verdict::Done(())
        })
    }
}

/// Vector: a busy input starved the timers of quiet keys, since they were looked at only when the
/// input paused.
#[test]
fn a_busy_input_does_not_starve_the_timers_of_quiet_keys() {
    let log = Log::default();
    let (mut engine, mut producer) = log.stepped();
    producer.push(row(1, 0)).expect("there is room");
    for seq in 0..=100_u64 {
        for at in 0..100 {
            producer.push(row(2, seq * 100 + at)).expect("there is room");
        }
        engine.turn();
        engine.advance(Duration::from_micros(100));
    }
    let seen = log.take();
    let quiet = seen.iter().position(|seen| seen.key == 1).expect("its deadline has come");
    assert_eq!(seen[quiet].trigger, Trigger::Deadline);
    assert!(quiet >= 98, "and not long before: after {quiet} batches of the busy key");
}

/// ultra-batch: every new item of a key started the delay anew, so that a trickle was never handed
/// over.
#[test]
fn a_new_item_does_not_start_the_delay_anew() {
    let log = Log::default();
    let (mut engine, mut producer) = log.stepped();
    for seq in 0..10 {
        producer.push(row(1, seq)).expect("there is room");
        engine.turn();
        assert!(log.take().is_empty());
        engine.advance(MILLISECOND);
    }
    engine.turn();
    assert_eq!(log.sizes(), [10], "10 ms after the first");
}

/// async-graphql: the timer of a batch that had gone by its size flushed the next one early.
#[test]
fn the_timer_of_a_batch_that_has_gone_does_not_flush_the_next_one_early() {
    let log = Log::default();
    let builder = log.builder().sizing(Sizing::Fixed(2));
    let mut engine = Stepped::new(builder).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    engine.turn();
    producer.push(row(1, 0)).expect("there is room");
    producer.push(row(1, 1)).expect("there is room");
    engine.turn();
    assert_eq!(log.sizes(), [2]);
    engine.advance(6 * MILLISECOND);
    engine.turn();
    producer.push(row(1, 2)).expect("there is room");
    engine.turn();
    // The first batch's timer.
    engine.advance(4 * MILLISECOND);
    engine.settle();
    assert!(log.take().is_empty(), "it waits for its own deadline");
    engine.advance(5 * MILLISECOND);
    engine.settle();
    assert!(log.take().is_empty());
    engine.advance(MILLISECOND);
    engine.settle();
    assert_eq!(log.sizes(), [1], "10 ms after its own push");
}

/// async-graphql: the size was a threshold, and what had gathered when it was reached went in one
/// batch of any size.
#[test]
fn the_size_is_a_cap_and_not_a_threshold() {
    let log = Log::default();
    let (mut engine, mut producer) = log.stepped();
    producer.push_run(&mut (0..257).map(|seq| row(1, seq))).expect("there is room");
    engine.turn();
    engine.advance(FLUSH_AFTER);
    engine.turn();
    assert_eq!(log.sizes(), [100, 100, 57]);
}

/// tower-batch: one flush that failed killed the worker, and every later item with it.
#[test]
fn one_failed_batch_does_not_kill_the_worker() {
    let log = Log::default();
    let (mut engine, mut producer) = log.stepped();
    for round in 0..100 {
        producer.push(Row { panics: true, ..row(1, round) }).expect("there is room");
        producer.flush().expect("open");
        engine.turn();
        producer.push(row(1, round)).expect("the worker is alive");
        producer.flush().expect("open");
        engine.turn();
    }
    let last = engine.shutdown();
    assert_eq!((last.done, last.failed, last.handler_panics), (100, 100, 100));
}

/// OpenTelemetry collector: partial batches of many keys held all the memory until their timeout,
/// and new items were refused meanwhile.
#[test]
fn partial_batches_do_not_hold_all_the_memory_until_their_deadlines() {
    let log = Log::default();
    let builder = log.builder().open_keys(32).open_items(64).lane_items(64);
    let mut engine = Stepped::new(builder).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..10_000 {
        if let Err(full) = producer.try_push(row(seq, seq)) {
            engine.turn();
            let item = full.into_inner();
            producer.try_push(item).expect("a turn makes room, without the clock");
        }
    }
    engine.settle();
    let snapshot = engine.snapshot();
    assert!(snapshot.triggers[Trigger::Pressure.index()] >= 10_000 - 32 - 64);
    assert_eq!(snapshot.triggers[Trigger::Deadline.index()], 0);
    let mut seqs: Vec<u64> = log.take().into_iter().flat_map(|seen| seen.seqs).collect();
    assert!(seqs.is_sorted(), "the oldest go first");
    seqs.dedup();
    assert_eq!(seqs.len() as u64, snapshot.done, "each once");
}

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

/// Kafka 4: a linger of 5 ms, on by default, doubled the time of callers who wait for each answer. Here a
/// call does not linger under any sizing, nor does a lone item under the default one.
#[test]
fn a_synchronous_caller_does_not_wait_for_company() {
    for sizing in [Sizing::default(), Sizing::Single, Sizing::Fixed(2), Sizing::Fixed(100)] {
        let log = Log::default();
        let builder = log.builder().sizing(sizing).replies_max(1);
        let mut engine = Stepped::new(builder).expect("allowed");
        let mut producer = engine.producer().expect("a lane is free");
        for seq in 0..100 {
            let ticket = producer.call(row(1, seq)).expect("a slot is free");
            engine.turn();
            let answer = ticket.wait_for(Duration::ZERO);
            assert_eq!(answer.expect("it is here"), Ok(()), "call {seq} with {sizing:?}");
        }
        assert_eq!(engine.now(), Nanos::ZERO, "the clock stood still");
        if let Sizing::Tiers(_) = sizing {
            log.take();
            producer.push(row(1, 0)).expect("there is room");
            engine.turn();
            assert_eq!(log.sizes(), [1]);
        }
    }
}

/// librdkafka: one oversized item failed its neighbours in the batch. Here it goes alone, or its push gives
/// it back.
#[test]
fn an_oversized_item_leaves_its_neighbours_alone() {
    /// Refuses batches that are too large, as a whole.
    struct Courier;

    impl Handler for Courier {
        type Item = Parcel;
        type Reply = usize;
        type Error = &'static str;

        fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
            batch.settle_all(|_, parcels| {
                let weight: u32 = parcels.iter().map(|parcel| parcel.weight).sum();
                if weight > 10 { Err("too large") } else { Ok(parcels.len()) }
            })
        }
    }

    for oversize in [Oversize::Alone, Oversize::Refused] {
        let builder = Engine::builder(|_| Courier)
            .sizing(Sizing::Fixed(100))
            .batch_weight_max(10)
            .oversize(oversize)
            .replies_max(8);
        let mut engine = Stepped::new(builder).expect("it starts");
        let mut producer = engine.producer().expect("a lane");
        let pushed: Vec<_> = [4, 4, 25, 4, 4]
            .into_iter()
            .map(|weight| producer.try_call(Parcel { weight, retries: 0 }))
            .collect();
        engine.settle();
        let outcomes: Vec<_> = pushed
            .into_iter()
            .map(|pushed| match pushed {
                Ok(ticket) => Ok(ticket.wait_for(Duration::ZERO).expect("it is here")),
                Err(PushError::TooHeavy(parcel)) => Err(parcel.weight),
                Err(other) => panic!("{other}"),
            })
            .collect();
        let heavy = match oversize {
            Oversize::Alone => Ok(Err(Failure::Handler("too large"))),
            Oversize::Refused => Err(25),
        };
        // They go two by two: three of them are too much.
        let done = Ok(Ok(2));
        assert_eq!(outcomes, [done, done, heavy, done, done], "{oversize:?}");
    }
}

/// The same, where the target says for each item what became of it.
#[test]
fn one_item_that_fails_leaves_its_neighbours_alone() {
    struct Picky;

    impl Handler for Picky {
        type Item = Row;
        type Reply = ();
        type Error = &'static str;

        fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
            batch.settle_bulk(|_, rows, verdicts| {
                verdicts.set_rest(|at| match rows[at].seq {
                    13 => Verdict::Failed("too large"),
                    _ => Verdict::Done(()),
                });
            })
        }
    }

    let builder = Engine::builder(|_| Picky).sizing(Sizing::Fixed(20));
    let mut engine = Stepped::new(builder).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    producer.push_run(&mut (0..20).map(|seq| row(1, seq))).expect("there is room");
    engine.turn();
    let last = engine.shutdown();
    assert_eq!((last.done, last.failed, last.batches), (19, 1, 1));
}

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

/// Something that weighs so much, and is to be tried again so many times before it is done.
#[derive(Debug)]
struct Parcel {
    weight: u32,
    retries: u32,
}

impl Item for Parcel {
    type Key<'a> = ();
    const WEIGHS: bool = true;

    fn key(&self) {}

    fn weight(&self) -> u32 {
        self.weight
    }
}

/// When a batch was looked at, and what its items weigh.
type Look = (u64, Vec<u32>);

/// Looks at parcels.
#[derive(Clone, Default)]
struct Scale {
    now: Arc<AtomicU64>,
    looked: Arc<Mutex<Vec<Look>>>,
}

impl Scale {
    fn take(&self) -> Vec<Look> {
        std::mem::take(&mut self.looked.lock().expect("nobody panics with it"))
    }

    fn builder(&self) -> Builder<Self> {
        let scale = self.clone();
        Engine::builder(move |_| scale.clone())
            .pin(false)
            .sizing(Sizing::Fixed(100))
            .flush_after(FLUSH_AFTER)
            .queues(true)
    }
}

impl Handler for Scale {
    type Item = Parcel;
    type Reply = ();
    type Error = &'static str;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let weights = batch.items().iter().map(|parcel| parcel.weight).collect();
        let looked = (self.now.load(Relaxed), weights);
        self.looked.lock().expect("nobody panics with it").push(looked);
        let attempt = batch.attempt(0);
        batch.settle_each(|parcel| match attempt <= parcel.retries {
            true => Verdict::Retry("not yet"),
            false => Verdict::Done(()),
        })
    }
}

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

/// Broadway: the item with which a batch was over its limit of bytes went with it all the same.
#[test]
fn the_item_that_would_be_too_much_is_in_the_next_batch() {
    let scale = Scale::default();
    let engine = Stepped::new(scale.builder().batch_weight_max(10)).expect("it starts");
    let mut producer = engine.producer().expect("a lane");
    for weight in [4, 4, 4, 1, 6, 25, 3] {
        producer.try_push(Parcel { weight, retries: 0 }).expect("there is room");
    }
    let last = engine.shutdown();
    let batches: Vec<Vec<u32>> = scale.take().into_iter().map(|(_, weights)| weights).collect();
    // What is too heavy by itself goes alone.
    assert_eq!(batches, [vec![4, 4], vec![4, 1], vec![6], vec![25], vec![3]], "{last}");
}

/// ClickHouse: a size that was multiplied by what it had brought ended at one extreme or the other, and
/// stayed. Here each batch's target comes from what waits, whatever was before.
#[test]
fn after_any_load_the_sizes_are_those_of_the_load_that_is() {
    let log = Log::default();
    let builder = log.builder().sizing(Sizing::default()).lane_items(4_096);
    let mut engine = Stepped::new(builder).expect("it starts");
    let mut producer = engine.producer().expect("a lane");
    let mut first = Vec::new();
    for round in 0..50 {
        for seq in 0..2_000 {
            producer.try_push(row(1, seq)).expect("there is room");
        }
        engine.settle();
        let sizes = log.sizes();
        if round == 0 {
            assert_eq!(sizes[..5], [200; 5], "{sizes:?}");
            first = sizes;
        } else {
            assert_eq!(sizes, first, "round {round}");
        }
        for seq in 0..50 {
            producer.try_push(row(1, seq)).expect("there is room");
            engine.settle();
        }
        assert_eq!(log.sizes(), [1; 50], "round {round}");
    }
}

/// concurrency-limits: calls that timed out counted as samples, and raised the limit of what was under way.
/// Here a time-out changes no size and no limit.
#[test]
fn batches_that_time_out_change_no_size_and_no_limit() {
    type Away = Arc<Mutex<Vec<Detached<Row, (), ()>>>>;
    struct Leaving(Away);
    impl Handler for Leaving {
        type Item = Row;
        type Reply = ();
        type Error = ();

        fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
            let (settled, away) = batch.detach().expect("there is a credit");
            self.0.lock().expect("nobody panics with it").push(away);
            settled
        }
    }
    let away = Away::default();
    let taken = Arc::clone(&away);
    let builder = Engine::builder(move |_| Leaving(Arc::clone(&taken)))
        .pin(false)
        .sizing(Sizing::Fixed(10))
        .in_flight_max(2)
        .in_flight_for(100 * MILLISECOND);
    let mut engine = Stepped::new(builder).expect("it starts");
    let mut producer = engine.producer().expect("a lane");
    for round in 1..=20 {
        for key in 0..4 {
            for seq in 0..10 {
                producer.try_push(row(key, seq)).expect("there is room");
            }
        }
        // Two times two batches, none of which is settled in time.
        for _ in 0..2 {
            engine.settle();
            let late = std::mem::take(&mut *away.lock().expect("nobody panics with it"));
            assert_eq!(late.iter().map(|batch| batch.len()).collect::<Vec<_>>(), [10, 10]);
            engine.advance(200 * MILLISECOND);
            engine.settle();
            drop(late);
        }
        engine.settle();
        assert_eq!(engine.snapshot().timed_out, 40 * round);
    }
}
