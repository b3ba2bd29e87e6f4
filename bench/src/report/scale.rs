//! Figures for people: three digits that count, and a unit that fits.

/// Three digits that count, or all that stand before the point.
pub(super) fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A time: `12.3 ns`, `4.56 µs`, `789 ms`, `1.20 s`.
pub(super) fn time(ns: f64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    // What would be rounded up to 1000 of a unit is 1 of the next.
    match units.into_iter().find(|(size, _)| ns >= size * 0.9995) {
        Some((size, unit)) => format!("{} {unit}", figure(ns / size)),
        None => format!("{} ns", figure(ns)),
    }
}

/// A figure in a cell's unit: nanoseconds become a [time].
pub(super) fn in_unit(value: f64, unit: &str) -> String {
    if unit == "ns" { time(value) } else { format!("{} {unit}", figure(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_count() {
        let figures = [0.5, 1.234, 9.999, 12.34, 99.99, 123.4, 98_765.4].map(figure);
        assert_eq!(figures, ["0.50", "1.23", "10.0", "12.3", "100", "123", "98765"]);
    }

    #[test]
    fn a_time_has_a_unit_that_fits() {
        let times = [0.8, 2.91, 999.9, 4_560.0, 75_000.0, 3.1e6, 1.2e9].map(time);
        let units = ["0.80 ns", "2.91 ns", "1.00 µs", "4.56 µs", "75.0 µs", "3.10 ms", "1.20 s"];
        assert_eq!(times, units);
        assert_eq!(in_unit(64.0, "B"), "64.0 B");
        assert_eq!(in_unit(64.0, "ns"), "64.0 ns");
    }
}
