//! A logarithmic axis between two pixels.

/// Whole powers of a base, from one pixel to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    base: f64,
    /// Exponents; `low` is less than `high`.
    low: i32,
    high: i32,
    pixels: (i32, i32),
}

impl Axis {
    /// From the power at or below all of `values` to the one at or above them; values that have no
    /// logarithm, or are more than a factor of 2⁴⁰ from 1, are drawn at the axis' end.
    ///
    /// `pixels` are those of the first and the last power; the first may be the greater one.
    pub(super) fn over(
        values: impl IntoIterator<Item = f64>,
        base: f64,
        pixels: (i32, i32),
    ) -> Self {
        let limit = (2_f64.powi(40).ln() / base.ln()) as i32;
        let exponents = values
            .into_iter()
            .filter(|value| value.is_finite() && *value > 0.0)
            .map(|value| value.ln() / base.ln());
        let (low, high) = exponents.fold((f64::MAX, f64::MIN), |(low, high), exponent| {
            (low.min(exponent), high.max(exponent))
        });
        if low > high {
            return Self { base, low: 0, high: 1, pixels };
        }
        // A value that is a power, but for its last digit, is that power.
        let low = ((low + 1e-9).floor() as i32).clamp(-limit, limit - 1);
        let high = ((high - 1e-9).ceil() as i32).clamp(low + 1, limit);
        Self { base, low, high, pixels }
    }

    /// Where a value stands; one that is off the axis stands at its end.
    pub(super) fn at(&self, value: f64) -> i32 {
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        let exponent = if value > 0.0 { value.ln() / self.base.ln() } else { low };
        let part = (exponent.clamp(low, high) - low) / (high - low);
        let (from, to) = (f64::from(self.pixels.0), f64::from(self.pixels.1));
        (from + part * (to - from)).round() as i32
    }

    /// The powers, or every so many of them: at most `most`, at least 1.
    pub(super) fn ticks(&self, most: usize) -> impl Iterator<Item = f64> + use<> {
        let powers = (self.high - self.low + 1) as usize;
        // 1 is among them, if it is on the axis.
        let every = powers.div_ceil(most.max(1)) as i32;
        let base = self.base;
        (self.low..=self.high)
            .filter(move |power| power % every == 0)
            .map(move |power| base.powi(power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_reaches_to_the_powers_around_all_values() {
        let axis = Axis::over([0.6, 1.0, 7.9], 2.0, (100, 500));
        assert_eq!([0.5, 1.0, 2.0, 8.0].map(|ratio| axis.at(ratio)), [100, 200, 300, 500]);
        assert_eq!(axis.ticks(10).collect::<Vec<_>>(), [0.5, 1.0, 2.0, 4.0, 8.0]);
        assert_eq!(axis.ticks(3).collect::<Vec<_>>(), [1.0, 4.0]);
    }

    #[test]
    fn what_is_off_the_axis_stands_at_its_end() {
        let axis = Axis::over([1.0, 10.0], 10.0, (300, 0));
        let all = [f64::INFINITY, 100.0, 10.0, 1.0, 0.1, 0.0, -1.0];
        assert_eq!(all.map(|value| axis.at(value)), [0, 0, 0, 300, 300, 300, 300]);
    }

    #[test]
    fn values_without_a_logarithm_and_huge_ones_do_not_stretch_it() {
        assert_eq!(Axis::over([], 2.0, (0, 10)).ticks(9).count(), 2);
        assert_eq!(Axis::over([0.0, f64::NAN, -1.0], 2.0, (0, 10)).ticks(9).count(), 2);
        assert_eq!(Axis::over([1.0], 2.0, (0, 10)).ticks(9).count(), 2);
        assert!(Axis::over([1e-300, 1e300], 2.0, (0, 10)).ticks(1_000).count() <= 81);
    }
}
