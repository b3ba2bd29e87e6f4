//! Windows: many keys, each of them rare, and a handler that costs little.
//!
//! A million readings of 100,000 meters are added up, by an engine that keeps a batch open for each meter and
//! by one whose items gather in windows. Both come to the same sums; which one is faster depends on the
//! machine's caches. Run it with `cargo run --release -p tidegate-engine --example windowed`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use engine::{Batch, Engine, Grouping, Handler, Item, Settled, Shards, Sizing};

const METERS: u32 = 100_000;
const READINGS: u32 = 1_000_000;

struct Reading {
    meter: u32,
    watt_hours: u64,
}

impl Item for Reading {
    type Key<'a> = u32;

    fn key(&self) -> u32 {
        self.meter
    }
}

/// Adds a batch to its meter's sum with one write.
struct Sums {
    by_meter: Vec<u64>,
    closing: Sender<Vec<u64>>,
}

impl Handler for Sums {
    type Item = Reading;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_all(|meter, readings| {
            let sum: u64 = readings.iter().map(|reading| reading.watt_hours).sum();
            self.by_meter[meter as usize] += sum;
            Ok(())
        })
    }
}

impl Drop for Sums {
    fn drop(&mut self) {
        // Nobody may be left to read it.
        let _ = self.closing.send(std::mem::take(&mut self.by_meter));
    }
}

fn add_up(grouping: Grouping) -> Result<Vec<u64>, Box<dyn std::error::Error>> {
    let (closing, closed) = channel();
    let engine = Engine::builder(move |_shard| Sums {
        by_meter: vec![0; METERS as usize],
        closing: closing.clone(),
    })
    .shards(Shards::Count(1))
    .sizing(Sizing::Fixed(100))
    .grouping(grouping)
    .open_keys(METERS as usize)
    .open_items(1 << 20)
    .start()?;
    let mut meters = engine.producer()?;
    let begun = Instant::now();
    let mut drawn = 1_u64;
    let mut readings = (0..READINGS).map(|n| {
        // Knuth's generator of random numbers: its upper bits are good enough.
        drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Reading { meter: (drawn >> 33) as u32 % METERS, watt_hours: u64::from(n) }
    });
    meters.push_run(&mut readings)?;
    let last = engine.shutdown(Duration::from_secs(30))?;
    println!(
        "{grouping}: {} readings, {:.1} a batch, {:.0} ns each",
        last.done,
        last.mean_batch(),
        begun.elapsed().as_nanos() as f64 / f64::from(READINGS)
    );
    Ok(closed.recv()?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hashed = add_up(Grouping::Hashed)?;
    let windowed = add_up(Grouping::WINDOWED)?;
    println!("the sums are the same: {}", hashed == windowed);
    println!("in all {} Wh", windowed.iter().sum::<u64>());
    Ok(())
}
