//! A ledger of accounts: the smallest engine with a handler of its own.
//!
//! Two tellers push transfers; each account's transfers come to the ledger in batches, in the order of
//! their pushes. Run it with `cargo run --example ledger`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use engine::{Batch, Engine, Handler, Item, Settled, Shards, Verdict};

/// What is pushed.
struct Transfer {
    account: u64,
    cents: i64,
}

impl Item for Transfer {
    /// What may be handled together: transfers of one account.
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.account
    }
}

/// What is said of a transfer that can't be made.
struct Overdrawn;

/// One shard's accounts. It lives on that shard's thread, so it needs no lock.
struct Ledger {
    balances: BTreeMap<u64, i64>,
    closing: Sender<BTreeMap<u64, i64>>,
}

impl Handler for Ledger {
    type Item = Transfer;
    type Reply = i64;
    type Error = Overdrawn;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        // Looked up once for the whole batch: that is what batching is for.
        let balance = self.balances.entry(batch.key()).or_default();
        batch.settle_each(|transfer| match balance.checked_add(transfer.cents) {
            Some(sum) if sum >= 0 => {
                *balance = sum;
                Verdict::Done(sum)
            }
            _ => Verdict::Failed(Overdrawn),
        })
    }
}

impl Drop for Ledger {
    /// The engine has drained: hand the balances out.
    fn drop(&mut self) {
        // Nobody may be left to read them.
        let _ = self.closing.send(std::mem::take(&mut self.balances));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (closing, closed) = channel();
    // Each shard makes its own ledger; an account always meets the same one.
    let engine = Engine::builder(move |_shard| Ledger {
        balances: BTreeMap::new(),
        closing: closing.clone(),
    })
    .shards(Shards::Count(2))
    .lanes(2) // producers that may exist at once
    .start()?;

    std::thread::scope(|scope| {
        for teller in 0..2 {
            let mut producer = engine.producer()?;
            scope.spawn(move || {
                for round in 0..10_000 {
                    let account = teller * 4 + round % 4;
                    // Every fifth transfer takes more out than there is.
                    let cents = if round % 5 == 4 { -1_000_000 } else { 100 };
                    // Waits for room; an error would mean that the engine has closed.
                    producer.push(Transfer { account, cents }).expect("the engine is open");
                }
            });
        }
        Ok::<(), engine::ProducerError>(())
    })?;

    let last = engine.shutdown(Duration::from_secs(5))?; // settles what was accepted
    assert_eq!(last.accepted, last.done + last.failed + last.dead);
    println!("{} transfers made, {} refused as overdrawn", last.done, last.failed);
    // The factory held a sender too; it went with the engine, so this ends.
    let balances: BTreeMap<_, _> = closed.iter().flatten().collect();
    for (account, cents) in balances {
        println!("account {account}: {}.{:02}", cents / 100, cents % 100);
    }
    Ok(())
}
