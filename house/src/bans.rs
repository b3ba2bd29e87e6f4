//! Words that must not stand in the tree, each with its reason and with what to use instead.

use crate::breach::Breach;
use crate::source::{Comment, Source, is_test_path};
use crate::tree::Tree;

/// What a ban looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Find {
    /// Segments in a row somewhere in a path in code: `Instant::now`, `std::sync::Mutex`, `SeqCst`.
    Path(&'static str),
    /// A macro called by this name.
    Macro(&'static str),
    /// An attribute that begins with this word.
    Attribute(&'static str),
    /// A word in a comment of any text file.
    Comment(&'static str),
    /// A file or folder whose name (without its ending) holds this part between underscores.
    Name(&'static str),
}

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Ban {
    /// What must not be there.
    pub find: Find,
    /// Prefixes of the paths where the rule holds; an empty prefix is the whole tree.
    pub within: &'static [&'static str],
    /// Prefixes of the paths that are exempt.
    pub except: &'static [&'static str],
    /// Whether tests must keep it too.
    pub in_tests: bool,
    /// Why it is not wanted.
    pub reason: &'static str,
    /// What to write instead.
    pub instead: &'static str,
}

impl Ban {
    fn holds_in(&self, path: &str) -> bool {
        let under = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
        under(self.within) && !under(self.except) && (self.in_tests || !is_test_path(path))
    }

    fn breach(&self, path: &str, line: usize, found: &str) -> Breach {
        let Self { reason, instead, .. } = self;
        Breach::new(path, line, format!("`{found}`: {reason}; instead: {instead}"))
    }
}

/// Holds Rust sources against the bans on code and on comments.
#[must_use]
pub fn check_sources(bans: &[Ban], sources: &[Source]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in sources {
        for ban in bans.iter().filter(|ban| ban.holds_in(&source.path)) {
            let counts = |test: bool| ban.in_tests || !test;
            match ban.find {
                Find::Path(wanted) => {
                    let wanted: Vec<&str> = wanted.split("::").collect();
                    for path in source.paths.iter().filter(|path| counts(path.test)) {
                        if path.segments.windows(wanted.len()).any(|run| run == wanted) {
                            breaches.push(ban.breach(
                                &source.path,
                                path.line,
                                &path.segments.join("::"),
                            ));
                        }
                    }
                }
                Find::Macro(name) => {
                    for path in source.paths.iter().filter(|path| path.call && counts(path.test)) {
                        if path.segments.last().is_some_and(|last| last == name) {
                            breaches.push(ban.breach(&source.path, path.line, &format!("{name}!")));
                        }
                    }
                }
                Find::Attribute(name) => {
                    for run in source.words.windows(3).filter(|run| counts(run[2].test)) {
                        if run[0].text == "#" && run[1].text == "[" && run[2].text == name {
                            let found = format!("#[{name}]");
                            breaches.push(ban.breach(&source.path, run[2].line, &found));
                        }
                    }
                }
                Find::Comment(word) => {
                    breaches.extend(in_comments(ban, word, &source.path, &source.comments));
                }
                Find::Name(_) => {}
            }
        }
    }
    breaches
}

/// Holds other text (scripts, papers) against the bans on comments: every line counts as comment.
#[must_use]
pub fn check_text(bans: &[Ban], path: &str, text: &str) -> Vec<Breach> {
    let lines: Vec<Comment> = text
        .lines()
        .enumerate()
        .map(|(index, line)| Comment { text: line.to_owned(), line: index + 1 })
        .collect();
    bans.iter()
        .filter(|ban| ban.holds_in(path))
        .flat_map(|ban| match ban.find {
            Find::Comment(word) => in_comments(ban, word, path, &lines),
            _ => Vec::new(),
        })
        .collect()
}

/// Holds the names of files and folders against the bans on names.
#[must_use]
pub fn check_names(bans: &[Ban], tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for path in tree.files.iter().filter(|path| path.ends_with(".rs")) {
        for ban in bans.iter().filter(|ban| ban.holds_in(path)) {
            let Find::Name(part) = ban.find else { continue };
            let stems = path.split('/').map(|name| name.trim_end_matches(".rs"));
            if stems.flat_map(|stem| stem.split(['_', '-'])).any(|word| word == part) {
                breaches.push(ban.breach(path, 0, part));
            }
        }
    }
    breaches
}

fn in_comments(ban: &Ban, word: &str, path: &str, comments: &[Comment]) -> Vec<Breach> {
    let parts = |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|part| part == word);
    comments
        .iter()
        .filter(|comment| parts(&comment.text))
        .map(|comment| ban.breach(path, comment.line, word))
        .collect()
}
