//! How many items the next batch may hold, and whether it may linger.

mod tiers;

use std::num::NonZeroU32;

pub use tiers::{Tiers, TiersError};

/// How batches are sized. Decided once a batch, when it opens.
///
/// Whatever the sizing, no batch is held past its deadline, and none is larger than its target.
///
/// ```
/// use engine::{Sizing, Tiers};
///
/// assert_eq!(Sizing::default(), Sizing::Tiers(Tiers::default()));
/// assert_eq!(Sizing::Fixed(100).to_string(), "fixed:100");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizing {
    /// Batches of one: what the engine is compared with.
    Single,
    /// Batches of so many items (1 to 32,768), which linger for the rest up to their deadline at
    /// any depth.
    Fixed(u32),
    /// By how much is waiting; nothing lingers while little is. The default.
    Tiers(Tiers),
}

impl Default for Sizing {
    fn default() -> Self {
        Self::Tiers(Tiers::default())
    }
}

impl std::fmt::Display for Sizing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Single => f.write_str("single"),
            Self::Fixed(items) => write!(f, "fixed:{items}"),
            Self::Tiers(tiers) => write!(f, "tiers ({tiers})"),
        }
    }
}

/// What a turn aims at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aim {
    /// Items in a batch that opens in this turn.
    pub(crate) target: NonZeroU32,
    /// Whether open batches may outlast the turn.
    pub(crate) linger: bool,
}

impl Sizing {
    /// What a turn that starts with `depth` items in its lanes aims at.
    pub(crate) fn aim(&self, depth: usize) -> Aim {
        let of = |target| NonZeroU32::new(target).unwrap_or(NonZeroU32::MIN);
        match self {
            Self::Single => Aim { target: NonZeroU32::MIN, linger: true },
            Self::Fixed(items) => Aim { target: of(*items), linger: true },
            Self::Tiers(tiers) => match tiers.target(depth) {
                Some(target) => Aim { target, linger: true },
                None => Aim { target: of(tiers.largest()), linger: false },
            },
        }
    }

    /// The largest target there can be.
    pub(crate) fn largest(&self) -> u32 {
        match self {
            Self::Single => 1,
            Self::Fixed(items) => *items,
            Self::Tiers(tiers) => tiers.largest(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_aims_at_one_and_fixed_at_its_size_at_any_depth() {
        for depth in [0, 1, 10, 11, 1_000_000] {
            assert_eq!(Sizing::Single.aim(depth).target.get(), 1);
            let fixed = Sizing::Fixed(100).aim(depth);
            assert_eq!((fixed.target.get(), fixed.linger), (100, true));
        }
    }

    #[test]
    fn tiers_do_not_linger_when_shallow() {
        let sizing = Sizing::default();
        assert!(!sizing.aim(0).linger);
        assert!(!sizing.aim(10).linger);
        assert!(sizing.aim(11).linger);
    }
}
