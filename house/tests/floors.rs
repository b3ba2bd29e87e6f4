//! Every file of the crates with floors stands on one, and imports only from lower ones.

use house::floors::{Floors, check, parse};
use house::{Breach, Source, Tree, report};

const PAPER: &str = "ARCHITECTURE.md";
const CRATES_WITH_FLOORS: [&str; 2] = ["ringbuf", "engine"];

const EXAMPLE: &str = "# Example\n\n### Floors of `demo`\n\nWhy.\n\n```floors\n0  error.rs  sync.rs\n1  ring.rs\n2  sizing/\n```\n";

fn example() -> Floors {
    parse(PAPER, EXAMPLE).unwrap().remove(0)
}

fn source(path: &str, text: &str) -> Source {
    Source::parse(path, text).unwrap()
}

/// A tree that keeps the example's rule, with `text` as its ring.rs.
fn breaches_with(text: &str) -> Vec<Breach> {
    let sources = [
        source("demo/src/lib.rs", "mod error; mod ring; pub use ring::Ring;"),
        source("demo/src/error.rs", "pub struct Full;"),
        source("demo/src/sync.rs", "pub struct Cell;"),
        source("demo/src/ring.rs", text),
        source("demo/src/sizing.rs", "mod tiers; use crate::ring::Ring;"),
        source("demo/src/sizing/tiers.rs", "use super::Sizing; use crate::sizing::Other;"),
    ];
    check(PAPER, &example(), &sources)
}

#[test]
fn files_import_only_from_lower_floors() {
    let tree = Tree::open();
    let text = tree.text(PAPER).unwrap_or_else(|breach| panic!("{breach}"));
    let floors = parse(PAPER, &text).unwrap_or_else(|breach| panic!("{breach}"));
    let mut breaches = Vec::new();
    for krate in CRATES_WITH_FLOORS {
        let of_crate: Vec<_> = floors.iter().filter(|floors| floors.krate == krate).collect();
        assert_eq!(of_crate.len(), 1, "{PAPER} must lay out the floors of `{krate}` once");
        let sources = tree.sources(&format!("{krate}/src/"));
        assert!(!sources.is_empty(), "{krate} has no source");
        breaches.extend(check(PAPER, of_crate[0], &sources));
    }
    report("floors", &breaches);
}

#[test]
fn a_tree_that_keeps_its_floors_passes() {
    report(
        "example",
        &breaches_with("use crate::error::Full; fn f() -> crate::sync::Cell { todo() }"),
    );
}

#[test]
fn an_import_from_the_same_floor_is_found() {
    let mut floors = example();
    floors.units.insert("sync.rs".into(), 1);
    let sources = [
        source("demo/src/error.rs", ""),
        source("demo/src/sync.rs", "use super::ring::Ring;"),
        source("demo/src/ring.rs", ""),
        source("demo/src/sizing/tiers.rs", ""),
    ];
    let found = check(PAPER, &floors, &sources);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].what.contains("from floor 1 (sync.rs) to floor 1 (ring.rs)"), "{found:?}");
}

#[test]
fn an_import_from_a_higher_floor_is_found_however_it_is_written() {
    for text in [
        "use crate::sizing::Tiers;",
        "use super::sizing;",
        "use crate::{error::Full, sizing::{Tiers}};",
        "fn f() { crate::sizing::start() }",
        "fn f() { log!(crate::sizing::NAME) }",
        "mod inner { use super::super::sizing::Tiers; }",
    ] {
        let found = breaches_with(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!((found[0].path.as_str(), found[0].line), ("demo/src/ring.rs", 1), "{text}");
        assert!(found[0].what.contains("to floor 2"), "{text}: {found:?}");
    }
}

#[test]
fn an_import_through_the_root_is_found() {
    for text in ["use crate::Ring;", "use super::*;", "use crate::{Ring};"] {
        let found = breaches_with(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].what.contains("through the crate's root"), "{text}: {found:?}");
    }
}

#[test]
fn tests_visibilities_and_modules_inside_a_file_are_no_imports() {
    report(
        "tests",
        &breaches_with("#[cfg(test)]\nmod tests { use super::*; use crate::sizing::Tiers; }"),
    );
    report("visibility", &breaches_with("pub(crate) struct Ring; pub(super) fn f(self) {}"));
    report("inner", &breaches_with("struct Ring; mod inner { use super::Ring; use super::*; }"));
}

#[test]
fn a_file_without_a_floor_and_a_floor_without_a_file_are_found() {
    let sources = [
        source("demo/src/error.rs", ""),
        source("demo/src/sync.rs", ""),
        source("demo/src/ring.rs", ""),
        source("demo/src/stray.rs", ""),
    ];
    let found = check(PAPER, &example(), &sources);
    let what: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{what:?}");
    assert!(what[0].starts_with("demo/src/stray.rs: stands on no floor"), "{what:?}");
    assert!(what[1].contains("`sizing/` has a floor in `demo`, but no such file"), "{what:?}");
}

#[test]
fn a_paper_that_cannot_be_understood_is_found() {
    for (text, wanted) in [
        ("### Floors of `demo`\n", "no block of floors follows"),
        ("### Floors of `demo`\n```floors\n0 a.rs\n", "not closed"),
        ("### Floors of `demo`\n```floors\n0 a.rs\n1 a.rs\n```\n", "on two floors"),
        ("### Floors of `demo`\n```floors\nzero a.rs\n```\n", "number of a floor"),
        ("### Floors of `demo`\n```floors\n0 a\n```\n", "neither"),
        ("### Floors of `demo`\n```floors\n```\n", "without a file"),
        ("```floors\n0 a.rs\n```\n", "needs a heading"),
    ] {
        let breach = parse(PAPER, text).unwrap_err();
        assert!(breach.what.contains(wanted), "{text}: {breach}");
    }
}
