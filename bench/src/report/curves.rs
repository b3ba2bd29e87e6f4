//! A cell's latencies by percentile: the subject's, the peer's, and the machine's own gaps.

use hdrhistogram::Histogram;
use plotters::style::RGBColor;

use super::axis::Axis;
use super::canvas::{Anchor, BLUE, Canvas, GREY, INK, LIGHT, ORANGE, svg};
use crate::Failure;
use crate::contest::Outcome;

const SIZE: (i32, i32) = (580, 330);
const X: (i32, i32) = (70, 560);
/// The first is the lower end.
const Y: (i32, i32) = (270, 40);
/// Where the curves' names stand.
const LEGEND: i32 = 14;
/// About how wide a letter is.
const LETTER: i32 = 7;
const TEXT: u32 = 14;
/// Points of a curve between one power of ten and the next.
const POINTS_A_POWER: u32 = 20;

struct Curve<'h> {
    name: String,
    color: RGBColor,
    latencies: &'h Histogram<u64>,
}

/// The plot as an `<svg>` element; `None` for a cell without latencies.
///
/// # Errors
///
/// If it can't be drawn.
pub(super) fn curves(outcome: &Outcome, gaps: &Histogram<u64>) -> Result<Option<String>, Failure> {
    let of = |name: &str, color, latencies| Curve { name: name.to_owned(), color, latencies };
    let measured = [
        outcome.subject_latencies.as_ref().map(|latencies| of(outcome.subject, BLUE, latencies)),
        outcome.peer_latencies.as_ref().map(|latencies| of(outcome.peer, ORANGE, latencies)),
    ];
    let mut curves: Vec<Curve<'_>> = measured.into_iter().flatten().collect();
    if curves.is_empty() {
        return Ok(None);
    }
    // To the last item of the longest curve, but the meter's, which has millions of gaps.
    let items = curves.iter().map(|curve| curve.latencies.len()).max().unwrap_or(1).max(10);
    curves.push(of("gap meter", GREY, gaps));
    let x = Axis::over([1.0, items as f64], 10.0, X);
    let points: Vec<Vec<(f64, f64)>> =
        curves.iter().map(|curve| points(curve.latencies, items)).collect();
    let times = points.iter().flatten().map(|(_, ns)| *ns);
    let y = Axis::over(times, 10.0, Y);
    svg((SIZE.0 as u32, SIZE.1 as u32), |canvas| {
        grid(canvas, &x, &y)?;
        let mut left = 12;
        for (curve, points) in curves.iter().zip(&points) {
            let at = points.iter().map(|(odds, ns)| (x.at(*odds), y.at(*ns)));
            canvas.line(at, curve.color, 2)?;
            canvas.line([(left, LEGEND), (left + 18, LEGEND)], curve.color, 4)?;
            canvas.text((left + 24, LEGEND), Anchor::Left, TEXT, INK, &curve.name)?;
            left += 54 + LETTER * curve.name.chars().count() as i32;
        }
        Ok(())
    })
    .map(Some)
}

/// For a percentile p of the horizontal axis, 1 / (1 - p) and the time.
fn points(latencies: &Histogram<u64>, items: u64) -> Vec<(f64, f64)> {
    let last = (latencies.len().clamp(1, items) as f64).log10();
    let steps = (last * f64::from(POINTS_A_POWER)).ceil() as u32;
    let odds = (0..=steps).map(|step| (f64::from(step) / f64::from(POINTS_A_POWER)).min(last));
    odds.map(|power| {
        let odds = 10_f64.powf(power);
        let ns = latencies.value_at_quantile(1.0 - odds.recip());
        // Less than a nanosecond is not measured.
        (odds, ns.max(1) as f64)
    })
    .collect()
}

fn grid(canvas: &Canvas<'_>, x: &Axis, y: &Axis) -> Result<(), Failure> {
    for odds in x.ticks(9) {
        let at = x.at(odds);
        canvas.line([(at, Y.0), (at, Y.1)], LIGHT, 1)?;
        canvas.text((at, Y.0 + 16), Anchor::Middle, TEXT, INK, &percentile(odds))?;
    }
    for ns in y.ticks(9) {
        let at = y.at(ns);
        canvas.line([(X.0, at), (X.1, at)], LIGHT, 1)?;
        canvas.text((X.0 - 8, at), Anchor::Right, TEXT, INK, &whole_time(ns))?;
    }
    canvas.text(((X.0 + X.1) / 2, Y.0 + 40), Anchor::Middle, TEXT, INK, "percentile")
}

/// `0`, `90`, `99.9`: the percentile above which one in so many lies, a power of ten.
fn percentile(odds: f64) -> String {
    match odds.log10().round() as usize {
        0 => "0".to_owned(),
        power => format!("{:.*}", power.saturating_sub(2), 100.0 - 100.0 / odds),
    }
}

/// A power of ten of nanoseconds: `10 ns`, `1 µs`.
fn whole_time(ns: f64) -> String {
    let (size, unit) = match ns {
        ns if ns < 1e3 => (1.0, "ns"),
        ns if ns < 1e6 => (1e3, "µs"),
        ns if ns < 1e9 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    format!("{:.0} {unit}", ns / size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine;
    use crate::report::tests::results;

    #[test]
    fn percentiles_and_times_are_named_as_people_say_them() {
        let percentiles = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5].map(percentile);
        assert_eq!(percentiles, ["0", "90", "99", "99.9", "99.99", "99.999"]);
        let times = [1.0, 100.0, 1e3, 1e5, 1e6, 1e9].map(whole_time);
        assert_eq!(times, ["1 ns", "100 ns", "1 µs", "100 µs", "1 ms", "1 s"]);
    }

    #[test]
    fn a_curve_climbs_from_the_least_to_the_greatest_latency() {
        let mut latencies = Histogram::<u64>::new(3).expect("three digits are allowed");
        (1..=1_000).for_each(|ns| latencies.record(ns).expect("it grows"));
        let points = points(&latencies, 1_000);
        assert!(points.is_sorted_by(|one, other| one.0 < other.0 && one.1 <= other.1));
        assert!(points.first().expect("there are some").1 <= 2.0);
        assert!(points.last().expect("there are some").1 >= 999.0);
    }

    #[test]
    fn subject_peer_and_gap_meter_have_a_curve_each() {
        let results = results();
        let gaps = machine::tests::made_up().gap_meter.gaps;
        let plots: Vec<_> =
            results.finished().filter_map(|o| curves(o, &gaps).expect("it can be drawn")).collect();
        assert_eq!(plots.len(), 1, "only one cell has latencies");
        assert_eq!(plots[0].matches("stroke-width=\"2\"").count(), 3);
        for name in ["tidegate", "bare unpark", "gap meter"] {
            assert!(plots[0].contains(name), "{name}");
        }
    }
}
