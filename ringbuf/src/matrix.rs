//! What lanes share: a ring and a side ring for every pair of lane and shard, a doorbell for
//! every shard, and which lanes are claimed.

use crate::doorbell::Doorbell;
use crate::ends::Core;
use crate::side::Mark;
use crate::slots::rounded;
use crate::sync::{Arc, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

/// The most lanes there can be.
pub const LANES_MAX: usize = 1024;

/// The most shards there can be.
pub const SHARDS_MAX: usize = 4096;

// So that no number of rings overflows, whatever the configuration.
const _: () = assert!(LANES_MAX.checked_mul(SHARDS_MAX).is_some());

/// How large a set of lanes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanesConfig {
    /// How many consumers there are; 1 to [`SHARDS_MAX`].
    pub shards: usize,
    /// How many producers there may be at once; 1 to [`LANES_MAX`].
    pub lanes: usize,
    /// How many items fit between one lane and one shard; at least 1, rounded up to a power of
    /// two.
    pub capacity: usize,
    /// How many marks fit between one lane and one shard; rounded up to a power of two, at
    /// least 1.
    pub marks: usize,
}

impl LanesConfig {
    fn checked(self) -> Self {
        assert!(
            (1..=SHARDS_MAX).contains(&self.shards),
            "there can be 1 to {SHARDS_MAX} shards, not {}",
            self.shards
        );
        assert!(
            (1..=LANES_MAX).contains(&self.lanes),
            "there can be 1 to {LANES_MAX} lanes, not {}",
            self.lanes
        );
        let capacity = rounded(self.capacity);
        let marks = rounded(self.marks.max(1));
        Self { capacity, marks, ..self }
    }
}

/// The ring and the side ring between one lane and one shard.
#[derive(Debug)]
pub(crate) struct Cell<T, M> {
    pub(crate) items: Arc<Core<T>>,
    pub(crate) marks: Arc<Core<Mark<M>>>,
}

#[derive(Debug)]
pub(crate) struct Matrix<T, M> {
    config: LanesConfig,
    /// A bit for each lane that is claimed.
    claimed: Box<[AtomicU64]>,
    /// One more than the greatest index that was ever claimed.
    ever_used: AtomicUsize,
    bells: Box<[Arc<Doorbell>]>,
    /// Lane by lane; within a lane, shard by shard.
    cells: Box<[Cell<T, M>]>,
}

impl<T, M> Matrix<T, M> {
    /// # Panics
    /// If a number of `config` is out of its range.
    pub(crate) fn new(config: LanesConfig, mut wake: impl FnMut(usize) -> Waker) -> Self {
        let config = config.checked();
        Self {
            config,
            claimed: (0..config.lanes.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            ever_used: AtomicUsize::new(0),
            bells: (0..config.shards).map(|shard| Arc::new(Doorbell::new(wake(shard)))).collect(),
            cells: (0..config.lanes * config.shards)
                .map(|_| Cell { items: Core::new(config.capacity), marks: Core::new(config.marks) })
                .collect(),
        }
    }

    /// As it was asked for, with capacities as they are.
    pub(crate) fn config(&self) -> &LanesConfig {
        &self.config
    }

    pub(crate) fn cell(&self, lane: usize, shard: usize) -> &Cell<T, M> {
        &self.cells[lane * self.config.shards + shard]
    }

    pub(crate) fn bell(&self, shard: usize) -> &Arc<Doorbell> {
        &self.bells[shard]
    }

    /// Claims the lowest lane that is free.
    pub(crate) fn claim(&self) -> Option<usize> {
        for (i, word) in self.claimed.iter().enumerate() {
            let lanes = (self.config.lanes - i * 64).min(64);
            let all = u64::MAX >> (64 - lanes);
            let mut seen = word.load(Ordering::Relaxed);
            while seen & all != all {
                let bit = (!seen).trailing_zeros();
                // Acquire [handed over]: what the lane's last holder did to its rings happened
                // before what the new one does.
                match word.compare_exchange(
                    seen,
                    seen | 1 << bit,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        let lane = i * 64 + bit as usize;
                        // Relaxed: the first push into the lane passes a light barrier before it
                        // looks whether the shard sleeps, and the shard a heavy one before it
                        // looks here.
                        self.ever_used.fetch_max(lane + 1, Ordering::Relaxed);
                        return Some(lane);
                    }
                    Err(now) => seen = now,
                }
            }
        }
        None
    }

    /// Gives a lane back.
    pub(crate) fn hand_back(&self, lane: usize) {
        // Release [handed over].
        self.claimed[lane / 64].fetch_and(!(1 << (lane % 64)), Ordering::Release);
    }

    /// How many lanes from the first on a shard has to look at.
    pub(crate) fn ever_used(&self) -> usize {
        // Relaxed: see `claim`. The lanes themselves were there from the start.
        self.ever_used.load(Ordering::Relaxed)
    }

    /// How many lanes are claimed now, roughly while others claim.
    pub(crate) fn in_use(&self) -> usize {
        self.claimed.iter().map(|word| word.load(Ordering::Relaxed).count_ones() as usize).sum()
    }
}

/// What one lane's rings take on the heap, all shards together, in bytes.
pub(crate) fn lane_heap_bytes<T, M>(config: LanesConfig) -> usize {
    let config = config.checked();
    let cell = size_of::<Cell<T, M>>()
        + Core::<T>::heap_bytes(config.capacity)
        + Core::<Mark<M>>::heap_bytes(config.marks);
    config.shards * cell
}

/// What does not grow with the lanes' capacity: the bells and the table of claims, in bytes.
pub(crate) fn fixed_heap_bytes<T, M>(config: LanesConfig) -> usize {
    let config = config.checked();
    let counts = size_of::<[usize; 2]>();
    let counted =
        |size: usize, align: usize| (counts.next_multiple_of(align) + size).next_multiple_of(align);
    let bell = size_of::<Arc<Doorbell>>() + counted(size_of::<Doorbell>(), align_of::<Doorbell>());
    let matrix = counted(size_of::<Matrix<T, M>>(), align_of::<Matrix<T, M>>());
    matrix + config.shards * bell + config.lanes.div_ceil(64) * size_of::<AtomicU64>()
}
