//! Words that this tree does without: one table, and a planted breach for every row.

use house::bans::{Ban, Find, check_names, check_sources, check_text};
use house::{Source, Tree, report};

/// Everywhere.
const ALL: &[&str] = &[""];
/// What others link.
const LIBRARIES: &[&str] = &["ringbuf/src/", "engine/src/", "sinks/src/"];

const fn ban(
    find: Find,
    within: &'static [&'static str],
    in_tests: bool,
    why: [&'static str; 2],
) -> Ban {
    Ban { find, within, except: &[], in_tests, reason: why[0], instead: why[1] }
}

const fn but(ban: Ban, except: &'static [&'static str]) -> Ban {
    Ban { except, ..ban }
}

const CLOCK: [&str; 2] = [
    "code that reads a clock cannot be stepped with a made-up one",
    "take the time as an argument; only engine/src/nanos.rs reads the clock",
];
const CLOCK_READERS: &[&str] = &[
    "engine/src/nanos.rs",
    "bench/",
    "flights/",
    "loom-tests/",
    "engine/examples/",
    "sinks/examples/",
    // Waits, for a bounded time, for another process to let go of a file.
    "sinks/src/sqlite/connect.rs",
];
const ATOMICS: [&str; 2] = [
    "every protocol between threads is modelled, and only ringbuf is",
    "in ringbuf go through crate::sync; elsewhere use a protocol of ringbuf",
];
/// The barrier's flag and fences do not exist in models, whose barrier goes through crate::sync too.
const ATOMICS_DOORS: &[&str] = &["ringbuf/src/sync", "ringbuf/src/barrier.rs"];
const LOCKS: [&str; 2] =
    ["a lock on the way of an item lets one thread stop another", "use a protocol of ringbuf"];
const UNFINISHED: [&str; 2] = ["what is merged is finished", "write it, or leave it out"];
const VAGUE: [&str; 2] = [
    "a name that fits everything gathers everything",
    "name the file after the noun that it holds",
];
const QUIET: [&str; 2] = ["a library is quiet", "a tracing event, or an answer to the caller"];
const LATER: [&str; 2] = [
    "a note to oneself in a file is read by nobody",
    "do it now, or say in prose what holds today",
];

const BANS: &[Ban] = &[
    but(ban(Find::Path("Instant::now"), ALL, false, CLOCK), CLOCK_READERS),
    but(ban(Find::Path("SystemTime::now"), ALL, false, CLOCK), CLOCK_READERS),
    but(ban(Find::Path("quanta"), ALL, false, CLOCK), CLOCK_READERS),
    but(ban(Find::Path("std::sync::atomic"), LIBRARIES, false, ATOMICS), ATOMICS_DOORS),
    but(ban(Find::Path("core::sync::atomic"), LIBRARIES, false, ATOMICS), ATOMICS_DOORS),
    but(ban(Find::Path("std::cell::UnsafeCell"), LIBRARIES, false, ATOMICS), &["ringbuf/src/sync"]),
    but(ban(Find::Path("loom"), ALL, false, ATOMICS), &["ringbuf/src/sync", "loom-tests/"]),
    // What snapshots have collected, and what is tuned: no shard ever waits for who holds those locks.
    but(
        ban(Find::Path("std::sync::Mutex"), &["engine/src/"], false, LOCKS),
        &["engine/src/engine/tuning.rs", "engine/src/worker.rs"],
    ),
    ban(Find::Path("std::sync::RwLock"), &["engine/src/"], false, LOCKS),
    ban(Find::Path("std::sync::Condvar"), &["engine/src/"], false, LOCKS),
    but(
        ban(
            Find::Path("std::thread"),
            &["engine/src/"],
            false,
            [
                "what only sequences can be stepped by one thread; a thread in it ends that",
                "take what the thread would provide as an argument; threads live in the top floors",
            ],
        ),
        &["engine/src/idle.rs", "engine/src/worker.rs"],
    ),
    ban(
        Find::Path("thread::sleep"),
        ALL,
        true,
        [
            "a sleep is a guess: too short on a busy machine, too long on all others",
            "move the made-up clock; wait for the event itself; park with a limit",
        ],
    ),
    but(
        ban(
            Find::Path("SeqCst"),
            ALL,
            true,
            [
                "SeqCst for comfort hides which pair of operations is meant",
                "name the acquire and the release that pair; for store-load order the barrier of ringbuf",
            ],
        ),
        &["ringbuf/src/barrier.rs", "ringbuf/src/sync", "loom-tests/"],
    ),
    ban(Find::Macro("todo"), ALL, true, UNFINISHED),
    ban(Find::Macro("unimplemented"), ALL, true, UNFINISHED),
    ban(
        Find::Macro("dbg"),
        ALL,
        true,
        ["it prints to everybody", "an assertion, or a tracing event"],
    ),
    ban(Find::Macro("println"), LIBRARIES, false, QUIET),
    ban(Find::Macro("print"), LIBRARIES, false, QUIET),
    ban(Find::Macro("eprintln"), LIBRARIES, false, QUIET),
    ban(Find::Macro("eprint"), LIBRARIES, false, QUIET),
    ban(
        Find::Attribute("ignore"),
        ALL,
        true,
        [
            "a test that nobody runs proves nothing",
            "make it fast enough, or give it a script that runs it",
        ],
    ),
    ban(Find::Comment("TODO"), ALL, true, LATER),
    ban(Find::Comment("FIXME"), ALL, true, LATER),
    ban(Find::Comment("XXX"), ALL, true, LATER),
    ban(Find::Name("utils"), ALL, true, VAGUE),
    ban(Find::Name("util"), ALL, true, VAGUE),
    ban(Find::Name("common"), ALL, true, VAGUE),
    ban(Find::Name("helper"), ALL, true, VAGUE),
    ban(Find::Name("helpers"), ALL, true, VAGUE),
    ban(Find::Name("manager"), ALL, true, VAGUE),
    ban(Find::Name("context"), ALL, true, VAGUE),
];

#[test]
fn the_tree_uses_no_banned_word() {
    let tree = Tree::open();
    let mut breaches = check_sources(BANS, &tree.sources(""));
    breaches.extend(check_names(BANS, &tree));
    for path in tree.files.iter().filter(|path| {
        path.starts_with("scripts/") || path.starts_with(".ci/") || path.ends_with(".md")
    }) {
        breaches.extend(check_text(BANS, path, &tree.text(path).unwrap_or_default()));
    }
    report("bans", &breaches);
}

fn found(path: &str, text: &str) -> Vec<usize> {
    let source = Source::parse(path, text).unwrap();
    check_sources(BANS, &[source]).iter().map(|breach| breach.line).collect()
}

#[test]
fn every_ban_on_code_finds_its_word() {
    for ban in BANS {
        let text = match ban.find {
            Find::Path(path) => format!("fn f() {{\n    {path}::x();\n}}"),
            Find::Macro(name) => format!("fn f() {{\n    {name}!(\"x\");\n}}"),
            Find::Attribute(name) => format!("#[test]\n#[{name}]\nfn f() {{}}"),
            Find::Comment(word) => format!("fn f() {{}}\n// {word}: later"),
            Find::Name(_) => continue,
        };
        let path =
            format!("{}wherever.rs", if ban.within == ALL { "engine/src/" } else { ban.within[0] });
        assert_eq!(found(&path, &text), [2], "{:?} in {path}", ban.find);
        for exempt in ban.except {
            let path = format!("{}.rs", exempt.trim_end_matches(".rs"));
            assert!(found(&path, &text).is_empty(), "{:?} in {path}", ban.find);
        }
    }
}

#[test]
fn a_word_is_found_however_it_is_imported() {
    for text in [
        "use std::sync::{Arc, Mutex};",
        "use std::{sync::{Mutex as Lock}, time};",
        "fn f() -> std::sync::Mutex<u8> { loop {} }",
        "make!(std::sync::Mutex<u8>);",
    ] {
        assert_eq!(found("engine/src/ready.rs", text), [1], "{text}");
    }
}

#[test]
fn strings_tests_and_other_crates_are_left_alone() {
    assert!(
        found("engine/src/a.rs", "/// Not Instant::now().\nfn f() { \"Instant::now() todo!()\"; }")
            .is_empty()
    );
    assert!(
        found("engine/src/a.rs", "#[cfg(test)]\nmod tests { fn f() { Instant::now(); } }")
            .is_empty()
    );
    assert!(found("bench/src/a.rs", "fn f() { println!(\"\"); Instant::now(); }").is_empty());
    assert!(found("engine/src/a.rs", "fn f(dbg: bool) { if dbg != true {} }").is_empty());
}

#[test]
fn a_sleep_is_found_in_tests_too() {
    assert_eq!(found("engine/tests/a.rs", "fn f() { std::thread::sleep(x) }"), [1]);
    assert_eq!(found("engine/src/a.rs", "#[cfg(test)] mod t { use std::thread::sleep; }"), [1]);
}

#[test]
fn vague_names_are_found_and_words_that_merely_hold_them_are_not() {
    let tree = |path: &str| Tree { root: ".".into(), files: vec![path.to_owned()] };
    for path in
        ["a/src/utils.rs", "a/src/lane_manager.rs", "a/src/context/x.rs", "a/tests/common/mod.rs"]
    {
        assert_eq!(check_names(BANS, &tree(path)).len(), 1, "{path}");
    }
    for path in ["a/src/uncommon.rs", "a/src/contexts.rs", "utils.md"] {
        assert!(check_names(BANS, &tree(path)).is_empty(), "{path}");
    }
}

#[test]
fn notes_to_oneself_are_found_in_scripts_and_papers() {
    let text = ["# fine\n", "# TO", "DO: later\n"].concat();
    assert_eq!(check_text(BANS, "scripts/x", &text)[0].line, 2);
    assert!(check_text(BANS, "scripts/x", "mktemp foo.XXXXXX").is_empty());
}
