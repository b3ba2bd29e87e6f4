//! The job itself: producers, an engine, and the tables at its end.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use engine::{
    Builder, Cost, Engine, Handler, Producer, ProducerError, Shards, ShutdownError, Sizing,
    Snapshot, StartError,
};
use sinks::sqlite::{Durability, Options as SinkOptions, Sqlite};

use crate::flight::{Flight, Names};
use crate::tables::{APPLICATION_ID, Failures, FlightWriter, Ledger};

/// Rows that wait between a producer and a shard. Enough to see that the shard is behind, and little
/// enough that an interrupted run of single rows has drained soon.
const LANE_ITEMS: usize = 2_048;

/// All that waits in a lane is looked at together: the more rows a turn sees, the more it finds for each
/// carrier. With 1,024, batches of the built-in flights have 105 rows on average instead of 134.
const DRAIN_ITEMS: usize = 4_096;

/// A shard of several waits for the file while the others write, which is what they do all the time.
const BUSY_TIMEOUT: Duration = Duration::from_secs(120);

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
    /// Rows that came after a later one of their carrier.
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

/// Whether an engine can be made as `settings` say, before any file is touched.
///
/// # Errors
///
/// As the start of the engine, without its threads and its database.
pub(crate) fn plan(settings: &Settings) -> Result<(), StartError> {
    // The names and the place are looked at by the factory alone, which a plan doesn't call.
    let ledger = Arc::new(Ledger::new());
    builder(&Arc::default(), Path::new(""), settings, &ledger).plan().map(drop)
}

/// Runs `flights` through an engine into a new database at `db`. `watch` is shown the engine's state now
/// and then.
pub(crate) fn run(
    flights: &[Flight],
    names: &Arc<Names>,
    db: &Path,
    settings: &Settings,
    stop: &Stop,
    watch: &mut dyn FnMut(&Snapshot),
) -> Result<Outcome, JobError> {
    let ledger = Arc::new(Ledger::new());
    let engine = builder(names, db, settings, &ledger).start()?;
    let producer_of = deal(flights, names, settings.producers);
    let producers =
        (0..settings.producers).map(|_| engine.producer()).collect::<Result<Vec<_>, _>>()?;
    // Only now: a database was opened and threads were started, which is no storing.
    ledger.begin();
    thread::scope(|scope| {
        let (ended, ends) = channel::<()>();
        let ledger = &ledger;
        for (number, producer) in producers.into_iter().enumerate() {
            let ended = ended.clone();
            let own = flights.iter().filter({
                let producer_of = &producer_of;
                move |flight| producer_of[flight.carrier.index()] == number
            });
            let goes_on = || !stop.is_set() && !ledger.in_trouble();
            scope.spawn(move || {
                push_all(producer, own, goes_on);
                drop(ended);
            });
        }
        drop(ended);
        while let Err(RecvTimeoutError::Timeout) = ends.recv_timeout(LOOK_EVERY) {
            watch(&engine.snapshot());
        }
    });
    let snapshot = settle(engine, watch)?;
    let interrupted = stop.is_set() && snapshot.accepted < flights.len() as u64;
    Ok(Outcome {
        snapshot,
        elapsed: ledger.elapsed(),
        out_of_order: ledger.out_of_order(),
        failures: ledger.failures(),
        interrupted,
    })
}

fn builder(
    names: &Arc<Names>,
    db: &Path,
    settings: &Settings,
    ledger: &Arc<Ledger>,
) -> Builder<Sqlite<FlightWriter>> {
    let options = SinkOptions::new(db)
        .application_id(APPLICATION_ID)
        .durability(settings.durability)
        .busy_timeout(BUSY_TIMEOUT);
    let (names, ledger) = (Arc::clone(names), Arc::clone(ledger));
    Engine::try_builder(move |_shard| {
        Sqlite::open(&options, FlightWriter::new(Arc::clone(&names), Arc::clone(&ledger)))
    })
    .shards(Shards::Count(settings.shards))
    .lanes(settings.producers)
    .lane_items(LANE_ITEMS)
    .drain_items(DRAIN_ITEMS)
    .sizing(settings.sizing)
    .flush_after(settings.flush_after)
}

/// Pushes until the rows end, the engine closes, or there is a reason to stop.
fn push_all<'f, R, E>(
    mut producer: Producer<Flight, R, E>,
    flights: impl Iterator<Item = &'f Flight>,
    goes_on: impl Fn() -> bool,
) {
    for flight in flights {
        if !goes_on() || producer.push(*flight).is_err() {
            break;
        }
    }
    // The last rows have nobody to wait for. If the engine has closed, nothing waits.
    let _ = producer.flush();
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
        };
        assert!(plan(&settings).is_ok());
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
}
