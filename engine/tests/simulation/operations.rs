//! One engine with operations, from its first item to its end.
//!
//! What the ledger holds against it after each step: every accepted item is settled once, and dropped once;
//! items of one producer and one domain are taken up in order, across retries, detached batches and
//! follow-ups; nothing is taken up that is paused, has expired, backs off, or is away; attempts are counted;
//! batches are of one key, no larger and no heavier than they may be; no two items bear one name; whoever
//! waits for an item is told what became of it, and those tried too often are dead letters. Where batches are
//! decided as one, nobody fails for what another has done. A key has as many items as it may, and no item is
//! refused while it has fewer. What an observer hears adds up to what the snapshot
//! says.

mod heard;
mod job;
mod ledger;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::testing::Stepped;
use engine::{
    AfterPanic, BatchEvent, DeadLetter, Engine, Nanos, Order, Patience, Producer, PushError, Retry,
    Shards, Sizing, Ticket, Tickets,
};

use crate::dice::Dice;
use crate::seeded::Seeded;
use heard::Heard;
use job::{ABSORBS, Away, Doer, ENTITIES, EXPIRES, Job, Key, LEDGER, WEIGHS};
use ledger::{Final, Ledger, Terms};

/// A run of the kind that its seed says.
pub(crate) fn run(seed: u64) -> u64 {
    match seed % 6 {
        0 => Run::<0>::new(seed).go_to_the_end(),
        1 => Run::<{ EXPIRES | WEIGHS }>::new(seed).go_to_the_end(),
        2 => Run::<ENTITIES>::new(seed).go_to_the_end(),
        3 => Run::<{ ENTITIES | EXPIRES | WEIGHS }>::new(seed).go_to_the_end(),
        4 => Run::<{ ABSORBS | EXPIRES | WEIGHS }>::new(seed).go_to_the_end(),
        _ => Run::<{ ABSORBS | ENTITIES }>::new(seed).go_to_the_end(),
    }
}

type Entrance<const CAN: u8> = Producer<Job<CAN>, u64, &'static str, Seeded>;

struct Run<const CAN: u8> {
    dice: Dice,
    engine: Stepped<Doer<CAN>, Seeded>,
    producers: Vec<Entrance<CAN>>,
    tickets: Vec<(u64, Ticket<u64, &'static str>)>,
    routes: Vec<(Vec<u64>, Tickets<u64, &'static str>)>,
    away: Away<CAN>,
    heard: Arc<Mutex<Heard>>,
    keys: u64,
    /// There is room for all of them.
    ample: bool,
    retries: u32,
    detaches: bool,
    follow_ups: u32,
    waived: bool,
    isolates: bool,
    /// Requests since the last turn: the shards' mailboxes are small.
    asked: u32,
    steps: u64,
}

/// Replies that may be on their way.
const REPLIES: usize = 64;

fn sizing(dice: &mut Dice) -> (Sizing, usize) {
    let items = 1 + dice.below(40) as u32;
    dice.one_of(&[
        (Sizing::Single, 1),
        (Sizing::Fixed(2), 2),
        (Sizing::Fixed(items), items as usize),
        (Sizing::default(), 200),
    ])
}

fn told<A>(ask: impl FnOnce(&mut Ledger) -> A) -> A {
    LEDGER.with_borrow_mut(ask)
}

impl<const CAN: u8> Run<CAN> {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let away = Away::<CAN>::default();
        let lane_items = dice.one_of(&[4, 64]);
        let lanes = 1 + dice.below(3) as usize;
        let (sizing, largest) = sizing(&mut dice);
        let retries = dice.one_of(&[0, 1, 3]);
        let retry = Retry {
            first: Duration::from_micros(dice.one_of(&[10, 1_000, 20_000])),
            longest: Duration::from_millis(100),
            jitter: dice.one_of(&[0.0, 0.5, 1.0]),
            seed,
            attempts: retries + 1,
        };
        let detaches = dice.once_in(2);
        let in_flight_max = if detaches { dice.one_of(&[1, 3]) } else { 0 };
        let in_flight_for = Duration::from_millis(dice.one_of(&[1, 200]));
        let follow_ups = dice.one_of(&[0, 2, 6]);
        let entities = CAN & ENTITIES != 0;
        let waived = !entities && dice.once_in(4);
        let weight_max = if CAN & WEIGHS != 0 { dice.one_of(&[5, 40]) } else { 1_000 };
        let key_items_max = dice.one_of(&[3, 1_000_000]);
        let (keys, open_keys) = (dice.one_of(&[1, 3, 12]), dice.one_of(&[2, 64]));
        let isolates = dice.once_in(2);
        let taken = away.clone();
        let heard = Arc::<Mutex<Heard>>::default();
        let ears = Arc::clone(&heard);
        let observer = move |event: &BatchEvent| {
            ears.lock().expect("one thread").hear(event);
        };
        let shards = 1 + dice.below(2) as usize;
        let builder = Engine::builder(move |_| Doer { away: taken.clone(), isolates })
            .shards(Shards::Count(shards))
            .lanes(lanes)
            .handle_lanes(0)
            .lane_items(lane_items)
            .lane_marks(32)
            .drain_items(dice.one_of(&[1, 8, 1_024]))
            .flush_after(Duration::from_micros(dice.one_of(&[1, 100, 10_000])))
            .sizing(sizing)
            .queues(true)
            .replies_max(REPLIES)
            .retry(retry)
            .order(if waived { Order::Waived } else { Order::Kept })
            .held_items_max(dice.one_of(&[1, 10, 1_000]))
            .key_items_max(key_items_max)
            .batch_weight_max(weight_max)
            .follow_ups(follow_ups, 2)
            .in_flight_max(in_flight_max)
            .in_flight_for(in_flight_for)
            .isolate_poisoned(isolates)
            .observer(observer)
            .open_keys(open_keys)
            .open_items(dice.one_of(&[1, 30, 1_000]))
            .after_panic(dice.one_of(&[AfterPanic::Rebuild, AfterPanic::Keep]))
            .dead_letters(|letter: DeadLetter<'_, Job<CAN>, &'static str>| {
                job::judged(|ledger| ledger.bury(letter.item.id, letter.id, letter.attempts));
            });
        let engine = Stepped::new(builder.hasher(Seeded(seed))).expect("the settings are allowed");
        told(|ledger| {
            ledger.begin(Terms {
                largest,
                weight_max,
                retry,
                ordered: !waived,
                in_flight_max: in_flight_max as usize,
                seats: in_flight_max.into(),
                one_shard: shards == 1,
                in_flight_for: in_flight_for.into(),
                expires: CAN & EXPIRES != 0,
                short: lane_items == 4,
                isolates,
                key_items_max: key_items_max.into(),
                entities,
            });
        });
        let producers = (0..lanes).map(|_| engine.producer().expect("a lane is free")).collect();
        Self {
            engine,
            producers,
            tickets: Vec::new(),
            routes: Vec::new(),
            away,
            heard,
            keys,
            ample: open_keys as u64 > keys,
            retries,
            detaches,
            follow_ups,
            waived,
            isolates,
            asked: 0,
            steps: 0,
            dice,
        }
    }

    fn go_to_the_end(mut self) -> u64 {
        let most = 50 + self.dice.below(800);
        while self.steps < most {
            self.step();
        }
        self.end()
    }

    fn step(&mut self) {
        self.steps += 1;
        match self.dice.below(27) {
            0..=7 => self.push(false),
            8..=10 => self.push(true),
            11..=13 => self.turn(),
            14 => self.settle(),
            15..=16 => self.advance(),
            17 => self.pause(),
            18 => self.resume(),
            19 => self.resume_all(),
            20 => self.flush(),
            21 => self.cancel(),
            22 => self.bring_back(),
            23 => self.route(),
            24 => self.claim_again(),
            25 => self.tune(),
            _ => self.step_once(),
        }
        if self.steps.is_multiple_of(16) {
            self.check();
        }
    }

    fn job(&mut self) -> Job<CAN> {
        let dice = &mut self.dice;
        let key = dice.below(self.keys);
        let named = CAN & ENTITIES != 0 && !dice.once_in(4);
        let lives = (CAN & EXPIRES != 0 && dice.once_in(3))
            .then(|| Duration::from_micros(dice.one_of(&[0, 50, 5_000, 60_000])));
        Job {
            id: told(Ledger::next_id),
            key,
            entity: if named { Some(dice.below(4)) } else { None },
            weight: if CAN & WEIGHS != 0 { dice.below(9) as u32 } else { 1 },
            lives,
            patience: dice.one_of(&[
                Patience::Engine,
                Patience::Engine,
                Patience::AtMost(Duration::from_micros(20)),
                Patience::None,
            ]),
            retries: if dice.once_in(3) {
                dice.below(u64::from(self.retries) + 2) as u32
            } else {
                0
            },
            end: match self.isolates && dice.once_in(2) {
                true => Final::Done,
                false => {
                    let ends = [Final::Done, Final::Done, Final::Done, Final::Fail, Final::Panic];
                    dice.one_of(&ends)
                }
            },
            emits: if dice.once_in(4) { self.follow_ups } else { 0 },
            leaves: self.detaches && dice.once_in(5),
            absorbed: Vec::new(),
        }
    }

    fn push(&mut self, calls: bool) {
        let job = self.job();
        let lives = job.lives.map(Nanos::from);
        let (id, key, domain) = (job.id, job.key, job.domain());
        let is_bad = job.end != Final::Done;
        let way = self.dice.below(self.producers.len() as u64);
        let producer = &mut self.producers[way as usize];
        let pushed = if calls {
            producer.try_call(job).map(|ticket| self.tickets.push((id, ticket)))
        } else {
            producer.try_push(job)
        };
        match pushed {
            Ok(()) => told(|ledger| ledger.accept(id, way, key, domain, lives, is_bad)),
            Err(PushError::Full(back) | PushError::NoReplySlot(back)) => drop(back),
            Err(other) => panic!("#{id} is refused: {other}"),
        }
        if !self.waived && self.dice.once_in(20) {
            // Full: what is there goes all the same.
            let _ = self.producers[way as usize].flush();
        }
    }

    /// To several keys, all or none.
    fn route(&mut self) {
        let legs: Vec<_> = (0..1 + self.dice.below(4)).map(|_| self.job()).collect();
        let about = |job: &Job<CAN>| {
            let lives = job.lives.map(Nanos::from);
            (job.id, job.key, job.domain(), lives, job.end != Final::Done)
        };
        let accepted: Vec<_> = legs.iter().map(about).collect();
        let ids: Vec<_> = accepted.iter().map(|leg| leg.0).collect();
        let way = self.dice.below(self.producers.len() as u64);
        match self.producers[way as usize].try_route(legs) {
            Ok(tickets) => {
                for (id, key, domain, lives, is_bad) in accepted {
                    told(|ledger| ledger.accept(id, way, key, domain, lives, is_bad));
                }
                self.routes.push((ids, tickets));
            }
            Err(error) => {
                use PushError::{Full, NeverFits, NoReplySlot};
                let full = matches!(error.cause, Full(()) | NeverFits(()) | NoReplySlot(()));
                assert!(full, "{error:?}");
                assert!(error.legs.iter().map(|leg| leg.id).eq(ids), "all come back");
            }
        }
    }

    /// A producer goes, and the next has its lane, whatever still lies in it.
    fn claim_again(&mut self) {
        let at = self.dice.below(self.producers.len() as u64) as usize;
        let lane = self.producers[at].lane();
        drop(self.producers.remove(at));
        let next = self.engine.producer().expect("a lane is free");
        assert_eq!(next.lane(), lane, "the one that is free");
        self.producers.insert(at, next);
    }

    fn note_time(&mut self) {
        let now = self.engine.now();
        told(|ledger| ledger.begin_turn(now));
        self.asked = 0;
    }

    fn turn(&mut self) {
        self.note_time();
        self.turn_shards();
    }

    fn turn_shards(&mut self) -> bool {
        let worked = self.engine.turn();
        told(Ledger::end_turn);
        worked
    }

    fn settle(&mut self) {
        self.note_time();
        while self.turn_shards() {}
        let next = self.engine.next_deadline();
        assert!(next.is_none_or(|next| next > self.engine.now()), "nothing is overdue");
        told(|ledger| ledger.check_backoffs(next));
    }

    /// To the next deadline, or by chance.
    fn advance(&mut self) {
        let now = self.engine.now();
        let by = match self.engine.next_deadline() {
            Some(next) if self.dice.once_in(2) => next.saturating_sub(now).into(),
            _ => Duration::from_micros(self.dice.one_of(&[1, 70, 1_000, 30_000])),
        };
        self.engine.advance(by);
        told(|ledger| ledger.now = self.engine.now());
    }

    /// Makes room for one request more.
    fn ask(&mut self) -> u64 {
        self.asked += 1;
        if self.asked > 8 {
            self.turn();
        }
        self.dice.below(self.keys)
    }

    fn pause(&mut self) {
        let key = self.ask();
        self.engine.pause(&Key::number(key)).expect("the engine is open");
        if self.ample {
            told(|ledger| ledger.pause(key, true));
        }
    }

    fn resume(&mut self) {
        let key = self.ask();
        self.engine.resume(&Key::number(key)).expect("the engine is open");
        told(|ledger| ledger.pause(key, false));
    }

    fn resume_all(&mut self) {
        self.ask();
        self.engine.resume_all().expect("the engine is open");
        told(Ledger::resume_all);
    }

    fn flush(&mut self) {
        let key = self.ask();
        drop(self.engine.flush(&Key::number(key)).expect("the engine is open"));
    }

    fn cancel(&mut self) {
        if !self.tickets.is_empty() {
            let at = self.dice.below(self.tickets.len() as u64) as usize;
            match self.dice.once_in(2) {
                true => {
                    let (id, ticket) = &self.tickets[at];
                    ticket.cancel();
                    told(|ledger| ledger.cancel(*id));
                }
                false => drop(self.tickets.swap_remove(at)),
            }
        }
    }

    /// A batch that was taken along is settled, dropped, or left for longer.
    fn bring_back(&mut self) {
        let mut away = self.away.lock().expect("one thread");
        if away.is_empty() {
            return;
        }
        let at = self.dice.below(away.len() as u64) as usize;
        let taken = away.swap_remove(at);
        drop(away);
        self.give_back(taken);
    }

    fn give_back(&mut self, taken: job::Taken<CAN>) {
        let ids = job::ids(&taken);
        let lost = told(|ledger| ledger.is_late(&ids));
        match self.dice.once_in(5) || lost {
            true => {
                told(|ledger| ledger.come_back(&ids, true));
                drop(taken);
            }
            false => job::settle(taken, self.isolates),
        }
    }

    /// Other limits, from the next turn on.
    fn tune(&mut self) {
        self.ask();
        let dice = &mut self.dice;
        let before = self.engine.tunables();
        let mut after = before;
        after.sizing = dice.one_of(&[Sizing::Single, Sizing::Fixed(2), before.sizing]);
        after.flush_after = Duration::from_micros(dice.one_of(&[1, 100, 10_000]));
        after.held_items_max = dice.one_of(&[1, 10, 1_000]);
        after.key_items_max = dice.one_of(&[None, Some(3), Some(1_000_000)]);
        if CAN & WEIGHS != 0 {
            after.batch_weight_max = dice.one_of(&[Some(5), Some(40), before.batch_weight_max]);
        }
        after.in_flight_max = dice.below(u64::from(before.in_flight_max) + 2) as u32;
        after.in_flight_for = Duration::from_millis(dice.one_of(&[1, 200]));
        match self.engine.tune(|tunables| *tunables = after) {
            Ok(()) => told(|ledger| ledger.tune(&after)),
            Err(error) => {
                let text = error.to_string();
                assert!(text.starts_with("sizing is ") || text.starts_with("in_flight_max is "));
                assert_eq!(self.engine.tunables(), before, "all or nothing");
            }
        }
    }

    fn step_once(&mut self) {
        self.ask();
        self.note_time();
        // What was asked for before is heard in it, and everything is paused.
        self.turn_shards();
        told(|ledger| ledger.taken_up = 0);
        self.engine.step();
        told(Ledger::decide_at_hand);
        // Every shard has its turn, and finds itself paused.
        self.turn_shards();
        told(|ledger| assert!(ledger.taken_up <= 1, "a step handles one item"));
        if self.dice.once_in(2) {
            self.resume_all();
        }
    }

    fn check(&mut self) {
        self.turn();
        let snapshot = self.engine.snapshot();
        told(|ledger| ledger.check(&snapshot));
        self.heard.lock().expect("it adds up").check(&snapshot);
        self.hear();
    }

    /// What tickets say.
    fn hear(&mut self) {
        for (id, ticket) in std::mem::take(&mut self.tickets) {
            match ticket.wait_for(Duration::ZERO) {
                Ok(outcome) => told(|ledger| ledger.answered(id, outcome)),
                Err(ticket) => self.tickets.push((id, ticket)),
            }
        }
        for (ids, tickets) in std::mem::take(&mut self.routes) {
            match tickets.wait_for(Duration::ZERO) {
                Ok(outcomes) => {
                    for (id, outcome) in ids.into_iter().zip(outcomes) {
                        told(|ledger| ledger.answered(id, outcome));
                    }
                }
                Err(tickets) => self.routes.push((ids, tickets)),
            }
        }
    }

    fn end(mut self) -> u64 {
        loop {
            // What was given back must land before the engine closes: then there are no more attempts.
            self.settle();
            let taken = self.away.lock().expect("one thread").pop();
            let Some(taken) = taken else { break };
            self.give_back(taken);
        }
        told(|ledger| ledger.closed = true);
        told(Ledger::resume_all);
        self.engine.close();
        // In its last turns the handlers take batches along as before.
        for _ in 0..10_000 {
            self.settle();
            let away = std::mem::take(&mut *self.away.lock().expect("one thread"));
            if away.is_empty() {
                break;
            }
            away.into_iter().for_each(|taken| self.give_back(taken));
        }
        self.hear();
        let Self { engine, tickets, routes, heard, steps, .. } = self;
        let last = engine.shutdown();
        heard.lock().expect("it adds up").check(&last);
        assert!(tickets.is_empty() && routes.is_empty(), "nobody is left waiting");
        told(|ledger| ledger.check_end(&last));
        steps
    }
}
