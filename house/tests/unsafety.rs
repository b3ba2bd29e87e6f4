//! `unsafe` stands in few files, each with its reason.

use house::unsafety::{Allowed, check};
use house::{Source, Tree, report};

const fn may(path: &'static str, reason: &'static str) -> Allowed {
    Allowed { path, functions: false, reason }
}

const fn with_functions(path: &'static str, reason: &'static str) -> Allowed {
    Allowed { path, functions: true, reason }
}

/// The files that may have `unsafe`. Everything else is safe code, the benchmarks too.
const TABLE: &[Allowed] = &[
    with_functions(
        "ringbuf/src/slots.rs",
        "raw storage: which slots are filled is known to the ring alone",
    ),
    with_functions(
        "ringbuf/src/ends.rs",
        "the two ends of a ring: calls the storage, with the indices that prove it sound, and passes on \
         the one obligation of run.rs",
    ),
    with_functions(
        "ringbuf/src/run.rs",
        "`assume_filled`: the caller says how many slots it wrote through the slices it was given",
    ),
    may("ringbuf/src/barrier.rs", "the membarrier system call"),
    may(
        "ringbuf/src/sync/modelled.rs",
        "in models, each slot's access is tracked through a copyable view of the cells",
    ),
    may(
        "ringbuf/src/claim.rs",
        "moves items out in place: calls the storage, within what it claimed",
    ),
    may("ringbuf/src/prefetch.rs", "hints to the processor"),
    may("ringbuf/src/wake_slot.rs", "a waker's cell, which its state word guards"),
    may(
        "ringbuf/src/reply.rs",
        "the cells of a value and of a waker, which the slot's word guards",
    ),
    may(
        "ringbuf/src/returns.rs",
        "the cell of a value, which its slot's one handle and flag guard",
    ),
    may("engine/src/arena.rs", "blocks of items in recycled pages"),
    may("engine/src/arena/block.rs", "the items of a batch, in memory that is its own"),
    with_functions(
        "engine/src/arena/huge_pages.rs",
        "advice to the system about memory, and an allocator that gives it",
    ),
];

#[test]
fn unsafe_stands_only_where_the_table_allows_it() {
    report("unsafe", &check(TABLE, &Tree::open().sources("")));
}

const EXAMPLE: &[Allowed] =
    &[Allowed { path: "a/src/slots.rs", functions: true, reason: "x" }, may("a/src/ring.rs", "y")];

fn breaches(sources: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<_> =
        sources.iter().map(|(path, text)| Source::parse(path, text).unwrap()).collect();
    check(EXAMPLE, &sources).iter().map(ToString::to_string).collect()
}

const SLOTS: (&str, &str) = ("a/src/slots.rs", "pub unsafe fn read() {}");
const RING: (&str, &str) = ("a/src/ring.rs", "fn f() { unsafe { read() } }");

#[test]
fn a_tree_within_its_table_passes() {
    assert_eq!(breaches(&[SLOTS, RING]), [""; 0]);
}

#[test]
fn unsafe_elsewhere_is_found_in_tests_too() {
    for text in [
        "fn f() { unsafe {} }",
        "unsafe impl Send for X {}",
        "#[cfg(test)]\nmod t { unsafe fn f() {} }",
    ] {
        let found = breaches(&[SLOTS, RING, ("a/src/other.rs", text)]);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with("a/src/other.rs:"), "{found:?}");
    }
}

#[test]
fn an_unsafe_function_is_found_where_only_blocks_are_allowed() {
    for text in ["unsafe fn f() {}", "unsafe extern \"C\" fn f() {}", "pub const unsafe fn f() {}"]
    {
        assert_eq!(breaches(&[SLOTS, ("a/src/ring.rs", text)]).len(), 1, "{text}");
    }
    let pointer = ("a/src/ring.rs", "type F = unsafe fn(u8); unsafe impl Send for X {}");
    assert_eq!(breaches(&[SLOTS, pointer]), [""; 0]);
}

#[test]
fn a_row_that_nothing_uses_is_found() {
    let found = breaches(&[SLOTS, ("a/src/ring.rs", "fn f() {} // unsafe")]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("drop it from the table"), "{found:?}");
}

#[test]
fn a_test_that_counts_allocations_may_implement_the_allocator() {
    let text = "unsafe impl GlobalAlloc for Counting {} #[global_allocator] static A: Counting = Counting;";
    assert_eq!(breaches(&[SLOTS, RING, ("a/tests/allocation.rs", text)]), [""; 0]);
    assert_eq!(breaches(&[SLOTS, RING, ("a/src/allocation.rs", text)]).len(), 1);
}
