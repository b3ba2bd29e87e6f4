//! What the builder was told, parsed once into sizes and memory.

mod operations;
mod placement;
mod tuning;
mod windows;

use std::fmt;
use std::time::Duration;

use ringbuf::{Flags, LanesConfig, ReplyPool};

use crate::batcher::{Batcher, BatcherSizes};
use crate::error::StartError;
use crate::grouping::Grouping;
use crate::idle::{Idle, IdleTimes};
use crate::item::Item;
use crate::lane;
use crate::limits;
use crate::machine::Machine;
use crate::misfit::{Misfit, check, check_time};
use crate::nanos::Nanos;
use crate::notes::Notes;
use crate::operations::{FollowUpLimits, Operations, Order, Oversize};
use crate::pin::Shards;
use crate::queues::Queues;
use crate::retry::Retry;
use crate::tally::Histograms;
use crate::tunables::Tunables;
use crate::verdict::Outcome;
use crate::windows::{WindowSizes, Windows};

/// What to do after a handler has panicked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterPanic {
    /// Build a fresh handler and go on; if that fails, stop the shard. The default.
    #[default]
    Rebuild,
    /// Go on with the handler as it is. For handlers that can't be left half-changed.
    Keep,
    /// Stop the shard: its lanes answer `Closed`, and what they hold fails as
    /// [`Stopped`](crate::Failure::Stopped).
    Stop,
}

/// What the builder was told, unchecked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) shards: Shards,
    pub(crate) pin: bool,
    pub(crate) lanes: usize,
    pub(crate) handle_lanes: usize,
    pub(crate) lane_items: usize,
    pub(crate) lane_marks: Option<usize>,
    pub(crate) drain_items: usize,
    pub(crate) tunables: Tunables,
    pub(crate) batch_items_max: Option<u32>,
    pub(crate) grouping: Grouping,
    pub(crate) open_keys: usize,
    pub(crate) open_items: usize,
    pub(crate) idle: Idle,
    pub(crate) after_panic: AfterPanic,
    pub(crate) drop_within: Duration,
    pub(crate) queues: bool,
    pub(crate) observed: bool,
    pub(crate) replies_max: usize,
    pub(crate) retry: Retry,
    pub(crate) order: Order,
    pub(crate) oversize: Oversize,
    pub(crate) isolates: bool,
    pub(crate) follow_ups: FollowUpLimits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shards: Shards::default(),
            pin: true,
            lanes: 4,
            handle_lanes: 1,
            lane_items: 8_192,
            lane_marks: None,
            drain_items: 1_024,
            tunables: Tunables::default(),
            batch_items_max: None,
            grouping: Grouping::default(),
            open_keys: 65_536,
            open_items: 131_072,
            idle: Idle::Auto,
            after_panic: AfterPanic::default(),
            drop_within: Duration::from_secs(5),
            queues: false,
            observed: false,
            replies_max: 0,
            retry: Retry::default(),
            order: Order::default(),
            oversize: Oversize::default(),
            isolates: false,
            follow_ups: FollowUpLimits { per_item: 0, depth: 1 },
        }
    }
}

/// One part of an engine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is for.
    pub name: &'static str,
    /// How many of them there are: one a shard, or one a lane and shard.
    pub count: u64,
    /// The bytes of each.
    pub bytes_each: u64,
}

impl Part {
    /// The bytes of all of them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.count.saturating_mul(self.bytes_each)
    }
}

/// What an engine is going to be: shards, cores, lanes, and the bytes of every part. Its memory is
/// all taken at the start and does not grow. Printed as a table. It stays as it was at the start: what was
/// [tuned](crate::Engine::tune) since is among the engine's [tunables](crate::Engine::tunables).
///
/// ```
/// # use engine::{Engine, Item};
/// # struct Row(u64);
/// # impl Item for Row { type Key<'a> = u64; fn key(&self) -> u64 { self.0 } }
/// let plan = Engine::from_fn(|_key, _rows: &[Row]| Ok::<(), ()>(())).lanes(2).plan()?;
/// for part in plan.parts() {
///     println!("{}: {} x {} bytes", part.name, part.count, part.bytes_each);
/// }
/// assert_eq!(plan.bytes(), plan.parts().iter().map(|part| part.bytes()).sum::<u64>());
/// # Ok::<(), engine::StartError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) cores: Vec<Option<usize>>,
    pub(crate) lanes: usize,
    pub(crate) handle_lanes: usize,
    pub(crate) lane_items: usize,
    pub(crate) lane_marks: usize,
    pub(crate) drain_items: usize,
    pub(crate) batcher: BatcherSizes,
    /// Present where shards keep queues instead of a batcher.
    pub(crate) operations: Option<Operations>,
    /// Present where items gather in windows instead.
    pub(crate) windows: Option<WindowSizes>,
    pub(crate) idle: IdleTimes,
    pub(crate) after_panic: AfterPanic,
    pub(crate) drop_within: Nanos,
    /// As they are at the start.
    pub(crate) tunables: Tunables,
    idle_reason: String,
    cores_reason: Option<String>,
    parts: Vec<Part>,
}

impl Plan {
    /// Parses settings for a machine.
    pub(crate) fn parse<T: Item, R, E>(
        settings: &Settings,
        machine: &Machine,
    ) -> Result<Self, StartError> {
        check("lanes", settings.lanes, &limits::LANES)?;
        check("handle_lanes", settings.handle_lanes, &limits::HANDLE_LANES)?;
        let all_lanes = settings.lanes + settings.handle_lanes;
        check("lanes and handle_lanes together", all_lanes, &limits::LANES)?;
        check("lane_items", settings.lane_items, &limits::LANE_ITEMS)?;
        let lane_marks = settings.lane_marks.unwrap_or((settings.lane_items / 4).max(64));
        check("lane_marks", lane_marks, &limits::LANE_MARKS)?;
        check("drain_items", settings.drain_items, &limits::DRAIN_ITEMS)?;
        check("open_keys", settings.open_keys, &limits::OPEN_KEYS)?;
        check("open_items", settings.open_items, &limits::OPEN_ITEMS)?;
        settings.tunables.check()?;
        let flush_after = Nanos::from(settings.tunables.flush_after);
        let largest = largest(settings)?;
        let drop_within = check_time("drop_within", settings.drop_within, &limits::DROP_WITHIN)?;
        let operations = operations::parse::<T>(settings, largest)?;
        let windows = windows::parse(settings, largest, operations.is_some())?;
        let (cores, cores_reason) = placement::place_shards(settings, machine)?;
        let (idle, idle_reason) = placement::choose_idle(settings, cores.len(), machine)?;
        let mut plan = Self {
            cores,
            lanes: settings.lanes,
            handle_lanes: settings.handle_lanes,
            lane_items: settings.lane_items.next_power_of_two(),
            lane_marks: lane_marks.next_power_of_two(),
            drain_items: settings.drain_items,
            batcher: BatcherSizes {
                sizing: settings.tunables.sizing,
                largest,
                flush_after,
                open_keys: settings.open_keys,
                open_items: settings.open_items,
            },
            operations,
            windows,
            idle,
            after_panic: settings.after_panic,
            drop_within,
            tunables: settings.tunables,
            idle_reason,
            cores_reason,
            parts: Vec::new(),
        };
        plan.parts = plan.measure::<T, R, E>();
        plan.check_memory(machine)?;
        Ok(plan)
    }

    fn measure<T: Item, R, E>(&self) -> Vec<Part> {
        let shards = self.cores.len() as u64;
        let histograms = Histograms::bytes(self.batcher.largest);
        let lane = lane::bytes::<T, R, E>(self.lanes_config()) + size_of::<Notes>();
        let part = |name, count, bytes: usize| Part { name, count, bytes_each: bytes as u64 };
        let mut parts = vec![part("lanes", shards * self.all_lanes() as u64, lane)];
        match (&self.operations, &self.windows) {
            (None, Some(windows)) => {
                let bytes = Windows::<T, R, E>::bytes(windows);
                parts.extend([
                    part("windows", shards, bytes.partitions),
                    part("grouping of a window", shards, bytes.grouping),
                    part("batches at hand", shards, bytes.batches),
                ]);
            }
            (None, None) => {
                let bytes = Batcher::<T, R, E>::bytes(&self.batcher);
                parts.extend([
                    part("blocks of open batches", shards, bytes.blocks),
                    part("keys", shards, bytes.groups),
                    part("timers", shards, bytes.timers),
                    part("ready batches", shards, bytes.ready),
                ]);
            }
            (Some(operations), _) => {
                let bytes = Queues::<T, R, E>::bytes(operations);
                parts.extend([
                    part("queues of waiting items", shards, bytes.nodes),
                    part("keys", shards, bytes.keys),
                    part("timers", shards, bytes.timers),
                    part("batches at hand", shards, bytes.batches),
                ]);
                if operations.replies_max > 0 {
                    let pool = ReplyPool::<Outcome<R, E>>::heap_bytes(operations.replies_max);
                    parts.push(part("reply slots", 1, pool));
                    parts.push(part(
                        "cancelled calls",
                        shards,
                        Flags::heap_bytes(operations.replies_max),
                    ));
                }
            }
        }
        // The shard's, the one that is swapped against it, and the sum kept so far.
        parts.push(part("histograms", 3 * shards, histograms));
        parts
    }

    /// Items that weigh more are refused.
    pub(crate) fn weight_max(&self) -> u64 {
        self.operations.as_ref().map_or(u64::MAX, Operations::weight_max)
    }

    fn check_memory(&self, machine: &Machine) -> Result<(), StartError> {
        let wide = |part: &Part| u128::from(part.count) * u128::from(part.bytes_each);
        let bytes = self.parts.iter().map(wide).sum();
        // No allocation is larger than that anywhere.
        let memory = machine.memory.unwrap_or(isize::MAX as u64);
        match self.parts.iter().max_by_key(|part| wide(part)) {
            Some(largest) if bytes > u128::from(memory) => {
                let (part, part_bytes) = (largest.name, wide(largest));
                Err(StartError::Memory { bytes, part, part_bytes, memory })
            }
            _ => Ok(()),
        }
    }

    /// What the lanes are made for.
    pub(crate) fn lanes_config(&self) -> LanesConfig {
        LanesConfig {
            shards: self.shards(),
            lanes: self.all_lanes(),
            capacity: self.lane_items,
            marks: self.lane_marks,
        }
    }

    /// Lanes of producers and of the shared handle.
    pub(crate) fn all_lanes(&self) -> usize {
        self.lanes + self.handle_lanes
    }

    /// The number of shards.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.cores.len()
    }

    /// The core that a shard is to run on, if it is to be pinned.
    #[must_use]
    pub fn core(&self, shard: usize) -> Option<usize> {
        self.cores.get(shard).copied().flatten()
    }

    /// Items that fit into one lane to one shard: what was asked for, rounded up to a power of two.
    #[must_use]
    pub fn lane_items(&self) -> usize {
        self.lane_items
    }

    /// The parts of the engine's memory.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The bytes that the engine takes, all at its start.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(Part::bytes).sum()
    }
}

/// Items of the largest batch that there is to be memory for.
fn largest(settings: &Settings) -> Result<u32, Misfit> {
    let sizing = settings.tunables.sizing;
    let Some(most) = settings.batch_items_max else { return Ok(sizing.largest()) };
    check("batch_items_max", most, &limits::BATCH_ITEMS)?;
    if sizing.largest() > most {
        let allowed = format_args!("up to {most} items (`batch_items_max`)");
        return Err(Misfit::new("sizing", sizing, allowed));
    }
    Ok(most)
}

/// `1 thing`, `2 things`.
fn many(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// `1_234_567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores: Vec<_> = self
            .cores
            .iter()
            .map(|core| core.map_or_else(|| "any core".to_owned(), |core| format!("core {core}")))
            .collect();
        let reason = self.cores_reason.as_ref().map_or(String::new(), |why| format!(" ({why})"));
        writeln!(f, "shards       {} on {}{reason}", cores.len(), summary(&cores))?;
        writeln!(
            f,
            "lanes        {} of producers, {} of the shared handle; {} items each, to each shard",
            self.lanes,
            self.handle_lanes,
            grouped(self.lane_items as u64)
        )?;
        writeln!(f, "sizing       {}", self.batcher.sizing)?;
        writeln!(f, "flush after  {}", self.batcher.flush_after)?;
        writeln!(
            f,
            "idle         spin {}, yield {}, then park: {}",
            self.idle.spin, self.idle.yielding, self.idle_reason
        )?;
        match &self.windows {
            Some(windows) => writeln!(
                f,
                "windows      {} items each, two a shard: one fills, one is handed over",
                grouped(windows.items as u64)
            )?,
            None => writeln!(
                f,
                "open         {} keys and {} items a shard",
                grouped(self.batcher.open_keys as u64),
                grouped(self.batcher.open_items as u64)
            )?,
        }
        writeln!(f, "{:<24} {:>8} {:>15} {:>15}", "memory", "number", "bytes each", "bytes")?;
        for part in &self.parts {
            writeln!(
                f,
                "{:<24} {:>8} {:>15} {:>15}",
                part.name,
                grouped(part.count),
                grouped(part.bytes_each),
                grouped(part.bytes())
            )?;
        }
        writeln!(f, "{:<24} {:>8} {:>15} {:>15}", "in all", "", "", grouped(self.bytes()))
    }
}

/// The distinct ones, at most four by name.
fn summary(cores: &[String]) -> String {
    let mut distinct = cores.to_vec();
    distinct.dedup();
    match distinct.len() {
        0..=4 => distinct.join(", "),
        more => format!("{}, … ({} in all)", distinct[..3].join(", "), more),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::Sizing;

    struct Row([u64; 4]);
    impl Item for Row {
        type Key<'a> = u64;
        fn key(&self) -> u64 {
            self.0[0]
        }
    }

    fn machine() -> Machine {
        Machine { cores: vec![0, 1, 2, 3], memory: Some(1 << 34) }
    }

    fn parse(change: impl FnOnce(&mut Settings)) -> Result<Plan, StartError> {
        let mut settings = Settings::default();
        change(&mut settings);
        Plan::parse::<Row, (), ()>(&settings, &machine())
    }

    #[test]
    fn settings_that_cannot_work_are_refused_with_field_value_and_range() {
        let refused = |change: fn(&mut Settings)| parse(change).unwrap_err().to_string();
        let table: [(String, &str); 12] = [
            (refused(|s| s.shards = Shards::Count(0)), "shards is 0; allowed: 1 to 1024"),
            (refused(|s| s.shards = Shards::Cores(vec![])), "shards is 0; allowed: 1 to 1024"),
            (refused(|s| s.lanes = 0), "lanes is 0; allowed: 1 to 1024"),
            (refused(|s| s.lanes = 1_025), "lanes is 1025; allowed: 1 to 1024"),
            (refused(|s| s.lane_items = 1), "lane_items is 1; allowed: 2 to 16777216"),
            (refused(|s| s.drain_items = 0), "drain_items is 0; allowed: 1 to 65536"),
            (refused(|s| s.open_keys = 0), "open_keys is 0; allowed: 1 to 67108864"),
            (
                refused(|s| s.tunables.flush_after = Duration::ZERO),
                "flush_after is 0ns; allowed: 1µs to 3600s",
            ),
            (
                refused(|s| s.tunables.flush_after = Duration::from_secs(3_601)),
                "flush_after is 3601s; allowed: 1µs to 3600s",
            ),
            (refused(|s| s.tunables.sizing = Sizing::Fixed(0)), "sizing is 0; allowed: 1 to 32768"),
            (
                refused(|s| s.shards = Shards::Cores(vec![0, 9])),
                "shards: core 9 is not one that this process may use; those are [0, 1, 2, 3]",
            ),
            (
                refused(|s| s.shards = Shards::Cores(vec![2, 2])),
                "shards: core 2 is named twice; two shards on one core only take turns",
            ),
        ];
        for (said, expected) in table {
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn memory_that_the_machine_does_not_have_is_refused_with_the_part_that_takes_it() {
        let refused = parse(|s| s.lane_items = 1 << 24).err();
        assert!(refused.is_none(), "{refused:?}");
        let refused = parse(|s| {
            s.lane_items = 1 << 24;
            s.lanes = 1_023;
        });
        match refused {
            Err(StartError::Memory { part: "lanes", bytes, memory, .. }) => {
                assert!(bytes > u128::from(memory));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn shards_are_pinned_from_the_last_core_down_while_there_are_enough() {
        let cores = |count| parse(|s| s.shards = Shards::Count(count)).expect("allowed").cores;
        assert_eq!(cores(2), [Some(3), Some(2)]);
        assert_eq!(cores(5), [None; 5]);
        let plan = parse(|s| s.shards = Shards::PerCore).expect("allowed");
        assert_eq!(plan.cores, [Some(0), Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn with_more_threads_than_cores_the_plan_does_not_spin_long_and_says_why() {
        let crowded = parse(|s| s.lanes = 4).expect("allowed");
        assert!(crowded.idle.spin <= Nanos::from_nanos(1_000));
        let said = crowded.to_string();
        assert!(said.contains("1 shard and 4 producers share 4 cores"), "{said}");
        let roomy = parse(|s| s.lanes = 3).expect("allowed");
        assert_eq!(roomy.idle, IdleTimes::DEDICATED);
    }

    #[test]
    fn the_table_adds_up() {
        let plan = parse(|_| ()).expect("the defaults are allowed");
        let sum: u64 = plan.parts().iter().map(Part::bytes).sum();
        assert_eq!(plan.bytes(), sum);
        assert!(plan.to_string().contains(&grouped(sum)));
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
    }
}
