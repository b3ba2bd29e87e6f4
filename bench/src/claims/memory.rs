//! The memory that an item takes while it waits, when all of them do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Engine, Sizing};

use super::passage::Place;
use super::situation::Situation;
use super::spinning::Free;
use crate::Failure;
use crate::checksum::Checksum;
use crate::peer::Peer;
use crate::run::{Handled, Run};
use crate::workload::{Row, Workload};

/// Items in a batch: more than wait for any key, so that none becomes full.
const BATCH_ITEMS: u32 = 200;
/// No deadline comes.
const FLUSH_AFTER: Duration = Duration::from_secs(3_600);
/// The largest plan that is tried, in times the items.
const LARGEST_PLAN: u64 = 4;
/// How long a shard may take to group what is there: only a broken one takes as long.
const GROUPED_WITHIN: Duration = Duration::from_secs(60);

/// An engine that is planned for this load: everything that it took at its start, lanes, tables and
/// histograms included, over the items that wait in it. It takes nothing later, and the plan's bytes are
/// those that the allocator gives out, as the engine's own tests have it.
///
/// Batches that are far from full need more room than well-filled ones, so plans are tried, each an eighth
/// larger than the last, until one holds all items.
pub(crate) struct Planned;

impl Peer<Situation> for Planned {
    fn name(&self) -> &'static str {
        "tidegate"
    }

    fn run(&self, case: Situation) -> Result<Run, Failure> {
        let items = case.workload.items;
        let plans = (8..=8 * LARGEST_PLAN).map(|eighths| items * eighths / 8);
        for open_items in plans {
            if let Some(run) = wait_in(&case, open_items as usize)? {
                return Ok(run);
            }
        }
        Err(format!("no plan of up to {LARGEST_PLAN} times the items holds them").into())
    }
}

/// Lets all items wait in an engine that is planned for `open_items`; `None` if it had no room for them.
fn wait_in(case: &Situation, open_items: usize) -> Result<Option<Run>, Failure> {
    let Workload { items, keys } = case.workload;
    let place = Arc::new(Free::new(keys));
    let there = Arc::clone(&place);
    let engine = Engine::try_builder(move |_| there.handler())
        .sizing(Sizing::Fixed(BATCH_ITEMS))
        .lanes(1)
        .handle_lanes(0)
        .flush_after(FLUSH_AFTER)
        .open_keys(keys as usize)
        .open_items(open_items)
        .start()?;
    let mut producer = engine.producer()?;
    producer.push_run(&mut case.rows())?;
    let begun = Instant::now();
    let waiting = loop {
        let now = engine.snapshot();
        if now.open == items || now.batches > 0 || begun.elapsed() > GROUPED_WITHIN {
            break now;
        }
    };
    let bytes = engine.plan().bytes();
    let last = engine.shutdown(GROUPED_WITHIN)?;
    if waiting.memory_stops > 0 {
        return Ok(None);
    }
    if waiting.open != items {
        return Err(format!("{} items wait, not {items}", waiting.open).into());
    }
    let handled = Handled { digest: place.read_back()?, batches: last.batches };
    let run = bytes_run(bytes, items, handled);
    let text = format!("planned for {open_items} open items");
    Ok(Some(run.with_detail("open_items", text, open_items)))
}

/// What is written first: the items that came, grouped by a map into lists, and a task for each list. The
/// bytes are those of the capacities that these have when all of them are there, which is what was asked of
/// the allocator; what growing lists took on the way is not counted.
pub(crate) struct GroupedByMap;

type Task = Box<dyn FnOnce(&mut Checksum)>;

impl Peer<Situation> for GroupedByMap {
    fn name(&self) -> &'static str {
        "std HashMap, Vecs, tasks"
    }

    fn run(&self, case: Situation) -> Result<Run, Failure> {
        let items = case.workload.items;
        let mut came = Vec::with_capacity(items as usize);
        came.extend(case.rows());
        let mut groups: HashMap<u64, Vec<Row>> = HashMap::new();
        for row in &came {
            groups.entry(row.key).or_default().push(*row);
        }
        let lists: usize = groups.values().map(|rows| rows.capacity() * size_of::<Row>()).sum();
        let bytes = came.capacity() * size_of::<Row>() + lists + map_bytes(&groups);
        let mut tasks: Vec<Task> = Vec::with_capacity(groups.len());
        for (key, rows) in groups {
            tasks.push(Box::new(move |sum| sum.add(key, &rows)));
        }
        let task = size_of::<Task>() + size_of::<(u64, Vec<Row>)>();
        let bytes = bytes + tasks.capacity() * task;
        let mut sum = Checksum::new(case.workload.keys);
        let batches = tasks.len() as u64;
        tasks.into_iter().for_each(|task| task(&mut sum));
        Ok(bytes_run(bytes as u64, items, Handled { digest: sum.digest(), batches }))
    }
}

/// The table behind a std map: a power of two of entries, seven of eight of which may be in use, and a
/// byte for each.
fn map_bytes(map: &HashMap<u64, Vec<Row>>) -> usize {
    let slots = (map.capacity() * 8 / 7).next_power_of_two();
    slots * (size_of::<(u64, Vec<Row>)>() + 1)
}

fn bytes_run(bytes: u64, items: u64, handled: Handled) -> Run {
    let each = bytes as f64 / items as f64;
    Run { ns: each, handled, latencies: None, details: Vec::new() }
}
