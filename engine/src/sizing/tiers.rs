//! Sizing by depth.

use std::fmt;
use std::num::NonZeroU32;

use crate::limits::{BATCH_ITEMS, TIERS};

/// Batch sizes by depth: the number of items in the shard's lanes when its turn starts.
///
/// Each row says: *above* this depth, batches may hold so many items. At or below the first row's
/// depth nothing lingers: a turn hands over what is there. The default:
///
/// | depth | 0 – 10 | 11 – 100 | 101 – 1000 | above 1000 |
/// |---|---|---|---|---|
/// | target | what is there, no linger | 10 | 50 | 200 |
///
/// ```
/// use engine::Tiers;
///
/// let tiers = Tiers::default();
/// assert_eq!(tiers.target(10), None);
/// assert_eq!(tiers.target(11).unwrap().get(), 10);
/// assert_eq!(tiers.target(1_001).unwrap().get(), 200);
///
/// let steep = Tiers::new(&[(0, 16), (64, 512)]).unwrap();
/// assert_eq!(steep.target(0), None);
/// assert_eq!(steep.target(1).unwrap().get(), 16);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiers {
    /// (above this depth, so many items), by rising depth; the unused end repeats the last row.
    rows: [(usize, u32); TIERS],
}

/// Rows that can't be tiers. The remedy: 1 to 8 rows, depths rising, targets from 1 to 32,768.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TiersError {
    /// No row at all, or more than 8.
    #[error("tiers take 1 to {TIERS} rows, not {0}")]
    Rows(usize),
    /// A row's depth is not above the depth of the row before.
    #[error("the depth of row {row} is {depth}, which is not above the row before")]
    Depth {
        /// The row, counted from 0.
        row: usize,
        /// Its depth.
        depth: usize,
    },
    /// A row's target is out of range.
    #[error(
        "the target of row {row} is {target}; allowed: {} to {}",
        BATCH_ITEMS.start(),
        BATCH_ITEMS.end()
    )]
    Target {
        /// The row, counted from 0.
        row: usize,
        /// Its target, in items.
        target: u32,
    },
}

impl Default for Tiers {
    fn default() -> Self {
        Self::new(&[(10, 10), (100, 50), (1_000, 200)]).expect("the default rows are tiers")
    }
}

impl Tiers {
    /// Tiers from rows of (above this depth, so many items a batch).
    ///
    /// # Errors
    ///
    /// [`TiersError`] says which row is wrong and what is allowed.
    pub fn new(rows: &[(usize, u32)]) -> Result<Self, TiersError> {
        let (Some(last), 1..=TIERS) = (rows.last(), rows.len()) else {
            return Err(TiersError::Rows(rows.len()));
        };
        for (row, &(depth, target)) in rows.iter().enumerate() {
            if row > 0 && depth <= rows[row - 1].0 {
                return Err(TiersError::Depth { row, depth });
            }
            if !BATCH_ITEMS.contains(&target) {
                return Err(TiersError::Target { row, target });
            }
        }
        let mut table = [*last; TIERS];
        table[..rows.len()].copy_from_slice(rows);
        Ok(Self { rows: table })
    }

    /// `None`: hand over what is there at once. `Some(n)`: linger until `n` items or the deadline.
    #[must_use]
    pub fn target(&self, depth: usize) -> Option<NonZeroU32> {
        let row = self.rows.iter().rev().find(|(above, _)| depth > *above)?;
        NonZeroU32::new(row.1)
    }

    /// The largest target of any row.
    #[must_use]
    pub fn largest(&self) -> u32 {
        self.rows.iter().map(|(_, target)| *target).max().unwrap_or(1)
    }

    fn distinct(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        let starts = |at: usize| at == 0 || self.rows[at - 1].0 != self.rows[at].0;
        (0..TIERS).filter(move |at| starts(*at)).map(|at| self.rows[at])
    }
}

impl fmt::Display for Tiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0-{}: no linger", self.rows[0].0)?;
        for (above, target) in self.distinct() {
            write!(f, ", >{above}: {target}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_table_changes_strictly_above_10_100_and_1000() {
        let tiers = Tiers::default();
        let target = |depth| tiers.target(depth).map_or(0, NonZeroU32::get);
        let depths = [0, 1, 10, 11, 100, 101, 1_000, 1_001, usize::MAX];
        assert_eq!(depths.map(target), [0, 0, 0, 10, 10, 50, 50, 200, 200]);
        assert_eq!(tiers.largest(), 200);
    }

    #[test]
    fn rows_that_cannot_be_tiers_are_refused_with_the_row() {
        assert_eq!(Tiers::new(&[]), Err(TiersError::Rows(0)));
        assert_eq!(Tiers::new(&[(1, 1); 9]), Err(TiersError::Rows(9)));
        let same = [(10, 1), (10, 2)];
        assert_eq!(Tiers::new(&same), Err(TiersError::Depth { row: 1, depth: 10 }));
        assert_eq!(Tiers::new(&[(0, 0)]), Err(TiersError::Target { row: 0, target: 0 }));
        let huge = Tiers::new(&[(0, 40_000)]).unwrap_err();
        assert_eq!(huge.to_string(), "the target of row 0 is 40000; allowed: 1 to 32768");
    }

    #[test]
    fn a_table_is_shown_without_its_padding() {
        assert_eq!(Tiers::default().to_string(), "0-10: no linger, >10: 10, >100: 50, >1000: 200");
    }
}
