//! Random streams of signals, and what an engine is told while they pass.

use std::fmt;
use std::time::Duration;

use engine::{AfterPanic, Sizing, Tiers};

use crate::agent::brain::Style;
use crate::agent::instruction::Instruction;
use crate::agent::place::Place;
use crate::agent::router::Router;
use crate::agent::signal::{Directive, Params, Signal};
use crate::agent::tree::Tree;
use crate::dice::Dice;

/// Where states live, and whether signals merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Places {
    ByAgent,
    ByKey,
    Merging,
}

/// What brings a shard's items together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// A queue for each key, and everything that needs one.
    Queues,
    /// A batch for each key, and nothing else: a plain engine.
    Batches,
    /// Windows.
    Windows,
}

/// The settings of one engine, but for sizing and shards.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) keeps: Keeps,
    pub(crate) places: Places,
    pub(crate) style: Style,
    /// What is compared with batches of one.
    pub(crate) sizing: Sizing,
    pub(crate) shards: usize,
    pub(crate) lanes: usize,
    pub(crate) lane_items: usize,
    pub(crate) drain_items: usize,
    pub(crate) flush_after: Duration,
    pub(crate) attempts: u32,
    pub(crate) held_items_max: u32,
    pub(crate) key_items_max: Option<u32>,
    pub(crate) per_item: u32,
    pub(crate) depth: u16,
    pub(crate) open_items: usize,
    pub(crate) after_panic: AfterPanic,
    /// Follow-ups go onto other keys, too.
    pub(crate) abroad: bool,
    /// They only add up, on one shard.
    pub(crate) adding: bool,
    /// It is shut down where the operations end, and not first let come to rest.
    pub(crate) ends_midway: bool,
}

/// One signal to be sent.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) serial: u64,
    pub(crate) agent: u64,
    pub(crate) param: u64,
    /// Its type has no action.
    pub(crate) unknown: bool,
    pub(crate) script: Vec<Instruction>,
    /// Its answer is waited for.
    pub(crate) call: bool,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { serial, agent, param, unknown, script, call } = self;
        let how = if *call { "call" } else { "push" };
        let unknown = if *unknown { " unknown" } else { "" };
        write!(f, "{how}{unknown} #{serial} agent {agent} param {param} {script:?}")
    }
}

/// The parameters of this number.
pub(crate) fn params(param: u64) -> Params {
    Params::normalised(&[("path", &format!("p{param}"))])
}

impl Sent {
    pub(crate) fn signal<P: Place>(&self, router: &Router) -> Signal<P> {
        let kind = if self.unknown { "agent.unheard-of" } else { "agent.script" };
        let Self { serial, agent, script, .. } = self.clone();
        Signal::new(serial, agent, kind, router.action(kind), params(self.param), script)
    }
}

/// What is done next.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Send(Sent),
    Turn,
    Settle,
    /// So many µs pass.
    Advance(u64),
    Pause {
        agent: u64,
        param: u64,
    },
    Resume {
        agent: u64,
        param: u64,
    },
    ResumeAll,
    /// A key's, which has a completion.
    Flush {
        agent: u64,
        param: u64,
    },
    /// A lane's.
    FlushLane(usize),
    Step,
}

/// Names of signals that are sent are multiples of this, and those of what they cause never are.
const ROOT: u64 = 1 << 20;

/// A whole run.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) settings: Settings,
    pub(crate) ops: Vec<Op>,
}

impl Stream {
    pub(crate) fn of_seed(seed: u64, keeps: Keeps) -> Self {
        let mut dice = Dice::new(seed);
        let settings = Settings::random(&mut dice, keeps);
        // Enough of one key to fill a large batch, and lanes deep enough for the upper rows.
        let burst = if settings.is_long() { 150 } else { 6 };
        let (agents, keys) = (1 + dice.below(4), 1 + dice.below(3));
        let mut ops = Vec::new();
        let mut serial = 0;
        for _ in 0..4 + dice.below(28) {
            let (agent, param) = (dice.below(agents), dice.below(keys));
            let op = match dice.below(24) {
                0..=1 => Op::Turn,
                2 => Op::Settle,
                3..=4 => Op::Advance(dice.one_of(&[1, 90, 5_000, 11_000])),
                8 => Op::FlushLane(agent as usize % settings.lanes),
                5 if settings.has_queues() => Op::Pause { agent, param },
                6 if settings.has_queues() => Op::Resume { agent, param },
                7 if settings.has_queues() => Op::Flush { agent, param },
                9 if settings.has_queues() && dice.once_in(3) => Op::Step,
                10 if settings.has_queues() && dice.once_in(2) => Op::ResumeAll,
                _ => {
                    // Several of one key are what makes a batch.
                    for _ in 0..dice.below(burst) {
                        serial += ROOT;
                        ops.push(Op::Send(sent(&mut dice, &settings, serial, agent, param, keys)));
                    }
                    serial += ROOT;
                    Op::Send(sent(&mut dice, &settings, serial, agent, param, keys))
                }
            };
            ops.push(op);
        }
        Self { settings, ops }
    }

    /// The signals, in the order in which they are sent.
    pub(crate) fn sent(&self) -> impl Iterator<Item = &Sent> {
        self.ops.iter().filter_map(|op| match op {
            Op::Send(sent) => Some(sent),
            _ => None,
        })
    }

    /// Whether what comes of each signal is the same however the batches are cut: not where an answer
    /// depends on how many wait at the moment, on how many attempts a shutdown cuts off, on who is in
    /// one call with a signal that crashes it, or on what other keys have done so far.
    pub(crate) fn is_certain(&self) -> bool {
        let flaky = self.has(&|instruction| matches!(instruction, Instruction::Flaky { .. }));
        let enqueues = self.has(&|instruction| matches!(instruction, Instruction::Enqueue(_)));
        self.settings.key_items_max.is_none()
            && !(self.settings.ends_midway && flaky && self.settings.attempts > 1)
            && !self.crashes_neighbours()
            && !(self.settings.abroad && enqueues)
    }

    /// Whether the states come out the same in whatever order the signals are handled.
    pub(crate) fn commutes(&self) -> bool {
        let adds = |instruction: &Instruction| match instruction {
            Instruction::Add { path, .. } => path == "sum",
            Instruction::Enqueue(_) => true,
            _ => false,
        };
        self.settings.shards == 1
            && self.settings.key_items_max.is_none()
            && self.settings.style == Style::Each
            && !self.has(&|instruction| !adds(instruction))
    }

    /// Whether each signal has effects of its own.
    pub(crate) fn tells_effects(&self) -> bool {
        self.settings.style != Style::All && self.settings.places != Places::Merging
    }

    /// Whether a signal that is settled has an effect.
    pub(crate) fn effects_show(&self) -> bool {
        self.tells_effects() && self.settings.key_items_max.is_none() && !self.crashes_neighbours()
    }

    /// Whether a signal may fail since another one in its call has crashed it.
    pub(crate) fn crashes_neighbours(&self) -> bool {
        self.settings.style == Style::Bulk
            && self.has(&|instruction| *instruction == Instruction::Crash)
    }

    /// Whether there is such an instruction anywhere.
    fn has(&self, is_it: &dyn Fn(&Instruction) -> bool) -> bool {
        self.sent().any(|sent| any(&sent.script, is_it))
    }
}

fn any(script: &[Instruction], is_it: &dyn Fn(&Instruction) -> bool) -> bool {
    script.iter().any(|instruction| match instruction {
        Instruction::Enqueue(directive) => is_it(instruction) || any(&directive.script, is_it),
        other => is_it(other),
    })
}

fn sizing(dice: &mut Dice) -> Sizing {
    let tiers = Tiers::new(&[(2, 3), (5, 8), (20, 30)]).expect("rising rows");
    match dice.below(6) {
        0 => Sizing::Fixed(2),
        1 => Sizing::Fixed(100),
        2 => Sizing::Tiers(tiers),
        3 => Sizing::Fixed(3 + dice.below(5) as u32),
        _ => Sizing::default(),
    }
}

impl Settings {
    fn random(dice: &mut Dice, keeps: Keeps) -> Self {
        let queues = keeps == Keeps::Queues;
        let places = dice.one_of(&[
            Places::ByAgent,
            Places::ByAgent,
            Places::ByKey,
            Places::ByKey,
            Places::Merging,
        ]);
        let places = if queues { places } else { Places::ByKey };
        let style = match places {
            Places::Merging => Style::Each,
            // Nobody tells the bad from the good there.
            _ if !queues => dice.one_of(&[Style::Each, Style::Bulk]),
            _ => dice.one_of(&[Style::Each, Style::Each, Style::Bulk, Style::All]),
        };
        let long = dice.once_in(100);
        let sizing = match sizing(dice) {
            Sizing::Tiers(_) if keeps == Keeps::Windows => Sizing::Fixed(10),
            other => other,
        };
        let abroad = queues && places == Places::ByKey && style == Style::Each && dice.once_in(4);
        let adding = abroad && dice.once_in(2);
        let (lane_items, open_items) = match long {
            true => (1_024, 4_096),
            false => (dice.one_of(&[4, 64, 64]), dice.one_of(&[20, 256])),
        };
        Self {
            keeps,
            places,
            style,
            sizing,
            shards: if adding { 1 } else { 1 + dice.below(4) as usize },
            abroad,
            adding,
            lanes: 1 + dice.below(3) as usize,
            lane_items,
            drain_items: dice.one_of(&[1, 3, 1_024]),
            flush_after: Duration::from_micros(dice.one_of(&[1, 100, 10_000])),
            attempts: if style == Style::All || !queues { 1 } else { 1 + dice.below(4) as u32 },
            held_items_max: dice.one_of(&[1, 2, 1_000]),
            key_items_max: (queues && dice.once_in(8)).then(|| 1 + dice.below(5) as u32),
            per_item: if queues { dice.below(4) as u32 } else { 0 },
            depth: 1 + dice.below(3) as u16,
            open_items,
            after_panic: dice.one_of(&[AfterPanic::Rebuild, AfterPanic::Keep]),
            ends_midway: dice.once_in(3),
        }
    }

    pub(crate) fn has_queues(&self) -> bool {
        self.keeps == Keeps::Queues
    }

    /// Whether lanes and batches are to fill.
    pub(crate) fn is_long(&self) -> bool {
        self.lane_items > 64
    }
}

/// A random signal.
fn sent(
    dice: &mut Dice,
    settings: &Settings,
    serial: u64,
    agent: u64,
    param: u64,
    keys: u64,
) -> Sent {
    let unknown = settings.places != Places::Merging && dice.once_in(25);
    let param = if dice.once_in(4) { dice.below(keys) } else { param };
    let script = match settings.places {
        Places::Merging => (0..1 + dice.below(3)).map(|_| sure(dice)).collect(),
        _ => script(dice, settings, param, keys, 0),
    };
    Sent { serial, agent, param, unknown, script, call: settings.has_queues() && dice.once_in(4) }
}

fn path(dice: &mut Dice) -> String {
    dice.one_of(&["a", "b", "a.x", "a.y", "a.x.deep", "seed.kept"]).to_owned()
}

/// One that never fails.
fn sure(dice: &mut Dice) -> Instruction {
    let path = path(dice);
    match dice.below(5) {
        0 => Instruction::Delete { path },
        1 => Instruction::Reset { path },
        2 => Instruction::Update { path, with: Tree::from([("x", (dice.below(9) as i64).into())]) },
        _ => Instruction::Set { path, value: Tree::from(dice.below(9) as i64) },
    }
}

fn script(
    dice: &mut Dice,
    settings: &Settings,
    param: u64,
    keys: u64,
    depth: u16,
) -> Vec<Instruction> {
    let mut script = Vec::new();
    for _ in 0..1 + dice.below(3) {
        script.push(match dice.below(14) {
            instruction if settings.adding && !(7..=8).contains(&instruction) => {
                Instruction::Add { path: "sum".to_owned(), amount: 1 + dice.below(5) as i64 }
            }
            0..=2 => Instruction::Add { path: path(dice), amount: 1 + dice.below(5) as i64 },
            3 => Instruction::Copy { from: path(dice), to: path(dice) },
            4 => Instruction::Expect { path: path(dice), value: Tree::from(1) },
            5 if dice.once_in(2) => Instruction::Crash,
            6 if settings.style != Style::All => Instruction::Flaky { times: dice.below(5) as u32 },
            7..=8 if settings.style == Style::Each && depth < 4 => {
                // Onto the own key, or where an agent is an entity, any of its keys.
                let any = settings.places == Places::ByAgent || settings.abroad;
                let param = if any { dice.below(keys) } else { param };
                let script = self::script(dice, settings, param, keys, depth + 1);
                Instruction::Enqueue(Directive { params: params(param), script })
            }
            _ => sure(dice),
        });
    }
    script
}
