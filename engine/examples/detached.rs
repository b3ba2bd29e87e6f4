//! Detached batches: uploads that wait for a remote store, without the shard waiting too.
//!
//! The handler takes each batch along and gives it to one of four connections, each a thread here (a task
//! of any runtime does as well). Batches of one bucket go one after the other, so that their order stands;
//! those of different buckets go side by side. Run it with
//! `cargo run -p tidegate-engine --example detached`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use engine::{Batch, Detached, Engine, Handler, Item, Settled, Sizing, Verdict};

struct Upload {
    bucket: &'static str,
    number: u32,
}

impl Item for Upload {
    type Key<'a> = &'a str;

    fn key(&self) -> &str {
        self.bucket
    }
}

const CONNECTIONS: usize = 4;
const BUCKETS: [&str; 4] = ["maps", "photos", "plans", "tiles"];
/// What one request takes, for one upload as for many.
const REQUEST: Duration = Duration::from_millis(5);

type Away = Detached<Upload, (), &'static str>;

struct Uploader {
    connections: Sender<Away>,
}

impl Handler for Uploader {
    type Item = Upload;
    type Reply = ();
    type Error = &'static str;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        match batch.detach() {
            Ok((settled, batch)) => {
                // With no connection left it is dropped here, and its items fail as abandoned.
                let _ = self.connections.send(batch);
                settled
            }
            // Not set up: `in_flight_max` is 0.
            Err(batch) => batch.settle_all(|_, _| Err("nowhere to go")),
        }
    }
}

/// What the connections did.
#[derive(Default)]
struct Store {
    requests: u32,
    uploads: BTreeMap<&'static str, Vec<u32>>,
}

/// Uploads what comes, until nothing comes any more.
fn connection(batches: &Mutex<Receiver<Away>>, store: &Mutex<Store>) {
    loop {
        // In a statement of its own: the lock is not held during the request.
        let next = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else { return };
        let begun = Instant::now();
        while begun.elapsed() < REQUEST {
            thread::park_timeout(REQUEST.saturating_sub(begun.elapsed()));
        }
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        store.requests += 1;
        batch.settle_each(|upload| {
            store.uploads.entry(upload.bucket).or_default().push(upload.number);
            Verdict::Done(())
        });
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (connections, batches) = channel();
    let (batches, store) = (Arc::new(Mutex::new(batches)), Arc::new(Mutex::new(Store::default())));
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (batches, store) = (Arc::clone(&batches), Arc::clone(&store));
            thread::spawn(move || connection(&batches, &store))
        })
        .collect();

    let engine = Engine::builder(move |_shard| Uploader { connections: connections.clone() })
        .sizing(Sizing::Fixed(50))
        .in_flight_max(CONNECTIONS as u32)
        .in_flight_for(Duration::from_secs(10))
        .start()?;
    let begun = Instant::now();
    let mut producer = engine.producer()?;
    for number in 0..1_000 {
        for bucket in BUCKETS {
            producer.push(Upload { bucket, number })?;
        }
    }
    let last = engine.shutdown(Duration::from_secs(30))?; // waits for what is away
    let took = begun.elapsed();
    for thread in threads {
        thread.join().map_err(|_| "a connection panicked")?;
    }

    let store = store.lock().unwrap_or_else(PoisonError::into_inner);
    for (bucket, numbers) in &store.uploads {
        let order = if numbers.is_sorted() { "in order" } else { "out of order" };
        println!("{bucket}: {} uploads, {order}", numbers.len());
    }
    println!("{} uploads in {} requests", last.done, store.requests);
    println!("took {took:.0?}; one request after the other {:.0?}", REQUEST * store.requests);
    Ok(())
}
