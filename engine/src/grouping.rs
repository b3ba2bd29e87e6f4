//! How a shard brings the items of one key together.

use std::fmt;

/// How a shard brings the items of one key together. Chosen at start; hashed unless something else is
/// asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Grouping {
    /// A batch for each key stands open and fills as items come; each goes when it is full or its own
    /// deadline comes. The largest batches, and the most exact deadlines. The default.
    #[default]
    Hashed,
    /// Items gather in a window, unsorted, and are grouped when it closes: once it has so many items
    /// (1,024 to 524,288), when the deadline of its oldest comes, at a flush, and at a shutdown.
    ///
    /// For many keys, each of them rare (100,000 and more), and a handler that costs little: a touch of
    /// a key's record, which is not in the cache by then, is traded for two passes over memory in order.
    /// The price: batches are cut at the window's end, so each has at most what one window brought of
    /// its key; items, in a full window, leave early by up to half of
    /// [`flush_after`](crate::Builder::flush_after), so that the last of them is handed over in time;
    /// one item's [`Patience`](crate::Patience) hurries its whole window; and
    /// [`open_batches`](crate::Snapshot::open_batches) counts windows. Ages and lateness in the
    /// histograms are those of the window's oldest item. All batches of a window have the
    /// [`Trigger`](crate::Trigger) that closed it, `Size` if it was full, but for those that are full
    /// themselves (`Size`) or cut (`Conflict`). See [the guide](crate::guide::grouping).
    ///
    /// Refused together with a [`Sizing`](crate::Sizing) that is not `Fixed`, and with everything that
    /// needs [queues](crate::Builder::queues): a window sees neither how deep a lane is nor a key
    /// before it closes.
    Windowed {
        /// Items of one window. 65,536 is where the second-level cache still holds what is touched at
        /// random (256 ends of partitions) and batches are of a size worth the while.
        items: usize,
    },
}

impl Grouping {
    /// [`Windowed`](Self::Windowed) with 65,536 items.
    pub const WINDOWED: Self = Self::Windowed { items: 65_536 };
}

impl fmt::Display for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hashed => f.write_str("hashed"),
            Self::Windowed { items } => write!(f, "windowed:{items}"),
        }
    }
}
