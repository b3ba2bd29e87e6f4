//! A stream through an engine.

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use engine::testing::{Flushing, Stepped};
use engine::{Engine, Producer, PushError, Retry, Shards, Sizing, Snapshot, Ticket};

use crate::agent::brain::{Brain, Style};
use crate::agent::instruction::{Fault, Halt};
use crate::agent::place::Place;
use crate::agent::router::{Action, Router};
use crate::agent::signal::{Key, Params, Signal};
use crate::agent::world::{Reply, Shared};
use crate::stream::{Op, Sent, Settings, Stream, params};
use crate::twin::{Came, initial};

/// The same for every engine, so that a seed comes out the same.
type Hasher = BuildHasherDefault<DefaultHasher>;

/// What came of a stream, and the engine's own account.
#[derive(Debug)]
pub(crate) struct Driven {
    pub(crate) came: Came,
    pub(crate) last: Snapshot,
    /// A check on the way that did not hold.
    pub(crate) broken: Option<String>,
}

/// A flush under way.
struct Flush {
    flushing: Flushing,
    /// Shards that must say that they are through.
    left: usize,
    /// The signals that were sent before.
    before: Vec<u64>,
    failed: bool,
}

struct Drive<P: Place> {
    settings: Settings,
    router: Router,
    world: Shared,
    engine: Stepped<Brain<P>, Hasher>,
    producers: Vec<Producer<Signal<P>, Reply, Fault, Hasher>>,
    tickets: BTreeMap<u64, Ticket<Reply, Fault>>,
    sent: Vec<Sent>,
    flushes: Vec<Flush>,
    /// Requests since the last turn.
    asked: usize,
    broken: Option<String>,
}

/// Sends a stream through an engine of so many shards.
pub(crate) fn drive<P: Place>(stream: &Stream, sizing: Sizing, shards: usize) -> Driven {
    let mut drive = Drive::<P>::new(&stream.settings, sizing, shards);
    for op in &stream.ops {
        drive.op(op);
    }
    drive.end()
}

impl<P: Place> Drive<P> {
    fn new(settings: &Settings, sizing: Sizing, shards: usize) -> Self {
        let world = Shared::beginning_with(initial());
        let (of, style) = (world.clone(), settings.style);
        let mut builder = Engine::builder(move |_| Brain::with_style(of.clone(), style))
            .shards(Shards::Count(shards))
            .lanes(settings.lanes)
            .handle_lanes(0)
            .lane_items(settings.lane_items)
            .lane_marks(64)
            .drain_items(settings.drain_items)
            .flush_after(settings.flush_after)
            .sizing(sizing)
            .queues(true)
            .replies_max(256)
            .retry(Retry { first: Duration::from_micros(50), ..Retry::attempts(settings.attempts) })
            .held_items_max(settings.held_items_max)
            .follow_ups(settings.per_item, settings.depth)
            .isolate_poisoned(settings.style == Style::All)
            .open_keys(64)
            .open_items(settings.open_items)
            .after_panic(settings.after_panic);
        if let Some(items) = settings.key_items_max {
            builder = builder.key_items_max(items);
        }
        let engine = Stepped::new(builder.hasher(Hasher::default())).expect("allowed settings");
        let producers =
            (0..settings.lanes).map(|_| engine.producer().expect("a lane is free")).collect();
        Self {
            settings: settings.clone(),
            router: Router::standard(),
            world,
            engine,
            producers,
            tickets: BTreeMap::new(),
            sent: Vec::new(),
            flushes: Vec::new(),
            asked: 0,
            broken: None,
        }
    }

    fn op(&mut self, op: &Op) {
        match op {
            Op::Send(sent) => self.send(sent),
            Op::Turn => {
                self.turn();
            }
            Op::Settle => self.settle(),
            Op::Advance(us) => self.engine.advance(Duration::from_micros(*us)),
            Op::Pause { agent, param } => self.with_key(*agent, *param, |engine, key| {
                engine.pause(&key).expect("the engine is open");
            }),
            Op::Resume { agent, param } => self.with_key(*agent, *param, |engine, key| {
                engine.resume(&key).expect("the engine is open");
            }),
            Op::ResumeAll => self.resume_all(),
            Op::Flush { agent, param } => self.flush(*agent, *param),
            Op::FlushLane(lane) => {
                while self.producers[*lane].flush().is_err() {
                    self.relieve();
                }
            }
            Op::Step => {
                let before: u32 = self.world.look().tries.values().sum();
                self.engine.step();
                let after: u32 = self.world.look().tries.values().sum();
                if after - before > 1 {
                    self.broken = Some(format!("a step handled {} signals", after - before));
                }
            }
        }
    }

    fn with_key<A>(
        &mut self,
        agent: u64,
        param: u64,
        ask: impl FnOnce(&mut Stepped<Brain<P>, Hasher>, Key<'_>) -> A,
    ) -> A {
        // The shards' mailboxes are small.
        self.asked += 1;
        if self.asked > 8 {
            self.turn();
        }
        let params: Params = params(param);
        let agent = (!P::BY_AGENT).then_some(agent);
        let key = Key { action: Some(Action::Script), params: &params, agent };
        ask(&mut self.engine, key)
    }

    fn send(&mut self, sent: &Sent) {
        let mut signal = sent.signal::<P>(&self.router);
        let lane = sent.agent as usize % self.producers.len();
        for tries in 0.. {
            let producer = &mut self.producers[lane];
            let refused = if sent.call {
                match producer.try_call(signal) {
                    Ok(ticket) => {
                        self.tickets.insert(sent.serial, ticket);
                        break;
                    }
                    Err(refused) => refused,
                }
            } else {
                match producer.try_push(signal) {
                    Ok(()) => break,
                    Err(refused) => refused,
                }
            };
            if !matches!(refused, PushError::Full(_)) || tries > 100 {
                self.broken = Some(format!("#{} is refused: {refused}", sent.serial));
                return;
            }
            signal = refused.into_inner();
            self.relieve();
        }
        self.sent.push(sent.clone());
    }

    /// Makes room in the lanes.
    fn relieve(&mut self) {
        self.resume_all();
        self.settle();
        self.pass_to_the_next_deadline();
    }

    fn resume_all(&mut self) {
        self.asked += 1;
        if self.asked > 8 {
            self.turn();
        }
        self.engine.resume_all().expect("the engine is open");
    }

    fn flush(&mut self, agent: u64, param: u64) {
        let is_of_it = |sent: &&Sent| {
            sent.param == param && !sent.unknown && (P::BY_AGENT || sent.agent == agent)
        };
        let before = self.sent.iter().filter(is_of_it).map(|sent| sent.serial).collect();
        let flushing =
            self.with_key(agent, param, |engine, key| engine.flush(&key).expect("it is open"));
        let left = if P::BY_AGENT { self.engine.plan().shards() } else { 1 };
        self.flushes.push(Flush { flushing, left, before, failed: false });
    }

    fn turn(&mut self) -> bool {
        self.asked = 0;
        let worked = self.engine.turn();
        self.hear_flushes();
        worked
    }

    /// Whether something did not hold already; what comes after that says nothing.
    fn is_broken(&self) -> bool {
        self.broken.is_some() || !self.world.look().miscounted.is_empty()
    }

    fn settle(&mut self) {
        for turns in 0.. {
            if self.is_broken() || !self.turn() {
                break;
            }
            if turns == 2_000 {
                self.broken = Some("turns do not come to an end".to_owned());
                break;
            }
        }
    }

    /// A flush is complete when everything is settled that was sent before it.
    fn hear_flushes(&mut self) {
        let certain = self.settings.key_items_max.is_none()
            && !P::MERGES
            && self.settings.style != Style::All;
        let world = self.world.look();
        for flush in &mut self.flushes {
            while let Some(outcome) = flush.flushing.outcome() {
                flush.failed |= outcome.is_err();
                flush.left = flush.left.saturating_sub(1);
                if flush.left > 0 || flush.failed || !certain {
                    continue;
                }
                for serial in &flush.before {
                    let effects = world.effects.values().flatten();
                    let mut tries = effects.filter(|effect| effect.serial == *serial);
                    let is_last = |came: &Result<(), Halt>, attempt: u32| {
                        !matches!(came, Err(Halt::Retry(_))) || attempt == self.settings.attempts
                    };
                    if !tries.any(|effect| is_last(&effect.came, effect.attempt)) {
                        self.broken = Some(format!("a flush was complete before #{serial}"));
                    }
                }
            }
        }
    }

    /// Moves the clock on to where there is something to do; says whether there is.
    fn pass_to_the_next_deadline(&mut self) -> bool {
        let Some(next) = self.engine.next_deadline() else { return false };
        let wait = next.saturating_sub(self.engine.now());
        self.engine.advance(Duration::from(wait).max(Duration::from_nanos(1)));
        true
    }

    fn end(mut self) -> Driven {
        if !self.settings.ends_midway {
            self.resume_all();
            for rounds in 0.. {
                self.settle();
                if self.is_broken() || !self.pass_to_the_next_deadline() {
                    break;
                }
                if rounds == 1_000 {
                    self.broken = Some("deadlines do not come to an end".to_owned());
                    break;
                }
            }
            let open = self.flushes.iter().filter(|flush| flush.left > 0).count();
            if open > 0 {
                self.broken = Some(format!("{open} flushes are not complete at rest"));
            }
        }
        // What is not settled without a shutdown must not be by one, where it came to rest.
        let mut answers = BTreeMap::new();
        let rested = !self.settings.ends_midway;
        if rested {
            answers = self.answers();
        }
        let calls = self.world.look().calls.len();
        self.engine.close();
        for _ in 0..2_000 {
            if self.is_broken() {
                break;
            }
            self.engine.turn();
        }
        let left = self.engine.snapshot();
        let last = if left.accepted == left.done + left.failed + left.dead {
            self.engine.shutdown()
        } else {
            self.broken = Some(format!("the shutdown does not finish: {left}"));
            left
        };
        if rested && self.world.look().calls.len() != calls {
            self.broken = Some("at rest, something was left to the shutdown".to_owned());
        }
        if !rested {
            let tickets = std::mem::take(&mut self.tickets);
            answers = tickets.into_iter().map(|(serial, ticket)| (serial, ticket.wait())).collect();
        }
        let world = self.world.look();
        if let Some((serial, attempt)) = world.miscounted.first() {
            self.broken = Some(format!("#{serial}: the engine says that it is attempt {attempt}"));
        }
        let (states, effects) = (world.states.clone(), world.effects.clone());
        let (done, failed, dead) = (last.done, last.failed, last.dead);
        let came = Came { states, effects, answers, done, failed, dead };
        drop(world);
        Driven { came, last, broken: self.broken }
    }

    fn answers(&mut self) -> BTreeMap<u64, crate::agent::brain::Answer> {
        let tickets = std::mem::take(&mut self.tickets);
        tickets.into_iter().map(|(serial, ticket)| (serial, ticket.wait())).collect()
    }
}
