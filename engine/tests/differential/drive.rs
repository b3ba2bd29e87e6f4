//! A stream through an engine.

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use engine::testing::{Flushing, Stepped};
use engine::{Engine, Grouping, Producer, PushError, Retry, Shards, Sizing, Snapshot, Ticket};

use crate::agent::brain::{Brain, Style};
use crate::agent::instruction::{Fault, Halt};
use crate::agent::place::Place;
use crate::agent::router::{Action, Router};
use crate::agent::signal::{Key, Params, Signal};
use crate::agent::world::{Reply, Shared};
use crate::stream::{Keeps, Op, Sent, Settings, Stream, params};
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
    /// Whether everything that is settled has its effects.
    flushes_show: bool,
    /// Requests since the last turn.
    asked: usize,
    broken: Option<String>,
}

/// Sends a stream through an engine of so many shards.
pub(crate) fn drive<P: Place>(stream: &Stream, sizing: Sizing, shards: usize) -> Driven {
    let mut drive = Drive::<P>::new(stream, sizing, shards);
    for op in &stream.ops {
        drive.op(op);
    }
    drive.end()
}

impl<P: Place> Drive<P> {
    fn new(stream: &Stream, sizing: Sizing, shards: usize) -> Self {
        let settings = &stream.settings;
        let world = Shared::beginning_with(initial());
        let (of, style) = (world.clone(), settings.style);
        let mut builder = Engine::builder(move |_| Brain::with_style(of.clone(), style))
            .shards(Shards::Count(shards))
            .lanes(settings.lanes)
            .handle_lanes(0)
            .lane_items(settings.lane_items)
            .lane_marks(if settings.is_long() { 1_024 } else { 64 })
            .drain_items(settings.drain_items)
            .flush_after(settings.flush_after)
            .sizing(sizing)
            .open_keys(64)
            .open_items(settings.open_items)
            .after_panic(settings.after_panic);
        match settings.keeps {
            Keeps::Queues => {
                let attempts = Retry::attempts(settings.attempts);
                builder = builder
                    .queues(true)
                    .replies_max(if settings.is_long() { 8_192 } else { 256 })
                    .retry(Retry { first: Duration::from_micros(50), ..attempts })
                    .held_items_max(settings.held_items_max)
                    .follow_ups(settings.per_item, settings.depth)
                    .isolate_poisoned(settings.style == Style::All);
            }
            Keeps::Batches => {}
            // What windows are compared with has none.
            Keeps::Windows if sizing == Sizing::Single => {}
            Keeps::Windows => builder = builder.grouping(Grouping::Windowed { items: 1_024 }),
        }
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
            flushes_show: stream.effects_show(),
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
                    self.breaks(format!("a step handled {} signals", after - before));
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
                self.breaks(format!("#{} is refused: {refused}", sent.serial));
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
        if !self.settings.has_queues() {
            return;
        }
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

    /// Something did not hold. What comes after the first such thing may only follow from it.
    fn breaks(&mut self, what: impl Into<String>) {
        self.broken.get_or_insert(what.into());
    }

    /// Whether something did not hold already.
    fn is_broken(&self) -> bool {
        self.broken.is_some() || !self.world.look().miscounted.is_empty()
    }

    /// Many more than it takes to drain all that was sent item by item, and to hand each over alone.
    fn turns_max(&self) -> usize {
        2_000 + 4 * self.sent.len()
    }

    fn settle(&mut self) {
        for turns in 0.. {
            if self.is_broken() || !self.turn() {
                break;
            }
            if turns == self.turns_max() {
                self.breaks("turns do not come to an end");
                break;
            }
        }
    }

    /// A flush is complete when everything is settled that was sent before it.
    fn hear_flushes(&mut self) {
        let world = self.world.look();
        for flush in &mut self.flushes {
            while let Some(outcome) = flush.flushing.outcome() {
                flush.failed |= outcome.is_err();
                flush.left = flush.left.saturating_sub(1);
                if flush.left > 0 || flush.failed || !self.flushes_show {
                    continue;
                }
                for serial in &flush.before {
                    let effects = world.effects.values().flatten();
                    let mut tries = effects.filter(|effect| effect.serial == *serial);
                    let is_last = |came: &Result<(), Halt>, attempt: u32| {
                        !matches!(came, Err(Halt::Retry(_))) || attempt == self.settings.attempts
                    };
                    if !tries.any(|effect| is_last(&effect.came, effect.attempt)) {
                        let early = format!("a flush was complete before #{serial}");
                        self.broken.get_or_insert(early);
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
                    self.breaks("deadlines do not come to an end");
                    break;
                }
            }
            let open = self.flushes.iter().filter(|flush| flush.left > 0).count();
            if open > 0 {
                self.breaks(format!("{open} flushes are not complete at rest"));
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
        for _ in 0..self.turns_max() {
            if self.is_broken() {
                break;
            }
            self.engine.turn();
        }
        let miscounted = self.world.look().miscounted.first().copied();
        if let Some((serial, attempt)) = miscounted {
            self.breaks(format!("#{serial}: the engine says that it is attempt {attempt}"));
        }
        let left = self.engine.snapshot();
        self.push_after_the_close();
        let last = if left.accepted == left.done + left.failed + left.dead {
            self.engine.shutdown()
        } else {
            self.breaks(format!("the shutdown does not finish: {left}"));
            left
        };
        if rested && self.world.look().calls.len() != calls {
            let left = "at rest, something was left to the shutdown".to_owned();
            self.broken.get_or_insert(left);
        }
        if !rested {
            let tickets = std::mem::take(&mut self.tickets);
            answers = tickets.into_iter().map(|(serial, ticket)| (serial, ticket.wait())).collect();
        }
        let world = self.world.look();
        let (states, effects) = (world.states.clone(), world.effects.clone());
        let attempts = world.attempts.clone();
        let (done, failed, dead) = (last.done, last.failed, last.dead);
        let came = Came { states, effects, attempts, answers, done, failed, dead };
        drop(world);
        Driven { came, last, broken: self.broken }
    }

    /// What comes too late goes back to whoever pushed it.
    fn push_after_the_close(&mut self) {
        let late = self.sent.iter().take(8).map(|sent| sent.signal::<P>(&self.router));
        for (at, signal) in late.collect::<Vec<_>>().into_iter().enumerate() {
            let (serial, lane) = (signal.serial, at % self.producers.len());
            match self.producers[lane].try_push(signal) {
                Err(PushError::Closed(back)) if back.serial == serial => {}
                other => self.breaks(format!("#{serial} after the close: {other:?}")),
            }
        }
    }

    fn answers(&mut self) -> BTreeMap<u64, crate::agent::brain::Answer> {
        let tickets = std::mem::take(&mut self.tickets);
        tickets.into_iter().map(|(serial, ticket)| (serial, ticket.wait())).collect()
    }
}
