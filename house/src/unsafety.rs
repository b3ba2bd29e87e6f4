//! `unsafe` only where a table allows it.

use crate::breach::Breach;
use crate::source::Source;

/// Where `unsafe` may stand.
#[derive(Debug, Clone, Copy)]
pub struct Allowed {
    /// The file.
    pub path: &'static str,
    /// Whether it may also declare `unsafe fn`s, whose callers have obligations then.
    pub functions: bool,
    /// Why it must.
    pub reason: &'static str,
}

/// Finds `unsafe` outside the table, `unsafe fn` where the table has none, and rows of the table that
/// nothing uses. Tests count like any other code, but for those that install a global allocator to count
/// what is allocated: that trait is unsafe to implement.
#[must_use]
pub fn check(table: &[Allowed], sources: &[Source]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in sources {
        let row = table.iter().find(|row| row.path == source.path);
        if row.is_none() && counts_allocations(source) {
            continue;
        }
        for (index, word) in source.words.iter().enumerate() {
            if word.text != "unsafe" {
                continue;
            }
            match row {
                None => breaches.push(Breach::new(
                    &source.path,
                    word.line,
                    "`unsafe` outside the files that may have it: write it safely, or move it to one of \
                     them and argue it there",
                )),
                Some(row) if !row.functions && declares_function(source, index) => {
                    breaches.push(Breach::new(
                        &source.path,
                        word.line,
                        "an `unsafe fn` here hands obligations around: declare it in a file that may, or \
                         make the function safe",
                    ));
                }
                Some(_) => {}
            }
        }
    }
    for row in table {
        let used = sources.iter().any(|source| {
            source.path == row.path && source.words.iter().any(|w| w.text == "unsafe")
        });
        if !used {
            let what =
                format!("may have `unsafe` ({}), but has none: drop it from the table", row.reason);
            breaches.push(Breach::new(row.path, 0, what));
        }
    }
    breaches
}

/// Whether `unsafe` at `index` begins a function's declaration: `unsafe fn name`, `unsafe extern "C" fn
/// name`. A function of a trait implementation must be unsafe where the trait says so, but such a file
/// can have a row of its own; a type `unsafe fn(…)` has no name and does not count.
fn declares_function(source: &Source, index: usize) -> bool {
    let mut rest = source.words[index + 1..].iter().map(|word| word.text.as_str());
    let mut next = rest.next();
    if next == Some("extern") {
        next = rest.next();
        if next.is_some_and(|abi| abi.starts_with('"')) {
            next = rest.next();
        }
    }
    next == Some("fn") && rest.next().is_some_and(|name| name != "(")
}

fn counts_allocations(source: &Source) -> bool {
    source.path.contains("/tests/") && source.words.iter().any(|w| w.text == "global_allocator")
}
