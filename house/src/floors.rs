//! A file imports only from strictly lower floors.
//!
//! ARCHITECTURE.md says which file stands on which floor, once for each crate that has floors:
//!
//! ````text
//! ### Floors of `ringbuf`
//!
//! ```floors
//! 0  error.rs  sync.rs
//! 1  slots.rs  sizing/
//! ```
//! ````
//!
//! A folder is one unit (with the file of its name beside it, if there is one), inside which anything
//! may import anything. Tests import what they like, and so does the crate's root, which stands above
//! all floors. Nothing imports through the root: that would hide on which floor the thing stands.

use std::collections::BTreeMap;

use crate::breach::Breach;
use crate::source::{PathUse, Source};

/// The floors of one crate, as the paper lays them out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floors {
    /// The crate's folder.
    pub krate: String,
    /// Line of the heading in the paper.
    pub line: usize,
    /// File or folder, as written, with its floor.
    pub units: BTreeMap<String, usize>,
}

/// Finds every crate's floors in the paper.
///
/// # Errors
/// A breach for the first thing that cannot be understood.
pub fn parse(paper: &str, text: &str) -> Result<Vec<Floors>, Breach> {
    let mut all: Vec<Floors> = Vec::new();
    // The crate whose heading has been seen and whose block has not, and whether we are in a block.
    let mut heading: Option<(String, usize)> = None;
    let mut open: Option<Floors> = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let bad = |what: String| Breach::new(paper, number, what);
        if let Some(mut floors) = open.take() {
            if line.trim_end() == "```" {
                if floors.units.is_empty() {
                    return Err(bad("a block of floors without a file".to_owned()));
                }
                all.push(floors);
                continue;
            }
            let mut words = line.split_whitespace();
            if let Some(first) = words.next() {
                let floor: usize = first
                    .parse()
                    .map_err(|_| bad(format!("`{first}` should be the number of a floor")))?;
                for unit in words {
                    if !unit.ends_with(".rs") && !unit.ends_with('/') {
                        return Err(bad(format!("`{unit}` is neither a file.rs nor a folder/")));
                    }
                    if floors.units.insert(unit.to_owned(), floor).is_some() {
                        return Err(bad(format!("`{unit}` stands on two floors")));
                    }
                }
            }
            open = Some(floors);
        } else if let Some(rest) = line.trim_start_matches('#').trim().strip_prefix("Floors of `") {
            heading =
                line.starts_with('#').then(|| (rest.trim_end_matches('`').to_owned(), number));
        } else if line.trim_end() == "```floors" {
            let (krate, line) = heading.take().ok_or_else(|| {
                bad("a block of floors needs a heading: ### Floors of `crate`".to_owned())
            })?;
            open = Some(Floors { krate, line, units: BTreeMap::new() });
        }
    }
    match (open, heading) {
        (Some(floors), _) => {
            Err(Breach::new(paper, floors.line, "the block of floors is not closed"))
        }
        (None, Some((krate, line))) => {
            Err(Breach::new(paper, line, format!("no block of floors follows for `{krate}`")))
        }
        (None, None) => Ok(all),
    }
}

/// Holds the sources of one crate against its floors.
#[must_use]
pub fn check(paper: &str, floors: &Floors, sources: &[Source]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut inhabited: Vec<&str> = Vec::new();
    for source in sources {
        let module = source.module();
        if module.is_empty() {
            continue;
        }
        let Some((unit, floor)) = unit_of(floors, &module) else {
            // A file that only tests include needs no floor.
            if source.words.is_empty() || source.words.iter().any(|word| !word.test) {
                let what = format!(
                    "stands on no floor: give it one under \"Floors of `{}`\" in {paper}",
                    floors.krate
                );
                breaches.push(Breach::new(&source.path, 0, what));
            }
            continue;
        };
        inhabited.push(unit);
        for path in source.paths.iter().filter(|path| !path.test) {
            if let Some(what) = import_breach(floors, &module, unit, floor, path) {
                breaches.push(Breach::new(&source.path, path.line, what));
            }
        }
    }
    for unit in floors.units.keys().filter(|unit| !inhabited.contains(&unit.as_str())) {
        let what = format!("`{unit}` has a floor in `{}`, but no such file exists", floors.krate);
        breaches.push(Breach::new(paper, floors.line, what));
    }
    breaches.dedup();
    breaches
}

/// The unit in which a module stands, and its floor.
fn unit_of<'f>(floors: &'f Floors, module: &[String]) -> Option<(&'f str, usize)> {
    // The longest match wins, so that a file in a folder may have a floor of its own.
    (1..=module.len()).rev().find_map(|parts| {
        let name = module[..parts].join("/");
        let file = (parts == module.len()).then(|| format!("{name}.rs"));
        [file, Some(format!("{name}/"))]
            .into_iter()
            .flatten()
            .find_map(|unit| floors.units.get_key_value(&unit))
            .map(|(unit, floor)| (unit.as_str(), *floor))
    })
}

/// What is wrong with a path in a file of `unit`, if it leads into the same crate.
fn import_breach(
    floors: &Floors,
    module: &[String],
    unit: &str,
    floor: usize,
    path: &PathUse,
) -> Option<String> {
    let target = absolute(module, path)?;
    let written = path.segments.join("::");
    let Some((target_unit, target_floor)) =
        (1..=target.len()).rev().find_map(|parts| unit_of(floors, &target[..parts]))
    else {
        if path.call && target.len() <= 1 {
            return None; // a macro of the crate: macros live at the root, whatever file they stand in
        }
        return Some(format!(
            "`{written}` goes through the crate's root, or to a file without a floor: name the file that \
             has it, so that its floor can be seen"
        ));
    };
    (target_unit != unit && target_floor >= floor).then(|| {
        format!(
            "`{written}` leads from floor {floor} ({unit}) to floor {target_floor} ({target_unit}): import \
             only from lower floors; move what both need down, or the caller up"
        )
    })
}

/// Where a path leads, from the crate's root; `None` for paths that leave the crate or begin in a name.
fn absolute(module: &[String], path: &PathUse) -> Option<Vec<String>> {
    if path.segments.len() < 2 {
        return None; // `pub(crate)`, `self`: no import
    }
    let mut here: Vec<String> = module.iter().chain(&path.inside).cloned().collect();
    let mut segments = path.segments.iter().peekable();
    match segments.peek()?.as_str() {
        "crate" => {
            segments.next();
            here.clear();
        }
        "self" => _ = segments.next(),
        "super" => {
            while segments.next_if(|segment| *segment == "super").is_some() {
                here.pop();
            }
        }
        _ => return None,
    }
    here.extend(segments.cloned());
    Some(here)
}
