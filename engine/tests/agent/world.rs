//! The agents' states, and what happened to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::instruction::Halt;
use super::signal::Home;
use super::tree::Tree;

/// What one attempt at a signal came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) serial: u64,
    pub(crate) attempt: u32,
    pub(crate) came: Result<(), Halt>,
}

/// What a signal that is done is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Whose answer it is.
    pub(crate) serial: u64,
    pub(crate) attempt: u32,
    /// The state right after it.
    pub(crate) state: Tree,
}

/// What a handler call was given: the signals' names, in their order.
pub(crate) type Given = Vec<u64>;

#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// What every state begins as, and a reset brings back.
    pub(crate) initial: Tree,
    pub(crate) states: BTreeMap<Home, Tree>,
    /// Of each state, everything that was tried, in its order.
    pub(crate) effects: BTreeMap<Home, Vec<Effect>>,
    /// Every attempt, in the order of all, and whether it was done.
    pub(crate) attempts: Vec<(u64, bool)>,
    /// The batches as they were handed over.
    pub(crate) calls: Vec<Given>,
    /// Attempts that the engine counts otherwise than the world does.
    pub(crate) miscounted: Vec<(u64, u32)>,
    pub(crate) tries: BTreeMap<u64, u32>,
    /// What came of each signal at last, where somebody asks.
    pub(crate) outcomes: Option<BTreeMap<u64, Result<Reply, Halt>>>,
}

impl World {
    pub(crate) fn state(&self, home: &Home) -> Tree {
        self.states.get(home).unwrap_or(&self.initial).clone()
    }
}

/// The world, shared by all handlers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(crate) fn beginning_with(initial: Tree) -> Self {
        Self(Arc::new(Mutex::new(World { initial, ..World::default() })))
    }

    /// A look at it. A handler that panicked has left it whole: it changes it in one go.
    pub(crate) fn look(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
