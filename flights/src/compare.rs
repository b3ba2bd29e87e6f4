//! What batching gained: the same rows once with the run's sizing and once one transaction each.
//!
//! Both sides use the same build, the same durability, the same producers and a fresh database each time,
//! beside the real one and so on the same disk. They take turns, and who begins takes turns too, since a
//! shared machine drifts: only the ratio within a pair means something. The number of rows is the largest
//! that fits the time, judged by a short trial.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Sizing, Snapshot};

use crate::database::{TargetError, Temporary};
use crate::flight::{Flight, Names};
use crate::job::{self, JobError, Outcome, Settings, Stop};

/// Pairs to measure.
const PAIRS: u32 = 7;
/// Below so many pairs, the time is rather exceeded than the answer one of noise.
const PAIRS_MIN: usize = 3;
/// The trial grows until it takes this long.
const TRIAL_AT_LEAST: Duration = Duration::from_millis(100);
/// Fewer rows than that say nothing about batches.
const ROWS_MIN: usize = 100;
/// What opening, creating and closing a database costs, about; it is not measured, but it takes time.
const REPLAY_OVERHEAD: Duration = Duration::from_millis(40);

/// What the pairs said.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    /// The first so many rows were replayed.
    pub rows: usize,
    /// Single's time over that of the batches, in each pair.
    pub ratios: Vec<f64>,
    /// Rows a second of one transaction each, at the median.
    pub single_rows_per_s: f64,
    /// Rows a second in batches, at the median.
    pub batched_rows_per_s: f64,
    /// Rows a batch in the replays.
    pub mean_batch: f64,
    /// How many times faster the batched replays' own costs, fitted in each from its batch sizes, say
    /// that they are: the median. `None` if all batches had one size.
    pub predicted: Option<f64>,
}

impl Comparison {
    /// How many times faster batches are: the median of the pairs.
    pub(crate) fn speedup(&self) -> f64 {
        quantile(&self.ratios, 0.5)
    }

    /// The quartiles around it.
    pub(crate) fn quartiles(&self) -> (f64, f64) {
        (quantile(&self.ratios, 0.25), quantile(&self.ratios, 0.75))
    }
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    /// There is no place for its databases.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A replay failed.
    #[error(transparent)]
    Job(#[from] JobError),
    /// A replay stored other rows than it was given.
    #[error("a replay of {rows} rows stored {stored}")]
    Incomplete {
        /// The rows it was given.
        rows: usize,
        /// Those it stored.
        stored: u64,
    },
}

/// Replays the first rows of `flights` in pairs. `None` if it was interrupted, or there are no rows.
/// `main` is the run that is over: it says how fast batches are. `watch` is told of each replay.
pub(crate) fn compare(
    bench: &Bench<'_>,
    main: &Outcome,
    within: Duration,
    watch: &mut dyn FnMut(&str),
) -> Result<Option<Comparison>, CompareError> {
    let give_up = Instant::now() + within;
    let batched_row_s = main.elapsed.as_secs_f64() / main.snapshot.done.max(1) as f64;
    watch("comparing with one transaction a row: a trial");
    let Some(single_row_s) = bench.trial()? else { return Ok(None) };
    let left = give_up.saturating_duration_since(Instant::now());
    let pair_s = (left / PAIRS).saturating_sub(2 * REPLAY_OVERHEAD).as_secs_f64();
    let fit = (pair_s / (single_row_s + batched_row_s)) as usize;
    let rows = fit.max(ROWS_MIN).min(bench.flights.len());

    let (mut singles, mut batches) = (Vec::new(), Vec::new());
    let (mut mean_batches, mut predictions) = (Vec::new(), Vec::new());
    let mut last_took = Duration::ZERO;
    for pair in 0..PAIRS as usize {
        let begun = Instant::now();
        if pair >= PAIRS_MIN && begun + last_took > give_up {
            break;
        }
        watch(&format!(
            "comparing with one transaction a row: {rows} rows, pair {} of {PAIRS}",
            pair + 1
        ));
        let order = if pair % 2 == 0 { [true, false] } else { [false, true] };
        for single in order {
            let sizing = if single { Sizing::Single } else { bench.settings.sizing };
            let Some(replay) = bench.replay(rows, sizing)? else { return Ok(None) };
            if single {
                singles.push(replay.seconds);
            } else {
                batches.push(replay.seconds);
                mean_batches.push(replay.mean_batch);
                predictions.extend(replay.predicted);
            }
        }
        last_took = begun.elapsed();
    }
    Ok(Some(Comparison {
        rows,
        ratios: singles.iter().zip(&batches).map(|(single, batched)| single / batched).collect(),
        single_rows_per_s: rows as f64 / quantile(&singles, 0.5),
        batched_rows_per_s: rows as f64 / quantile(&batches, 0.5),
        mean_batch: quantile(&mean_batches, 0.5),
        predicted: (!predictions.is_empty()).then(|| quantile(&predictions, 0.5)),
    }))
}

/// What all replays share.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    /// All rows.
    pub flights: &'a [Flight],
    /// Their words.
    pub names: &'a Arc<Names>,
    /// The databases go beside this one.
    pub beside: &'a Path,
    /// How the run was made.
    pub settings: &'a Settings,
    /// Ctrl-C.
    pub stop: &'a Stop,
}

struct Replay {
    seconds: f64,
    mean_batch: f64,
    predicted: Option<f64>,
}

impl Bench<'_> {
    /// Seconds a row of one transaction each, from as few rows as tell.
    fn trial(&self) -> Result<Option<f64>, CompareError> {
        let mut rows = ROWS_MIN.min(self.flights.len());
        loop {
            if rows == 0 {
                return Ok(None);
            }
            let Some(replay) = self.replay(rows, Sizing::Single)? else { return Ok(None) };
            if replay.seconds >= TRIAL_AT_LEAST.as_secs_f64() || rows == self.flights.len() {
                return Ok(Some(replay.seconds / rows as f64));
            }
            rows = (rows * 4).min(self.flights.len());
        }
    }

    fn replay(&self, rows: usize, sizing: Sizing) -> Result<Option<Replay>, CompareError> {
        let temporary = Temporary::beside(self.beside, "compare")?;
        let settings = Settings { sizing, ..self.settings.clone() };
        let mut unwatched = |_: &Snapshot| {};
        let outcome = job::run(
            &self.flights[..rows],
            self.names,
            temporary.path(),
            &settings,
            self.stop,
            &mut unwatched,
        )?;
        if outcome.interrupted {
            return Ok(None);
        }
        if outcome.snapshot.done != rows as u64 {
            return Err(CompareError::Incomplete { rows, stored: outcome.snapshot.done });
        }
        let mean_batch = outcome.snapshot.mean_batch();
        Ok(Some(Replay {
            seconds: outcome.elapsed.as_secs_f64(),
            mean_batch,
            predicted: outcome.snapshot.cost().map(|cost| cost.speedup(mean_batch)),
        }))
    }
}

/// The value below which `share` of `values` lie, between neighbours in proportion.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        assert_eq!(quantile(&[7.0], 0.25), 7.0);
        assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), 2.5);
        assert_eq!(quantile(&[5.0, 1.0, 2.0, 4.0, 3.0], 0.25), 2.0);
    }
}
