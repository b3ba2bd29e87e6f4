//! Shows batches as they form: a slow trickle first, then a burst, then what is left of it.
//!
//! With little to do the engine hands every item over at once, for waiting would only delay it. In the
//! burst it lets batches fill, the larger the more is waiting. What can't fill one goes as soon as little
//! is waiting again; at the latest, when its oldest item has waited for as long as `flush_after` says.
//! Run it with `cargo run --example watch`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::{Duration, Instant};

use engine::{Batch, Engine, Handler, Item, Settled};

struct Event {
    city: &'static str,
    pushed: Instant,
}

impl Item for Event {
    type Key<'a> = &'a str;

    fn key(&self) -> &str {
        self.city
    }
}

const CITIES: [&str; 3] = ["Oslo", "Lima", "Kyoto"];

fn event(n: usize) -> Event {
    Event { city: CITIES[n % CITIES.len()], pushed: Instant::now() }
}

/// Prints each batch. A whole handler, and not the closure that [`Engine::from_fn`] takes, since it
/// wants to know what triggered the batch.
struct Printer;

impl Handler for Printer {
    type Item = Event;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        // The items of a batch are a slice, the oldest first.
        let age = batch.items()[0].pushed.elapsed();
        let (city, size, trigger) = (batch.key(), batch.len(), batch.trigger().name());
        println!("{city:<8} {size:>4}  {trigger:<9} {:>9.3} ms", age.as_secs_f64() * 1e3);
        batch.settle_all(|_city, _events| Ok(()))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder(|_shard| Printer)
        .flush_after(Duration::from_millis(10))
        .lane_items(1 << 14)
        .start()?;
    println!("{}", engine.plan());
    let mut producer = engine.producer()?;

    println!("\nA trickle, an event each 60 ms: nothing waits for company.");
    println!("{:<8} {:>4}  {:<9} {:>12}", "key", "size", "trigger", "oldest");
    for n in 0..10 {
        producer.push(event(n))?;
        std::thread::park_timeout(Duration::from_millis(60));
    }

    println!(
        "\nA burst of 10,000 at once: batches fill, and the rest goes when nothing more waits."
    );
    println!("{:<8} {:>4}  {:<9} {:>12}", "key", "size", "trigger", "oldest");
    producer.push_run(&mut (0..10_000).map(event))?;
    std::thread::park_timeout(Duration::from_millis(200));

    let last = engine.shutdown(Duration::from_secs(5))?;
    println!("\nIn all:\n{last}");
    Ok(())
}
