//! A line of input: `type id path=value …`, or JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::agent::instruction::Instruction;
use crate::agent::place::ByAgent;
use crate::agent::router::{Action, Router};
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
    pub(crate) fn signal(self, number: u64, router: &Router) -> Signal<ByAgent> {
        let Self { kind, id, values, paths } = self;
        let action = router.action(&kind);
        let mut places: Vec<String> = values.keys().cloned().chain(paths.iter().cloned()).collect();
        places.sort_unstable();
        let places = places.join(",");
        let with = values.into_iter().filter_map(|(path, Value(value))| match action? {
            Action::Set => Some(Instruction::Set { path, value }),
            Action::Update => Some(Instruction::Update { path, with: value }),
            Action::Add => Some(match value {
                Tree::Number(amount) => Instruction::Add { path, amount },
                // What can't be added: the handler refuses it.
                value => Instruction::Expect { path, value },
            }),
            Action::Delete => Some(Instruction::Delete { path }),
            Action::Reset => Some(Instruction::Reset { path }),
            Action::Script => None,
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
}

/// Reads one line; none if there is nothing on it.
///
/// # Errors
///
/// What is wrong with it, and where.
pub(crate) fn parse(line: &str) -> Result<Option<Line>, Bad> {
    match line.trim_start().chars().next() {
        None | Some('#') => Ok(None),
        Some('{') => serde_json::from_str(line).map(Some).map_err(|error| {
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default().to_owned();
            // Counted in bytes there, and 0 where a line ends.
            let before = line.get(..error.column().saturating_sub(1));
            let column = before.map_or(error.column().max(1), |before| before.chars().count() + 1);
            Bad { column, what }
        }),
        Some(_) => words(line).map(Some),
    }
}

fn words(line: &str) -> Result<Line, Bad> {
    let words = split(line)?;
    let end = line.chars().count() + 1;
    let mut words = words.into_iter();
    let (_, kind) = words.next().unwrap_or((1, String::new()));
    let missing = || Bad { column: end, what: "expected a number: whom it is for".to_owned() };
    let (column, id) = words.next().ok_or_else(missing)?;
    let id = id.parse().map_err(|_| {
        let what = format!("{id:?} is not a number from 0 to {}: whom it is for", u64::MAX);
        Bad { column, what }
    })?;
    let (mut values, mut paths) = (BTreeMap::new(), Vec::new());
    let bare = ["agent.delete", "agent.reset"].contains(&kind.as_str());
    for (column, word) in words {
        let bad = |what: &str| Bad { column, what: format!("{word:?}: {what}") };
        match word.split_once('=') {
            _ if bare && !word.contains('=') => paths.push(word),
            None | Some(("", _)) => return Err(bad("expected path=value")),
            Some(_) if bare => return Err(bad("expected a path alone")),
            Some((path, value)) => {
                let value = value.parse().map_or_else(|_| Tree::from(value), Tree::Number);
                values.insert(path.to_owned(), Value(value));
            }
        }
    }
    Ok(Line { kind, id, values, paths })
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
        i64::try_from(number).map(Tree::Number).map_err(E::custom)
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
