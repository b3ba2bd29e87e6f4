//! A line of input: `type id path=value …`, or JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::str::from_utf8;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::agent::instruction::Instruction;
use crate::agent::place::ByAgent;
use crate::agent::router::Action;
use crate::agent::signal::{Params, Signal};
use crate::agent::tree::Tree;

/// A signal as it was written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    #[serde(rename = "type")]
    kind: String,
    id: u64,
    /// What goes where.
    #[serde(default)]
    values: BTreeMap<String, Value>,
    /// Where nothing goes: to be deleted or reset.
    #[serde(default)]
    paths: Vec<String>,
}

/// What is wrong, and at which character, counted from 1.
#[derive(Debug)]
pub(crate) struct Bad {
    pub(crate) column: usize,
    pub(crate) what: String,
}

impl Line {
    /// The signal, named by its line.
    pub(crate) fn signal(self, number: u64) -> Signal<ByAgent> {
        let Self { kind, id, values, paths } = self;
        let action = action(&kind);
        let mut places: Vec<String> = values.keys().cloned().chain(paths.iter().cloned()).collect();
        places.sort_unstable();
        let places = places.join(",");
        let with = values.into_iter().filter_map(|(path, Value(value))| match (action?, value) {
            (Action::Set, value) => Some(Instruction::Set { path, value }),
            (Action::Update, with) => Some(Instruction::Update { path, with }),
            (Action::Add, Tree::Number(amount)) => Some(Instruction::Add { path, amount }),
            _ => None,
        });
        let without = paths.into_iter().filter_map(|path| match action? {
            Action::Delete => Some(Instruction::Delete { path }),
            Action::Reset => Some(Instruction::Reset { path }),
            _ => None,
        });
        let script = with.chain(without).collect();
        let params = Params::normalised(&[("path", &places)]);
        Signal::new(number, id, &kind, action, params, script)
    }

    /// Whether a signal of its type can do something with what it brings; if not, what is wrong.
    fn check(&self) -> Result<(), String> {
        let Self { kind, values, paths, .. } = self;
        let sums = action(kind) == Some(Action::Add);
        match (takes_paths(kind), values.first_key_value(), paths.first()) {
            (true, None, None) => Err("expected a path".to_owned()),
            (true, Some((path, _)), _) => Err(format!("{path:?}: expected a path alone")),
            (false, None, None) => Err("expected path=value".to_owned()),
            (false, _, Some(path)) => Err(format!("{path:?}: expected path=value")),
            _ => match values.iter().find(|(_, Value(value))| !matches!(value, Tree::Number(_))) {
                Some((path, _)) if sums => {
                    Err(format!("what is to be added at {path:?} is no number"))
                }
                _ => Ok(()),
            },
        }
    }
}

/// What the types do that can be written here.
const KINDS: [(&str, Action); 5] = [
    ("agent.set", Action::Set),
    ("agent.update", Action::Update),
    ("agent.delete", Action::Delete),
    ("agent.reset", Action::Reset),
    ("agent.add", Action::Add),
];

fn action(kind: &str) -> Option<Action> {
    KINDS.iter().find(|(known, _)| *known == kind).map(|(_, action)| *action)
}

/// Whether signals of a type bring paths alone, and no values.
fn takes_paths(kind: &str) -> bool {
    matches!(action(kind), Some(Action::Delete | Action::Reset))
}

fn check_kind(kind: &str, column: usize) -> Result<(), Bad> {
    if action(kind).is_some() {
        return Ok(());
    }
    let known = KINDS.map(|(known, _)| known).join(", ");
    Err(Bad { column, what: format!("unknown type {kind:?}; there are {known}") })
}

/// Reads one line as it came, with its end or without; none if there is nothing on it.
///
/// # Errors
///
/// What is wrong with it, and where.
pub(crate) fn parse(line: &[u8]) -> Result<Option<Line>, Bad> {
    let line = from_utf8(line).map_err(|error| {
        let (good, bad) = line.split_at(error.valid_up_to());
        let column = String::from_utf8_lossy(good).chars().count() + 1;
        Bad { column, what: format!("this byte is not UTF-8: 0x{:02x}", bad[0]) }
    })?;
    let line = line.trim_end();
    match line.trim_start().chars().next() {
        None | Some('#') => Ok(None),
        Some('{') => json(line).map(Some),
        Some(_) => words(line).map(Some),
    }
}

fn json(text: &str) -> Result<Line, Bad> {
    let line: Line = serde_json::from_str(text).map_err(|error| {
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or_default().to_owned();
        // Counted in bytes there, and 0 where a line ends.
        let before = text.get(..error.column().saturating_sub(1));
        let column = before.map_or(error.column().max(1), |before| before.chars().count() + 1);
        Bad { column, what }
    })?;
    let kind = text.find(&format!("{:?}", line.kind)).unwrap_or(0);
    check_kind(&line.kind, text[..kind].chars().count() + 1)?;
    line.check().map_err(|what| Bad { column: text.chars().count(), what })?;
    Ok(line)
}

fn words(line: &str) -> Result<Line, Bad> {
    let words = split(line)?;
    let end = line.chars().count() + 1;
    let mut words = words.into_iter();
    let (column, kind) = words.next().unwrap_or((1, String::new()));
    check_kind(&kind, column)?;
    let missing = || Bad { column: end, what: "expected a number: whom it is for".to_owned() };
    let (column, id) = words.next().ok_or_else(missing)?;
    let id = id.parse().map_err(|_| {
        let what = format!("{id:?} is not a number from 0 to {}: whom it is for", u64::MAX);
        Bad { column, what }
    })?;
    let (mut values, mut paths) = (BTreeMap::new(), Vec::new());
    let bare = takes_paths(&kind);
    for (column, word) in words {
        let bad = |what: &str| Bad { column, what: format!("{word:?}: {what}") };
        match word.split_once('=') {
            _ if bare && !word.contains('=') => paths.push(word),
            None | Some(("", _)) => return Err(bad("expected path=value")),
            Some(_) if bare => return Err(bad("expected a path alone")),
            Some((path, value)) => {
                let value = match value.parse() {
                    Ok(number) => Tree::Number(number),
                    Err(_) if is_number(value) => return Err(bad(&out_of_range(value))),
                    Err(_) if action(&kind) == Some(Action::Add) => {
                        return Err(bad("what is to be added is no number"));
                    }
                    Err(_) => Tree::from(value),
                };
                values.insert(path.to_owned(), Value(value));
            }
        }
    }
    let line = Line { kind, id, values, paths };
    line.check().map_err(|what| Bad { column: end, what })?;
    Ok(line)
}

/// Whether a word is written as a whole number, however large.
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn out_of_range(number: impl fmt::Display) -> String {
    format!("{number} is not from {} to {}", i64::MIN, i64::MAX)
}

/// The words of a line, each with its column. Between double quotes blanks belong to the word.
fn split(line: &str) -> Result<Vec<(usize, String)>, Bad> {
    let mut words: Vec<(usize, String)> = Vec::new();
    let (mut open, mut quoted) = (false, None);
    for (column, c) in (1..).zip(line.chars()) {
        match c {
            '"' => quoted = if quoted.is_some() { None } else { Some(column) },
            c if c.is_whitespace() && quoted.is_none() => {
                open = false;
                continue;
            }
            _ => {}
        }
        if !open {
            words.push((column, String::new()));
            open = true;
        }
        if let (Some((_, word)), true) = (words.last_mut(), c != '"') {
            word.push(c);
        }
    }
    match quoted {
        None => Ok(words),
        Some(column) => Err(Bad { column, what: "this quote is not closed".to_owned() }),
    }
}

/// What a tree may have: whole numbers, texts, names with such values.
#[derive(Debug)]
struct Value(Tree);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, a text, or names with such values")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Tree, E> {
        i64::try_from(number).map(Tree::Number).map_err(|_| E::custom(out_of_range(number)))
    }

    /// What has a fraction; and what is too large to be read as anything else.
    fn visit_f64<E: Error>(self, number: f64) -> Result<Tree, E> {
        if number.fract() == 0.0 {
            return Err(E::custom(out_of_range(number)));
        }
        Err(E::invalid_type(serde::de::Unexpected::Float(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::from(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut names: A) -> Result<Tree, A::Error> {
        let mut branch = BTreeMap::new();
        while let Some((name, Value(value))) = names.next_entry::<String, Value>()? {
            branch.insert(name, value);
        }
        Ok(Tree::Branch(branch))
    }
}
