//! Numbers that look like chance, and are always the same.

/// Marsaglia's xorshift ("Xorshift RNGs", 2003): three shifts a number, and 2^64 - 1 of them until they come
/// again.
#[derive(Clone, Debug)]
pub(crate) struct Noise(u64);

impl Default for Noise {
    /// The first of all streams.
    fn default() -> Self {
        Self::of_stream(0)
    }
}

impl Noise {
    /// The numbers of one of several streams, each of which begins somewhere else.
    pub(crate) fn of_stream(nth: u32) -> Self {
        // An odd number times an odd number: never 0, at which the shifts would stay.
        Self(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(u64::from(nth) * 2 + 1))
    }

    /// The next 64 bits, never all 0.
    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// A number from 0 to `end` less one from 64 bits, without a division; `end` is at most 2^32.
#[inline]
pub(crate) fn below(bits: u64, end: u64) -> u64 {
    ((bits >> 32) * end) >> 32
}

/// A part of 1 from the upper 53 of 64 bits: from 0 up to, but not, 1.
#[inline]
pub(crate) fn part(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_always_the_same_and_differ_from_each_other() {
        let numbers = |nth| {
            let mut noise = Noise::of_stream(nth);
            std::array::from_fn::<u64, 100, _>(|_| noise.next())
        };
        assert_eq!(numbers(3), numbers(3));
        assert!((1..50).all(|nth| numbers(nth)[0] != numbers(0)[0]));
    }

    #[test]
    fn numbers_fill_their_range_evenly() {
        let mut noise = Noise::default();
        let (mut tenths, mut parts) = ([0_u32; 10], [0_u32; 10]);
        for _ in 0..100_000 {
            let bits = noise.next();
            tenths[below(bits, 10) as usize] += 1;
            parts[(part(bits) * 10.0) as usize] += 1;
        }
        for counts in [tenths, parts] {
            assert!(counts.iter().all(|n| (9_500..10_500).contains(n)), "{counts:?}");
        }
    }

    #[test]
    fn the_ends_of_a_range_are_within_it() {
        assert_eq!((below(0, 7), below(u64::MAX, 7)), (0, 6));
        assert_eq!(below(u64::MAX, 1 << 32), (1 << 32) - 1);
        assert_eq!(part(0), 0.0);
        assert!(part(u64::MAX) < 1.0);
    }
}
