//! The times of a case, the same for everybody.

use super::Deadlines;
use crate::noise::below;

/// The tick of the engine's wheel for a horizon of 10 ms, and so that of the others.
pub(super) const TICK: u64 = 65_536;
/// The clock's step from poll to poll.
pub(super) const STEP: u64 = 4 * TICK;
/// How far ahead the engine expects deadlines.
pub(super) const HORIZON: u64 = 10_000_000;
/// When the clock starts.
pub(super) const START: u64 = 16 * STEP;
/// Where between two polls deadlines lie: near the middle, but on nobody's tick.
const BETWEEN: u64 = STEP / 2 + 12_345;
/// Whole steps to an equal deadline.
pub(super) const EQUAL_STEPS: u64 = 37;
/// How far ahead equal deadlines lie.
pub(super) const EQUAL: u64 = EQUAL_STEPS * STEP + BETWEEN;
/// Mixed deadlines lie 1 to 1,023 whole steps ahead.
const MIXED_OCTAVES: u64 = 10;
/// No deadline lies as many steps ahead.
pub(super) const FURTHEST_STEPS: u64 = 1 << MIXED_OCTAVES;

const _: () = assert!(EQUAL < HORIZON, "equal deadlines are usual ones");
const _: () = assert!(BETWEEN > TICK && BETWEEN + TICK < STEP, "a tick decides no poll");

impl Deadlines {
    /// The deadline of a token that is armed at `now`, a poll's time. It depends on these two alone: in
    /// which order a poll's tokens expire, and are armed again, is up to each contender.
    #[inline]
    pub(super) fn of(self, token: u32, now: u64) -> u64 {
        match self {
            Self::Equal => now + EQUAL,
            Self::Mixed => {
                let bits = mix(now ^ u64::from(token));
                let octave = below(bits, MIXED_OCTAVES);
                let steps = (1 << octave) + (bits & ((1 << octave) - 1));
                now + steps * STEP + BETWEEN
            }
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// 2014).
#[inline]
fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_lie_between_two_polls_and_within_their_range() {
        for token in 0..10_000 {
            for deadlines in [Deadlines::Equal, Deadlines::Mixed] {
                let ahead = deadlines.of(token, START) - START;
                assert_eq!(ahead % STEP, BETWEEN);
                assert!((1..FURTHEST_STEPS).contains(&(ahead / STEP)));
            }
        }
    }

    #[test]
    fn mixed_deadlines_are_as_many_in_each_octave() {
        let mut octaves = [0; MIXED_OCTAVES as usize];
        for token in 0..100_000 {
            let steps = (Deadlines::Mixed.of(token, START) - START) / STEP;
            octaves[steps.ilog2() as usize] += 1;
        }
        assert!(octaves.iter().all(|n| (9_500..10_500).contains(n)), "{octaves:?}");
    }
}
