//! Every bound of the engine, in one place, and why.

use std::ops::RangeInclusive;

use crate::nanos::Nanos;

/// Shards of one engine: more than any machine has cores.
pub(crate) const SHARDS: RangeInclusive<usize> = 1..=1_024;
/// Producers that may exist at once: every shard looks at each lane once a turn.
pub(crate) const LANES: RangeInclusive<usize> = 1..=1_024;
/// Lanes that a shared handle spreads its keys over.
pub(crate) const HANDLE_LANES: RangeInclusive<usize> = 0..=64;
/// Items in one lane to one shard.
pub(crate) const LANE_ITEMS: RangeInclusive<usize> = 2..=1 << 24;
/// Marks (patience, flush) in one lane to one shard.
pub(crate) const LANE_MARKS: RangeInclusive<usize> = 2..=1 << 24;
/// Items that a turn takes from one lane before it looks at the next.
pub(crate) const DRAIN_ITEMS: RangeInclusive<usize> = 1..=DRAIN_MOST;
const DRAIN_MOST: usize = 65_536;
/// Items in one batch.
pub(crate) const BATCH_ITEMS: RangeInclusive<u32> = 1..=32_768;
/// Keys that one shard remembers, with a batch open or without: 32-bit indices with room to spare.
pub(crate) const OPEN_KEYS: RangeInclusive<usize> = 1..=1 << 26;
/// Items in open batches on one shard.
pub(crate) const OPEN_ITEMS: RangeInclusive<usize> = 1..=1 << 30;
/// Items of one window: four a partition, or grouping costs more than it saves; and what one block holds.
pub(crate) const WINDOW_ITEMS: RangeInclusive<usize> = 1_024..=524_288;
/// Items of a closed window that one turn hands over, before the lanes are drained again: half of what a lane
/// holds by default.
pub(crate) const WINDOW_TURN_ITEMS: usize = 4_096;
/// How long an item may linger.
pub(crate) const FLUSH_AFTER: RangeInclusive<Nanos> =
    Nanos::from_nanos(1_000)..=Nanos::from_nanos(3_600_000_000_000);
/// How long an idle shard, or a push that waits for room, may spin or yield before it parks.
pub(crate) const IDLE: RangeInclusive<Nanos> = Nanos::ZERO..=Nanos::from_nanos(1_000_000_000);
/// How long dropping an engine may take.
pub(crate) const DROP_WITHIN: RangeInclusive<Nanos> =
    Nanos::ZERO..=Nanos::from_nanos(3_600_000_000_000);

/// Batches that may stand ready at once; a drain stops short of it.
pub(crate) const READY_BATCHES: usize = 8_192;
/// Notes of (lane tail, time) kept for one lane. With more turns than that between a push and its
/// drain, ages are taken from an earlier note: deadlines come early, never late.
pub(crate) const NOTES: usize = 32;
/// Depth up to which nothing lingers, and the tiers above: see semantics in [`crate::Tiers`].
pub(crate) const TIERS: usize = 8;
/// Items, or timers, that are looked ahead at a time: long enough for their cache misses to overlap.
pub(crate) const LOOK_AHEAD: usize = 32;
/// Open batches from which on it pays to fetch them ahead: their records fill a second-level cache by a quarter.
pub(crate) const WIDE_BATCHES: usize = 4_096;
/// Batches whose times are measured at the start of a turn, if it is one that measures; of the
/// others, one in [`SAMPLE_EVERY`] is.
pub(crate) const MEASURED_BATCHES: u32 = 8;
/// See [`MEASURED_BATCHES`].
pub(crate) const SAMPLE_EVERY: u32 = 16;
/// Every turn measures that starts with so many items or fewer: it has time for it.
pub(crate) const SHALLOW: usize = 64;
/// Of deeper turns, one in this time measures: its batches cost a microsecond more together.
pub(crate) const MEASURE_EVERY: Nanos = Nanos::from_nanos(50_000);
/// The times of all batches are measured while the handler takes longer than this: then reading the clock
/// costs nothing beside it.
pub(crate) const SLOW_HANDLER: Nanos = Nanos::from_nanos(20_000);

/// Reply slots of one engine.
pub(crate) const REPLIES: RangeInclusive<usize> = 0..=1 << 20;
/// Attempts of one item.
pub(crate) const ATTEMPTS: RangeInclusive<u32> = 1..=1_000;
/// How long an item may back off.
pub(crate) const BACKOFF: RangeInclusive<Nanos> =
    Nanos::ZERO..=Nanos::from_nanos(3_600_000_000_000);
/// Items of one held key, or entity, that may wait.
pub(crate) const HELD_ITEMS: RangeInclusive<u32> = 1..=1 << 30;
/// Items of one key.
pub(crate) const KEY_ITEMS: RangeInclusive<u32> = 1..=1 << 30;
/// Weight of one batch.
pub(crate) const BATCH_WEIGHT: RangeInclusive<u64> = 1..=1 << 48;
/// Follow-ups of one item, and how many may follow one another.
pub(crate) const FOLLOW_UPS: RangeInclusive<u32> = 0..=1_024;
/// See [`FOLLOW_UPS`].
pub(crate) const FOLLOW_UP_DEPTH: RangeInclusive<u16> = 1..=1_024;
/// Batches in flight on one shard.
pub(crate) const IN_FLIGHT: RangeInclusive<u32> = 0..=65_536;
/// How long a batch may be in flight.
pub(crate) const IN_FLIGHT_FOR: RangeInclusive<Nanos> =
    Nanos::from_nanos(1_000_000)..=Nanos::from_nanos(86_400_000_000_000);
/// Keys that one turn of a shard with queues looks at, while everything open is to go.
pub(crate) const SWEEP_MOST: usize = 8_192;

const _: () = assert!(
    READY_BATCHES >= 2 * 1_024,
    "a drain needs room for a batch that makes place and a full one per item, for a worthwhile run"
);
const _: () = assert!(SAMPLE_EVERY.is_power_of_two(), "sampling masks instead of dividing");
const _: () = assert!(
    *OPEN_KEYS.end() < u32::MAX as usize,
    "keys are 32-bit indices, and one value means none"
);
const _: () = assert!(NOTES >= 2, "an interval has two ends");
