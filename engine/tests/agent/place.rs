//! Where a signal's state lives, and so in which order signals must stay.

use super::router::Action;
use super::signal::{Home, Params};

/// Says what keeps signals in order.
pub(crate) trait Place: Send + 'static {
    /// The state is the agent's, whatever the action.
    const BY_AGENT: bool;
    /// That keeps an agent's signals in order: it is an entity, and its actions have keys of their own.
    /// Otherwise it is one key.
    const ENTITIES: bool = Self::BY_AGENT;
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

/// As [`ByAgent`], for engines that know no entities: an agent is a key.
#[derive(Clone, Debug)]
pub(crate) struct AgentAsKey;

impl Place for AgentAsKey {
    const BY_AGENT: bool = true;
    const ENTITIES: bool = false;
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
