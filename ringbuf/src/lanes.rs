//! Lanes: many producers, many shards, and a ring of its own for every pair of them.
//!
//! A producer claims a lane, drops it, and another claims it; a shard looks at the lanes that
//! were ever claimed. Each shard has one bell for all of its lanes, so that a push looks at one
//! word to know both whether the shard sleeps and whether it has closed.

use crate::lane::Lanes;
use crate::matrix::{LanesConfig, Matrix};
use crate::shard_lanes::ShardLanes;
use crate::sync::Arc;
use std::task::Waker;

/// Makes a set of lanes and the shards' ends of them. `wake` says, for each shard, what its bell
/// wakes: for life, and before the shard's thread runs, if need be through a cell of its own.
///
/// Allocates all that its rings will ever need ([`Lanes::heap_bytes`]); the memory of their slots
/// is touched only as they are used.
///
/// # Panics
/// If a number of `config` is out of its range.
pub fn lanes<T, M>(
    config: LanesConfig,
    wake: impl FnMut(usize) -> Waker,
) -> (Lanes<T, M>, Vec<ShardLanes<T, M>>) {
    let matrix = Arc::new(Matrix::new(config, wake));
    let shards = (0..config.shards).map(|shard| ShardLanes::new(&matrix, shard)).collect();
    (Lanes { matrix }, shards)
}
