//! Which keys come, and how often each.

use std::fmt;
use std::sync::Arc;

use crate::workload::Workload;
use crate::zipf;

/// How often each key comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dist {
    /// All equally often.
    Uniform,
    /// The nth most frequent one with a probability in proportion to 1/n.
    Zipf,
}

impl fmt::Display for Dist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
        })
    }
}

/// Any number will do.
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

impl Dist {
    /// So many draws of keys from 0 to `keys` less one; always the same ones.
    pub(super) fn draws(self, keys: u32, draws: u32) -> Arc<[u32]> {
        match self {
            Self::Uniform => {
                let workload = Workload { items: u64::from(draws), keys };
                workload.rows().map(|row| row.key as u32).collect()
            }
            Self::Zipf => zipf::draws(keys, draws, SEED),
        }
    }
}
