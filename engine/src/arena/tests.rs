//! What the arena promises, against a plain twin.

use std::{
    cell::Cell,
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Mutex,
    thread,
};

use proptest::prelude::*;

use super::{
    shape::{BLOCK_ITEMS_MAX, RESERVE_BLOCKS, classes},
    *,
};

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
            let class = arena.classes.iter().find(|class| class.items >= at_least as u32).unwrap();
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
    assert!(arena.block(1).is_some_and(|block| arena.release(block) == 0), "and small ones fit");
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
