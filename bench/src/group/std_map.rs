//! What is written first: for each poll a new `std::collections::HashMap` of keys to new `Vec`s, as any
//! `group_by` does. Keys are borrowed from the poll.
//!
//! Every batch ends with its poll, so nothing is held over: there are no deadlines and no limits, and the
//! batches are smaller than the others'.

use std::collections::HashMap;
use std::marker::PhantomData;

use super::rows::Pushed;
use super::{Grouper, Grouping};
use crate::limits::BATCH_ITEMS;
use crate::run::Handled;
use crate::trivial::Trivial;

pub(super) struct StdMap<T> {
    trivial: Trivial,
    rows: PhantomData<fn(T)>,
}

impl<T: Pushed> Grouper<T> for StdMap<T> {
    fn new(case: Grouping) -> Self {
        Self { trivial: Trivial::new(case.keys), rows: PhantomData }
    }

    #[inline]
    fn poll(&mut self, rows: &[T]) {
        let mut groups: HashMap<T::Key<'_>, Vec<T>> = HashMap::new();
        for row in rows {
            groups.entry(row.key()).or_default().push(*row);
        }
        for rows in groups.values() {
            let number = rows[0].number();
            rows.chunks(BATCH_ITEMS).for_each(|batch| self.trivial.handle(number, batch));
        }
    }

    fn flush(&mut self) {}

    fn handled(&self) -> Handled {
        self.trivial.handled()
    }
}
