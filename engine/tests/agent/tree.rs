//! Values in a tree, found by paths.

use std::collections::BTreeMap;
use std::fmt;

/// A number, a text, or names with a value each.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Tree {
    Number(i64),
    Text(String),
    Branch(BTreeMap<String, Tree>),
}

impl Default for Tree {
    fn default() -> Self {
        Self::Branch(BTreeMap::new())
    }
}

impl From<i64> for Tree {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Tree {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<const N: usize> From<[(&str, Tree); N]> for Tree {
    fn from(names: [(&str, Tree); N]) -> Self {
        Self::Branch(names.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// The names of a path like `a.b.c`; the empty path is the whole tree.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('.').filter(|name| !name.is_empty())
}

impl Tree {
    /// What lies there.
    pub(crate) fn get(&self, path: &str) -> Option<&Self> {
        names(path).try_fold(self, |at, name| match at {
            Self::Branch(branch) => branch.get(name),
            _ => None,
        })
    }

    /// The place itself. What is on the way becomes a branch, if it is none.
    fn place(&mut self, path: &str) -> &mut Self {
        names(path).fold(self, |at, name| {
            if !matches!(at, Self::Branch(_)) {
                *at = Self::default();
            }
            let Self::Branch(branch) = at else { unreachable!("it was made one") };
            branch.entry(name.to_owned()).or_default()
        })
    }

    /// Puts a value there, whatever was there before.
    pub(crate) fn set(&mut self, path: &str, value: Self) {
        *self.place(path) = value;
    }

    /// Merges a tree into what lies there: names of both are merged in turn, others stand beside each other,
    /// and of two leaves the newer one stays.
    pub(crate) fn update(&mut self, path: &str, with: Self) {
        self.place(path).merge(with);
    }

    fn merge(&mut self, with: Self) {
        match (self, with) {
            (Self::Branch(mine), Self::Branch(others)) => {
                for (name, value) in others {
                    match mine.get_mut(&name) {
                        Some(old) => old.merge(value),
                        None => drop(mine.insert(name, value)),
                    }
                }
            }
            (mine, with) => *mine = with,
        }
    }

    /// Takes away what lies there, if anything does. Of the whole tree an empty one is left.
    pub(crate) fn delete(&mut self, path: &str) {
        let Some(last) = names(path).last() else { return *self = Self::default() };
        let parent: Vec<&str> = names(path).collect();
        let parent = parent[..parent.len() - 1].join(".");
        if matches!(self.get(&parent), Some(Self::Branch(_)))
            && let Self::Branch(branch) = self.place(&parent)
        {
            branch.remove(last);
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Branch(branch) => {
                f.write_str("{")?;
                for (at, (name, value)) in branch.iter().enumerate() {
                    write!(f, "{}{name}: {value}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}
