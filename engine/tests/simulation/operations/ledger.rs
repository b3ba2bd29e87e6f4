//! What is known of every item of an engine with operations, and what must hold of it.

mod limit;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use engine::{Failure, ItemId, Nanos, Retry, Snapshot, Trigger, Tunables};

use super::job::{AS_ONE, GONE, Job, NOBODY};
use limit::{Full, Limit};

/// What an item shall come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Final {
    #[default]
    Done,
    Fail,
    Panic,
}

/// Where an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not taken up, or to come again.
    Waits,
    /// In a batch that was taken along, until then at the latest.
    Away(Nanos),
    /// Its batch was taken along and did not come back, or too late.
    Lost,
    /// It was tried, and may come again.
    Tried,
    /// Its handler is through with it.
    Decided(Final),
    /// It went into another.
    Absorbed(u64),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The way in; items of one way and one domain stay in order.
    way: u64,
    key: u64,
    domain: u64,
    /// It lives so long, from its push on, and must not be taken up from the second time on.
    lives: Option<Nanos>,
    pushed: Nanos,
    expires: Nanos,
    attempts: u32,
    /// It must not be taken up before.
    not_before: Nanos,
    state: State,
    /// It was dropped.
    gone: bool,
    /// It is to fail, or to panic.
    is_bad: bool,
    /// The engine's name for it, once a handler has seen it.
    name: Option<ItemId>,
    /// It backs off until then at the latest.
    not_after: Nanos,
    /// Whoever waits for it has said that it need not be handled.
    cancelled: bool,
    /// The hook of dead letters was given it.
    buried: bool,
    /// No shard has taken it in yet.
    in_lane: bool,
    /// Its batch, which was taken along, is given up then.
    until: Nanos,
    /// It found its key full.
    full: Full,
}

/// The promises that hold for the run's settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) largest: usize,
    pub(crate) weight_max: u64,
    pub(crate) retry: Retry,
    pub(crate) ordered: bool,
    /// Batches of a shard that may be away, and those that there is memory for.
    pub(crate) in_flight_max: usize,
    pub(crate) seats: u64,
    pub(crate) one_shard: bool,
    pub(crate) in_flight_for: Nanos,
    pub(crate) expires: bool,
    /// Lanes hold only a few items.
    pub(crate) short: bool,
    /// Batches may be decided as one, and the bad ones among their items are told apart.
    pub(crate) isolates: bool,
    /// Items of a key that a shard may have.
    pub(crate) key_items_max: u64,
    pub(crate) entities: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    terms: Option<Terms>,
    /// The engine's clock.
    pub(crate) now: Nanos,
    /// Pushed since the last turn.
    unseen: Vec<u64>,
    /// A batch that was away has been settled since the last turn, which the engine hears of in the next.
    between_turns: bool,
    /// To come again, as such a batch says.
    unheard: Vec<u64>,
    entries: HashMap<u64, Entry>,
    /// Every name that the engine has given, and whose it is.
    names: HashMap<ItemId, u64>,
    ids: u64,
    /// By way and domain: what was accepted and is not through yet, oldest first.
    ways: BTreeMap<(u64, u64), VecDeque<u64>>,
    /// By domain: follow-ups that come before everything else, in their order.
    first: BTreeMap<u64, VecDeque<u64>>,
    /// Of the item at hand.
    emitted: Vec<u64>,
    accepted: u64,
    /// Items that handlers looked at since a turn began.
    pub(crate) taken_up: usize,
    paused: BTreeSet<u64>,
    limit: Limit,
    pub(crate) closed: bool,
    /// Something did not hold; what, was printed.
    pub(crate) broken: bool,
}

/// What a backoff may take longer, for a `longest` of up to a quarter of a second.
const RETRY_TICK: Duration = Duration::from_millis(1);

/// The way of follow-ups.
const BY_HANDLERS: u64 = u64::MAX;

impl Ledger {
    /// Of a new engine.
    pub(crate) fn begin(&mut self, terms: Terms) {
        *self = Self { terms: Some(terms), ..Self::default() };
        GONE.take();
    }

    fn terms(&self) -> Terms {
        self.terms.expect("a run has begun")
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// An item was accepted by the way in; `expires` after its push.
    pub(crate) fn accept(
        &mut self,
        id: u64,
        way: u64,
        key: u64,
        domain: u64,
        lives: Option<Nanos>,
        is_bad: bool,
    ) {
        self.accepted += 1;
        self.enter(id, way, key, domain, lives);
        let entry = self.entry(id);
        (entry.is_bad, entry.in_lane) = (is_bad, true);
        self.unseen.push(id);
        self.ways.entry((way, domain)).or_default().push_back(id);
    }

    /// A turn begins: it sees everything in the lanes.
    pub(crate) fn begin_turn(&mut self, now: Nanos) {
        self.now = now;
        self.taken_up = 0;
        for id in std::mem::take(&mut self.unseen) {
            let entry = self.entry(id);
            entry.expires = entry.lives.map_or(Nanos::MAX, |lives| now.saturating_add(lives));
        }
        self.between_turns = false;
        for id in std::mem::take(&mut self.unheard) {
            self.backs_off(id);
        }
    }

    fn enter(&mut self, id: u64, way: u64, key: u64, domain: u64, lives: Option<Nanos>) {
        let (pushed, expires) = (self.now, Nanos::MAX);
        let (attempts, not_before) = (0, Nanos::ZERO);
        let (state, gone, is_bad) = (State::Waits, false, false);
        let (name, not_after, cancelled, buried) = (None, Nanos::ZERO, false, false);
        let (in_lane, until, full) = (false, Nanos::MAX, Full::No);
        let entry = Entry {
            way,
            key,
            domain,
            lives,
            pushed,
            expires,
            attempts,
            not_before,
            state,
            gone,
            is_bad,
            name,
            not_after,
            cancelled,
            buried,
            in_lane,
            until,
            full,
        };
        assert!(self.entries.insert(id, entry).is_none(), "identities are new");
    }

    fn entry(&mut self, id: u64) -> &mut Entry {
        self.entries.get_mut(&id).expect("it was accepted")
    }

    /// Takes note of what was dropped.
    pub(crate) fn look_who_is_gone(&mut self) {
        for id in GONE.take() {
            if let Some(entry) = self.entries.get_mut(&id) {
                assert!(!entry.gone, "#{id} is dropped twice");
                entry.gone = true;
                self.leave_key(id);
            }
        }
    }

    /// A key is paused, or goes on, from the next turn on.
    pub(crate) fn pause(&mut self, key: u64, paused: bool) {
        match paused {
            true => self.paused.insert(key),
            false => self.paused.remove(&key),
        };
    }

    pub(crate) fn resume_all(&mut self) {
        self.paused.clear();
    }

    /// The newer item goes with the older from now on, which lives as long as the longer-lived.
    pub(crate) fn absorb(&mut self, older: u64, newer: u64) {
        assert_ne!(newer, NOBODY, "it went into another before");
        let expires = self.entry(newer).expires;
        self.entry(newer).state = State::Absorbed(older);
        let survivor = self.entry(older);
        assert_eq!(survivor.state, State::Waits, "nothing is folded into what a handler has seen");
        survivor.expires = survivor.expires.max(expires);
    }

    /// A handler is called with a batch.
    pub(crate) fn call<const CAN: u8>(
        &mut self,
        items: &[Job<CAN>],
        names: &[ItemId],
        trigger: Trigger,
    ) {
        self.decide_at_hand();
        let Terms { largest, weight_max, short, .. } = self.terms();
        assert!(!items.is_empty() && items.len() <= largest, "{} items", items.len());
        assert!(items.iter().all(|job| job.key == items[0].key), "one key: {items:?}");
        let weight: u64 = items.iter().map(|job| u64::from(job.weight)).sum();
        assert!(items.len() == 1 || weight <= weight_max, "{weight} of {weight_max}: {items:?}");
        let steps = trigger == Trigger::Step;
        assert!(steps || !self.paused.contains(&items[0].key), "it is paused: {items:?}");
        assert_eq!(names.len(), items.len(), "each has a name");
        for (job, name) in items.iter().zip(names) {
            let now = self.now;
            let whose = *self.names.entry(*name).or_insert(job.id);
            assert_eq!(whose, job.id, "{name} is another's name");
            let was = self.entry(job.id).name.replace(*name);
            assert!(was.is_none_or(|was| was == *name), "{job:?} was {was:?} and is {name}");
            self.note_shard(job.id, name.shard());
            let entry = self.entry(job.id);
            assert!(matches!(entry.state, State::Waits | State::Tried), "{job:?} {entry:?}");
            assert!(!entry.gone, "it was dropped: {job:?}");
            // With more notes to take than there is room for, a lane forgets when it was looked at.
            assert!(now < entry.expires || !short, "it has expired: {job:?} {entry:?}");
        }
    }

    /// Other limits hold from the next turn on. What was larger before may still come so.
    pub(crate) fn tune(&mut self, tunables: &Tunables) {
        let terms = self.terms.as_mut().expect("a run has begun");
        terms.weight_max = tunables.batch_weight_max.unwrap_or(u64::MAX);
        terms.in_flight_max = tunables.in_flight_max as usize;
        terms.in_flight_for = tunables.in_flight_for.into();
        terms.key_items_max = tunables.key_items_max.map_or(u64::MAX, u64::from);
    }

    /// A handler has taken a batch along, while so many were away.
    pub(crate) fn leave(&mut self, ids: &[u64], away: usize) {
        let Terms { in_flight_max, one_shard, .. } = self.terms();
        assert!(!one_shard || away < in_flight_max, "{away} of {in_flight_max} are away");
        let end = self.now.saturating_add(self.terms().in_flight_for);
        for id in ids {
            let entry = self.entry(*id);
            (entry.state, entry.until) = (State::Away(end), end);
        }
    }

    /// A batch is about to come back; or it is lost.
    pub(crate) fn come_back(&mut self, ids: &[u64], lost: bool) {
        self.between_turns = true;
        let late = self.is_late(ids);
        for id in ids {
            let entry = self.entry(*id);
            entry.state = if lost { State::Lost } else { State::Tried };
            if !late {
                entry.until = Nanos::MAX;
            }
        }
    }

    /// Whether a batch that was taken along may have been given up.
    pub(crate) fn is_late(&self, ids: &[u64]) -> bool {
        let late = |id| matches!(self.entries[id].state, State::Away(end) if end <= self.now);
        ids.iter().any(late)
    }

    /// A handler looks at an item.
    pub(crate) fn take_up(&mut self, id: u64, attempt: u32) {
        let (Terms { retry, ordered, .. }, now, closed) = (self.terms(), self.now, self.closed);
        self.taken_up += 1;
        let entry = self.entry(id);
        let Entry { way, domain, not_before, .. } = *entry;
        assert_eq!(attempt, entry.attempts + 1, "attempts are counted: #{id} {entry:?}");
        assert!(attempt <= retry.attempts, "#{id} {entry:?}");
        assert!(now >= not_before || closed, "it backs off: #{id} {entry:?} at {now}");
        if !ordered {
            return;
        }
        let through = |entries: &HashMap<u64, Entry>, id: &u64| {
            let Entry { gone, state, .. } = entries[id];
            let lost = state == State::Lost || matches!(state, State::Away(end) if end <= now);
            gone || lost || matches!(state, State::Decided(_) | State::Absorbed(_))
        };
        if let Some(first) = self.first.get_mut(&domain) {
            while first.front().is_some_and(|id| through(&self.entries, id)) {
                first.pop_front();
            }
            let next = first.front();
            assert!(next.is_none_or(|next| *next == id), "follow-ups {first:?} come before #{id}");
        }
        if way != BY_HANDLERS {
            let waiting = self.ways.get_mut(&(way, domain)).expect("it was accepted");
            while waiting.front().is_some_and(|id| through(&self.entries, id)) {
                waiting.pop_front();
            }
            assert_eq!(waiting.front(), Some(&id), "order of way {way} and domain {domain}");
        }
    }

    /// An item is to come again.
    pub(crate) fn retry(&mut self, id: u64) {
        let (Terms { retry, .. }, closed) = (self.terms(), self.closed);
        let entry = self.entry(id);
        entry.attempts += 1;
        // While the engine drains there is no further attempt.
        let is_last = entry.attempts == retry.attempts || closed;
        entry.state = if is_last { State::Decided(Final::Fail) } else { State::Tried };
        self.backs_off(id);
        if self.between_turns {
            self.unheard.push(id);
        }
    }

    /// An item's backoff begins now.
    fn backs_off(&mut self, id: u64) {
        let (Terms { retry, .. }, now) = (self.terms(), self.now);
        let entry = self.entry(id);
        let wait = Nanos::from(retry.ceiling(entry.attempts));
        let shortest = (wait.as_nanos() as f64 * (1.0 - retry.jitter)) as u64;
        entry.not_before = now.saturating_add(Nanos::from_nanos(shortest.saturating_sub(1)));
        entry.not_after = now.saturating_add(wait).saturating_add(Nanos::from(RETRY_TICK));
    }

    /// Nothing is left to do until `next`: whoever backs off is waited for no longer than it may.
    pub(crate) fn check_backoffs(&mut self, next: Option<Nanos>) {
        if self.closed {
            // Backoffs are cut short, and are no deadlines any more.
            return;
        }
        self.look_who_is_gone();
        let (now, next) = (self.now, next.unwrap_or(Nanos::MAX));
        for (id, entry) in &self.entries {
            // From `not_before` on it may be ready, and wait for something else.
            let backs_off = entry.state == State::Tried && !entry.gone && entry.not_before > now;
            assert!(!backs_off || next <= entry.not_after, "#{id} {entry:?}: next is {next}");
        }
    }

    /// Whoever waits for an item has said that it need not be handled.
    pub(crate) fn cancel(&mut self, id: u64) {
        self.entry(id).cancelled = true;
    }

    /// The hook was given an item that is tried no more.
    pub(crate) fn bury(&mut self, id: u64, name: ItemId, attempts: u32) {
        let closed = self.closed;
        let most = self.terms().retry.attempts;
        let entry = self.entry(id);
        assert!(!entry.buried && !entry.gone, "#{id} is buried twice: {entry:?}");
        assert_eq!((entry.name, entry.attempts), (Some(name), attempts), "#{id}");
        assert!(attempts == most || closed, "#{id} has attempts left: {entry:?}");
        assert_eq!(entry.state, State::Decided(Final::Fail), "#{id}");
        entry.buried = true;
    }

    /// An item comes to its end.
    pub(crate) fn end(&mut self, id: u64, end: Final) {
        self.entry(id).state = State::Decided(end);
    }

    /// The item at hand has emitted another.
    pub(crate) fn emitted(&mut self, by: u64, id: u64) {
        let Entry { key, domain, .. } = *self.entry(by);
        self.enter(id, BY_HANDLERS, key, domain, None);
        self.emitted.push(id);
    }

    /// What the item emitted is accepted, since it is done.
    pub(crate) fn begin_follow_ups(&mut self, by: u64) {
        let domain = self.entry(by).domain;
        self.accepted += self.emitted.len() as u64;
        for id in std::mem::take(&mut self.emitted).into_iter().rev() {
            self.join_key(id);
            self.first.entry(domain).or_default().push_front(id);
        }
    }

    /// Somebody who waited for an item was told what became of it.
    pub(crate) fn answered(&mut self, id: u64, outcome: Result<u64, Failure<&'static str>>) {
        let (now, isolates) = (self.now, self.terms().isolates);
        let entry = *self.entry(id);
        let state = entry.state;
        // Found among others that failed with it.
        let told_apart = isolates && entry.is_bad && matches!(state, State::Waits | State::Tried);
        let right = match outcome {
            Ok(reply) => {
                let right = reply == id || (isolates && reply == AS_ONE);
                right && state == State::Decided(Final::Done)
            }
            Err(Failure::Handler(_)) => state == State::Decided(Final::Fail) || told_apart,
            Err(Failure::Dead(_)) => entry.buried,
            Err(Failure::Panicked) => state == State::Decided(Final::Panic) || told_apart,
            Err(Failure::Expired) => {
                entry.lives.is_some_and(|lives| entry.pushed.saturating_add(lives) <= now)
            }
            Err(Failure::Cancelled) => {
                entry.cancelled && matches!(state, State::Waits | State::Tried)
            }
            Err(Failure::KeyFull) => entry.full != Full::No,
            Err(Failure::TimedOut) => {
                state == State::Lost || matches!(state, State::Away(end) if end <= now)
            }
            Err(Failure::Abandoned) => state == State::Lost,
            Err(_) => false,
        };
        assert!(right, "#{id}: {outcome:?}, {entry:?}");
        let full = outcome == Err(Failure::KeyFull);
        assert!(full || entry.full != Full::Yes, "#{id}: {outcome:?}, {entry:?}");
    }

    /// What the engine says of itself, after a turn.
    pub(crate) fn check(&mut self, snapshot: &Snapshot) {
        assert!(!self.broken, "see above");
        self.look_who_is_gone();
        let Terms { seats, largest, expires, .. } = self.terms();
        assert_eq!(snapshot.accepted, snapshot.settled() + snapshot.waiting(), "{snapshot}");
        assert_eq!(snapshot.in_handler, 0, "no handler is at work between turns");
        let away = seats * largest as u64;
        for shard in &snapshot.shards {
            // Each may stand for others that it absorbed, but those were taken in while it waited.
            let most = away.saturating_add(snapshot.absorbed);
            assert!(shard.in_flight <= most, "{snapshot}");
        }
        assert!(expires || snapshot.expired == 0, "{snapshot}");
        assert_eq!(snapshot.out_of_order, 0, "{snapshot}");
        self.check_key_full(snapshot.key_full);
    }

    /// The engine has ended: everything is settled, and nothing is left of any item.
    pub(crate) fn check_end(&mut self, last: &Snapshot) {
        assert!(!self.broken, "see above");
        self.look_who_is_gone();
        assert_eq!((last.accepted, last.waiting()), (self.accepted, 0), "{last}");
        self.check_key_full(last.key_full);
        let left = self.entries.iter().find(|(_, entry)| !entry.gone);
        assert!(left.is_none(), "it was forgotten: {left:?}");
        let done = |id: &u64| self.entries[id].state == State::Decided(Final::Done);
        let with = |entry: &Entry| match entry.state {
            State::Absorbed(by) => done(&self.root(by)),
            state => state == State::Decided(Final::Done),
        };
        let done = self.entries.values().filter(|entry| with(entry)).count() as u64;
        assert_eq!(last.done, done, "{last}");
        let buried = |entry: &Entry| match entry.state {
            State::Absorbed(by) => self.entries[&self.root(by)].buried,
            _ => entry.buried,
        };
        let dead = self.entries.values().filter(|entry| buried(entry)).count() as u64;
        assert_eq!(last.dead, dead, "{last}");
    }

    /// Who stands for an item that was folded into another.
    fn root(&self, mut id: u64) -> u64 {
        while let State::Absorbed(by) = self.entries[&id].state {
            id = by;
        }
        id
    }
}
