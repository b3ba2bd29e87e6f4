//! Where a signal's state lives, and so in which order signals must stay.

use super::router::Action;
use super::signal::{Home, Params};

/// Says what keeps signals in order.
pub(crate) trait Place: Send + 'static {
    /// The state is the agent's, whatever the action: an agent is an entity.
    const BY_AGENT: bool;
    /// Newer signals are folded into those that wait.
    const MERGES: bool = false;

    /// Where the state of such a signal lives.
    fn home(agent: u64, action: Option<Action>, params: &Params) -> Home {
        match Self::BY_AGENT {
            true => Home { agent, of: None },
            false => Home { agent, of: Some((action, params.clone())) },
        }
    }
}

/// One state an agent: its signals stay in order across actions.
#[derive(Clone, Debug)]
pub(crate) struct ByAgent;

impl Place for ByAgent {
    const BY_AGENT: bool = true;
}

/// One state for an agent's action and its parameters: that is the key.
#[derive(Clone, Debug)]
pub(crate) struct ByKey;

impl Place for ByKey {
    const BY_AGENT: bool = false;
}

/// As [`ByKey`], and signals that can't fail are merged.
#[derive(Clone, Debug)]
pub(crate) struct Merging;

impl Place for Merging {
    const BY_AGENT: bool = false;
    const MERGES: bool = true;
}
