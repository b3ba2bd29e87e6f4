//! Routing: one order to the ledger, the search index and the mail, with an answer from each.
//!
//! A destination is a key: what goes to the same one is handled together. An order is accepted by all of its
//! destinations or by none, and one that is unknown fails by itself.
//! Run it with `cargo run -p tidegate-engine --example routing`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use engine::{Batch, Engine, Handler, Item, Settled, Verdict};

/// An order's copy for one destination.
struct Leg {
    destination: &'static str,
    mail: Option<&'static str>,
}

impl Item for Leg {
    type Key<'a> = &'a str;

    fn key(&self) -> &str {
        self.destination
    }
}

const KNOWN: [&str; 3] = ["ledger", "search", "mail"];

struct Sinks;

impl Handler for Sinks {
    type Item = Leg;
    type Reply = &'static str;
    type Error = &'static str;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        // One transaction, one bulk request, one connection for the whole batch would go here.
        let destination = batch.items()[0].destination;
        batch.settle_each(|leg| match (destination, leg.mail) {
            ("ledger", _) => Verdict::Done("booked"),
            ("search", _) => Verdict::Done("indexed"),
            (_, Some(_)) => Verdict::Done("sent"),
            (_, None) => Verdict::Failed("no address"),
        })
    }
}

fn legs(order: u32, to: &'static [&'static str]) -> impl Iterator<Item = Leg> {
    let mail = (order != 2).then_some("ada@example.org");
    to.iter().map(move |destination| Leg { destination, mail })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder(|_shard| Sinks)
        .replies_max(4_096)
        .destinations(|leg: &Leg| KNOWN.contains(&leg.destination))
        .start()?;
    let mut orders = engine.producer()?;

    let to: [&'static [&'static str]; 3] =
        [&["ledger", "search", "mail"], &["ledger", "mail"], &["ledger", "fax"]];
    for (order, to) in (1..).zip(to) {
        let answers = orders.route(legs(order, to))?.wait();
        println!("order {order}:");
        for (destination, answer) in to.iter().zip(answers) {
            match answer {
                Ok(what) => println!("  {destination:<7} {what}"),
                Err(failure) => println!("  {destination:<7} not: {failure}"),
            }
        }
    }

    let before = engine.snapshot();
    let tickets: Result<Vec<_>, _> =
        (0..1_000).map(|order| orders.route(legs(order + 10, &KNOWN))).collect();
    let delivered = tickets?.into_iter().flat_map(|order| order.wait()).filter(Result::is_ok);
    println!("1000 more orders: {} deliveries", delivered.count());
    let last = engine.shutdown(Duration::from_secs(5))?;
    println!("in {} batches", last.batches - before.batches);
    Ok(())
}
