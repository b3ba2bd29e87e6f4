//! What an engine must do, as plainly as possible: a list of who waits, and sums.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use engine::{Nanos, Sizing, Snapshot, Trigger};

/// What the handler does with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Done,
    Fail,
    Retry,
    Panic,
}

/// An item that was accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) id: u64,
    /// The way in: items of one way and one key stay in order.
    pub(crate) way: u64,
    pub(crate) key: u64,
    pub(crate) deed: Deed,
    /// It need not be handed over at once because of its own patience.
    pub(crate) hasty: bool,
    /// When it must be in its handler's hands.
    pub(crate) due: Nanos,
    /// Before this, no deadline of its own has come, not even to the earliest that the engine may
    /// take for its push.
    pub(crate) not_before: Nanos,
    /// Items of the largest batch that it may open; with windows, that it may be in.
    pub(crate) most: usize,
}

/// One handler call: the items that it decided, and what was in the batch.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) trigger: Trigger,
    /// The identities of all items of the batch.
    pub(crate) batch: Vec<u64>,
    /// How many of them, from the first on, were taken up.
    pub(crate) taken_up: usize,
}

/// The promises that hold for the run's settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) sizing: Sizing,
    /// Items of the largest batch of any sizing so far, and whether one of those was shallow.
    pub(crate) largest: usize,
    pub(crate) shallow: bool,
    pub(crate) open_keys: u64,
    /// The clock moves from deadline to deadline, and every turn is taken to its end: so nothing may
    /// be late.
    pub(crate) punctual: bool,
    /// There is memory for everything that the run can have open.
    pub(crate) ample: bool,
    /// A batch goes with its whole window, whose other items are of other keys.
    pub(crate) windowed: bool,
    /// A panic stops its shard, and with it whatever waits there.
    pub(crate) stops: bool,
}

#[derive(Debug)]
pub(crate) struct Oracle {
    terms: Terms,
    items: HashMap<u64, Accepted>,
    waiting: BTreeMap<(u64, u64), VecDeque<u64>>,
    pub(crate) accepted: u64,
    done: u64,
    failed: u64,
    dead: u64,
    panics: u64,
    calls: u64,
    triggers: [u64; Trigger::ALL.len()],
    pub(crate) flushed: bool,
    pub(crate) closed: bool,
    /// Somebody was hasty.
    hurried: bool,
    /// Keys of whose last batch an item was hasty, or had been sealed together with one.
    hasty: HashSet<u64>,
    /// When one was last seen that was due, or nearly, as it was handed over or waited.
    due_seen: Nanos,
}

impl Oracle {
    pub(crate) fn new(terms: Terms) -> Self {
        Self {
            terms,
            items: HashMap::new(),
            waiting: BTreeMap::new(),
            accepted: 0,
            done: 0,
            failed: 0,
            dead: 0,
            panics: 0,
            calls: 0,
            triggers: [0; Trigger::ALL.len()],
            flushed: false,
            closed: false,
            hurried: false,
            hasty: HashSet::new(),
            due_seen: Nanos::ZERO,
        }
    }

    pub(crate) fn accept(&mut self, mut item: Accepted) {
        // It may join a batch that was opened to linger for longer: as its first item does.
        let joins = |other: &&Accepted| self.terms.windowed || other.key == item.key;
        let latest = self.items.values().filter(joins).map(|other| other.due).max();
        item.due = item.due.max(latest.unwrap_or(Nanos::ZERO));
        if self.terms.windowed {
            // A window is cut as was said when it began, whoever joins it.
            let most = self.items.values().map(|other| other.most).max();
            item.most = item.most.max(most.unwrap_or(0));
        }
        self.accepted += 1;
        self.hurried |= item.hasty;
        self.waiting.entry((item.way, item.key)).or_default().push_back(item.id);
        assert!(self.items.insert(item.id, item).is_none(), "identities are new");
    }

    /// Batches that open from the next turn on are sized so, and linger for so long.
    pub(crate) fn tune(&mut self, sizing: Sizing, largest: usize, was: Duration, is: Duration) {
        self.terms.sizing = sizing;
        self.terms.largest = self.terms.largest.max(largest);
        self.terms.shallow |= matches!(sizing, Sizing::Tiers(_));
        if !self.terms.punctual {
            // Some may still lie in their lanes.
            let longer = Nanos::from(is.saturating_sub(was));
            for item in self.items.values_mut() {
                item.due = item.due.saturating_add(longer);
            }
        }
    }

    /// A handler call, made at `now`.
    pub(crate) fn call(&mut self, call: &Call, now: Nanos) {
        self.calls += 1;
        self.triggers[call.trigger.index()] += 1;
        let items: Vec<Accepted> = call.batch.iter().map(|id| self.items[id]).collect();
        if self.items.values().any(|item| item.not_before <= now) {
            self.due_seen = now;
        }
        self.check_batch(call, &items, now);
        if call.trigger == Trigger::Patience || items.iter().any(|item| item.hasty) {
            self.hasty.insert(items[0].key);
        } else {
            self.hasty.remove(&items[0].key);
        }
        for item in &items[..call.taken_up] {
            let waiting = self.waiting.get_mut(&(item.way, item.key)).expect("it was accepted");
            assert_eq!(waiting.pop_front(), Some(item.id), "G2: order of way and key of {item:?}");
            self.items.remove(&item.id);
            match item.deed {
                Deed::Done => self.done += 1,
                Deed::Fail => self.failed += 1,
                Deed::Retry => self.dead += 1,
                Deed::Panic => {
                    self.failed += 1;
                    self.panics += 1;
                }
            }
            if self.terms.punctual {
                assert!(now <= item.due, "G4: {item:?} came at {now}");
            }
        }
    }

    fn check_batch(&self, call: &Call, items: &[Accepted], now: Nanos) {
        let Terms { sizing, largest, shallow, ample, punctual, windowed, .. } = self.terms;
        assert!(!items.is_empty() && items.len() <= largest, "the size is a cap: {call:?}");
        assert!(items.iter().all(|item| item.key == items[0].key), "one key: {items:?}");
        // The one that opened it is among them, and did so before anything was tuned.
        if punctual && self.panics == 0 {
            let most = items.iter().map(|item| item.most).max();
            assert!(Some(items.len()) <= most, "a target stays what it was: {call:?}");
        }
        let tiers = if punctual { matches!(sizing, Sizing::Tiers(_)) } else { shallow };
        match call.trigger {
            // A panic's rest keeps its trigger, and the one that was due may be gone.
            Trigger::Deadline if punctual && self.panics == 0 => {
                let due = match windowed {
                    true => self.due_seen == now,
                    false => items.iter().any(|item| item.not_before <= now),
                };
                assert!(due, "G4: {items:?} came too early, at {now}");
            }
            Trigger::Shallow => assert!(tiers, "{sizing} lingers at any depth"),
            Trigger::Flush => assert!(self.flushed, "nobody asked for a flush"),
            Trigger::Patience => {
                // The hasty one may have joined the batch that was sealed before, and left a rest.
                let joined = self.hasty.contains(&items[0].key);
                let rest = joined || self.panics > 0 || (windowed && self.hurried);
                assert!(rest || items.iter().any(|item| item.hasty), "{items:?} are patient");
            }
            Trigger::Pressure => assert!(!ample, "there is memory for all"),
            Trigger::Drain => assert!(self.closed, "nobody closed it"),
            _ => {}
        }
    }

    /// What the engine says of itself, after a turn.
    pub(crate) fn check(&self, snapshot: &Snapshot) {
        let settled = snapshot.settled();
        assert_eq!(snapshot.accepted, settled + snapshot.waiting(), "G1: {snapshot}");
        assert_eq!((snapshot.done, snapshot.dead), (self.done, self.dead), "G12: {snapshot}");
        assert_eq!((snapshot.batches, snapshot.triggers), (self.calls, self.triggers), "G12");
        assert_eq!(snapshot.batch_items.len(), self.calls, "G12");
        assert_eq!(snapshot.handler_panics, self.panics, "G12");
        assert_eq!(snapshot.in_handler, 0, "no handler is at work between turns");
        if self.terms.stops {
            assert!(snapshot.failed >= self.failed);
        } else {
            assert_eq!(snapshot.failed, self.failed, "G12: {snapshot}");
        }
        for shard in &snapshot.shards {
            if self.terms.windowed {
                assert_eq!((shard.open_batches, shard.known_keys), (u64::from(shard.open > 0), 0));
            }
            assert!(shard.open_batches <= self.terms.open_keys, "G6: {snapshot}");
            assert!(shard.known_keys <= self.terms.open_keys, "G6: {snapshot}");
        }
    }

    /// The engine has done all that there is to do at `now`.
    pub(crate) fn check_settled(&self, snapshot: &Snapshot) {
        assert_eq!(snapshot.accepted, self.accepted, "every lane was looked at");
        assert_eq!((snapshot.in_lanes, snapshot.ready), (0, 0), "nothing is stuck: {snapshot}");
        if !self.terms.stops {
            assert_eq!(snapshot.open, self.items.len() as u64, "what waits is open");
        }
    }

    /// The engine has done all that there is to do at `now`: nothing that is due still waits.
    pub(crate) fn check_punctual(&self, now: Nanos) {
        if !self.terms.stops {
            let late = self.items.values().find(|item| item.due <= now);
            assert!(late.is_none(), "G4: {late:?} at {now}");
        }
    }

    /// The engine has ended.
    pub(crate) fn check_end(&self, last: &Snapshot) {
        assert_eq!((last.accepted, last.waiting()), (self.accepted, 0), "G8: {last}");
        let left = self.items.len() as u64;
        assert!(self.terms.stops || left == 0, "G8: {left} items were forgotten");
        assert_eq!(last.failed, self.failed + left, "G1: what a stopped shard had has failed");
    }
}
