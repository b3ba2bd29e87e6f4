//! How large blocks, pages and the whole are.

use std::fmt;

use super::NONE;

/// The most items one block can be asked to hold.
pub(crate) const BLOCK_ITEMS_MAX: usize = 1_000_000;

/// Block sizes in items, each two to four times the one before: a batch that has just grown fills a
/// quarter of its block or more, and growing to the end moves each item less than once on average.
const LADDER: [u32; 15] = [
    2, 8, 32, 100, 200, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
];
pub(super) const CLASSES_MAX: usize = LADDER.len() + 1;

/// Bytes a page should have, where the arena is large enough for that.
const PAGE_BYTES_GOAL: usize = 64 * 1024;
const PAGE_BYTES_MIN: usize = 4 * 1024;
/// Largest blocks that the reserve should hold.
pub(super) const RESERVE_BLOCKS: usize = 8;
const CACHE_LINE: usize = 64;

/// What the bump allocator and the allocator below it add to a chunk, rounded up, and the unit that
/// chunks of that size are rounded to. A request that leaves this room is not enlarged.
pub(super) const CHUNK_OVERHEAD: usize = 128;
const CHUNK_UNIT: usize = 4 * 1024;

const _: () = assert!(PAGE_BYTES_MIN >= CACHE_LINE && PAGE_BYTES_MIN.is_power_of_two());
const _: () = assert!(
    (LADDER[LADDER.len() - 1] as usize) < BLOCK_ITEMS_MAX,
    "the table of classes has one place behind the ladder, for the largest"
);

/// Block sizes in items, ascending. See [`classes`].
#[derive(Clone, Copy)]
pub(crate) struct Classes {
    /// The first `count` are valid.
    items: [u32; CLASSES_MAX],
    /// 1 to [`CLASSES_MAX`].
    count: usize,
}

impl Classes {
    /// The sizes, ascending; the last is the largest.
    pub(crate) fn as_slice(&self) -> &[u32] {
        &self.items[..self.count]
    }
}

impl fmt::Debug for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// The block sizes of an arena whose largest batch has `largest` items: 2, 8, 32, 100, 200, and on in
/// steps of two to two and a half, as far as they are at most three quarters of `largest` (a smaller step
/// would move the items for next to no room), then `largest` itself.
///
/// # Panics
///
/// Unless `largest` is from 1 to [`BLOCK_ITEMS_MAX`].
pub(crate) fn classes(largest: usize) -> Classes {
    assert!((1..=BLOCK_ITEMS_MAX).contains(&largest), "a block of {largest} items can't be had");
    let mut items = [0; CLASSES_MAX];
    let mut count = 0;
    for step in LADDER.into_iter().take_while(|&step| step as usize * 4 <= largest * 3) {
        items[count] = step;
        count += 1;
    }
    items[count] = largest as u32;
    Classes { items, count: count + 1 }
}

/// One class, as its arena keeps it.
#[derive(Clone, Copy)]
pub(super) struct Class {
    /// Items of a block.
    pub(super) items: u32,
    /// Bytes from one block of a page to the next.
    pub(super) stride: u32,
    /// Blocks of a page; at least 1.
    pub(super) per_page: u32,
    /// The first page with room, or [`NONE`].
    pub(super) room: u32,
    /// The page with room that has no block out, or [`NONE`].
    pub(super) spare: u32,
}

/// Everything about an arena that follows from its arguments.
pub(super) struct Shape {
    pub(super) classes: [Class; CLASSES_MAX],
    pub(super) count: usize,
    pub(super) page_bytes: usize,
    pub(super) page_align: usize,
    pub(super) pages: usize,
    /// Pages closed to all but the largest class.
    pub(super) reserve: usize,
    /// Bytes of all pages.
    pub(super) region: usize,
    /// Bytes of the bump's only chunk.
    pub(super) chunk: usize,
}

impl Shape {
    /// `None` where no machine has that much memory, or no block has that many items or bytes.
    pub(super) fn of<T>(items: usize, largest: usize) -> Option<Self> {
        if !(1..=BLOCK_ITEMS_MAX).contains(&largest) {
            return None;
        }
        let sizes = classes(largest);
        let count = sizes.count;
        let mut classes =
            [Class { items: 0, stride: 0, per_page: 0, room: NONE, spare: NONE }; CLASSES_MAX];
        for (class, &items) in classes.iter_mut().zip(sizes.as_slice()) {
            class.items = items;
            class.stride = u32::try_from(stride::<T>(items as usize)?).ok()?;
        }
        let largest_stride = classes[count - 1].stride as usize;
        let blocks = items.div_ceil(largest).max(1);
        let goal =
            (blocks.checked_mul(largest_stride)? / 16).clamp(PAGE_BYTES_MIN, PAGE_BYTES_GOAL);
        let per_page = goal.div_ceil(largest_stride);
        let page_align = align_of::<T>().max(CACHE_LINE);
        let page_bytes =
            largest_stride.checked_mul(per_page)?.checked_next_multiple_of(page_align)?;
        let page_limit = u32::try_from(page_bytes).ok()?;
        for class in &mut classes[..count] {
            class.per_page = page_limit / class.stride;
        }
        let needed = blocks.div_ceil(per_page);
        let smaller = count - 1;
        let reserve = match smaller {
            0 => 0,
            _ => RESERVE_BLOCKS.div_ceil(per_page).min((needed / 4).max(1)),
        };
        let pages = needed.checked_add(smaller + reserve)?;
        // NONE is no page.
        u32::try_from(pages).ok().filter(|&pages| pages < NONE)?;
        let region = pages.checked_mul(page_bytes)?;
        let chunk = region
            .checked_add(page_align + CHUNK_OVERHEAD)?
            .checked_next_multiple_of(CHUNK_UNIT.max(page_align))?;
        isize::try_from(chunk).ok()?;
        Some(Self { classes, count, page_bytes, page_align, pages, reserve, region, chunk })
    }
}

/// Bytes from one block of `items` items to the next: room for the items or a link, aligned for both,
/// and on a cache line of its own where that wastes no more than an eighth.
fn stride<T>(items: usize) -> Option<usize> {
    let align = align_of::<T>().max(align_of::<u32>());
    let bytes = items.checked_mul(size_of::<T>())?.max(size_of::<u32>());
    let tight = bytes.checked_next_multiple_of(align)?;
    let lined = bytes.checked_next_multiple_of(align.max(CACHE_LINE))?;
    Some(if lined - tight <= tight / 8 { lined } else { tight })
}
