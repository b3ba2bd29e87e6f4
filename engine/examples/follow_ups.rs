//! Follow-ups: an order that goes from step to step, with nothing in between.
//!
//! Handling one step emits the next ones. They run before everything that waits for the same order already:
//! here a change of the address, which was pushed right behind the order and so comes too late, whatever
//! the batches look like. Run it with `cargo run -p tidegate-engine --example follow_ups`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use engine::{Batch, Engine, FollowUps, Handler, Item, Settled, Verdict};

#[derive(Clone, Copy, Debug)]
enum Step {
    Place { pieces: u32 },
    Reserve { piece: u32 },
    Charge,
    Ship,
    ChangeAddress,
}

struct Event {
    order: u32,
    step: Step,
}

impl Item for Event {
    type Key<'a> = u32;

    fn key(&self) -> u32 {
        self.order
    }
}

/// What happened to each order, in its order.
struct Orders {
    journal: Sender<(u32, String)>,
    shipped: BTreeMap<u32, bool>,
}

impl Orders {
    fn go(&mut self, event: &Event, next: &mut FollowUps<'_, Event>) -> Result<String, String> {
        let mut then = |step| {
            let event = Event { order: event.order, step };
            next.emit(event).map_err(|refused| refused.to_string())
        };
        match event.step {
            Step::Place { pieces } => {
                for piece in 1..=pieces {
                    then(Step::Reserve { piece })?;
                }
                then(Step::Charge)?;
                Ok(format!("placed, {pieces} pieces"))
            }
            Step::Reserve { piece } => Ok(format!("piece {piece} reserved")),
            Step::Charge => then(Step::Ship).map(|()| "charged".to_owned()),
            Step::Ship => {
                self.shipped.insert(event.order, true);
                Ok("shipped".to_owned())
            }
            Step::ChangeAddress if self.shipped.contains_key(&event.order) => {
                Err("address not changed: it is on its way".to_owned())
            }
            Step::ChangeAddress => Ok("address changed".to_owned()),
        }
    }
}

impl Handler for Orders {
    type Item = Event;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_each_with(|event, next| {
            let came = self.go(event, next);
            let verdict = if came.is_ok() { Verdict::Done(()) } else { Verdict::Failed(()) };
            // Nobody may be left to read it.
            let _ = self.journal.send((event.order, came.unwrap_or_else(|refused| refused)));
            verdict
        })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (journal, entries) = channel();
    let engine = Engine::builder(move |_shard| Orders {
        journal: journal.clone(),
        shipped: BTreeMap::new(),
    })
    .follow_ups(8, 4) // of one event; one after the other
    .start()?;

    let mut producer = engine.producer()?;
    for order in 1..=3 {
        producer.push(Event { order, step: Step::Place { pieces: order } })?;
        producer.push(Event { order, step: Step::ChangeAddress })?;
    }
    let last = engine.shutdown(Duration::from_secs(5))?;

    let mut orders: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (order, entry) in entries {
        orders.entry(order).or_default().push(entry);
    }
    for (order, entries) in orders {
        println!("order {order}: {}", entries.join("; "));
    }
    println!(
        "{} events were pushed, {} followed",
        last.accepted - last.follow_ups,
        last.follow_ups
    );
    Ok(())
}
