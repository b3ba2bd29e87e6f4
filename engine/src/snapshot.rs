//! An engine's state in plain numbers.

use std::fmt;

use hdrhistogram::Histogram;

use crate::nanos::Nanos;
use crate::tally::{
    Counters, Histograms, SizeTally, items, with_counters, with_operation_counters,
};
use crate::verdict::Trigger;

/// What became of a shard's wish for a core of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pin {
    /// It had none.
    #[default]
    None,
    /// It runs on this core alone.
    Core(usize),
    /// The system refused; it runs where it is put.
    Refused(usize),
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("not pinned"),
            Self::Core(core) => write!(f, "core {core}"),
            Self::Refused(core) => write!(f, "core {core} refused"),
        }
    }
}

/// What a handler call costs: `call_ns + n * item_ns` for a batch of n, fitted by least squares
/// over the measured batches, each size weighted by its number of calls.
///
/// ```
/// let cost = engine::Cost { call_ns: 2_000_000.0, item_ns: 10_000.0 };
/// // Batches of 100 rows: 3 ms instead of 201.
/// assert!((cost.speedup(100.0) - 67.0).abs() < 0.1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// The fixed part of a call, in nanoseconds; at least 0.
    pub call_ns: f64,
    /// The part of each item, in nanoseconds; at least 0.
    pub item_ns: f64,
}

impl Cost {
    /// How many times faster than one at a time batches of `mean` items are, by this cost alone.
    #[must_use]
    pub fn speedup(&self, mean: f64) -> f64 {
        (self.call_ns + self.item_ns) / (self.call_ns / mean + self.item_ns)
    }

    /// The fit over batches of different sizes; `None` with fewer than two sizes.
    fn fit(sizes: &[SizeTally]) -> Option<Self> {
        let measured = || {
            let points = sizes.iter().enumerate().filter(|(_, size)| size.measured > 0);
            points.map(|(items, size)| {
                let weight = size.measured as f64;
                (items as f64, size.execution_ns as f64 / weight, weight)
            })
        };
        if measured().count() < 2 {
            return None;
        }
        let weight: f64 = measured().map(|(.., w)| w).sum();
        let mean_n = measured().map(|(n, _, w)| n * w).sum::<f64>() / weight;
        let mean_t = measured().map(|(_, t, w)| t * w).sum::<f64>() / weight;
        let spread: f64 = measured().map(|(n, _, w)| w * (n - mean_n).powi(2)).sum();
        let joint: f64 = measured().map(|(n, t, w)| w * (n - mean_n) * (t - mean_t)).sum();
        // Both parts are costs: where noise would make one negative, the other takes all.
        let item_ns = (joint / spread).clamp(0.0, mean_t / mean_n);
        Some(Self { call_ns: mean_t - item_ns * mean_n, item_ns })
    }
}

macro_rules! define_snapshot {
    ([$($(#[$doc:meta])* $name:ident,)*] [$($(#[$more_doc:meta])* $more:ident,)*]) => {
        /// What an engine, or one shard of it, has done and is doing.
        ///
        /// Counters are published together, and what handler calls come to since is added, so they
        /// belong together: at any time
        /// `accepted == in_lanes + open + ready + in_handler + done + failed + dead`, and at rest
        /// `accepted == done + failed + dead`. Taking a snapshot never stops a shard.
        ///
        /// Counters and `batch_items` are exact. The times (`age`, `formation`, `execution`, `lateness`)
        /// are those of all batches only while little is to do or the handler is slow; else of a sample:
        /// the first batches of a turn now and then, and one of sixteen among the rest.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct Snapshot {
            $($(#[$doc])* pub $name: u64,)*
            $($(#[$more_doc])* pub $more: u64,)*
            /// Batches by what triggered their hand-over, in the order of [`Trigger::ALL`].
            pub triggers: [u64; Trigger::ALL.len()],
            /// Items in a batch.
            pub batch_items: Histogram<u64>,
            /// From the push of a batch's oldest item to its hand-over, in nanoseconds. Taken from a
            /// lower bound of the push: real ages are shorter by up to a turn.
            pub age: Histogram<u64>,
            /// From the start of a turn to the hand-over of each of its first batches, as long as all of
            /// them are measured, without the time in other handler calls, in nanoseconds.
            pub formation: Histogram<u64>,
            /// The time in the handler, per batch, in nanoseconds.
            pub execution: Histogram<u64>,
            /// How long after its deadline a batch was handed over, in nanoseconds; 0 for those
            /// before it.
            pub lateness: Histogram<u64>,
            /// Items found in the lanes at the start of a turn, of those turns that found any.
            pub depth: Histogram<u64>,
            /// Where a shard runs; [`Pin::None`] in the sum over all.
            pub pin: Pin,
            /// Each shard on its own; empty in a shard's.
            pub shards: Vec<Snapshot>,
            sizes: Vec<SizeTally>,
        }

        impl Snapshot {
            /// One shard's counters and histograms.
            pub(crate) fn of_shard(counters: &Counters, seen: &Histograms, pin: Pin) -> Self {
                let mut batch_items = items();
                for (size, tally) in seen.sizes.iter().enumerate() {
                    if tally.calls > 0 {
                        batch_items.saturating_record_n(size as u64, tally.calls);
                    }
                }
                Self {
                    $($name: counters.$name,)*
                    $($more: counters.operations.$more,)*
                    triggers: counters.triggers,
                    batch_items,
                    age: seen.age.clone(),
                    formation: seen.formation.clone(),
                    execution: seen.execution.clone(),
                    lateness: seen.lateness.clone(),
                    depth: seen.depth.clone(),
                    pin,
                    shards: Vec::new(),
                    sizes: seen.sizes.clone(),
                }
            }

            /// The sum over shards, which it keeps.
            pub(crate) fn of_engine(shards: Vec<(Counters, Histograms, Pin)>) -> Self {
                let mut counters = Counters::default();
                let mut seen = Histograms::new(0);
                for (shard, histograms, _) in &shards {
                    $(counters.$name += shard.$name;)*
                    counters.operations += shard.operations;
                    for (sum, part) in counters.triggers.iter_mut().zip(shard.triggers) {
                        *sum += part;
                    }
                    seen.add(histograms);
                }
                let mut sum = Self::of_shard(&counters, &seen, Pin::None);
                sum.shards = shards
                    .iter()
                    .map(|(counters, seen, pin)| Self::of_shard(counters, seen, *pin))
                    .collect();
                sum
            }
        }
    };
}
macro_rules! and_those_of_operations {
    ($($plain:tt)*) => { with_operation_counters! { define_snapshot [$($plain)*] } };
}
with_counters!(and_those_of_operations);

impl Snapshot {
    /// Items that ended, whatever way.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.done + self.failed + self.dead
    }

    /// Items that are somewhere on their way.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.in_lanes + self.open + self.ready + self.in_handler + self.held + self.in_flight
    }

    /// Items a handler call, on average; 0 before the first.
    #[must_use]
    pub fn mean_batch(&self) -> f64 {
        let (calls, items) =
            self.sizes.iter().enumerate().fold((0, 0), |(calls, items), (n, size)| {
                (calls + size.calls, items + n as u64 * size.calls)
            });
        if calls == 0 { 0.0 } else { items as f64 / calls as f64 }
    }

    /// What the handler's calls cost, fitted from the spread of batch sizes; `None` while all
    /// batches had one size.
    #[must_use]
    pub fn cost(&self) -> Option<Cost> {
        Cost::fit(&self.sizes)
    }
}

/// A few lines for people.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "items      accepted {}, done {}, failed {}, dead {}",
            self.accepted, self.done, self.failed, self.dead
        )?;
        writeln!(
            f,
            "waiting    {} in lanes, {} open in {} batches, {} ready, {} in handlers",
            self.in_lanes, self.open, self.open_batches, self.ready, self.in_handler
        )?;
        let sizes = &self.batch_items;
        writeln!(
            f,
            "batches    {}, of {:.1} items on average; p50 {}, p99 {}, largest {}",
            self.batches,
            self.mean_batch(),
            sizes.value_at_quantile(0.5),
            sizes.value_at_quantile(0.99),
            sizes.max()
        )?;
        write!(f, "triggers  ")?;
        for trigger in Trigger::ALL {
            match self.triggers[trigger.index()] {
                0 => {}
                times => write!(f, " {trigger} {times}")?,
            }
        }
        writeln!(f)?;
        let rows = [
            ("age", &self.age),
            ("formation", &self.formation),
            ("execution", &self.execution),
            ("lateness", &self.lateness),
        ];
        for (name, times) in rows {
            let at = |quantile| Nanos::from_nanos(times.value_at_quantile(quantile));
            writeln!(
                f,
                "{name:<10} p50 {}, p99 {}, p99.9 {}, max {}",
                at(0.5),
                at(0.99),
                at(0.999),
                Nanos::from_nanos(times.max())
            )?;
        }
        if let Some(cost) = self.cost() {
            writeln!(
                f,
                "cost       {:.0} ns a call + {:.1} ns an item",
                cost.call_ns, cost.item_ns
            )?;
        }
        let panics = [
            ("handler", self.handler_panics),
            ("key", self.key_panics),
            ("drop", self.drop_panics),
        ];
        if panics.iter().any(|(_, count)| *count > 0) {
            let [(_, handler), (_, key), (_, drop)] = panics;
            writeln!(f, "panics     handler {handler}, key {key}, drop {drop}")?;
        }
        if self.memory_stops > 0 {
            writeln!(f, "memory     ran out {} times; batches went early", self.memory_stops)?;
        }
        for (shard, part) in self.shards.iter().enumerate() {
            write!(
                f,
                "shard {shard:<4} {}, {} batches, {} settled",
                part.pin,
                part.batches,
                part.settled()
            )?;
            writeln!(f, "{}", if part.stopped_shards > 0 { ", stopped" } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(cost: impl Fn(u64) -> u64, calls: &[(usize, u64)]) -> Vec<SizeTally> {
        let mut sizes = vec![SizeTally::default(); 201];
        for &(items, calls) in calls {
            sizes[items] =
                SizeTally { calls, measured: calls, execution_ns: calls * cost(items as u64) };
        }
        sizes
    }

    #[test]
    fn the_cost_of_a_call_and_an_item_is_found_from_the_spread_of_sizes() {
        let tallies = sizes(|n| 5_000 + 30 * n, &[(1, 10), (7, 3), (100, 40), (200, 1)]);
        let cost = Cost::fit(&tallies).expect("four sizes");
        assert!((cost.call_ns - 5_000.0).abs() < 1e-6, "{cost:?}");
        assert!((cost.item_ns - 30.0).abs() < 1e-6, "{cost:?}");
        assert!((cost.speedup(100.0) - 5_030.0 / 80.0).abs() < 1e-6);
    }

    #[test]
    fn one_size_tells_nothing_about_the_parts() {
        assert_eq!(Cost::fit(&sizes(|n| n, &[(5, 9)])), None);
        assert_eq!(Cost::fit(&[]), None);
    }

    #[test]
    fn neither_part_of_a_cost_is_negative() {
        let falling = Cost::fit(&sizes(|n| 1_000 - n, &[(1, 1), (100, 1)])).expect("two sizes");
        assert!(falling.item_ns == 0.0 && falling.call_ns > 0.0, "{falling:?}");
        let steep = Cost::fit(&sizes(|n| n * n, &[(1, 1), (100, 1)])).expect("two sizes");
        assert!(steep.call_ns >= 0.0 && steep.item_ns > 0.0, "{steep:?}");
    }
}
