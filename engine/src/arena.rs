//! Where waiting items live: blocks of a few sizes, carved from equal pages that are all there from the
//! start.
//!
//! # Idea
//!
//! A batch is a [`Block`]: room for a fixed number of items, one after the other, so that a handler gets
//! a slice. A key with one waiting item must not hold room for two hundred, so blocks come in size
//! classes ([`shape`]): a batch opens in a small block and moves to a larger one as it fills
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

mod block;
mod huge_pages;
mod shape;
#[cfg(test)]
mod tests;

use std::{
    alloc::Layout,
    fmt,
    marker::PhantomData,
    mem::{self, ManuallyDrop},
    ptr::NonNull,
};

use bumpalo::Bump;

use huge_pages::prefer_huge_pages;
use shape::{CHUNK_OVERHEAD, CLASSES_MAX, Class, Shape};

pub(crate) use block::Block;
pub(crate) use huge_pages::{OnHugePages, vec_on_huge_pages};

/// No page, or no free block.
const NONE: u32 = u32::MAX;

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
    /// panic, because `largest` is 0 or over [`shape::BLOCK_ITEMS_MAX`], a block of it has 4 GiB or more, or the
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
