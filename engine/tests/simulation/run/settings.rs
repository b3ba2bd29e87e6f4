//! What engine it is.

use std::sync::Arc;
use std::time::Duration;

use engine::testing::Stepped;
use engine::{AfterPanic, Engine, Grouping, Nanos, Shards, Sizing, Tiers};

use super::Run;
use super::op::Watched;
use super::pushes::SHARED_WAY;
use crate::dice::Dice;
use crate::oracle::{Deed, Oracle, Terms};
use crate::seeded::Seeded;

const CALM: [Deed; 6] = [Deed::Done, Deed::Done, Deed::Done, Deed::Done, Deed::Fail, Deed::Retry];
const WILD: [Deed; 5] = [Deed::Done, Deed::Done, Deed::Panic, Deed::Fail, Deed::Retry];

pub(super) fn sizing(dice: &mut Dice) -> Sizing {
    let tiers = |rows: &[(usize, u32)]| Sizing::Tiers(Tiers::new(rows).expect("rising rows"));
    match dice.below(6) {
        0 => Sizing::Single,
        1 => Sizing::Fixed(2),
        2 => Sizing::Fixed(1 + dice.below(40) as u32),
        3 => Sizing::Fixed(100),
        4 => tiers(&[(2, 3), (5, 8), (20, 30)]),
        _ => Sizing::default(),
    }
}

/// Items of the largest batch of a sizing.
pub(super) fn largest(sizing: Sizing) -> usize {
    match sizing {
        Sizing::Single => 1,
        Sizing::Fixed(items) => items as usize,
        Sizing::Tiers(tiers) => tiers.largest() as usize,
    }
}

/// How much earlier than its deadline a batch may go, where items linger for so long.
pub(super) fn tick(flush_after: Duration) -> Nanos {
    let ticks = Nanos::from(flush_after).as_nanos().div_ceil(254);
    Nanos::from_nanos(ticks.next_power_of_two().max(1_024))
}

impl Run {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let lanes = 1 + dice.below(4) as usize;
        let bursts = dice.once_in(12);
        let room = if bursts { 512 } else { 64 };
        let lane_items = if bursts { room } else { dice.one_of(&[2, 4, 16, room]) };
        let lane_marks = if bursts { room } else { dice.one_of(&[2, 8, room]) };
        let ample = !bursts && dice.below(2) == 0;
        let (open_keys, open_items) = match (ample, bursts) {
            (true, _) => (64, 20_000),
            // The keys are few enough: it is the items that there is no memory for.
            (_, true) => (16, 8),
            _ => (dice.one_of(&[1, 2, 5]), dice.one_of(&[1, 3, 20, 150])),
        };
        let flush_after = Duration::from_micros(dice.one_of(&[1, 100, 10_000, 1_000_000]));
        // Bursts are about the memory of blocks, which queues have none of.
        let (queues, windowed) = match dice.below(4) {
            0 => (false, true),
            1 | 2 if !bursts => (true, false),
            _ => (false, false),
        };
        let sizing = match windowed {
            true => Sizing::Fixed(dice.one_of(&[1, 2, 7, 100])),
            false if bursts => Sizing::Fixed(2),
            false => sizing(&mut dice),
        };
        let wild = dice.once_in(3);
        let after_panic = dice.one_of(&[AfterPanic::Rebuild, AfterPanic::Keep, AfterPanic::Stop]);
        let grouping = match windowed {
            true => Grouping::Windowed { items: 1_024 },
            false => Grouping::Hashed,
        };
        let planned = if bursts { largest(sizing) } else { dice.one_of(&[largest(sizing), 200]) };
        let builder = Engine::builder(|_| Watched)
            .shards(Shards::Count(1 + dice.below(4) as usize))
            .lanes(lanes)
            .lane_items(lane_items)
            .lane_marks(lane_marks)
            .drain_items(if bursts { 1_024 } else { dice.one_of(&[1, 3, 16, 1_024]) })
            .flush_after(flush_after)
            .sizing(sizing)
            .batch_items_max(planned as u32)
            .grouping(grouping)
            .open_keys(open_keys)
            .open_items(open_items)
            .after_panic(after_panic)
            .queues(queues)
            .hasher(Seeded(seed));
        let engine = Stepped::new(builder).expect("the settings are allowed");
        let terms = Terms {
            sizing,
            largest: largest(sizing),
            shallow: matches!(sizing, Sizing::Tiers(_)),
            open_keys: open_keys as u64,
            punctual: dice.below(2) == 0,
            ample: ample || windowed,
            windowed,
            stops: wild && after_panic == AfterPanic::Stop,
        };
        Self {
            handle: engine.handle().expect("there is one by default"),
            engine,
            oracle: Oracle::new(terms),
            ways: Vec::new(),
            shared: (0, 0),
            lanes,
            lane_marks,
            flush_after,
            tick: tick(flush_after),
            planned,
            keys: if bursts { 10 } else { dice.one_of(&[1, 3, 12, 60]) },
            bursts,
            deeds: if wild { &WILD } else { &CALM },
            terms,
            last_turn: Nanos::ZERO,
            next_id: 0,
            next_way: SHARED_WAY + 1,
            alive: Arc::default(),
            steps: 0,
            dice,
        }
    }
}
