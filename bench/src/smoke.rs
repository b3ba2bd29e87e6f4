//! A quick look: does everything arrive, and roughly how fast?

use std::time::Instant;

use engine::Sizing;

use crate::Failure;
use crate::checksum::Digest;
use crate::engine::tidegate::{Pushing, TIDEGATE, Tidegate};
use crate::engine::{Dist, EngineCase};
use crate::limits::{QUEUE_ITEMS, RUN_ITEMS};
use crate::options::Smoke;
use crate::pause::Pause;
use crate::peer::{Case, Peer};
use crate::pinning::to_last_core;
use crate::run::Run;
use crate::trivial::Trivial;
use crate::workload::{Row, Workload};

/// Runs everything once.
pub(crate) fn run(options: &Smoke) -> Result<(), Failure> {
    println!("{:<44} {:>8} {:>10} {:>11}", "32-byte items", "keys", "ns/item", "mean batch");
    rings(options.items)?;
    engines(options.items)?;
    println!("every checksum is right");
    Ok(())
}

fn report(name: &str, keys: u32, expected: Digest, run: &Run) -> Result<(), Failure> {
    run.handled.digest.check(expected, name)?;
    println!("{name:<44} {keys:>8} {:>10.1} {:>11.1}", run.ns, run.handled.mean_batch());
    Ok(())
}

fn rings(items: u64) -> Result<(), Failure> {
    let workload = Workload { items, keys: 1 };
    let expected = workload.digest();
    let by_item = through_ring(workload, push_each, pop_each)?;
    report("ring: push, pop", workload.keys, expected, &by_item)?;
    let by_run = through_ring(workload, push_runs, pop_runs)?;
    report("ring: runs of 256", workload.keys, expected, &by_run)
}

type Push = fn(ringbuf::Producer<Row>, Workload) -> Result<(), Failure>;
type Pop = fn(ringbuf::Consumer<Row>, &mut Trivial);

fn through_ring(workload: Workload, push: Push, pop: Pop) -> Result<Run, Failure> {
    let (producer, consumer) = ringbuf::ring(QUEUE_ITEMS);
    std::thread::scope(|scope| {
        let begun = Instant::now();
        let consumer = scope.spawn(move || {
            to_last_core();
            let mut trivial = Trivial::new(workload.keys);
            pop(consumer, &mut trivial);
            trivial.done()
        });
        push(producer, workload)?;
        let done = consumer.join().map_err(|_| "the consumer panicked")?;
        Ok(Run::of_throughput(done.ended - begun, done.trivial.handled()))
    })
}

fn push_each(mut producer: ringbuf::Producer<Row>, workload: Workload) -> Result<(), Failure> {
    for row in workload.rows() {
        producer.push(row, ringbuf::wake::BRIEF_SPIN).map_err(|_| "the ring has closed")?;
    }
    Ok(())
}

fn push_runs(mut producer: ringbuf::Producer<Row>, workload: Workload) -> Result<(), Failure> {
    let mut rows = workload.rows().peekable();
    while rows.peek().is_some() {
        let mut run = producer.fill(RUN_ITEMS);
        run.extend(&mut rows);
        if run.commit().map_err(|_| "the ring has closed")? == 0 {
            let brief = ringbuf::wake::BRIEF_SPIN;
            producer.wait_for_room(1, brief).map_err(|_| "the ring has closed")?;
        }
    }
    Ok(())
}

fn pop_each(mut consumer: ringbuf::Consumer<Row>, trivial: &mut Trivial) {
    let mut pause = Pause::default();
    loop {
        let last_look = consumer.is_closed();
        while let Some(row) = consumer.pop() {
            trivial.handle(row.key, &[row]);
            pause.reset();
        }
        if last_look {
            return;
        }
        pause.wait();
    }
}

fn pop_runs(mut consumer: ringbuf::Consumer<Row>, trivial: &mut Trivial) {
    let mut pause = Pause::default();
    loop {
        let last_look = consumer.is_closed();
        loop {
            let mut run = consumer.run(RUN_ITEMS);
            if run.is_empty() {
                break;
            }
            let (first, second) = run.as_slices();
            for rows in [first, second] {
                if let [row, ..] = rows {
                    trivial.handle(row.key, rows);
                }
            }
            run.skip_in_place(run.len());
            pause.reset();
        }
        if last_look {
            return;
        }
        pause.wait();
    }
}

fn engines(items: u64) -> Result<(), Failure> {
    let items = u32::try_from(items)?;
    let sizings = [Sizing::Single, Sizing::Fixed(100), Sizing::default()];
    for shards in [1, 2] {
        for sizing in sizings {
            for keys in [8, 1_000, 100_000] {
                let case = EngineCase::<Row>::new(keys, Dist::Uniform).shards(shards).items(items);
                through_engine(case, shards, keys, Tidegate { sizing, ..TIDEGATE })?;
            }
        }
    }
    let case = EngineCase::<Row>::new(1_000, Dist::Uniform).items(items);
    let setup = Tidegate { pushing: Pushing::One, ..TIDEGATE };
    through_engine(case, 1, 1_000, setup)
}

fn through_engine(
    case: EngineCase<Row>,
    shards: u32,
    keys: u32,
    setup: Tidegate,
) -> Result<(), Failure> {
    let pushed = if matches!(setup.pushing, Pushing::Runs) { "runs" } else { "push" };
    let name = name(setup.sizing, shards, pushed);
    report(&name, keys, case.expected(), &setup.run(case)?)
}

fn name(sizing: Sizing, shards: u32, pushed: &str) -> String {
    let sizing = match sizing {
        Sizing::Single => "single".to_owned(),
        Sizing::Fixed(items) => format!("fixed:{items}"),
        Sizing::Tiers(_) => "tiers".to_owned(),
    };
    format!("engine: {sizing}, {shards} shard(s), by {pushed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_smoke_finds_every_checksum_right() {
        run(&Smoke { items: 2_000 }).expect("nothing is lost");
    }
}
