//! Merge: a price board that is slower than the market.
//!
//! Only the latest price of an instrument is worth drawing. While the board draws, newer quotes are folded
//! into the one that waits, so the queue has one item for each instrument at most, however fast the
//! market is: here nothing is called, refuses to be folded in, is tried again, or names an entity, each of
//! which would wait by itself. Run it with `cargo run -p tidegate-engine --example merge`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use engine::{Batch, Engine, Handler, Item, Settled, Verdict};

struct Quote {
    instrument: &'static str,
    cents: u64,
    /// Quotes that this one stands for.
    quotes: u64,
}

impl Item for Quote {
    type Key<'a> = &'a str;

    fn key(&self) -> &str {
        self.instrument
    }

    const ABSORBS: bool = true;

    fn absorb(&mut self, newer: Self) -> Result<(), Self> {
        self.cents = newer.cents;
        self.quotes += newer.quotes;
        Ok(())
    }
}

#[derive(Default)]
struct Drawn {
    cents: u64,
    quotes: u64,
    times: u64,
}

/// Takes a millisecond for each batch.
struct Board {
    drawn: BTreeMap<&'static str, Drawn>,
    closing: Sender<BTreeMap<&'static str, Drawn>>,
}

impl Handler for Board {
    type Item = Quote;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        std::thread::park_timeout(Duration::from_millis(1));
        let drawn = self.drawn.entry(batch.items()[0].instrument).or_default();
        batch.settle_each(|quote| {
            drawn.cents = quote.cents;
            drawn.quotes += quote.quotes;
            drawn.times += 1;
            Verdict::Done(())
        })
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // Nobody may be left to read it.
        let _ = self.closing.send(std::mem::take(&mut self.drawn));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (closing, closed) = channel();
    let engine =
        Engine::builder(move |_shard| Board { drawn: BTreeMap::new(), closing: closing.clone() })
            .start()?;
    let mut market = engine.producer()?;
    for n in 0..100_000 {
        let instrument = ["copper", "tin", "zinc"][n % 3];
        market.push(Quote { instrument, cents: 5_000 + n as u64, quotes: 1 })?;
    }
    let last = engine.shutdown(Duration::from_secs(30))?;

    println!("{} quotes, {} of them folded into others", last.done, last.absorbed);
    for (instrument, drawn) in closed.iter().flatten() {
        let Drawn { cents, quotes, times } = drawn;
        println!(
            "{instrument}: {quotes} quotes drawn in {times} strokes, last {}.{:02}",
            cents / 100,
            cents % 100
        );
    }
    Ok(())
}
