//! Which key comes next: drawn before anything is timed.

use crate::noise::{Noise, part};

/// How items spread over keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// All keys alike.
    Uniform,
    /// The key of rank r as often as 1 / r (Zipf's law with exponent 1): with 1,000 keys, the first
    /// takes 13 % of all items.
    Zipf,
}

/// A power of two, so that going round is a mask; small enough for the second-level cache.
const DRAWS: usize = 1 << 16;
const _: () = assert!(DRAWS.is_power_of_two(), "going round is a mask");

/// Keys, drawn once and gone round in: reading one costs the same whatever the spread.
#[derive(Debug)]
pub(crate) struct Draws(Box<[u32]>);

impl Draws {
    /// Draws from `keys` keys, at least 1; always the same.
    pub(crate) fn of(keys: u32, spread: Spread) -> Self {
        let mut reached = 0.0;
        let heights: Vec<f64> = (1..=keys)
            .map(|rank| {
                reached += match spread {
                    Spread::Uniform => 1.0,
                    Spread::Zipf => 1.0 / f64::from(rank),
                };
                reached
            })
            .collect();
        let mut noise = Noise::default();
        let draw = || {
            let at = part(noise.next()) * reached;
            let key = heights.partition_point(|&height| height <= at);
            key.min(heights.len() - 1) as u32
        };
        Self(std::iter::repeat_with(draw).take(DRAWS).collect())
    }

    /// The key of item `nth`.
    #[inline]
    pub(crate) fn key(&self, nth: u64) -> u64 {
        u64::from(self.0[nth as usize & (DRAWS - 1)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(keys: u32, spread: Spread) -> Vec<u32> {
        let draws = Draws::of(keys, spread);
        let mut counts = vec![0; keys as usize];
        (0..DRAWS as u64).for_each(|nth| counts[draws.key(nth) as usize] += 1);
        counts
    }

    #[test]
    fn uniform_draws_are_even() {
        let counts = counts(8, Spread::Uniform);
        assert!(counts.iter().all(|count| (7_900..8_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn zipf_draws_fall_with_the_rank() {
        let counts = counts(1_000, Spread::Zipf);
        // 65,536 / H(1000), and a tenth of that.
        assert!((8_500..9_050).contains(&counts[0]), "{}", counts[0]);
        assert!((780..980).contains(&counts[9]), "{}", counts[9]);
    }

    #[test]
    fn one_key_is_drawn_always_and_draws_go_round() {
        assert_eq!(counts(1, Spread::Zipf), [DRAWS as u32]);
        let draws = Draws::of(100, Spread::Uniform);
        assert_eq!(draws.key(7), draws.key(7 + DRAWS as u64));
    }
}
