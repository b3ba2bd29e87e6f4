//! From a signal's type to the action that it causes.

use std::collections::BTreeMap;

use super::instruction::Instruction;
use super::place::Place;
use super::signal::{Params, Signal};
use super::tree::Tree;

/// What an agent can do. The parameter `path` says where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Action {
    Set,
    Update,
    Delete,
    Reset,
    Add,
    /// The instructions that came with the signal.
    Script,
}

/// Signal types and their actions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Router {
    routes: BTreeMap<String, Action>,
}

impl Router {
    /// The types `agent.set`, `agent.update`, … for the actions of these names.
    pub(crate) fn standard() -> Self {
        let mut router = Self::default();
        for (kind, action) in [
            ("agent.set", Action::Set),
            ("agent.update", Action::Update),
            ("agent.delete", Action::Delete),
            ("agent.reset", Action::Reset),
            ("agent.add", Action::Add),
            ("agent.script", Action::Script),
        ] {
            router.route(kind, action);
        }
        router
    }

    /// Signals of this type cause this action from now on.
    pub(crate) fn route(&mut self, kind: &str, action: Action) {
        self.routes.insert(kind.to_owned(), action);
    }

    /// The action of a type.
    pub(crate) fn action(&self, kind: &str) -> Option<Action> {
        self.routes.get(kind).copied()
    }

    /// A signal that carries one value: what to set, to merge, to add.
    pub(crate) fn signal<P: Place>(
        &self,
        serial: u64,
        agent: u64,
        kind: &str,
        params: &[(&str, &str)],
        value: Tree,
    ) -> Signal<P> {
        let params = Params::normalised(params);
        let path = params.get("path").unwrap_or_default().to_owned();
        let action = self.action(kind);
        let instruction = match (action, &value) {
            (Some(Action::Set), _) => Some(Instruction::Set { path, value }),
            (Some(Action::Update), _) => Some(Instruction::Update { path, with: value }),
            (Some(Action::Delete), _) => Some(Instruction::Delete { path }),
            (Some(Action::Reset), _) => Some(Instruction::Reset { path }),
            (Some(Action::Add), Tree::Number(amount)) => {
                Some(Instruction::Add { path, amount: *amount })
            }
            // A sum with something else is the handler's to refuse.
            (Some(Action::Add), _) => Some(Instruction::Expect { path, value }),
            (Some(Action::Script) | None, _) => None,
        };
        let script = instruction.into_iter().collect();
        Signal::new(serial, agent, kind, action, params, script)
    }

    /// A signal that carries its own instructions.
    pub(crate) fn script<P: Place>(
        &self,
        serial: u64,
        agent: u64,
        params: &[(&str, &str)],
        script: Vec<Instruction>,
    ) -> Signal<P> {
        let params = Params::normalised(params);
        let kind = "agent.script";
        Signal::new(serial, agent, kind, self.action(kind), params, script)
    }
}
