//! The job itself: producers, an engine, and the tables at its end.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use engine::{
    Builder, Cost, DeadLetter, Engine, Handler, Producer, ProducerError, Retry, Shards,
    ShutdownError, Sizing, Snapshot, StartError,
};
use sinks::SinkError;
use sinks::sqlite::{Durability, OpenError, Options as SinkOptions, Sqlite, Writer};

use crate::change::{Brings, Order};
use crate::flight::{Flight, Names};
use crate::ledger::{Failures, Ledger};
use crate::letters::{Letters, Reason};
use crate::tables::{APPLICATION_ID, ChangeWriter, FlightWriter};

/// Rows that wait between a producer and a shard. Enough to see that the shard is behind, and little
/// enough that an interrupted run of single rows has drained soon.
const LANE_ITEMS: usize = 2_048;

/// All that waits in a lane is looked at together: the more rows a turn sees, the more it finds for each
/// carrier. With 1,024, batches of the built-in flights have 105 rows on average instead of 134.
const DRAIN_ITEMS: usize = 4_096;

/// A shard of several waits for the file while the others write, which is what they do all the time.
const BUSY_TIMEOUT: Duration = Duration::from_secs(120);

/// The same where an item is tried more than once: the wait between the attempts comes on top.
const BUSY_TIMEOUT_TRIED: Duration = Duration::from_secs(1);

/// If no row is settled for so long, none will be: longer than a shard may wait for the file.
const NOTHING_HAPPENS: Duration = Duration::from_secs(180);

/// For what is left when every row is settled, or none will be.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(120);

/// Between two looks at a running engine.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The same while only the last batches are awaited.
const LOOK_LAST_EVERY: Duration = Duration::from_millis(5);

/// How to run it.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How many rows a batch takes.
    pub sizing: Sizing,
    /// Threads that write.
    pub shards: usize,
    /// Threads that push.
    pub producers: usize,
    /// How long a row may wait for company.
    pub flush_after: Duration,
    /// What a commit waits for.
    pub durability: Durability,
    /// What stands in order.
    pub order: Order,
    /// How often an item is tried that the database did not take.
    pub attempts: u32,
    /// Rows that are not stored are written to a file.
    pub dead_letters: bool,
}

impl Settings {
    /// Whether the engine keeps queues, and has dead letters to tell of.
    fn is_queued(&self) -> bool {
        self.order == Order::Aircraft || self.attempts > 1 || self.dead_letters
    }
}

/// Set once, by Ctrl-C.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Nothing is pushed from now on. `true` if this was not the first call.
    pub(crate) fn set(&self) -> bool {
        // Relaxed: the flag carries nothing but itself.
        self.0.swap(true, Ordering::Relaxed)
    }

    /// Whether it was set.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What became of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The engine's own account, when everything was settled.
    pub snapshot: Snapshot,
    /// From the first push to the last commit.
    pub elapsed: Duration,
    /// Flights that were pushed, whatever became of them.
    pub pushed: u64,
    /// Rows that came after a later one of their carrier; or of their aircraft, if that is the order.
    pub out_of_order: u64,
    /// Rows that were not stored.
    pub failures: Failures,
    /// Some rows were not pushed, because of Ctrl-C.
    pub interrupted: bool,
}

impl Outcome {
    /// What a transaction and a row cost, where nobody but this run's one shard was writing. Of several
    /// shards each waits for the others, and such times are no costs.
    pub(crate) fn cost_alone(&self, settings: &Settings) -> Option<Cost> {
        (settings.shards == 1).then(|| self.snapshot.cost()).flatten()
    }
}

/// Why a run came to no outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// The engine, or the database at its end, did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A producer got no lane.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// The last rows were not settled in time.
    #[error(transparent)]
    Shutdown(#[from] ShutdownError),
}

/// Which producer pushes which carrier: the carrier with the most rows left goes to the producer with
/// the fewest so far, so that all have about the same number. By [`Name::index`](crate::flight::Name).
pub(crate) fn deal(flights: &[Flight], names: &Names, producers: usize) -> Vec<usize> {
    let mut rows = vec![0_u64; names.len()];
    for flight in flights {
        rows[flight.carrier.index()] += 1;
    }
    let mut carriers: Vec<_> = (0..rows.len()).filter(|&carrier| rows[carrier] > 0).collect();
    carriers.sort_by_key(|&carrier| (std::cmp::Reverse(rows[carrier]), carrier));
    let mut load = vec![0_u64; producers];
    let mut producer_of = vec![0; rows.len()];
    for carrier in carriers {
        let least = (0..producers).min_by_key(|&producer| load[producer]).expect("there is one");
        load[least] += rows[carrier];
        producer_of[carrier] = least;
    }
    producer_of
}

/// Which producer pushes which flight.
enum Dealt {
    ByCarrier(Vec<usize>),
    /// Of so many producers, each aircraft has one, and so have all that are unknown.
    ByAircraft(usize),
}

impl Dealt {
    fn producer_of(&self, flight: &Flight) -> usize {
        match self {
            Self::ByCarrier(producers) => producers[flight.carrier.index()],
            Self::ByAircraft(producers) => {
                flight.tailnum.map_or(0, |tailnum| tailnum.index() % producers)
            }
        }
    }
}

/// Whether an engine can be made as `settings` say, before any file is touched.
///
/// # Errors
///
/// As the start of the engine, without its threads and its database.
pub(crate) fn plan(settings: &Settings) -> Result<(), StartError> {
    // The names and the place are looked at by the factory alone, which a plan doesn't call.
    let ledger = Arc::new(Ledger::new());
    let (names, db) = (Arc::default(), Path::new(""));
    match settings.order {
        Order::Carrier => builder(&names, db, settings, &ledger, FlightWriter::new).plan(),
        Order::Aircraft => builder(&names, db, settings, &ledger, ChangeWriter::new).plan(),
    }
    .map(drop)
}

/// Runs `flights` through an engine into a new database at `db`; what is not stored goes to `letters`.
/// `watch` is shown the engine's state now and then.
pub(crate) fn run(
    flights: &[Flight],
    names: &Arc<Names>,
    db: &Path,
    settings: &Settings,
    letters: Option<Letters>,
    stop: &Stop,
    watch: &mut dyn FnMut(&Snapshot),
) -> Result<Outcome, JobError> {
    let ledger = Arc::new(match settings.is_queued() {
        true => Ledger::of_queues(letters, names),
        false => Ledger::new(),
    });
    let job = Job { flights, settings, ledger: &ledger, stop };
    match settings.order {
        Order::Carrier => {
            let dealt = Dealt::ByCarrier(deal(flights, names, settings.producers));
            job.run(builder(names, db, settings, &ledger, FlightWriter::new), &dealt, watch)
        }
        Order::Aircraft => {
            let dealt = Dealt::ByAircraft(settings.producers);
            job.run(builder(names, db, settings, &ledger, ChangeWriter::new), &dealt, watch)
        }
    }
}

/// One run, whatever its items are.
struct Job<'j> {
    flights: &'j [Flight],
    settings: &'j Settings,
    ledger: &'j Ledger,
    stop: &'j Stop,
}

impl Job<'_> {
    fn run<H>(
        &self,
        builder: Builder<H>,
        dealt: &Dealt,
        watch: &mut dyn FnMut(&Snapshot),
    ) -> Result<Outcome, JobError>
    where
        H: Handler<Item: Brings>,
    {
        let Self { flights, settings, ledger, stop } = *self;
        let engine = builder.start()?;
        let producers =
            (0..settings.producers).map(|_| engine.producer()).collect::<Result<Vec<_>, _>>()?;
        let pushed = AtomicU64::new(0);
        // Only now: a database was opened and threads were started, which is no storing.
        ledger.begin();
        thread::scope(|scope| {
            let (ended, ends) = channel::<()>();
            for (number, producer) in producers.into_iter().enumerate() {
                let ended = ended.clone();
                let own = flights.iter().filter(move |flight| dealt.producer_of(flight) == number);
                let goes_on = || !stop.is_set() && !ledger.in_trouble();
                let pushed = &pushed;
                scope.spawn(move || {
                    // Relaxed: a count, read when the thread has ended.
                    pushed.fetch_add(push_all(producer, own, goes_on), Ordering::Relaxed);
                    drop(ended);
                });
            }
            drop(ended);
            while let Err(RecvTimeoutError::Timeout) = ends.recv_timeout(LOOK_EVERY) {
                watch(&engine.snapshot());
            }
        });
        let snapshot = settle(engine, watch)?;
        let pushed = pushed.into_inner();
        Ok(Outcome {
            snapshot,
            elapsed: ledger.elapsed(),
            pushed,
            out_of_order: ledger.out_of_order(),
            failures: ledger.failures(),
            interrupted: stop.is_set() && pushed < flights.len() as u64,
        })
    }
}

/// What is lost at the end of its attempts comes to the ledger by the engine's dead letters.
fn builder<W>(
    names: &Arc<Names>,
    db: &Path,
    settings: &Settings,
    ledger: &Arc<Ledger>,
    writer: fn(Arc<Names>, Arc<Ledger>) -> W,
) -> Builder<Sqlite<W>>
where
    W: Writer<Item: Brings>,
{
    let options = SinkOptions::new(db)
        .application_id(APPLICATION_ID)
        .durability(settings.durability)
        .busy_timeout(if settings.attempts > 1 { BUSY_TIMEOUT_TRIED } else { BUSY_TIMEOUT });
    let (names, own) = (Arc::clone(names), Arc::clone(ledger));
    let open = move |_shard| -> Result<Sqlite<W>, OpenError> {
        Sqlite::open(&options, writer(Arc::clone(&names), Arc::clone(&own)))
    };
    let builder = Engine::try_builder(open)
        .shards(Shards::Count(settings.shards))
        .lanes(settings.producers)
        .lane_items(LANE_ITEMS)
        .drain_items(DRAIN_ITEMS)
        .sizing(settings.sizing)
        .flush_after(settings.flush_after);
    if !settings.is_queued() {
        return builder;
    }
    let ledger = Arc::clone(ledger);
    builder.retry(Retry::attempts(settings.attempts)).dead_letters(
        move |letter: DeadLetter<'_, W::Item, SinkError>| {
            let DeadLetter { item, id, attempts, error, .. } = letter;
            ledger.lost(&item, Reason { id: Some(id), attempts, error });
        },
    )
}

/// Pushes until the flights end, the engine closes, or there is a reason to stop, and says how many flights
/// it pushed. All that a flight brings is pushed, or nothing.
fn push_all<'f, T: Brings, R, E>(
    mut producer: Producer<T, R, E>,
    flights: impl Iterator<Item = &'f Flight>,
    goes_on: impl Fn() -> bool,
) -> u64 {
    let mut pushed = 0;
    for flight in flights {
        if !goes_on() || T::all_of(*flight).any(|item| producer.push(item).is_err()) {
            break;
        }
        pushed += 1;
    }
    // The last rows have nobody to wait for. If the engine has closed, nothing waits.
    let _ = producer.flush();
    pushed
}

/// Waits until all that was accepted is settled, and ends the engine.
fn settle<H: Handler>(
    engine: Engine<H>,
    watch: &mut dyn FnMut(&Snapshot),
) -> Result<Snapshot, ShutdownError> {
    let (mut settled, mut since) = (0, Instant::now());
    loop {
        let snapshot = engine.snapshot();
        watch(&snapshot);
        if snapshot.settled() != settled {
            (settled, since) = (snapshot.settled(), Instant::now());
        }
        let over = settled == snapshot.accepted || snapshot.stopped_shards > 0;
        if over || since.elapsed() > NOTHING_HAPPENS {
            return engine.shutdown(SHUTDOWN_WITHIN);
        }
        thread::park_timeout(LOOK_LAST_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use engine::testing::Stepped;

    use super::*;
    use crate::input::Input;

    #[test]
    fn each_carrier_has_one_producer_and_all_have_about_the_same() {
        let input = Input::read(None, None).unwrap();
        for producers in 1..=5 {
            let producer_of = deal(&input.flights, &input.names, producers);
            let mut rows = vec![0_u64; producers];
            for flight in &input.flights {
                rows[producer_of[flight.carrier.index()]] += 1;
            }
            let (least, most) = (rows.iter().min().unwrap(), rows.iter().max().unwrap());
            assert!(*most - *least <= 58_665, "{rows:?}: more than the largest carrier has");
        }
    }

    #[test]
    fn what_the_engine_would_refuse_is_known_by_the_plan() {
        let mut settings = Settings {
            sizing: Sizing::Single,
            shards: 1,
            producers: 1,
            flush_after: Duration::from_micros(1),
            durability: Durability::Off,
            order: Order::Carrier,
            attempts: 1,
            dead_letters: false,
        };
        for order in [Order::Carrier, Order::Aircraft] {
            settings.order = order;
            assert!(plan(&settings).is_ok());
        }
        settings.flush_after = Duration::from_nanos(1);
        assert!(matches!(plan(&settings), Err(StartError::Setting { .. })));
    }

    #[test]
    fn stop_says_whether_it_was_set_before() {
        let stop = Stop::default();
        assert!(!stop.is_set());
        assert!(!stop.set());
        assert!(stop.set() && stop.is_set());
    }

    /// Three rows of one carrier, and a database that somebody else has locked.
    struct Locked {
        folder: tempfile::TempDir,
        engine: Stepped<Sqlite<FlightWriter>>,
        ledger: Arc<Ledger>,
        other: rusqlite::Connection,
    }

    impl Locked {
        fn new(attempts: u32) -> Self {
            let input = Input::read(None, None).unwrap();
            let (folder, names) = (tempfile::tempdir().unwrap(), Arc::new(input.names));
            let db = folder.path().join("x.db");
            let letters = Letters::create(&folder.path().join("dead.jsonl"), || Ok(())).unwrap();
            let ledger = Arc::new(Ledger::of_queues(Some(letters), &names));
            let settings = Settings {
                sizing: Sizing::Fixed(3),
                shards: 1,
                producers: 1,
                flush_after: Duration::from_millis(10),
                durability: Durability::Off,
                order: Order::Carrier,
                attempts,
                dead_letters: true,
            };
            let made = builder(&names, &db, &settings, &ledger, FlightWriter::new);
            let engine = Stepped::new(made).unwrap();
            let mut producer = engine.producer().unwrap();
            for flight in input.flights.iter().filter(|flight| flight.carrier.index() == 0).take(3)
            {
                producer.push(*flight).unwrap();
            }
            let other = rusqlite::Connection::open(&db).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            Self { folder, engine, ledger, other }
        }

        fn lines(&self) -> Vec<serde_json::Value> {
            let text = std::fs::read_to_string(self.folder.path().join("dead.jsonl")).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
    }

    #[test]
    fn a_locked_database_is_tried_again_and_stores_everything_in_order() {
        let mut locked = Locked::new(2);
        locked.engine.settle();
        assert_eq!((locked.engine.snapshot().retries, locked.engine.snapshot().done), (3, 0));
        assert!(!locked.ledger.in_trouble(), "an attempt is left");
        locked.other.execute_batch("ROLLBACK").unwrap();
        locked.engine.advance(Duration::from_secs(1));
        locked.engine.settle();
        assert_eq!(locked.engine.snapshot().done, 3);
        assert_eq!((locked.ledger.failures().count, locked.ledger.out_of_order()), (0, 0));
        assert!(locked.lines().is_empty());
    }

    #[test]
    fn rows_whose_attempts_are_used_up_are_dead_letters_and_trouble() {
        let mut locked = Locked::new(2);
        locked.engine.settle();
        locked.engine.advance(Duration::from_secs(1));
        locked.engine.settle();
        assert_eq!(locked.engine.snapshot().dead, 3);
        assert!(locked.ledger.in_trouble());
        let lines = locked.lines();
        assert_eq!((lines.len(), locked.ledger.failures().letters), (3, 3));
        for line in &lines {
            assert_eq!(line["attempts"], 2);
            assert!(line["error"].as_str().unwrap().contains("held the lock"), "{line}");
        }
    }
}
