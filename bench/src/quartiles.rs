//! The median of some runs, and how far they spread.

use std::fmt;

/// Three quartiles of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quartiles {
    pub(crate) lower: f64,
    pub(crate) median: f64,
    pub(crate) upper: f64,
}

impl Quartiles {
    /// By linear interpolation between the two nearest values (Hyndman and Fan, "Sample Quantiles in
    /// Statistical Packages", 1996, definition 7).
    ///
    /// # Panics
    ///
    /// If the sample is empty.
    pub(crate) fn of(sample: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = sample.into_iter().collect();
        assert!(!sorted.is_empty(), "a sample has at least one value");
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |part: f64| {
            let place = part * (sorted.len() - 1) as f64;
            let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            low + (high - low) * place.fract()
        };
        Self { lower: at(0.25), median: at(0.5), upper: at(0.75) }
    }
}

impl fmt::Display for Quartiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} [{:.2}, {:.2}]", self.median, self.lower, self.upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_the_nearest_values() {
        let of_five = Quartiles::of([5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(of_five, Quartiles { lower: 2.0, median: 3.0, upper: 4.0 });
        let of_two = Quartiles::of([1.0, 3.0]);
        assert_eq!(of_two, Quartiles { lower: 1.5, median: 2.0, upper: 2.5 });
        assert_eq!(Quartiles::of([7.0]).median, 7.0);
    }
}
