//! What of an engine can be changed while it runs: its sizing, and limits that need no new memory.

use std::time::Duration;

use crate::limits;
use crate::misfit::{Misfit, check, check_time};
use crate::sizing::Sizing;

/// What of an engine can be changed while it runs: look at it with
/// [`Engine::tunables`](crate::Engine::tunables), change it with [`Engine::tune`](crate::Engine::tune). Each
/// field is what the method of the [`Builder`](crate::Builder) of the same name sets.
///
/// ```
/// # use engine::{Engine, Item, Sizing};
/// # use std::time::Duration;
/// # struct Row(u64);
/// # impl Item for Row { type Key<'a> = u64; fn key(&self) -> u64 { self.0 } }
/// let engine = Engine::from_fn(|_key, _rows: &[Row]| Ok::<(), ()>(())).start()?;
/// assert_eq!(engine.tunables().flush_after, Duration::from_millis(10));
///
/// engine.tune(|tunables| {
///     tunables.sizing = Sizing::Fixed(100);
///     tunables.flush_after *= 2;
/// })?;
/// assert_eq!(engine.tunables().flush_after, Duration::from_millis(20));
///
/// let refused = engine.tune(|tunables| tunables.sizing = Sizing::Fixed(1_000)).unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     "sizing is fixed:1000; allowed: up to 200 items (`batch_items_max`)"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tunables {
    /// How batches are sized that open from now on; what is open keeps its target. Up to the largest
    /// batch that there is memory for: that of the sizing at the start, or
    /// [`batch_items_max`](crate::Builder::batch_items_max). With
    /// [windows](crate::Grouping::Windowed) [`Sizing::Fixed`] alone.
    pub sizing: Sizing,
    /// How long items linger whose batch opens from now on: 1 µs to 1 h. What is open keeps its deadline,
    /// also for the items that still join it.
    pub flush_after: Duration,
    /// Items of a held key, or entity, that may wait, as soon as the next one comes: 1 to 1,073,741,824.
    /// Needs queues.
    pub held_items_max: u32,
    /// Items of a key, from the next one on that comes: 1 to 1,073,741,824, or no limit. Those that are
    /// here stay. Needs queues.
    pub key_items_max: Option<u32>,
    /// What a batch may weigh, from its next item and its hand-over on: 1 to 2^48, or no limit. Needs
    /// queues, and can't be changed where heavier items are [refused](crate::Oversize::Refused).
    pub batch_weight_max: Option<u64>,
    /// Batches of a shard that may be away: from 0 to what the engine was started with. With fewer nothing is
    /// taken from those that are away; none is handed over until enough of them are back. With 0 handlers
    /// can take no more along. Needs queues.
    pub in_flight_max: u32,
    /// How long batches may be away that are taken along from now on: 1 ms to a day. Needs queues.
    pub in_flight_for: Duration,
}

impl Default for Tunables {
    /// What a [`Builder`](crate::Builder) begins with.
    fn default() -> Self {
        Self {
            sizing: Sizing::default(),
            flush_after: Duration::from_millis(10),
            held_items_max: 1_024,
            key_items_max: None,
            batch_weight_max: None,
            in_flight_max: 0,
            in_flight_for: Duration::from_secs(30),
        }
    }
}

impl Tunables {
    /// Whether each lies in its range, whatever the engine.
    pub(crate) fn check(&self) -> Result<(), Misfit> {
        if let Sizing::Fixed(items) = self.sizing {
            check("sizing", items, &limits::BATCH_ITEMS)?;
        }
        check_time("flush_after", self.flush_after, &limits::FLUSH_AFTER)?;
        check("held_items_max", self.held_items_max, &limits::HELD_ITEMS)?;
        if let Some(items) = self.key_items_max {
            check("key_items_max", items, &limits::KEY_ITEMS)?;
        }
        if let Some(weight) = self.batch_weight_max {
            check("batch_weight_max", weight, &limits::BATCH_WEIGHT)?;
        }
        check("in_flight_max", self.in_flight_max, &limits::IN_FLIGHT)?;
        check_time("in_flight_for", self.in_flight_for, &limits::IN_FLIGHT_FOR)?;
        Ok(())
    }

    /// Items of a batch, where a window is cut into such.
    pub(crate) fn batch_items_of_windows(&self) -> Result<u32, Misfit> {
        match self.sizing {
            Sizing::Fixed(items) => Ok(items),
            other => Err(Misfit::new("sizing", other, "fixed, with windows")),
        }
    }

    /// Items of a key; `u32::MAX` for no limit.
    pub(crate) fn key_items(&self) -> u32 {
        self.key_items_max.unwrap_or(u32::MAX)
    }

    /// Weight of a batch; `u64::MAX` for no limit.
    pub(crate) fn batch_weight(&self) -> u64 {
        self.batch_weight_max.unwrap_or(u64::MAX)
    }
}
