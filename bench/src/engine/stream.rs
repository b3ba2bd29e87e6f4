//! What each producer pushes, the same for everybody.

use std::marker::PhantomData;
use std::sync::Arc;

use super::item::{Draw, Name, Record};
use super::{Dist, EngineCase};
use crate::noise::{Noise, below};
use crate::zipf;

/// The items of one producer, made as they are asked for.
///
/// Keys of a producer belong to it alone, so that the order of each key is known however producers
/// race. Skewed draws come from a table that was made before; it costs a read that the processor
/// foresees.
#[derive(Clone, Debug)]
pub(crate) struct Stream<T> {
    next: u32,
    items: u32,
    noise: Noise,
    draws: Draws,
    /// This producer, and how many there are: their keys take turns.
    producer: u32,
    producers: u32,
    names: Arc<[Name]>,
    item: PhantomData<fn() -> T>,
}

#[derive(Clone, Debug)]
enum Draws {
    Uniform { keys: u64 },
    Table(Arc<[u32]>),
}

impl<T: Record> EngineCase<T> {
    /// What each producer pushes.
    pub(crate) fn streams(self) -> Vec<Stream<T>> {
        let Self { keys, dist, producers, items, .. } = self;
        assert_eq!(keys % producers, 0, "producers share the keys evenly");
        let own = keys / producers;
        let items = items / producers;
        let names: Arc<[Name]> = T::names(keys).into();
        let stream = |producer: u32| Stream {
            next: 0,
            items,
            noise: Noise::of_stream(producer),
            draws: match dist {
                Dist::Uniform => Draws::Uniform { keys: u64::from(own) },
                Dist::Zipf => Draws::Table(zipf::draws(own, items, u64::from(producer))),
            },
            producer,
            producers,
            names: Arc::clone(&names),
            item: PhantomData,
        };
        (0..producers).map(stream).collect()
    }
}

impl<T: Record> Iterator for Stream<T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if self.next == self.items {
            return None;
        }
        let seq = self.next;
        self.next += 1;
        let bits = self.noise.next();
        let draw = match &self.draws {
            Draws::Uniform { keys } => below(bits, *keys) as u32,
            Draws::Table(table) => table[seq as usize],
        };
        let key = draw * self.producers + self.producer;
        Some(T::make(Draw { key, seq, noise: bits }, &self.names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Row;

    #[test]
    fn streams_are_always_the_same_and_share_no_key() {
        for dist in [Dist::Uniform, Dist::Zipf] {
            let case = EngineCase::<Row>::new(12, dist).producers(4).items(8_000);
            let keys = |stream: &Stream<Row>| stream.clone().map(|row| row.key).collect::<Vec<_>>();
            for (producer, (one, again)) in case.streams().iter().zip(&case.streams()).enumerate() {
                assert_eq!(keys(one), keys(again));
                assert_eq!(keys(one).len(), 2_000);
                assert!(keys(one).iter().all(|key| *key < 12 && *key % 4 == producer as u64));
            }
        }
    }
}
