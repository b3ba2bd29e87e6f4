//! What batching gained: the same rows once with the run's sizing and once one transaction each.
//!
//! Both sides use the same build, the same durability, the same producers and a fresh database each time,
//! beside the real one and so on the same disk. They take turns, and who begins takes turns too, since a
//! shared machine drifts: only the ratio within a pair means something. The number of rows is the largest
//! that fits the time, judged by a short trial.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Cost, Sizing, Snapshot};

use crate::database::{TargetError, Temporary};
use crate::figures::counted;
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
    /// How many times faster the costs of the batched side alone say that these rows' batches are, to be
    /// held against [`speedup`](Self::speedup): the median over the batched replays, each by the costs
    /// fitted from its own batch sizes at its own mean batch. Where none had two sizes, by the costs of
    /// the main run at the replays' mean batch; `None` without those too.
    pub predicted: Option<f64>,
}

impl Comparison {
    /// What `pairs` of `rows` rows say; `main` is what the main run's transactions cost.
    fn of(rows: usize, pairs: &[Pair], main: Option<Cost>) -> Self {
        let all = |figure: &dyn Fn(&Pair) -> f64| pairs.iter().map(figure).collect::<Vec<_>>();
        let median = |figure: &dyn Fn(&Pair) -> f64| quantile(&all(figure), 0.5);
        let mean_batch = median(&|pair| pair.batched.mean_batch);
        let predictions: Vec<_> = pairs
            .iter()
            .filter_map(|pair| Some(pair.batched.cost?.speedup(pair.batched.mean_batch)))
            .collect();
        Self {
            rows,
            ratios: all(&|pair| pair.single.seconds / pair.batched.seconds),
            single_rows_per_s: rows as f64 / median(&|pair| pair.single.seconds),
            batched_rows_per_s: rows as f64 / median(&|pair| pair.batched.seconds),
            mean_batch,
            predicted: match predictions.as_slice() {
                [] => main.map(|cost| cost.speedup(mean_batch)),
                own => Some(quantile(own, 0.5)),
            },
        }
    }

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
    let batched_row_s = main.elapsed.as_secs_f64() / main.pushed.max(1) as f64;
    watch("comparing with one transaction a row: a trial");
    let Some(single_row_s) = bench.trial()? else { return Ok(None) };
    let left = give_up.saturating_duration_since(Instant::now());
    let rows = rows_that_fit(left, single_row_s + batched_row_s, bench.flights.len());
    let replayed = pairs(rows, give_up, watch, &mut |side| {
        let sizing = match side {
            Side::Single => Sizing::Single,
            Side::Batched => bench.settings.sizing,
        };
        bench.replay(rows, sizing)
    })?;
    Ok(replayed.map(|pairs| Comparison::of(rows, &pairs, main.cost_alone(bench.settings))))
}

/// How many rows to replay, if a row takes `row_s` seconds on both sides together, and `have` are there.
fn rows_that_fit(left: Duration, row_s: f64, have: usize) -> usize {
    let pair_s = (left / PAIRS).saturating_sub(2 * REPLAY_OVERHEAD).as_secs_f64();
    ((pair_s / row_s) as usize).max(ROWS_MIN).min(have)
}

/// Which of a pair's two replays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Single,
    Batched,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    single: Replay,
    batched: Replay,
}

/// Replays pairs until there are enough, or the time is up and there are a few. `None` if interrupted.
fn pairs(
    rows: usize,
    give_up: Instant,
    watch: &mut dyn FnMut(&str),
    replay: &mut dyn FnMut(Side) -> Result<Option<Replay>, CompareError>,
) -> Result<Option<Vec<Pair>>, CompareError> {
    let mut pairs = Vec::new();
    let mut last_took = Duration::ZERO;
    for number in 0..PAIRS as usize {
        let begun = Instant::now();
        if number >= PAIRS_MIN && begun + last_took > give_up {
            break;
        }
        watch(&format!(
            "comparing with one transaction a row: {}, pair {} of {PAIRS}",
            counted(rows as u64, "row"),
            number + 1
        ));
        let order = match number % 2 {
            0 => [Side::Single, Side::Batched],
            _ => [Side::Batched, Side::Single],
        };
        let [Some(first), Some(second)] = [replay(order[0])?, replay(order[1])?] else {
            return Ok(None);
        };
        pairs.push(match order[0] {
            Side::Single => Pair { single: first, batched: second },
            Side::Batched => Pair { single: second, batched: first },
        });
        last_took = begun.elapsed();
    }
    Ok(Some(pairs))
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

#[derive(Clone, Copy, Debug)]
struct Replay {
    seconds: f64,
    mean_batch: f64,
    /// Fitted from its batch sizes.
    cost: Option<Cost>,
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
        let settings = Settings { sizing, dead_letters: false, ..self.settings.clone() };
        let mut unwatched = |_: &Snapshot| {};
        let outcome = job::run(
            &self.flights[..rows],
            self.names,
            temporary.path(),
            &settings,
            None,
            self.stop,
            &mut unwatched,
        )?;
        if outcome.interrupted {
            return Ok(None);
        }
        let stored = outcome.pushed.saturating_sub(outcome.failures.count);
        let items = settings.order.items(&self.flights[..rows]);
        if outcome.snapshot.done != items {
            return Err(CompareError::Incomplete { rows, stored });
        }
        Ok(Some(Replay {
            seconds: outcome.elapsed.as_secs_f64(),
            mean_batch: outcome.snapshot.mean_batch(),
            cost: outcome.cost_alone(&settings),
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

    fn replay(seconds: f64, mean_batch: f64, cost: Option<Cost>) -> Replay {
        Replay { seconds, mean_batch, cost }
    }

    /// Replays pairs of 50 rows, and lists which sides were replayed.
    fn sides_within(give_up: Instant) -> (Vec<Side>, usize) {
        let mut sides = Vec::new();
        let pairs = pairs(50, give_up, &mut |_| {}, &mut |side| {
            sides.push(side);
            let seconds = if side == Side::Single { 3.0 } else { 0.5 };
            Ok(Some(replay(seconds, 10.0, None)))
        });
        let pairs = pairs.unwrap().unwrap();
        assert!(pairs.iter().all(|pair| pair.single.seconds / pair.batched.seconds == 6.0));
        (sides, pairs.len())
    }

    #[test]
    fn pairs_begin_with_either_side_in_turns() {
        let (sides, pairs) = sides_within(Instant::now() + Duration::from_secs(3_600));
        assert_eq!(pairs, PAIRS as usize);
        let (single_first, batched_first) =
            ([Side::Single, Side::Batched], [Side::Batched, Side::Single]);
        for (number, sides) in sides.chunks(2).enumerate() {
            assert_eq!(sides, if number % 2 == 0 { single_first } else { batched_first });
        }
    }

    #[test]
    fn when_the_time_is_up_there_are_still_a_few_pairs_and_no_more() {
        let past = Instant::now();
        // The first pairs are made in any case; from then on the clock is asked.
        while Instant::now() == past {}
        assert_eq!(sides_within(past).1, PAIRS_MIN);
    }

    #[test]
    fn an_interrupted_replay_ends_the_pairs() {
        let mut replays = 0;
        let far = Instant::now() + Duration::from_secs(3_600);
        let interrupted = pairs(50, far, &mut |_| {}, &mut |_| {
            replays += 1;
            Ok((replays < 4).then(|| replay(1.0, 1.0, None)))
        });
        assert!(interrupted.unwrap().is_none());
        assert_eq!(replays, 4);
    }

    #[test]
    fn rows_are_as_many_as_fit_and_never_more_than_there_are() {
        // 7 pairs in 7.56 s: 1.08 s each, of which 80 ms go to opening and closing.
        let left = Duration::from_millis(7_560);
        assert_eq!(rows_that_fit(left, 0.001, 336_776), 1_000);
        assert_eq!(rows_that_fit(left, 0.001, 600), 600);
        assert_eq!(rows_that_fit(Duration::ZERO, 0.001, 336_776), ROWS_MIN);
        assert_eq!(rows_that_fit(left, 0.0, 336_776), 336_776);
    }

    #[test]
    fn what_is_predicted_and_what_is_measured_speak_of_the_same_rows() {
        // 2 ms a transaction and 10 µs a row: 201 ms for 100 single rows, 3 ms for one batch of them.
        let cost = Cost { call_ns: 2_000_000.0, item_ns: 10_000.0 };
        let dearer = Cost { call_ns: 4_000_000.0, item_ns: 10_000.0 };
        let pair = |batched: f64, cost| Pair {
            single: replay(20.1, 1.0, None),
            batched: replay(batched, 100.0, cost),
        };
        let pairs = [pair(0.3, Some(cost)), pair(0.4, Some(cost)), pair(0.2, None)];
        let found = Comparison::of(10_000, &pairs, Some(dearer));
        assert!((found.predicted.unwrap() - 67.0).abs() < 1e-9, "{found:?}");
        assert!((found.speedup() - 67.0).abs() < 1e-9, "{found:?}");
        assert!((found.batched_rows_per_s - 10_000.0 / 0.3).abs() < 1e-6);
        assert!((found.single_rows_per_s - 10_000.0 / 20.1).abs() < 1e-6);
        assert_eq!(found.mean_batch, 100.0);
        // Where no replay has two sizes: the main run's costs, at the replays' batches.
        let pairs = [pair(0.3, None); 3];
        let found = Comparison::of(10_000, &pairs, Some(dearer));
        assert!((found.predicted.unwrap() - 4_010.0 / 50.0).abs() < 1e-9, "{found:?}");
        assert_eq!(Comparison::of(10_000, &pairs, None).predicted, None);
    }

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        assert_eq!(quantile(&[7.0], 0.25), 7.0);
        assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), 2.5);
        assert_eq!(quantile(&[5.0, 1.0, 2.0, 4.0, 3.0], 0.25), 2.0);
    }
}
