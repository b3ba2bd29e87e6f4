//! Where waiting items live: blocks of a few sizes, carved from equal pages that are all there from the
//! start.
//!
//! # Idea
//!
//! A batch is a [`Block`]: room for a fixed number of items, one after the other, so that a handler gets
//! a slice. A key with one waiting item must not hold room for two hundred, so blocks come in size
//! classes ([`classes`]): a batch opens in a small block and moves to a larger one as it fills
//! ([`Arena::grow`]), and the smaller one is free again at once. This is slab allocation (Bonwick, *The
//! Slab Allocator*, USENIX 1994) cut down to one thread, one item type and a fixed region.
//!
//! # Layout
//!
//! ```text
//! region   | page 0          | page 1          | page 2          | …      one run of memory, from a bump
//! page     | block | block | block | block | … |                          all blocks of one class
//! block    | item | item | item |  room  |                                a free block begins with a link
//! ```
//!
//! - All pages have one size, an exact multiple of the largest block, and serve one class at a time. An
//!   empty page goes back to the pool, where every class can have it.
//! - Within a page, free blocks form a last-in first-out list, so that the block handed out next is the
//!   one most likely in the cache. The links stand in the free blocks themselves, as byte offsets. Blocks
//!   that were never used are cut off the page's untouched end only when that list is empty: memory that
//!   no load ever needed is never touched.
//! - What is known about a page stands beside the region in a table, not in the page, so looking for room
//!   touches no cold page.
//! - Each class keeps a last-in first-out list of its pages with room, and at most one *spare*: an empty
//!   page it holds on to, so that one block taken and released in turn doesn't move a page each time.
//!   Spares are taken back when another class finds nothing else.
//!
//! # Traps
//!
//! - One small live block pins its page. If small blocks could take every page, a load that moves from a
//!   million keys to eight would find no large block until the last of them is gone. So a few pages (the
//!   reserve) are closed to all but the largest class, and [`Arena::grow`] skips classes that have no
//!   room: a batch can always try for a block of the reserve.
//! - The same the other way round: as many pages as there are smaller classes are closed to the largest,
//!   so that a load that fills the large blocks can't keep a new key from opening a batch.
//! - An arena that is dropped while blocks are out leaks its region, for a block may be on another thread
//!   and must never dangle. A block that is dropped without [`Arena::release`] drops its items, and its
//!   memory stays taken.
#![allow(unsafe_code)]

mod huge_pages;

use std::{
    alloc::Layout,
    fmt,
    marker::PhantomData,
    mem::{self, ManuallyDrop},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::NonNull,
    slice,
};

use bumpalo::Bump;

use huge_pages::prefer_huge_pages;
pub(crate) use huge_pages::{OnHugePages, vec_on_huge_pages};

/// The most items one block can be asked to hold.
pub(crate) const BLOCK_ITEMS_MAX: usize = 1_000_000;

/// Block sizes in items, each two to four times the one before: a batch that has just grown fills a
/// quarter of its block or more, and growing to the end moves each item less than once on average.
const LADDER: [u32; 15] = [
    2, 8, 32, 100, 200, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
];
const CLASSES_MAX: usize = LADDER.len() + 1;

/// Bytes a page should have, where the arena is large enough for that.
const PAGE_BYTES_GOAL: usize = 64 * 1024;
const PAGE_BYTES_MIN: usize = 4 * 1024;
/// Largest blocks that the reserve should hold.
const RESERVE_BLOCKS: usize = 8;
const CACHE_LINE: usize = 64;

/// What the bump allocator and the allocator below it add to a chunk, rounded up, and the unit that
/// chunks of that size are rounded to. A request that leaves this room is not enlarged.
const CHUNK_OVERHEAD: usize = 128;
const CHUNK_UNIT: usize = 4 * 1024;

/// No page, or no free block.
const NONE: u32 = u32::MAX;

const _: () = assert!(size_of::<Option<Block<u64>>>() == 24, "a block is moved about by value");
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
struct Class {
    /// Items of a block.
    items: u32,
    /// Bytes from one block of a page to the next.
    stride: u32,
    /// Blocks of a page; at least 1.
    per_page: u32,
    /// The first page with room, or [`NONE`].
    room: u32,
    /// The page with room that has no block out, or [`NONE`].
    spare: u32,
}

/// One page, as its arena keeps it.
#[derive(Clone, Copy)]
struct Page {
    /// Index of the class it serves; meaningless in the pool.
    class: u32,
    /// Blocks out.
    live: u32,
    /// Byte offset of the free block that was released last, or [`NONE`].
    free: u32,
    /// Byte offset of the first block that was never out since the page was taken from the pool.
    fresh: u32,
    /// Neighbours in the class's list of pages with room, or in the pool (`next` alone); [`NONE`] at the
    /// ends.
    next: u32,
    prev: u32,
}

/// Everything about an arena that follows from its arguments.
struct Shape {
    classes: [Class; CLASSES_MAX],
    count: usize,
    page_bytes: usize,
    page_align: usize,
    pages: usize,
    /// Pages closed to all but the largest class.
    reserve: usize,
    /// Bytes of all pages.
    region: usize,
    /// Bytes of the bump's only chunk.
    chunk: usize,
}

impl Shape {
    /// `None` where no machine has that much memory, or no block has that many items or bytes.
    fn of<T>(items: usize, largest: usize) -> Option<Self> {
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

/// A fixed region of memory that hands out [`Block`]s; see the module for the idea and the layout.
///
/// It belongs to one shard. Its blocks may travel to other threads and must come back to be released.
pub(crate) struct Arena<T> {
    /// The first `count` are valid; the last of them is the largest.
    classes: [Class; CLASSES_MAX],
    count: usize,
    region: NonNull<u8>,
    region_bytes: usize,
    page_bytes: usize,
    pages: Box<[Page]>,
    /// The first page of the pool, or [`NONE`].
    pool: u32,
    /// Pages that the smaller classes together, and the largest, have now and may have at most.
    smaller: Share,
    largest: Share,
    blocks_out: usize,
    /// Owns the region. Not dropped while blocks are out.
    bump: ManuallyDrop<Bump>,
    items: PhantomData<T>,
}

/// How many pages one side has and may have.
struct Share {
    taken: usize,
    limit: usize,
}

// SAFETY: an arena holds no item, only memory for some: items travel in blocks. The region is reached
// through the arena's `&mut self` and through blocks, each of which owns its part alone; the bump is
// never used again after `new` but to free it.
unsafe impl<T: Send> Send for Arena<T> {}

impl<T> Arena<T> {
    /// An arena with room for `items` items in blocks of `largest`, and a few pages more, so that the
    /// smaller classes and the largest can't shut each other out. All memory is allocated here, none
    /// later; what is untouched costs address space only, where the system works that way, in steps of
    /// the system's pages, which may be huge ones.
    ///
    /// # Panics
    ///
    /// If [`Arena::bytes`] is `usize::MAX`, or the memory can't be had.
    pub(crate) fn new(items: usize, largest: usize) -> Self {
        let Some(shape) = Shape::of::<T>(items, largest) else {
            panic!("an arena for {items} items in blocks of {largest} can't be had");
        };
        let bump = Bump::with_capacity(shape.chunk - CHUNK_OVERHEAD);
        let layout = Layout::from_size_align(shape.region, shape.page_align)
            .expect("the chunk that holds the region fits an isize");
        let region = bump.alloc_layout(layout);
        prefer_huge_pages(region, shape.region);
        let last = shape.pages as u32 - 1;
        let pages = (0..=last)
            .map(|page| Page {
                class: 0,
                live: 0,
                free: NONE,
                fresh: 0,
                next: if page == last { NONE } else { page + 1 },
                prev: NONE,
            })
            .collect();
        Self {
            classes: shape.classes,
            count: shape.count,
            region,
            region_bytes: shape.region,
            page_bytes: shape.page_bytes,
            pages,
            pool: 0,
            smaller: Share { taken: 0, limit: shape.pages - shape.reserve },
            largest: Share { taken: 0, limit: shape.pages - (shape.count - 1) },
            blocks_out: 0,
            bump: ManuallyDrop::new(bump),
            items: PhantomData,
        }
    }

    /// Bytes that [`Arena::new`] allocates for these arguments, all of them; `usize::MAX` where it would
    /// panic, because `largest` is 0 or over [`BLOCK_ITEMS_MAX`], a block of it has 4 GiB or more, or the
    /// whole has more bytes than can be addressed.
    pub(crate) fn bytes(items: usize, largest: usize) -> usize {
        Shape::of::<T>(items, largest)
            .and_then(|shape| shape.pages.checked_mul(size_of::<Page>())?.checked_add(shape.chunk))
            .unwrap_or(usize::MAX)
    }

    /// An empty block of the smallest class that holds `at_least` items. `None`: that class has no block
    /// and can't have a page. Something must be released first, or `at_least` be larger: the largest
    /// class has pages that the others can't take, and the others some that the largest can't.
    ///
    /// Constant time, but for looking up the class (at most 16 compares, one for the smallest).
    ///
    /// # Panics
    ///
    /// If `at_least` exceeds the largest class.
    #[inline]
    pub(crate) fn block(&mut self, at_least: usize) -> Option<Block<T>> {
        let class = self.classes[..self.count]
            .iter()
            .position(|class| class.items as usize >= at_least)
            .expect("no block is larger than the largest");
        self.take(class)
    }

    /// The items of `block` in a larger one: of the next class, or of the nearest above it that has room.
    /// The smaller block is free at once.
    ///
    /// Moves each item once.
    ///
    /// # Errors
    ///
    /// The block itself, unchanged, if it is of the largest class or no larger one has room.
    ///
    /// # Panics
    ///
    /// If the block is of another arena.
    pub(crate) fn grow(&mut self, mut block: Block<T>) -> Result<Block<T>, Block<T>> {
        self.check(&block);
        let class = self.pages[block.page as usize].class as usize;
        let Some(mut larger) = (class + 1..self.count).find_map(|above| self.take(above)) else {
            return Err(block);
        };
        let items = block.end - block.start;
        // SAFETY: source: `start..end` of a block are its items. Target: a block of a larger class, which
        // nobody else has, so it has the room and does not overlap. The items are moved: the source
        // forgets them in the next line, and nothing between can panic.
        unsafe {
            let from = block.items.add(block.start as usize);
            larger.items.copy_from_nonoverlapping(from, items as usize);
        }
        block.start = 0;
        block.end = 0;
        larger.end = items;
        self.put_back(block);
        Ok(larger)
    }

    /// Takes a block back. Items still in it are dropped; the number of them that panicked meanwhile is
    /// returned (0 for an empty block).
    ///
    /// Constant time for an empty block or items without `Drop`.
    ///
    /// # Panics
    ///
    /// If the block is of another arena (its items are dropped then, and its memory stays taken).
    #[inline]
    pub(crate) fn release(&mut self, mut block: Block<T>) -> usize {
        self.check(&block);
        let panics = block.clear();
        self.put_back(block);
        panics
    }

    /// Blocks that were taken and not released; those dropped without release count for ever.
    #[cfg(test)]
    pub(crate) fn blocks_out(&self) -> usize {
        self.blocks_out
    }

    /// How many items fit if every block is of the largest class: at least as many as were asked for.
    #[cfg(test)]
    pub(crate) fn items_room(&self) -> usize {
        let class = &self.classes[self.count - 1];
        self.largest.limit * class.per_page as usize * class.items as usize
    }

    /// Pages without a block out, in the pool or kept as a spare. Counts them: not for the hot path.
    pub(crate) fn pages_empty(&self) -> usize {
        let spares = self.classes[..self.count].iter().filter(|class| class.spare != NONE).count();
        self.pages.len() - self.smaller.taken - self.largest.taken + spares
    }

    #[inline]
    fn check(&self, block: &Block<T>) {
        let offset = block.items.addr().get().wrapping_sub(self.region.addr().get());
        assert!(offset < self.region_bytes, "a block goes back to the arena it is from");
    }

    #[inline]
    fn take(&mut self, class_index: usize) -> Option<Block<T>> {
        let mut page_index = self.classes[class_index].room;
        if page_index == NONE {
            page_index = self.open_page(class_index)?;
        }
        let class = &mut self.classes[class_index];
        let page = &mut self.pages[page_index as usize];
        let page_offset = page_index as usize * self.page_bytes;
        let offset;
        if page.free == NONE {
            offset = page.fresh;
            page.fresh += class.stride;
        } else {
            offset = page.free;
            // SAFETY: a page's `free` is the offset of a block of it that is not out, in whose first bytes
            // `put_back` wrote a link; blocks are at least that large and aligned for it.
            page.free =
                unsafe { self.region.add(page_offset + offset as usize).cast::<u32>().read() };
        }
        page.live += 1;
        if page.live == 1 && class.spare == page_index {
            class.spare = NONE;
        }
        if page.live == class.per_page {
            // A full page leaves the list; it was the first.
            class.room = page.next;
            if let Some(next) = self.pages.get_mut(class.room as usize) {
                next.prev = NONE;
            }
        }
        self.blocks_out += 1;
        // SAFETY: the page lies in the region and the block in the page: either it was released, so it
        // was one before, or it is the page's first untouched one, and a page with room and no released
        // block has fewer than `per_page` blocks cut off. So the offset is within the region.
        let items = unsafe { self.region.add(page_offset + offset as usize) }.cast::<T>();
        Some(Block {
            items,
            start: 0,
            end: 0,
            capacity: class.items,
            page: page_index,
            owned: PhantomData,
        })
    }

    /// Takes a page from the pool for a class that has none with room.
    #[cold]
    fn open_page(&mut self, class_index: usize) -> Option<u32> {
        if self.pool == NONE || self.share(class_index).is_spent() {
            self.reclaim_spares();
            if self.pool == NONE || self.share(class_index).is_spent() {
                return None;
            }
        }
        self.share(class_index).taken += 1;
        let page_index = self.pool;
        let page = &mut self.pages[page_index as usize];
        self.pool = page.next;
        *page = Page {
            class: class_index as u32,
            live: 0,
            free: NONE,
            fresh: 0,
            next: NONE,
            prev: NONE,
        };
        self.classes[class_index].room = page_index;
        Some(page_index)
    }

    fn share(&mut self, class_index: usize) -> &mut Share {
        if class_index + 1 == self.count { &mut self.largest } else { &mut self.smaller }
    }

    fn reclaim_spares(&mut self) {
        for class_index in 0..self.count {
            let spare = mem::replace(&mut self.classes[class_index].spare, NONE);
            if spare != NONE {
                self.close_page(spare);
            }
        }
    }

    /// Gives a page without blocks, which is in its class's list, back to the pool.
    #[cold]
    fn close_page(&mut self, page_index: u32) {
        let Page { class, next, prev, .. } = self.pages[page_index as usize];
        match self.pages.get_mut(prev as usize) {
            Some(page) => page.next = next,
            None => self.classes[class as usize].room = next,
        }
        if let Some(page) = self.pages.get_mut(next as usize) {
            page.prev = prev;
        }
        self.pages[page_index as usize].next = self.pool;
        self.pool = page_index;
        self.share(class as usize).taken -= 1;
    }

    /// Puts an empty block of this arena on its page's list.
    #[inline]
    fn put_back(&mut self, block: Block<T>) {
        // Its memory is the arena's from here on.
        let block = ManuallyDrop::new(block);
        debug_assert!(block.is_empty(), "items are dropped or moved before");
        let page_index = block.page;
        let page = &mut self.pages[page_index as usize];
        let class = &mut self.classes[page.class as usize];
        let page_start = self.region.addr().get() + page_index as usize * self.page_bytes;
        // SAFETY: we own the block, it is empty, and every block has room and alignment for a link.
        unsafe { block.items.cast::<u32>().write(page.free) };
        page.free = (block.items.addr().get() - page_start) as u32;
        let was_full = page.live == class.per_page;
        page.live -= 1;
        let emptied = page.live == 0;
        if was_full {
            page.next = class.room;
            page.prev = NONE;
            if let Some(next) = self.pages.get_mut(class.room as usize) {
                next.prev = page_index;
            }
            class.room = page_index;
        }
        if emptied {
            if class.spare == NONE {
                class.spare = page_index;
            } else {
                self.close_page(page_index);
            }
        }
        self.blocks_out -= 1;
    }
}

impl Share {
    fn is_spent(&self) -> bool {
        self.taken == self.limit
    }
}

impl<T> Drop for Arena<T> {
    fn drop(&mut self) {
        if self.blocks_out == 0 {
            // SAFETY: dropped once, here. No block is out, so nothing points into the region.
            unsafe { ManuallyDrop::drop(&mut self.bump) };
        }
    }
}

impl<T> fmt::Debug for Arena<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("pages", &self.pages.len())
            .field("pages_empty", &self.pages_empty())
            .field("blocks_out", &self.blocks_out)
            .finish_non_exhaustive()
    }
}

/// Room for a fixed number of items in a row, filled at the end and settled from the front.
///
/// It owns its items and its part of the arena, so it may travel to another thread. Give it back with
/// [`Arena::release`]: dropped, it drops its items (a panic of theirs is caught), and its memory is lost
/// to the arena.
pub(crate) struct Block<T> {
    items: NonNull<T>,
    /// `start..end` are its items; `start <= end <= capacity`.
    start: u32,
    end: u32,
    /// 1 to [`BLOCK_ITEMS_MAX`].
    capacity: u32,
    page: u32,
    owned: PhantomData<T>,
}

// SAFETY: a block owns its items, and its part of the region alone until the arena, which needs the block
// itself for that, takes it back; so sending it sends the items and nothing else.
unsafe impl<T: Send> Send for Block<T> {}

impl<T> Block<T> {
    /// Puts an item behind the others. Where the front was settled and the end is reached, the rest is
    /// moved to the front first.
    ///
    /// # Errors
    ///
    /// The item, if the block is full.
    #[inline]
    pub(crate) fn push(&mut self, item: T) -> Result<(), T> {
        if self.end == self.capacity {
            if self.start == 0 {
                return Err(item);
            }
            self.close_gap();
        }
        // SAFETY: `end < capacity` (`close_gap` moved it below), so the place is ours and holds no item.
        unsafe { self.items.add(self.end as usize).write(item) };
        self.end += 1;
        Ok(())
    }

    /// Puts the item that `take` gives behind the others; `false`, and nothing is taken, if the end
    /// is reached. For hot loops: the item moves from its old place to the new one directly.
    #[inline(always)]
    pub(crate) fn push_with(&mut self, take: impl FnOnce() -> T) -> bool {
        if self.end == self.capacity {
            return false;
        }
        // SAFETY: `end < capacity`, so the place is ours and holds no item; if `take` panics, it
        // still does not.
        unsafe { self.items.add(self.end as usize).write(take()) };
        self.end += 1;
        true
    }

    /// Whether its items end below this place, counted from the block's start: so do at least as many
    /// as it holds.
    #[inline(always)]
    pub(crate) fn ends_below(&self, place: u16) -> bool {
        self.end < u32::from(place)
    }

    /// Asks for the place where the next item goes to be brought into the cache.
    #[inline(always)]
    pub(crate) fn prefetch_end(&self) {
        prefetch(self.items.as_ptr().wrapping_add(self.end as usize));
    }

    /// Asks for the first items to be brought into the cache.
    #[inline(always)]
    pub(crate) fn prefetch_start(&self) {
        prefetch(self.items.as_ptr().wrapping_add(self.start as usize));
    }

    /// Items in it.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// The most items it can hold: those of its class.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Whether no further item fits.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.end - self.start == self.capacity
    }

    /// Whether it holds no item.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The items, oldest first.
    #[inline]
    pub(crate) fn items(&self) -> &[T] {
        // SAFETY: `start..end` are initialised items in memory that is ours, borrowed as `self` is.
        unsafe { slice::from_raw_parts(self.items.add(self.start as usize).as_ptr(), self.len()) }
    }

    /// The items, oldest first.
    #[inline]
    pub(crate) fn items_mut(&mut self) -> &mut [T] {
        let items = self.len();
        // SAFETY: as in `items`, and `&mut self` makes the slice the only way to them.
        unsafe { slice::from_raw_parts_mut(self.items.add(self.start as usize).as_ptr(), items) }
    }

    /// The oldest item.
    #[inline]
    #[cfg(test)]
    pub(crate) fn first(&self) -> Option<&T> {
        self.items().first()
    }

    /// Moves the oldest item out.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        // SAFETY: `start` is an item, and no longer one of ours after the next line, so it is moved out
        // once.
        let item = unsafe { self.items.add(self.start as usize).read() };
        self.start += 1;
        self.rewind_if_empty();
        Some(item)
    }

    /// Drops the `n` oldest items where they are, each exactly once, and returns how many of them panicked
    /// in their `Drop`: a panic is caught, and the next item's turn comes. A destructor that panics while
    /// it unwinds aborts the process, as always.
    ///
    /// Costs nothing per item for items without `Drop`.
    ///
    /// # Panics
    ///
    /// If there are fewer than `n` items.
    #[inline]
    pub(crate) fn settle_front(&mut self, n: usize) -> usize {
        assert!(n <= self.len(), "{n} items are settled where there are {}", self.len());
        let until = self.start + n as u32;
        let panics = if mem::needs_drop::<T>() { self.drop_until(until) } else { 0 };
        self.start = until;
        self.rewind_if_empty();
        panics
    }

    /// Drops all items, as [`Block::settle_front`].
    #[inline]
    fn clear(&mut self) -> usize {
        self.settle_front(self.len())
    }

    fn drop_until(&mut self, until: u32) -> usize {
        let mut panics = 0;
        // One guard for a whole stretch without panics, not one for each item.
        while self.start < until {
            let stretch = catch_unwind(AssertUnwindSafe(|| {
                while self.start < until {
                    let at = self.start as usize;
                    self.start += 1;
                    // SAFETY: `at` was an item (`start < until <= end`) and, by the line before, is none
                    // of ours any more, so it is dropped once, whether or not that panics.
                    unsafe { self.items.add(at).drop_in_place() };
                }
            }));
            if let Err(payload) = stretch {
                panics += 1;
                // What was thrown may have a Drop that throws again.
                if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                    mem::forget(again);
                }
            }
        }
        panics
    }

    #[inline]
    fn rewind_if_empty(&mut self) {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    #[cold]
    fn close_gap(&mut self) {
        let items = self.len();
        // SAFETY: moves our items to the start of the block, where there is room for all of its capacity.
        // The two may overlap; what the old places still hold is no item of ours after the next lines.
        unsafe { self.items.copy_from(self.items.add(self.start as usize), items) };
        self.start = 0;
        self.end = items as u32;
    }
}

impl<T> Drop for Block<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<T> fmt::Debug for Block<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

/// Asks for a place to be brought into the cache, where the processor can be asked that.
#[inline(always)]
pub(crate) fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which does not fault whatever the address.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(place.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a hint, which does not fault whatever the address.
    unsafe {
        core::arch::asm!("prfm pldl1keep, [{0}]", in(reg) place, options(nostack, readonly, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, collections::HashSet, rc::Rc, sync::Mutex, thread};

    use proptest::prelude::*;

    use super::*;

    /// The arena's blocks as slowly and plainly as possible.
    type Plain = Vec<Vec<u64>>;

    thread_local! {
        /// How often each item was dropped.
        static DROPS: Cell<usize> = const { Cell::new(0) };
    }

    /// Counts its drops, and panics in them if told to.
    #[derive(Debug)]
    struct Counted {
        alive: Rc<Cell<isize>>,
        panics: bool,
    }

    impl Counted {
        fn new(alive: &Rc<Cell<isize>>, panics: bool) -> Self {
            alive.set(alive.get() + 1);
            Self { alive: Rc::clone(alive), panics }
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            DROPS.set(DROPS.get() + 1);
            self.alive.set(self.alive.get() - 1);
            if self.panics {
                // Without the hook, which would print each.
                std::panic::resume_unwind(Box::new("a destructor that panics"));
            }
        }
    }

    /// Some tests leak a region, as is promised. A pointer to it in a static keeps leak checkers quiet.
    fn keep_from_leak_checkers<T>(arena: &Arena<T>) {
        static REGIONS: Mutex<Vec<usize>> = Mutex::new(Vec::new());
        REGIONS.lock().unwrap().push(arena.region.as_ptr().expose_provenance());
    }

    fn range<T>(block: &Block<T>) -> (usize, usize) {
        let start = block.items.addr().get();
        (start, start + (block.capacity() * size_of::<T>()).max(size_of::<u32>()))
    }

    fn assert_disjoint<T>(arena: &Arena<T>, blocks: &[Block<T>]) {
        let mut ranges: Vec<_> = blocks.iter().map(range).collect();
        ranges.sort_unstable();
        let mut end = arena.region.addr().get();
        for (from, to) in ranges {
            assert!(from >= end, "two blocks overlap, or one lies before the region");
            end = to;
        }
        assert!(end <= arena.region.addr().get() + arena.region_bytes);
    }

    /// What the tables and lists say about each other.
    fn assert_consistent<T>(arena: &Arena<T>) {
        let mut seen = HashSet::new();
        let mut page = arena.pool;
        while page != NONE {
            assert!(seen.insert(page), "the pool goes round in a circle");
            page = arena.pages[page as usize].next;
        }
        let taken = arena.smaller.taken + arena.largest.taken;
        assert_eq!(seen.len() + taken, arena.pages.len());
        assert!(arena.smaller.taken <= arena.smaller.limit);
        assert!(arena.largest.taken <= arena.largest.limit);
        for (index, class) in arena.classes[..arena.count].iter().enumerate() {
            let mut page = class.room;
            let mut prev = NONE;
            while page != NONE {
                assert!(seen.insert(page), "a page is in two lists");
                let at = &arena.pages[page as usize];
                assert_eq!((at.prev, at.class), (prev, index as u32));
                assert!(at.live < class.per_page, "a full page is in the list of those with room");
                assert_eq!(at.live == 0, class.spare == page, "only a spare is empty");
                prev = page;
                page = at.next;
            }
        }
        let full: usize = (0..arena.pages.len() as u32)
            .filter(|page| !seen.contains(page))
            .map(|page| {
                let at = &arena.pages[page as usize];
                assert_eq!(at.live, arena.classes[at.class as usize].per_page);
                at.live as usize
            })
            .sum();
        let listed: usize = seen.iter().map(|&page| arena.pages[page as usize].live as usize).sum();
        let pooled = arena.pages.len() - taken;
        assert!(pooled <= seen.len());
        assert_eq!(full + listed, arena.blocks_out());
    }

    fn assert_all_back<T>(arena: &Arena<T>) {
        assert_consistent(arena);
        assert_eq!(arena.blocks_out(), 0);
        assert_eq!(arena.pages_empty(), arena.pages.len());
    }

    /// Takes blocks until there are no more.
    fn drain<T>(arena: &mut Arena<T>, at_least: usize) -> Vec<Block<T>> {
        std::iter::from_fn(|| arena.block(at_least)).collect()
    }

    fn release_all<T>(arena: &mut Arena<T>, blocks: Vec<Block<T>>) {
        for block in blocks {
            arena.release(block);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Block { at_least: usize },
        Push { block: usize, items: usize },
        Grow { block: usize },
        Settle { block: usize, items: usize },
        Pop { block: usize },
        Release { block: usize },
        ReleaseMost,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0_usize..40).prop_map(|at_least| Step::Block { at_least }),
            8 => (any::<usize>(), 1_usize..30).prop_map(|(block, items)| Step::Push { block, items }),
            6 => any::<usize>().prop_map(|block| Step::Grow { block }),
            3 => (any::<usize>(), 0_usize..40).prop_map(|(block, items)| Step::Settle { block, items }),
            2 => any::<usize>().prop_map(|block| Step::Pop { block }),
            3 => any::<usize>().prop_map(|block| Step::Release { block }),
            1 => Just(Step::ReleaseMost),
        ];
        prop::collection::vec(step, 0..400)
    }

    proptest! {
        #[test]
        fn blocks_behave_as_vectors_do_and_never_overlap(
            steps in steps(),
            items in 0_usize..4_000,
            largest in 1_usize..45,
        ) {
            let mut arena = Arena::new(items, largest);
            let bytes = arena.bump.allocated_bytes_including_metadata();
            let mut blocks: Vec<Block<u64>> = Vec::new();
            let mut plain = Plain::new();
            let mut next = 0;
            for step in steps {
                let at = |block: usize| (!plain.is_empty()).then(|| block % plain.len());
                match step {
                    Step::Block { at_least } => {
                        if let Some(block) = arena.block(at_least.min(largest)) {
                            prop_assert!(block.is_empty() && block.capacity() >= at_least.min(largest));
                            blocks.push(block);
                            plain.push(Vec::new());
                        }
                    }
                    Step::Push { block, items } => if let Some(at) = at(block) {
                        for _ in 0..items {
                            next += 1;
                            let full = plain[at].len() == blocks[at].capacity();
                            prop_assert_eq!(blocks[at].is_full(), full);
                            match blocks[at].push(next) {
                                Ok(()) => plain[at].push(next),
                                Err(back) => prop_assert!(full && back == next),
                            }
                        }
                    },
                    Step::Grow { block } => if let Some(at) = at(block) {
                        let block = blocks.swap_remove(at);
                        let model = plain.swap_remove(at);
                        let (before, place) = (block.capacity(), block.items);
                        match arena.grow(block) {
                            Ok(block) => {
                                prop_assert!(block.capacity() > before);
                                blocks.push(block);
                            }
                            Err(block) => {
                                prop_assert_eq!((block.capacity(), block.items), (before, place));
                                blocks.push(block);
                            }
                        }
                        plain.push(model);
                    },
                    Step::Settle { block, items } => if let Some(at) = at(block) {
                        let items = items.min(plain[at].len());
                        prop_assert_eq!(blocks[at].settle_front(items), 0);
                        plain[at].drain(..items);
                    },
                    Step::Pop { block } => if let Some(at) = at(block) {
                        let front = (!plain[at].is_empty()).then(|| plain[at].remove(0));
                        prop_assert_eq!(blocks[at].first().copied(), front);
                        prop_assert_eq!(blocks[at].pop_front(), front);
                    },
                    Step::Release { block } => if let Some(at) = at(block) {
                        plain.swap_remove(at);
                        prop_assert_eq!(arena.release(blocks.swap_remove(at)), 0);
                    },
                    Step::ReleaseMost => {
                        plain.truncate(3);
                        while blocks.len() > 3 {
                            arena.release(blocks.pop().unwrap());
                        }
                    }
                }
                prop_assert_eq!(arena.blocks_out(), blocks.len());
            }
            assert_disjoint(&arena, &blocks);
            assert_consistent(&arena);
            for (block, plain) in blocks.iter_mut().zip(&plain) {
                prop_assert_eq!(block.items(), &plain[..]);
                prop_assert_eq!(block.items_mut(), &plain[..]);
            }
            prop_assert_eq!(bytes, arena.bump.allocated_bytes_including_metadata());
            release_all(&mut arena, blocks);
            assert_all_back(&arena);
        }

        #[test]
        fn every_item_is_dropped_once_whoever_panics(
            panics in prop::collection::vec(any::<bool>(), 1..100),
            popped in 0_usize..20,
            settled in 0_usize..60,
        ) {
            let alive = Rc::new(Cell::new(0));
            let mut arena = Arena::new(100, 100);
            let mut block = arena.block(1).unwrap();
            let count = panics.len();
            for &panics in &panics {
                if block.is_full() {
                    block = arena.grow(block).unwrap();
                }
                block.push(Counted::new(&alive, panics)).unwrap();
            }
            DROPS.set(0);
            let popped = popped.min(count);
            for (at, &panics) in panics.iter().enumerate().take(popped) {
                let item = block.pop_front().unwrap();
                prop_assert_eq!(item.panics, panics);
                prop_assert_eq!(DROPS.get(), at);
                let _ = catch_unwind(AssertUnwindSafe(|| drop(item)));
            }
            let settled = settled.min(count - popped);
            let expected = |from: usize, to: usize| panics[from..to].iter().filter(|&&p| p).count();
            prop_assert_eq!(block.settle_front(settled), expected(popped, popped + settled));
            prop_assert_eq!(DROPS.get(), popped + settled);
            prop_assert_eq!(block.len(), count - popped - settled);
            prop_assert_eq!(arena.release(block), expected(popped + settled, count));
            prop_assert_eq!((DROPS.get(), alive.get()), (count, 0));
            assert_all_back(&arena);
        }

        #[test]
        fn the_memory_plan_is_what_the_arena_takes(items in 0_usize..200_000, largest in 1_usize..3_000) {
            let arena = Arena::<[u8; 24]>::new(items, largest);
            let pages = size_of_val(&*arena.pages);
            let chunk = arena.bump.allocated_bytes_including_metadata();
            let planned = Arena::<[u8; 24]>::bytes(items, largest);
            prop_assert!(pages + chunk <= planned);
            prop_assert!(planned - pages - chunk < CHUNK_OVERHEAD, "{planned} {pages} {chunk}");
            prop_assert!(arena.items_room() >= items);
        }

        #[test]
        fn as_many_items_fit_as_were_asked_for(items in 1_usize..20_000, largest in 1_usize..300) {
            let mut arena = Arena::<u32>::new(items, largest);
            // Small blocks hold all they can; released, they leave the room to the largest.
            let small = drain(&mut arena, 1);
            release_all(&mut arena, small);
            let blocks = drain(&mut arena, largest);
            prop_assert!(blocks.len() * largest >= items);
            prop_assert_eq!(blocks.len() * largest, arena.items_room());
            assert_disjoint(&arena, &blocks);
            release_all(&mut arena, blocks);
            assert_all_back(&arena);
        }
    }

    #[test]
    fn classes_end_with_the_largest_and_step_by_less_than_six() {
        assert_eq!(classes(200).as_slice(), [2, 8, 32, 100, 200]);
        assert_eq!(classes(100).as_slice(), [2, 8, 32, 100]);
        assert_eq!(classes(1_024).as_slice(), [2, 8, 32, 100, 200, 500, 1_024]);
        assert_eq!(classes(1).as_slice(), [1]);
        assert_eq!(classes(2).as_slice(), [2]);
        assert_eq!(classes(BLOCK_ITEMS_MAX).as_slice().len(), CLASSES_MAX);
        for largest in 1..=3_000 {
            let classes = classes(largest);
            assert_eq!(*classes.as_slice().last().unwrap(), largest as u32);
            for pair in classes.as_slice().windows(2) {
                assert!(pair[0] < pair[1] && pair[1] < pair[0] * 6, "{classes:?}");
            }
        }
    }

    #[test]
    fn what_no_machine_has_is_planned_as_the_maximum() {
        assert_eq!(Arena::<u64>::bytes(usize::MAX, 200), usize::MAX);
        assert_eq!(Arena::<u64>::bytes(100, 0), usize::MAX);
        assert_eq!(Arena::<u64>::bytes(100, BLOCK_ITEMS_MAX + 1), usize::MAX);
        assert_eq!(Arena::<[u64; 1_000]>::bytes(100, BLOCK_ITEMS_MAX), usize::MAX, "4 GiB a block");
    }

    #[test]
    fn a_block_released_last_is_handed_out_first() {
        let mut arena = Arena::<u64>::new(1_000, 100);
        let (a, b) = (arena.block(1).unwrap(), arena.block(1).unwrap());
        let place = a.items;
        arena.release(b);
        arena.release(a);
        let block = arena.block(1).unwrap();
        assert_eq!(block.items, place);
        arena.release(block);
        assert_all_back(&arena);
    }

    #[test]
    fn an_emptied_page_serves_another_class() {
        let mut arena = Arena::<u64>::new(10_000, 200);
        for _ in 0..3 {
            for at_least in [1, 200, 8, 32, 100, 2] {
                let blocks = drain(&mut arena, at_least);
                // No other class keeps a spare from it.
                let class =
                    arena.classes.iter().find(|class| class.items >= at_least as u32).unwrap();
                let share = if at_least == 200 { &arena.largest } else { &arena.smaller };
                assert_eq!(blocks.len(), share.limit * class.per_page as usize);
                release_all(&mut arena, blocks);
                assert_all_back(&arena);
            }
        }
    }

    #[test]
    fn a_block_taken_and_released_in_turn_moves_no_page() {
        let mut arena = Arena::<u64>::new(10_000, 200);
        let block = arena.block(1).unwrap();
        arena.release(block);
        for _ in 0..10 {
            assert_eq!(arena.smaller.taken, 1);
            let block = arena.block(1).unwrap();
            arena.release(block);
        }
    }

    #[test]
    fn a_load_that_shifts_between_many_small_and_few_large_finds_room_each_time() {
        let mut arena = Arena::<[u64; 4]>::new(100_000, 200);
        let bytes = arena.bump.allocated_bytes_including_metadata();
        let mut before = None;
        for _ in 0..20 {
            let mut small = drain(&mut arena, 1);
            for (item, block) in small.iter_mut().enumerate() {
                block.push([item as u64; 4]).unwrap();
            }
            assert_disjoint(&arena, &small);
            // While the small ones hold every page they can have, eight keys grow to full size.
            let mut large: Vec<_> = small.split_off(small.len() - 8);
            for block in &mut large {
                let first = block.first().copied().unwrap();
                for item in 1..200 {
                    if block.is_full() {
                        let grown = arena.grow(mem::replace(block, small.pop().unwrap())).unwrap();
                        small.push(mem::replace(block, grown));
                    }
                    block.push([item; 4]).unwrap();
                }
                assert_eq!((block.len(), block.first()), (200, Some(&first)));
            }
            // And once those are gone, every item asked for fits into largest blocks.
            let counts = (small.len(), large.len());
            release_all(&mut arena, small);
            large.extend(drain(&mut arena, 200));
            assert!(large.len() >= 500);
            assert_eq!(*before.get_or_insert((counts, large.len())), (counts, large.len()));
            release_all(&mut arena, large);
            assert_all_back(&arena);
        }
        assert_eq!(bytes, arena.bump.allocated_bytes_including_metadata());
    }

    #[test]
    fn pages_pinned_by_one_small_block_each_leave_the_reserve_and_all_come_back() {
        let mut arena = Arena::<[u64; 4]>::new(100_000, 200);
        let mut pages = HashSet::new();
        let (pins, others): (Vec<_>, Vec<_>) =
            drain(&mut arena, 1).into_iter().partition(|block| pages.insert(block.page));
        release_all(&mut arena, others);
        assert_eq!(pins.len(), arena.smaller.limit, "each page is pinned by one block");
        let large = drain(&mut arena, 200);
        assert!(large.len() >= RESERVE_BLOCKS);
        assert!(arena.block(32).is_none(), "no page is left for the classes between");
        assert!(arena.block(1).is_some_and(|block| arena.release(block) == 0));
        release_all(&mut arena, pins);
        release_all(&mut arena, large);
        assert_all_back(&arena);
        let large = drain(&mut arena, 200);
        assert_eq!(large.len() * 200, arena.items_room());
        assert!(
            arena.block(1).is_some_and(|block| arena.release(block) == 0),
            "and small ones fit"
        );
        release_all(&mut arena, large);
        assert_all_back(&arena);
    }

    #[test]
    fn growth_without_room_gives_the_block_back_unchanged() {
        let mut arena = Arena::<u64>::new(200, 200);
        let mut block = arena.block(1).unwrap();
        block.push(1).unwrap();
        block.push(2).unwrap();
        let rest: Vec<_> =
            [200, 100, 32, 8].map(|size| drain(&mut arena, size)).into_iter().flatten().collect();
        let place = block.items;
        let block = arena.grow(block).unwrap_err();
        assert_eq!((block.items(), block.items), (&[1, 2][..], place));
        release_all(&mut arena, rest);
        let block = arena.grow(block).unwrap();
        assert_eq!((block.items(), block.capacity()), (&[1, 2][..], 8));
        arena.release(block);
        assert_all_back(&arena);
    }

    #[test]
    fn the_places_of_settled_items_are_filled_again() {
        let mut arena = Arena::<u64>::new(100, 8);
        let mut block = arena.block(8).unwrap();
        let mut pushed = 0..;
        for round in 0..50 {
            while !block.is_full() {
                block.push(pushed.next().unwrap()).unwrap();
            }
            assert_eq!(block.push(u64::MAX), Err(u64::MAX));
            assert_eq!(block.items(), (round * 3..round * 3 + 8).collect::<Vec<_>>());
            block.settle_front(3);
        }
        arena.release(block);
    }

    #[test]
    #[should_panic(expected = "3 items are settled where there are 2")]
    fn settling_more_items_than_there_are_panics() {
        let mut arena = Arena::<u64>::new(100, 8);
        let mut block = arena.block(8).unwrap();
        block.push(1).unwrap();
        block.push(2).unwrap();
        keep_from_leak_checkers(&arena);
        block.settle_front(3);
    }

    #[test]
    fn items_without_a_size_fit() {
        let mut arena = Arena::<()>::new(1_000, 100);
        let mut blocks = drain(&mut arena, 100);
        assert!(blocks.len() >= 10);
        assert_disjoint(&arena, &blocks);
        for block in &mut blocks {
            for _ in 0..100 {
                block.push(()).unwrap();
            }
            assert_eq!(block.push(()), Err(()));
            assert_eq!(block.items().len(), 100);
            assert_eq!(block.pop_front(), Some(()));
        }
        release_all(&mut arena, blocks);
        assert_all_back(&arena);
    }

    fn assert_aligned<T: Clone + PartialEq + fmt::Debug>(item: &T) {
        for largest in [1, 2, 3, 10, 100] {
            let mut arena = Arena::<T>::new(1_000, largest);
            let mut blocks: Vec<_> =
                (1..=largest).rev().flat_map(|at_least| drain(&mut arena, at_least)).collect();
            for block in &mut blocks {
                assert!(block.items.is_aligned());
                while block.push(item.clone()).is_ok() {}
                assert!(block.items().iter().all(|there| there == item));
            }
            assert_disjoint(&arena, &blocks);
            release_all(&mut arena, blocks);
            assert_all_back(&arena);
        }
    }

    #[test]
    fn items_of_any_alignment_and_size_fit() {
        #[derive(Clone, Debug, PartialEq)]
        #[repr(align(128))]
        struct Wide(u8);
        #[derive(Clone, Debug, PartialEq)]
        #[repr(align(8192))]
        struct Page(u8);
        assert_aligned(&Wide(7));
        assert_aligned(&Page(7));
        assert_aligned(&7_u8);
        assert_aligned(&[7_u8; 3]);
        assert_aligned(&[7_u64; 5]);
        assert_aligned(&[7_u8; 5_000]);
        assert_aligned(&[0_u64; 0]);
    }

    #[test]
    fn a_block_outlives_its_arena_and_its_thread() {
        let mut arena = Arena::<String>::new(100, 8);
        let mut block = arena.block(8).unwrap();
        block.push("first".to_owned()).unwrap();
        let block = thread::spawn(move || {
            block.push("second".to_owned()).unwrap();
            block
        })
        .join()
        .unwrap();
        keep_from_leak_checkers(&arena);
        assert_eq!(arena.blocks_out(), 1);
        drop(arena);
        assert_eq!(block.items(), ["first", "second"]);
        drop(block);
    }

    #[test]
    fn a_block_dropped_without_release_drops_its_items_and_keeps_its_memory() {
        let alive = Rc::new(Cell::new(0));
        let mut arena = Arena::new(100, 8);
        let mut block = arena.block(8).unwrap();
        for panics in [false, true, true, false] {
            block.push(Counted::new(&alive, panics)).unwrap();
        }
        let place = block.items;
        keep_from_leak_checkers(&arena);
        drop(block);
        assert_eq!((alive.get(), arena.blocks_out()), (0, 1));
        assert_ne!(arena.block(8).unwrap().items, place);
    }

    #[test]
    #[should_panic(expected = "a block goes back to the arena it is from")]
    fn a_block_of_another_arena_is_refused() {
        let (mut one, mut other) = (Arena::<u64>::new(100, 8), Arena::<u64>::new(100, 8));
        let block = one.block(1).unwrap();
        keep_from_leak_checkers(&one);
        other.release(block);
    }
}
