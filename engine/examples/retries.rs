//! Retries and dead letters: messages for partners that are not always there.
//!
//! One partner is down for a while, and gets everything later, in order. Another one never answers: its
//! messages are tried four times each and then given to the dead-letter hook, with all that is known of
//! them. The shard never sleeps for it: what waits lies on its timer wheel, and the third partner's
//! messages pass. Run it with `cargo run -p tidegate-engine --example retries`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::HashMap;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use engine::{Batch, DeadLetter, Engine, Handler, Item, Retry, Settled, Verdict};

struct Message {
    partner: &'static str,
    number: u32,
}

impl Item for Message {
    type Key<'a> = &'a str;

    fn key(&self) -> &str {
        self.partner
    }
}

/// Delivers. A real one would keep a connection for each partner.
struct Courier {
    /// How often each partner was called.
    calls: HashMap<&'static str, u32>,
    delivered: Sender<(&'static str, u32)>,
}

impl Courier {
    fn call(&mut self, message: &Message) -> Result<(), String> {
        let calls = self.calls.entry(message.partner).or_default();
        *calls += 1;
        match message.partner {
            "harbour" if *calls <= 2 => Err("503, back soon".to_owned()),
            "archive" => Err("no route to host".to_owned()),
            _ => Ok(()),
        }
    }
}

impl Handler for Courier {
    type Item = Message;
    type Reply = ();
    type Error = String;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        // After a `Retry` the loop ends: those behind wait for their turn and spend no attempt.
        batch.settle_each(|message| match self.call(message) {
            Ok(()) => {
                // Nobody may be left to hear of it.
                let _ = self.delivered.send((message.partner, message.number));
                Verdict::Done(())
            }
            Err(error) => Verdict::Retry(error),
        })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (delivered, deliveries) = channel();
    let (dead, letters) = channel();
    let engine = Engine::builder(move |_shard| Courier {
        calls: HashMap::new(),
        delivered: delivered.clone(),
    })
    .retry(Retry {
        attempts: 4,
        first: Duration::from_millis(2),    // then 4 ms, then 8,
        longest: Duration::from_millis(50), // never more than that,
        jitter: 0.5,                        // and up to a half less, by chance
        ..Retry::default()
    })
    .dead_letters(move |letter: DeadLetter<'_, Message, String>| {
        // Called on the shard's thread: pass it on and be done.
        let waited = letter.now.saturating_sub(letter.first_seen);
        let (message, attempts, error) = (letter.item, letter.attempts, letter.error.clone());
        let _ = dead.send((message, letter.id, attempts, error, waited));
    })
    .start()?;

    let mut producer = engine.producer()?;
    for number in 0..3 {
        for partner in ["harbour", "archive", "market"] {
            producer.push(Message { partner, number })?;
        }
    }
    engine.flush_all(Duration::from_secs(10))?; // waits for the backoffs, too
    let last = engine.shutdown(Duration::from_secs(5))?;

    let mut numbers: HashMap<_, Vec<u32>> = HashMap::new();
    for (partner, number) in deliveries {
        numbers.entry(partner).or_default().push(number);
    }
    for partner in ["harbour", "market"] {
        println!("{partner} got {:?}, in this order", numbers.remove(partner).unwrap_or_default());
    }
    for (message, id, attempts, error, waited) in letters {
        let Message { partner, number } = message;
        println!("dead: {partner} {number} ({id}), {attempts} attempts in {waited}: {error}");
    }
    println!("{} delivered, {} dead, {} times tried again", last.done, last.dead, last.retries);
    Ok(())
}
