//! An agent on an engine that is stepped.
//!
//! On an engine of several shards the agent has a double on each of the others. Whatever it is sent, they are
//! sent too, and whatever is asked of it must be the same of all: so a test speaks of one agent, and holds on
//! every shard beside the others.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::testing::{Flushing, Stepped};
use engine::{
    Builder, Engine, Failure, FlushError, Grouping, Producer, Retry, Shards, Sizing, Ticket,
};

use crate::agent::brain::{Answer, Brain};
use crate::agent::instruction::{Fault, Halt, Instruction};
use crate::agent::place::{AgentAsKey, ByAgent, Place};
use crate::agent::router::Router;
use crate::agent::signal::{Params, Signal};
use crate::agent::tree::Tree;
use crate::agent::world::{Reply, Shared, World};

/// Signals that may wait for one key, on each shard.
pub(crate) const QUEUE_MAX: u32 = 10_000;

/// What sort of engine it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    sizing: Sizing,
    grouping: Grouping,
    shards: usize,
}

impl Terms {
    pub(crate) fn new(sizing: Sizing, grouping: Grouping, shards: usize) -> Self {
        Self { sizing, grouping, shards }
    }
}

type Sender<P> = Producer<Signal<P>, Reply, Fault>;

/// What an engine does besides batches, for agents of this place.
pub(crate) trait Kind: Place + Sized {
    /// Sets it up, for so many shards.
    fn set_up(builder: Builder<Brain<Self>>, shards: usize) -> Builder<Brain<Self>>;

    /// Sends a signal; what comes of it is seen in the world, at the latest.
    fn send(sender: &mut Sender<Self>, signal: Signal<Self>, world: &Shared) -> Way;
}

impl Kind for ByAgent {
    fn set_up(builder: Builder<Brain<Self>>, shards: usize) -> Builder<Brain<Self>> {
        builder
            .held_items_max(20_000)
            .replies_max(16_384 * shards)
            .key_items_max(QUEUE_MAX)
            .retry(Retry::attempts(3))
            .follow_ups(3, 2)
    }

    fn send(sender: &mut Sender<Self>, signal: Signal<Self>, _world: &Shared) -> Way {
        Way::Answered(sender.call(signal).expect("there is room"))
    }
}

/// A plain engine: nothing is set up.
impl Kind for AgentAsKey {
    fn set_up(builder: Builder<Brain<Self>>, _shards: usize) -> Builder<Brain<Self>> {
        builder
    }

    fn send(sender: &mut Sender<Self>, signal: Signal<Self>, world: &Shared) -> Way {
        sender.push(signal).expect("there is room");
        Way::Seen(world.clone())
    }
}

/// How it is known what came of a signal.
pub(crate) enum Way {
    /// The engine says it.
    Answered(Ticket<Reply, Fault>),
    /// A plain engine answers nobody, but for its counters, which are held against the world's.
    Seen(Shared),
}

impl Way {
    fn wait(self, serial: u64) -> Answer {
        let world = match self {
            Self::Answered(ticket) => return ticket.wait(),
            Self::Seen(world) => world,
        };
        let outcome = world.look().outcomes.iter().find_map(|all| all.get(&serial).cloned());
        outcome.expect("it was handled").map_err(|halt| match halt {
            Halt::Failed(fault) => Failure::Handler(fault),
            Halt::Retry(fault) => Failure::Dead(fault),
            Halt::Crash => Failure::Panicked,
        })
    }
}

/// A signal that was sent, to the agent and to its doubles.
pub(crate) struct Call(Vec<(u64, Way)>);

impl Call {
    /// What came of it.
    pub(crate) fn wait(self) -> Answer {
        let answers = self.0.into_iter().map(|(serial, way)| {
            let mut answer = way.wait(serial);
            if let Ok(reply) = &mut answer {
                assert_eq!(std::mem::take(&mut reply.serial), serial, "its own answer");
            }
            answer
        });
        same(answers)
    }
}

/// What is the same of the agent and all its doubles.
fn same<T: PartialEq + std::fmt::Debug>(all: impl IntoIterator<Item = T>) -> T {
    let mut all = all.into_iter();
    let first = all.next().expect("there is a shard");
    all.for_each(|other| assert_eq!(first, other, "what is true of one is true of its double"));
    first
}

pub(crate) struct Rig<P: Kind> {
    pub(crate) router: Router,
    pub(crate) engine: Stepped<Brain<P>>,
    producer: Sender<P>,
    serial: u64,
    /// Of each shard.
    worlds: Vec<Shared>,
    /// The one that all tests but one speak to, and another; a double of both on each shard.
    agents: [Vec<u64>; 2],
}

impl<P: Kind> Rig<P> {
    pub(crate) fn new(terms: Terms) -> Self {
        let Terms { sizing, grouping, shards } = terms;
        let initial = Tree::from([("mood", Tree::from("calm")), ("seen", Tree::from(0))]);
        let worlds: Vec<_> = (0..shards)
            .map(|_| {
                let world = Shared::beginning_with(initial.clone());
                world.look().outcomes = Some(BTreeMap::new());
                world
            })
            .collect();
        let of = worlds.clone();
        let builder = Engine::builder(move |shard| Brain::new(of[shard.index()].clone()))
            .shards(Shards::Count(shards))
            .sizing(sizing)
            .grouping(grouping)
            .lanes(1)
            .handle_lanes(0)
            .lane_items(16_384)
            .lane_marks(16_384)
            .open_keys(64)
            .open_items(20_000);
        let engine = Stepped::new(P::set_up(builder, shards)).expect("allowed settings");
        let producer = engine.producer().expect("a lane is free");
        let (router, agents) = (Router::standard(), [vec![0; shards], vec![0; shards]]);
        let mut rig = Self { router, engine, producer, serial: 0, worlds, agents };
        rig.find_agents();
        rig
    }

    /// Sends signals to one agent after the other and looks on which shard they come out, until there are
    /// two on each. Then it never happened.
    fn find_agents(&mut self) {
        for agent in 1..1_000 {
            if self.agents.iter().flatten().all(|agent| *agent > 0) {
                return;
            }
            let serial = self.next_serial();
            let signal = self.router.script(serial, agent, &[], Vec::new());
            P::send(&mut self.producer, signal, &Shared::default());
            self.rest();
            let met = |world: &Shared| !world.look().effects.is_empty();
            let shard = self.worlds.iter().position(met).expect("it was handled");
            let mut world = self.worlds[shard].look();
            let (initial, outcomes) = (world.initial.clone(), world.outcomes.take());
            *world = World { initial, outcomes, ..World::default() };
            if let Some(free) = self.agents.iter_mut().find(|agents| agents[shard] == 0) {
                free[shard] = agent;
            }
        }
        panic!("a thousand agents leave a shard with less than two");
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 100_000;
        self.serial
    }

    /// How often there is an agent: once on each shard.
    pub(crate) fn doubles(&self) -> usize {
        self.worlds.len()
    }

    fn send(&mut self, nth: usize, signal: impl Fn(&Router, u64, u64) -> Signal<P>) -> Call {
        let sent = (0..self.doubles()).map(|shard| {
            let serial = self.next_serial();
            let signal = signal(&self.router, serial, self.agents[nth][shard]);
            (serial, P::send(&mut self.producer, signal, &self.worlds[shard]))
        });
        Call(sent.collect())
    }

    /// Calls with a signal of this type, about this path.
    pub(crate) fn call(&mut self, kind: &str, path: &str, value: Tree) -> Call {
        self.send(0, move |router, serial, agent| {
            router.signal(serial, agent, kind, &[("path", path)], value.clone())
        })
    }

    /// Calls with a list of instructions.
    pub(crate) fn script(&mut self, script: Vec<Instruction>) -> Call {
        self.send(0, move |router, serial, agent| router.script(serial, agent, &[], script.clone()))
    }

    /// The same, of another agent on the same shard.
    pub(crate) fn script_to_another(&mut self, script: Vec<Instruction>) -> Call {
        self.send(1, move |router, serial, agent| router.script(serial, agent, &[], script.clone()))
    }

    /// Until nothing is left to do, however long that takes.
    pub(crate) fn rest(&mut self) {
        self.engine.settle();
        while let Some(next) = self.engine.next_deadline() {
            let wait = Duration::from(next.saturating_sub(self.engine.now()));
            self.engine.advance(wait.max(Duration::from_nanos(1)));
            self.engine.settle();
        }
        let now = self.engine.snapshot();
        let done = |world: &Shared| {
            let world = world.look();
            let outcomes = world.outcomes.iter().flat_map(|outcomes| outcomes.values());
            outcomes.filter(|outcome| outcome.is_ok()).count() as u64
        };
        assert_eq!(now.done, self.worlds.iter().map(done).sum(), "as the agents saw it: {now}");
        assert_eq!(now.accepted, now.settled() + now.waiting(), "{now}");
    }

    /// What comes of a call.
    pub(crate) fn answer(&mut self, call: Call) -> Answer {
        self.rest();
        call.wait()
    }

    /// What is there in the agent's state.
    pub(crate) fn at(&self, path: &str) -> Option<Tree> {
        same(self.each(path))
    }

    /// The sum of what is there in the states of the agent and its doubles.
    pub(crate) fn sum(&self, path: &str) -> i64 {
        let number = |tree| match tree {
            Some(Tree::Number(number)) => number,
            None => 0,
            other => panic!("{other:?} is no number"),
        };
        self.each(path).map(number).sum()
    }

    fn each(&self, path: &str) -> impl Iterator<Item = Option<Tree>> {
        self.agents[0].iter().zip(&self.worlds).map(move |(agent, world)| {
            let home = P::home(*agent, None, &Params::default());
            world.look().state(&home).get(path).cloned()
        })
    }

    /// Whether every agent's signals were done in the order in which they were sent.
    pub(crate) fn is_in_order(&self) -> bool {
        self.worlds.iter().all(|world| {
            let world = world.look();
            world.effects.values().all(|effects| {
                let done = effects.iter().filter(|effect| effect.came.is_ok());
                done.map(|effect| effect.serial).is_sorted()
            })
        })
    }

    /// Whether the engine counts attempts otherwise than the agents do.
    pub(crate) fn is_miscounted(&self) -> bool {
        self.worlds.iter().any(|world| !world.look().miscounted.is_empty())
    }
}

/// What was heard of a flush since the last time.
pub(crate) fn outcomes(flushing: &Flushing) -> Vec<Result<(), FlushError>> {
    std::iter::from_fn(|| flushing.outcome()).collect()
}

pub(crate) fn add(path: &str, amount: i64) -> Instruction {
    Instruction::Add { path: path.to_owned(), amount }
}

pub(crate) fn set(path: &str, value: Tree) -> Instruction {
    Instruction::Set { path: path.to_owned(), value }
}
