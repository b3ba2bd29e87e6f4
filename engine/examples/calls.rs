//! Calls: a shop whose customers wait for an answer, and whose stock is kept in batches.
//!
//! Each reservation is a call: whoever makes it gets a ticket, and on it what the handler said. Calls that
//! come together for one article are one batch all the same: it is looked up once for all of them.
//! Run it with `cargo run -p tidegate-engine --example calls`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::HashMap;
use std::time::Duration;

use engine::{Batch, Engine, Failure, Handler, Item, Settled, Verdict};

struct Reservation {
    article: &'static str,
    pieces: u32,
}

impl Item for Reservation {
    type Key<'a> = &'a str;

    fn key(&self) -> &str {
        self.article
    }
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SoldOut {
    left: u32,
}

struct Stock {
    articles: HashMap<&'static str, u32>,
}

impl Handler for Stock {
    type Item = Reservation;
    /// The pieces that are left after it.
    type Reply = u32;
    type Error = SoldOut;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let left = self.articles.entry(batch.items()[0].article).or_insert(100);
        batch.settle_each(|reservation| match left.checked_sub(reservation.pieces) {
            Some(rest) => {
                *left = rest;
                Verdict::Done(rest)
            }
            None => Verdict::Failed(SoldOut { left: *left }),
        })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder(|_shard| Stock { articles: HashMap::new() })
        .replies_max(256) // answers that may be waited for at once
        .start()?;
    let mut shop = engine.producer()?;

    // One call. The thread waits; a task would `.await` the same ticket.
    match shop.call(Reservation { article: "lamp", pieces: 3 })?.wait() {
        Ok(left) => println!("3 lamps reserved, {left} left"),
        Err(failure) => println!("no lamps: {failure:?}"),
    }
    match shop.call(Reservation { article: "lamp", pieces: 98 })?.wait() {
        Err(Failure::Handler(SoldOut { left })) => println!("98 lamps refused, {left} left"),
        other => println!("unexpected: {other:?}"),
    }

    // Many calls, with one ticket on all of their answers, in the order of the calls.
    let wishes = (0..200).map(|_| Reservation { article: "chair", pieces: 1 });
    let answers = shop.call_all(&mut wishes.into_iter())?.wait();
    let made = answers.iter().filter(|answer| answer.is_ok()).count();
    println!("{made} of {} chairs reserved", answers.len());

    // Not for ever: after a second, the ticket comes back, to be waited for again or cancelled.
    match shop.call(Reservation { article: "desk", pieces: 1 })?.wait_for(Duration::from_secs(1)) {
        Ok(answer) => println!("a desk reserved in time: {}", answer.is_ok()),
        Err(ticket) => ticket.cancel(),
    }

    let last = engine.shutdown(Duration::from_secs(5))?;
    println!("{} calls in {} batches", last.accepted, last.batches);
    Ok(())
}
