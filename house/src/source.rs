//! One Rust file, read as tokens.
//!
//! Tokens instead of a syntax tree: they also reach into macro calls, where a syntax tree ends, and the
//! rules of this crate ask about words, paths and lines only. Two things need a little structure, and
//! are found by the shape of the tokens: which items are tests (an attribute that says so, up to the
//! end of its item), and which paths stand in the file (with the groups of a `use` taken apart).

use proc_macro2::{Delimiter, LineColumn, Span, TokenStream, TokenTree};

use crate::breach::Breach;

/// A token that is not a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The token as written; a delimiter of a group is a word of its own.
    pub text: String,
    /// Where it begins; from 1.
    pub line: usize,
    /// Where it ends; differs from `line` for a literal over several lines.
    pub last_line: usize,
    /// Whether it belongs to a test or to something that only tests use.
    pub test: bool,
}

/// A path such as `crate::ring::Producer`, from wherever it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathUse {
    /// The segments, without generic arguments; a glob is the segment `*`.
    pub segments: Vec<String>,
    /// Where it begins; from 1.
    pub line: usize,
    /// Whether it belongs to a test.
    pub test: bool,
    /// Whether it names a macro that is called.
    pub call: bool,
    /// The modules opened inside this file around it, outermost first.
    pub inside: Vec<String>,
}

/// A line of a comment (a documentation comment too), or what is left of a line beside the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The text with its slashes.
    pub text: String,
    /// The line; from 1.
    pub line: usize,
}

/// One Rust file, taken apart.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path below the root of the tree, with `/`.
    pub path: String,
    /// Every token, in order.
    pub words: Vec<Word>,
    /// Every path, in order. A path in a `use` group has the group's prefix.
    pub paths: Vec<PathUse>,
    /// Every comment line.
    pub comments: Vec<Comment>,
    /// Modules in other files that are declared here under `cfg(test)`.
    pub test_modules: Vec<Vec<String>>,
}

impl Source {
    /// Reads `text` as the file at `path`. Linear in the length of the text.
    ///
    /// ```
    /// use house::Source;
    ///
    /// let source = Source::parse("demo/src/ring.rs", "use std::{fmt, sync::Arc}; // why\n")?;
    /// let paths: Vec<_> = source.paths.iter().map(|path| path.segments.join("::")).collect();
    /// assert!(paths.contains(&"std::sync::Arc".to_owned()));
    /// assert_eq!(source.comments[0].text, "// why");
    /// # Ok::<(), house::Breach>(())
    /// ```
    ///
    /// # Errors
    /// A breach with the place, when the text is no Rust.
    pub fn parse(path: &str, text: &str) -> Result<Self, Breach> {
        let stream: TokenStream = text.parse().map_err(|error: proc_macro2::LexError| {
            Breach::new(path, error.span().start().line, format!("is not Rust: {error}"))
        })?;
        let test = is_test_path(path);
        let mut reader = Reader {
            source: Self {
                path: path.to_owned(),
                words: Vec::new(),
                paths: Vec::new(),
                comments: Vec::new(),
                test_modules: Vec::new(),
            },
            inside: Vec::new(),
            grouped: false,
            code: Vec::new(),
        };
        reader.walk(&stream.into_iter().collect::<Vec<_>>(), test);
        let comments = comments(text, &reader.code);
        Ok(Self { comments, ..reader.source })
    }

    /// Calls everything in this file a test: it is a module that only tests include.
    pub fn mark_as_test(&mut self) {
        for word in &mut self.words {
            word.test = true;
        }
        for path in &mut self.paths {
            path.test = true;
        }
    }

    /// Lines that hold code: no comment, no blank, no test.
    #[must_use]
    pub fn code_lines(&self) -> usize {
        let mut lines = 0;
        let mut counted = 0;
        for word in self.words.iter().filter(|word| !word.test) {
            let first = word.line.max(counted + 1);
            if word.last_line >= first {
                lines += word.last_line - first + 1;
                counted = word.last_line;
            }
        }
        lines
    }

    /// The module that this file is, below its crate: `src/sizing/tiers.rs` is `sizing`, `tiers`. Empty
    /// for the crate's root and for files that are no module of a library.
    #[must_use]
    pub fn module(&self) -> Vec<String> {
        let Some((_, below)) = self.path.split_once("src/") else { return Vec::new() };
        let mut module: Vec<String> =
            below.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        match module.last().map(String::as_str) {
            Some("mod") => _ = module.pop(),
            Some("lib" | "main") if module.len() == 1 => module.clear(),
            _ => {}
        }
        module
    }
}

/// Whether a file is a test as a whole, by where it stands.
#[must_use]
pub fn is_test_path(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "benches")
        || path.starts_with("loom-tests/")
}

struct Reader {
    source: Source,
    inside: Vec<String>,
    /// Whether we are between the braces of a `use` group.
    grouped: bool,
    /// Where code stands; the rest is comment.
    code: Vec<(LineColumn, LineColumn)>,
}

impl Reader {
    fn walk(&mut self, trees: &[TokenTree], test: bool) {
        let mut test = test;
        // Up to which tree an attribute before it makes everything a test.
        let mut test_until = 0;
        let mut at = 0;
        while at < trees.len() {
            let in_test = test || at < test_until;
            if let Some(attribute) = attribute_at(trees, at) {
                if attribute.name == "doc" {
                    at = attribute.end;
                    continue;
                }
                if attribute.is_test && attribute.inner {
                    test = true;
                } else if attribute.is_test {
                    let end = item_end(trees, attribute.end);
                    if let Some(name) = file_module(trees, attribute.end, end) {
                        let mut module = self.source.module();
                        module.extend(self.inside.iter().cloned());
                        module.push(name);
                        self.source.test_modules.push(module);
                    }
                    test_until = test_until.max(end);
                }
            }
            let in_test = in_test || test || at < test_until;
            match &trees[at] {
                TokenTree::Group(group) => {
                    let opened = module_name(trees, at);
                    let (open, close) = delimiters(group.delimiter());
                    self.word(open, group.span_open(), in_test);
                    let depth = self.inside.len();
                    self.inside.extend(opened);
                    // The paths in a group are recorded where the group's prefix is known.
                    let outer = self.grouped;
                    self.grouped |= open == "{" && at >= 2 && is_colons(trees, at - 2);
                    self.walk(&group.stream().into_iter().collect::<Vec<_>>(), in_test);
                    self.grouped = outer;
                    self.inside.truncate(depth);
                    self.word(close, group.span_close(), in_test);
                }
                TokenTree::Ident(ident) => {
                    self.word(plain(&ident.to_string()), ident.span(), in_test);
                    if !self.grouped && !continues_path(trees, at) {
                        self.path(trees, at, &[], in_test);
                    }
                }
                other => self.word(&other.to_string(), other.span(), in_test),
            }
            at += 1;
        }
    }

    fn word(&mut self, text: &str, span: Span, test: bool) {
        if text.is_empty() {
            return;
        }
        let (start, end) = (span.start(), span.end());
        self.code.push((start, end));
        let text = text.to_owned();
        self.source.words.push(Word { text, line: start.line, last_line: end.line, test });
    }

    /// Records the path that begins at `at`, and those in its group, if it ends in one.
    fn path(&mut self, trees: &[TokenTree], at: usize, prefix: &[String], test: bool) {
        let mut segments = prefix.to_vec();
        let line = trees[at].span().start().line;
        let mut at = at;
        while let Some(TokenTree::Ident(ident)) = trees.get(at) {
            if is_statement_word(&ident.to_string()) {
                return;
            }
            segments.push(plain(&ident.to_string()).to_owned());
            if !is_colons(trees, at + 1) {
                let call = is_punct(trees.get(at + 1), '!') && !is_punct(trees.get(at + 2), '=');
                let inside = self.inside.clone();
                self.source.paths.push(PathUse { segments, line, test, call, inside });
                return;
            }
            at += 3;
        }
        match trees.get(at) {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<_> = group.stream().into_iter().collect();
                for part in inner.split(|tree| is_punct(Some(tree), ',')) {
                    if !part.is_empty() {
                        self.path(part, 0, &segments, test);
                    }
                }
            }
            other => {
                if is_punct(other, '*') {
                    segments.push("*".to_owned());
                }
                if segments.len() > prefix.len() {
                    let inside = self.inside.clone();
                    self.source.paths.push(PathUse { segments, line, test, call: false, inside });
                }
            }
        }
    }
}

struct Attribute {
    name: String,
    inner: bool,
    is_test: bool,
    end: usize,
}

/// The attribute whose `#` stands at `at`.
fn attribute_at(trees: &[TokenTree], at: usize) -> Option<Attribute> {
    if !is_punct(trees.get(at), '#') {
        return None;
    }
    let inner = is_punct(trees.get(at + 1), '!');
    let group_at = at + 1 + usize::from(inner);
    let Some(TokenTree::Group(group)) = trees.get(group_at) else { return None };
    if group.delimiter() != Delimiter::Bracket {
        return None;
    }
    let content: Vec<_> = group.stream().into_iter().collect();
    let name = match content.first() {
        Some(TokenTree::Ident(ident)) => ident.to_string(),
        _ => return None,
    };
    let is_test = match (name.as_str(), content.get(1)) {
        ("test", None) => true,
        ("cfg", Some(TokenTree::Group(condition))) => asks_for_test(&condition.stream()),
        _ => false,
    };
    Some(Attribute { name, inner, is_test, end: group_at + 1 })
}

/// Whether a `cfg` condition can only hold in tests: `test`, or `all(…, test, …)`.
fn asks_for_test(condition: &TokenStream) -> bool {
    let trees: Vec<_> = condition.clone().into_iter().collect();
    trees.split(|tree| is_punct(Some(tree), ',')).any(|part| match part {
        [TokenTree::Ident(word)] => word == "test",
        [TokenTree::Ident(word), TokenTree::Group(group)] => {
            word == "all" && asks_for_test(&group.stream())
        }
        _ => false,
    })
}

/// The index after the item that begins at `at`.
fn item_end(trees: &[TokenTree], at: usize) -> usize {
    let mut at = at;
    while let Some(attribute) = attribute_at(trees, at) {
        at = attribute.end;
    }
    // These end at a semicolon and may have braces before it; all others end at whichever is first.
    let words: Vec<String> = trees[at.min(trees.len())..]
        .iter()
        .filter_map(|tree| match tree {
            TokenTree::Ident(ident) if ident != "pub" => Some(ident.to_string()),
            _ => None,
        })
        .take(2)
        .collect();
    let first = words.first().map(String::as_str);
    let second = words.get(1).map(String::as_str);
    let to_semicolon = matches!(first, Some("use" | "static" | "let" | "type"))
        || first == Some("const") && !matches!(second, Some("fn" | "unsafe" | "async" | "extern"));
    while let Some(tree) = trees.get(at) {
        at += 1;
        match tree {
            TokenTree::Punct(punct) if punct.as_char() == ';' => break,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && !to_semicolon => {
                break;
            }
            _ => {}
        }
    }
    at
}

/// The name in `mod name;` between `at` and `end`.
fn file_module(trees: &[TokenTree], at: usize, end: usize) -> Option<String> {
    let item = &trees[at..end];
    item.windows(3).find_map(|three| match three {
        [TokenTree::Ident(word), TokenTree::Ident(name), end] => {
            (word == "mod" && is_punct(Some(end), ';')).then(|| plain(&name.to_string()).to_owned())
        }
        _ => None,
    })
}

/// The name of the module whose braces are the group at `at`.
fn module_name(trees: &[TokenTree], at: usize) -> Option<String> {
    match trees.get(at.checked_sub(2)?..at)? {
        [TokenTree::Ident(word), TokenTree::Ident(name)] if word == "mod" => {
            Some(plain(&name.to_string()).to_owned())
        }
        _ => None,
    }
}

/// Whether the word at `at` stands behind `::` and so within a path that began before it.
fn continues_path(trees: &[TokenTree], at: usize) -> bool {
    if at < 2 || !is_colons(trees, at - 2) {
        return false;
    }
    // `::std` begins a path; `a::b` and `Vec::<T>::new` go on with one.
    match at.checked_sub(3).map(|before| &trees[before]) {
        Some(TokenTree::Ident(word)) => !is_statement_word(&word.to_string()),
        Some(TokenTree::Punct(punct)) => punct.as_char() == '>',
        _ => false,
    }
}

/// Words behind which a path may begin with `::`.
fn is_statement_word(word: &str) -> bool {
    matches!(
        word,
        "use" | "as" | "in" | "dyn" | "impl" | "for" | "return" | "mut" | "where" | "else"
    )
}

fn is_colons(trees: &[TokenTree], at: usize) -> bool {
    is_punct(trees.get(at), ':') && is_punct(trees.get(at + 1), ':')
}

fn is_punct(tree: Option<&TokenTree>, wanted: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

fn plain(word: &str) -> &str {
    word.strip_prefix("r#").unwrap_or(word)
}

fn delimiters(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// What `text` holds beside its code (given as ranges in order of their start).
fn comments(text: &str, code: &[(LineColumn, LineColumn)]) -> Vec<Comment> {
    let mut rest: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
    for (start, end) in code {
        for line in start.line..=end.line {
            let Some(chars) = rest.get_mut(line - 1) else { continue };
            let from = if line == start.line { start.column } else { 0 };
            let to = if line == end.line { end.column } else { chars.len() };
            let to = to.min(chars.len());
            if from < to {
                chars[from..to].fill(' ');
            }
        }
    }
    rest.iter()
        .enumerate()
        .map(|(index, chars)| (index + 1, chars.iter().collect::<String>()))
        .map(|(line, text)| Comment { text: text.trim().to_owned(), line })
        .filter(|comment| !comment.text.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let source = Source::parse("x/src/y.rs", text).unwrap();
        source
            .paths
            .iter()
            .filter(|p| p.segments.len() > 1)
            .map(|p| p.segments.join("::"))
            .collect()
    }

    #[test]
    fn a_use_group_is_taken_apart() {
        assert_eq!(
            paths("use std::{sync::{Arc, atomic::*}, fmt};"),
            ["std::sync::Arc", "std::sync::atomic::*", "std::fmt"]
        );
    }

    #[test]
    fn a_path_is_found_in_a_macro_call_and_behind_leading_colons() {
        assert_eq!(paths("fn f() { call!(crate::a::B) }"), ["crate::a::B"]);
        assert_eq!(paths("use ::std::time; type T = Vec<::std::rc::Rc<u8>>;").len(), 2);
    }

    #[test]
    fn words_in_strings_and_comments_are_no_code() {
        let text = "// one unsafe\n/// two\nfn f() { \"unsafe\"; } /* three */\n";
        let source = Source::parse("x/src/y.rs", text).unwrap();
        assert!(source.words.iter().all(|word| word.text != "unsafe"));
        let lines: Vec<_> = source.comments.iter().map(|comment| comment.line).collect();
        assert_eq!(lines, [1, 2, 3]);
        assert_eq!(source.comments[2].text, "/* three */");
    }

    #[test]
    fn tests_end_where_their_item_ends() {
        let text = "#[cfg(test)]\nuse a::{b};\nfn ships() {}\n#[cfg(all(test, unix))]\nmod tests { fn t() {} }\nfn also() {}\n#[cfg(not(test))]\nfn third() {}";
        let source = Source::parse("x/src/y.rs", text).unwrap();
        let ships = |name: &str| !source.words.iter().find(|w| w.text == name).unwrap().test;
        assert!(ships("ships") && ships("also") && ships("third"));
        assert!(!ships("t") && !ships("b"));
        assert_eq!(source.code_lines(), 4);
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_is_named() {
        let source = Source::parse("x/src/y.rs", "#[cfg(test)]\nmod sim;\n").unwrap();
        assert_eq!(source.test_modules, [["y", "sim"]]);
    }

    #[test]
    fn code_lines_leave_out_comments_and_blanks_and_count_long_strings() {
        let text = "//! doc\n\nconst A: &str = \"one\ntwo\";\n/// doc\nfn f() {\n    // why\n}\n";
        assert_eq!(Source::parse("x/src/y.rs", text).unwrap().code_lines(), 4);
    }
}
