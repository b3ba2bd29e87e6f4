//! What an agent is sent.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;

use engine::Item;

use super::instruction::Instruction;
use super::place::Place;
use super::router::Action;

/// Parameters in their normal form: names in lower case and in order, no blanks around them, and of
/// several values of one name the last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    const NONE: &Self = &Self(BTreeMap::new());

    pub(crate) fn normalised(params: &[(&str, &str)]) -> Self {
        let normal =
            |(name, value): &(&str, &str)| (name.trim().to_lowercase(), value.trim().to_owned());
        Self(params.iter().map(normal).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Where a state lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Home {
    pub(crate) agent: u64,
    /// Where it is not the agent's as a whole: of one action with its parameters.
    pub(crate) of: Option<(Option<Action>, Params)>,
}

/// A signal to be sent by another one's action, to the same agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directive {
    pub(crate) params: Params,
    pub(crate) script: Vec<Instruction>,
}

/// One signal.
#[derive(Clone, Debug)]
pub(crate) struct Signal<P> {
    /// Its name; each has another.
    pub(crate) serial: u64,
    pub(crate) agent: u64,
    pub(crate) kind: String,
    /// None where nothing is routed to its type.
    pub(crate) action: Option<Action>,
    pub(crate) params: Params,
    pub(crate) script: Vec<Instruction>,
    /// The names of those that were folded into it, oldest first.
    pub(crate) merged: Vec<u64>,
    place: PhantomData<P>,
}

/// What may be handled together: one action with the same parameters, and where the state is not the
/// agent's, one agent; or all that one agent is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key<'a> {
    pub(crate) action: Option<Action>,
    pub(crate) params: &'a Params,
    pub(crate) agent: Option<u64>,
}

impl<P: Place> Signal<P> {
    pub(crate) fn new(
        serial: u64,
        agent: u64,
        kind: &str,
        action: Option<Action>,
        params: Params,
        script: Vec<Instruction>,
    ) -> Self {
        let (kind, merged) = (kind.to_owned(), Vec::new());
        Self { serial, agent, kind, action, params, script, merged, place: PhantomData }
    }

    /// What a directive of this signal becomes, the so-many-th of it.
    pub(crate) fn caused(&self, nth: usize, directive: &Directive) -> Self {
        let serial = self.serial * CAUSED_MAX + nth as u64 + 1;
        let Directive { params, script } = directive.clone();
        Self::new(serial, self.agent, &self.kind, self.action, params, script)
    }

    pub(crate) fn home(&self) -> Home {
        P::home(self.agent, self.action, &self.params)
    }
}

/// More directives than a signal may have: names of those it causes are told apart by it.
pub(crate) const CAUSED_MAX: u64 = 16;

impl<P: Place> Item for Signal<P> {
    type Key<'a> = Key<'a>;

    fn key(&self) -> Key<'_> {
        let (action, params, agent) = (self.action, &self.params, Some(self.agent));
        match (P::BY_AGENT, P::ENTITIES) {
            (false, _) => Key { action, params, agent },
            (true, true) => Key { action, params, agent: None },
            (true, false) => Key { action: None, params: Params::NONE, agent },
        }
    }

    const ENTITIES: bool = P::ENTITIES;

    fn entity(&self) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        self.agent.hash(&mut hasher);
        P::ENTITIES.then(|| hasher.finish())
    }

    const ABSORBS: bool = P::MERGES;

    fn absorb(&mut self, newer: Self) -> Result<(), Self> {
        let sure = |signal: &Self| {
            signal.action.is_some() && signal.script.iter().all(Instruction::is_sure)
        };
        if !sure(self) || !sure(&newer) {
            return Err(newer);
        }
        self.script.extend(newer.script);
        self.merged.push(newer.serial);
        self.merged.extend(newer.merged);
        Ok(())
    }
}
