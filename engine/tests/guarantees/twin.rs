//! Which items share a batch, against a plain twin: a map from key to list.

use std::collections::HashMap;

use engine::{Sizing, Tiers, Trigger};
use proptest::prelude::*;

use crate::witness::{Style, Witness};

/// What grouping must do where memory is ample, as plainly as possible.
#[derive(Debug)]
struct Plain {
    sizing: Sizing,
    /// By key: the target that the batch opened with, and its items.
    open: HashMap<u64, (usize, Vec<u64>)>,
}

impl Plain {
    /// The target of a batch that opens at this depth; `None`: nothing lingers.
    fn target(&self, depth: usize) -> Option<usize> {
        match self.sizing {
            Sizing::Single => Some(1),
            Sizing::Fixed(items) => Some(items as usize),
            Sizing::Tiers(tiers) => tiers.target(depth).map(|target| target.get() as usize),
        }
    }

    fn largest(&self) -> usize {
        match self.sizing {
            Sizing::Tiers(tiers) => tiers.largest() as usize,
            Sizing::Single | Sizing::Fixed(_) => usize::MAX,
        }
    }

    /// One turn that finds these items: the batches that it fills, in the order of that; and those
    /// that it hands over half full.
    fn turn(&mut self, items: &[(u64, u64)], due: bool) -> (Vec<Vec<u64>>, Vec<Vec<u64>>) {
        let aim = self.target(items.len());
        let target = aim.unwrap_or(self.largest());
        let mut full = Vec::new();
        for &(key, seq) in items {
            let (target, batch) = self.open.entry(key).or_insert((target, Vec::new()));
            batch.push(seq);
            if batch.len() == *target {
                full.extend(self.open.remove(&key).map(|(_, batch)| batch));
            }
        }
        let mut rest = Vec::new();
        if due || aim.is_none() {
            rest.extend(self.open.drain().map(|(_, (_, batch))| batch));
            rest.sort_unstable();
        }
        (full, rest)
    }
}

fn sizing() -> impl Strategy<Value = Sizing> {
    let tiers = |rows: &[(usize, u32)]| Sizing::Tiers(Tiers::new(rows).expect("rising rows"));
    prop_oneof![
        Just(Sizing::Single),
        (1_u32..120).prop_map(Sizing::Fixed),
        Just(Sizing::default()),
        Just(tiers(&[(3, 2), (9, 40), (30, 7)])),
    ]
}

/// What lies in the lane when a turn begins: few items or many, of few keys or many.
fn arrivals() -> impl Strategy<Value = Vec<u64>> {
    (prop_oneof![Just(12_usize), Just(130), Just(500)], 1_u64..60)
        .prop_flat_map(|(most, keys)| prop::collection::vec(0..keys, 0..most))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// G2, G4, G5 and the sizes: batch for batch what the plain twin says.
    #[test]
    fn items_share_batches_as_in_a_map_of_lists(
        sizing in sizing(),
        turns in prop::collection::vec((arrivals(), prop::bool::weighted(0.2)), 1..30),
    ) {
        let witness = Witness::new(Style::Each);
        let mut engine = witness.stepped(|builder| {
            builder.sizing(sizing).lane_items(512).open_keys(64).open_items(50_000)
        });
        let mut producer = engine.producer().expect("a lane is free");
        let mut plain = Plain { sizing, open: HashMap::new() };
        let mut seq = 0;
        for (keys, time_passes) in turns {
            let mut items = Vec::new();
            if time_passes {
                engine.advance(std::time::Duration::from_millis(10));
            } else {
                items.extend(keys.into_iter().zip(seq..));
                seq += items.len() as u64;
                let ops = items.iter().map(|(key, seq)| witness.op(0, *key, *seq));
                producer.push_run(&mut ops.into_iter()).expect("there is room");
            }
            engine.turn();
            let (full, rest) = plain.turn(&items, time_passes);
            let book = witness.take();
            let mut batches = vec![Vec::new(); book.calls.len()];
            for seen in &book.seen {
                batches[seen.call].push(seen.seq);
            }
            let by_size = |at: &usize| book.calls[*at].trigger == Trigger::Size;
            let (sizes, others): (Vec<_>, Vec<_>) = (0..batches.len()).partition(by_size);
            let of = |calls: Vec<usize>| -> Vec<Vec<u64>> {
                calls.into_iter().map(|at| batches[at].clone()).collect()
            };
            prop_assert_eq!(of(sizes), full, "full batches, in the order in which they filled");
            let mut others = of(others);
            others.sort_unstable();
            prop_assert_eq!(others, rest, "what does not linger any longer");
        }
    }
}
