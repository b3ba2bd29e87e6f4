//! An agent on an engine that is stepped.

use std::time::Duration;

use engine::testing::Stepped;
use engine::{Builder, Engine, Failure, Producer, Retry, Sizing, Ticket};

use crate::agent::brain::Brain;
use crate::agent::instruction::{Fault, Instruction};
use crate::agent::place::ByAgent;
use crate::agent::router::Router;
use crate::agent::signal::Signal;
use crate::agent::tree::Tree;
use crate::agent::world::{Reply, Shared};

pub(crate) type Answer = Result<Reply, Failure<Fault>>;

/// Signals that may wait for one key.
pub(crate) const QUEUE_MAX: u32 = 10_000;

pub(crate) struct Rig {
    pub(crate) router: Router,
    pub(crate) world: Shared,
    pub(crate) engine: Stepped<Brain<ByAgent>>,
    pub(crate) producer: Producer<Signal<ByAgent>, Reply, Fault>,
    serial: u64,
}

/// The agent that all tests but one speak to.
pub(crate) const AGENT: u64 = 1;

impl Rig {
    pub(crate) fn new(sizing: Sizing) -> Self {
        Self::with(sizing, |builder| builder)
    }

    pub(crate) fn with(
        sizing: Sizing,
        change: impl FnOnce(Builder<Brain<ByAgent>>) -> Builder<Brain<ByAgent>>,
    ) -> Self {
        let initial = Tree::from([("mood", Tree::from("calm")), ("seen", Tree::from(0))]);
        let world = Shared::beginning_with(initial);
        let of = world.clone();
        let builder = Engine::builder(move |_| Brain::new(of.clone()))
            .sizing(sizing)
            .lane_items(16_384)
            .lane_marks(16_384)
            .open_keys(64)
            .open_items(20_000)
            .held_items_max(20_000)
            .replies_max(16_384)
            .key_items_max(QUEUE_MAX)
            .retry(Retry::attempts(3))
            .follow_ups(3, 2);
        let engine = Stepped::new(change(builder)).expect("allowed settings");
        let producer = engine.producer().expect("a lane is free");
        Self { router: Router::standard(), world, engine, producer, serial: 0 }
    }

    /// Calls with a signal of this type, about this path.
    pub(crate) fn call(&mut self, kind: &str, path: &str, value: Tree) -> Ticket<Reply, Fault> {
        self.serial += 100_000;
        let params = [("path", path)];
        let signal = self.router.signal(self.serial, AGENT, kind, &params, value);
        self.producer.call(signal).expect("there is room")
    }

    /// Calls with a list of instructions.
    pub(crate) fn script(&mut self, script: Vec<Instruction>) -> Ticket<Reply, Fault> {
        self.script_to(AGENT, script)
    }

    pub(crate) fn script_to(
        &mut self,
        agent: u64,
        script: Vec<Instruction>,
    ) -> Ticket<Reply, Fault> {
        self.serial += 100_000;
        let signal = self.router.script(self.serial, agent, &[], script);
        self.producer.call(signal).expect("there is room")
    }

    /// Until nothing is left to do, however long that takes.
    pub(crate) fn rest(&mut self) {
        self.engine.settle();
        while let Some(next) = self.engine.next_deadline() {
            let wait = Duration::from(next.saturating_sub(self.engine.now()));
            self.engine.advance(wait.max(Duration::from_nanos(1)));
            self.engine.settle();
        }
    }

    /// What comes of a call.
    pub(crate) fn answer(&mut self, ticket: Ticket<Reply, Fault>) -> Answer {
        self.rest();
        ticket.wait()
    }

    /// What is there in the agent's state.
    pub(crate) fn at(&self, path: &str) -> Option<Tree> {
        let world = self.world.look();
        let home = world.states.keys().find(|home| home.agent == AGENT);
        home.map_or(&world.initial, |home| &world.states[home]).get(path).cloned()
    }

    /// The signals that are done, as the numbers that they added to the path `order`.
    pub(crate) fn handled(&self) -> Vec<u64> {
        let world = self.world.look();
        let effects = world.effects.values().flatten();
        effects.filter(|effect| effect.came.is_ok()).map(|effect| effect.serial).collect()
    }
}

pub(crate) fn add(path: &str, amount: i64) -> Instruction {
    Instruction::Add { path: path.to_owned(), amount }
}

pub(crate) fn set(path: &str, value: Tree) -> Instruction {
    Instruction::Set { path: path.to_owned(), value }
}
