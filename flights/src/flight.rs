//! One flight, as the engine carries it.

use std::collections::HashMap;

use engine::Item;

/// One row of the input. Small and `Copy`: its words are numbers in [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flight {
    /// The row's number in the input, from 1; rows that were skipped have theirs.
    pub seq: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// Hours and minutes as four digits, 0 to 2400.
    pub sched_dep_time: u16,
    /// Minutes; negative is early.
    pub dep_delay: Option<i32>,
    /// Minutes; negative is early.
    pub arr_delay: Option<i32>,
    /// Whose flight it is: the key.
    pub carrier: Name,
    /// The flight's number.
    pub flight: u32,
    /// Which aircraft flew, where that is known.
    pub tailnum: Option<Name>,
    /// Airport.
    pub origin: Name,
    /// Airport.
    pub dest: Name,
    /// Miles, at least 1.
    pub distance: u32,
}

impl Item for Flight {
    type Key<'a> = Name;

    fn key(&self) -> Name {
        self.carrier
    }
}

/// A word of the input, by its number in [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name(u32);

impl Name {
    /// The place among all names, from 0, in the order of their first use.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The distinct words of an input: carriers, airports and aircraft come again and again.
#[derive(Debug, Default)]
pub(crate) struct Names {
    texts: Vec<Box<str>>,
    by_text: HashMap<Box<str>, Name>,
}

impl Names {
    /// The name of `text`, a new one at its first use.
    pub(crate) fn intern(&mut self, text: &str) -> Name {
        if let Some(&name) = self.by_text.get(text) {
            return name;
        }
        let name =
            Name(u32::try_from(self.texts.len()).expect("memory ends before the numbers do"));
        self.texts.push(text.into());
        self.by_text.insert(text.into(), name);
        name
    }

    /// The word.
    pub(crate) fn text(&self, name: Name) -> &str {
        &self.texts[name.index()]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_one_name_and_its_name_gives_it_back() {
        let mut names = Names::default();
        let united = names.intern("UA");
        let long = names.intern(&"x".repeat(1_000));
        assert_eq!(names.intern("UA"), united);
        assert_ne!(united, long);
        assert_eq!((names.text(united), names.text(long).len(), names.len()), ("UA", 1_000, 2));
    }
}
