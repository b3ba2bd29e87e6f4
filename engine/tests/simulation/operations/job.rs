//! Items that say what shall become of them, and the handler that does as they say.

use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::{Batch, Detached, FollowUps, Handler, Item, Patience, Settled, Verdict};

use super::ledger::{Final, Ledger};

/// What a [`Job`] type can do: its flags.
pub(crate) const EXPIRES: u8 = 1;
pub(crate) const ENTITIES: u8 = 2;
pub(crate) const WEIGHS: u8 = 4;
pub(crate) const ABSORBS: u8 = 8;

/// An item's key, which is heard of when a shard hashes it.
#[derive(Clone, Copy, Debug, Eq)]
pub(crate) struct Key {
    number: u64,
    of: u64,
}

impl Key {
    /// Of no item.
    pub(crate) fn number(number: u64) -> Self {
        Self { number, of: NOBODY }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Hash for Key {
    fn hash<S: Hasher>(&self, state: &mut S) {
        if self.of != NOBODY {
            judged(|ledger| ledger.look_at(self.of));
        }
        self.number.hash(state);
    }
}

/// One item.
#[derive(Debug)]
pub(crate) struct Job<const CAN: u8> {
    pub(crate) id: u64,
    pub(crate) key: u64,
    pub(crate) entity: Option<u64>,
    pub(crate) weight: u32,
    pub(crate) lives: Option<Duration>,
    pub(crate) patience: Patience,
    /// So many attempts end with a retry, then comes the end.
    pub(crate) retries: u32,
    pub(crate) end: Final,
    /// Follow-ups that it emits at its end, if that is good.
    pub(crate) emits: u32,
    /// Whoever gets it in a batch takes the batch along, if it may.
    pub(crate) leaves: bool,
    /// Those that were folded into it.
    pub(crate) absorbed: Vec<u64>,
}

impl<const CAN: u8> Job<CAN> {
    /// What must stay in order, told apart from keys by its highest bit.
    pub(crate) fn domain(&self) -> u64 {
        self.entity.map_or(self.key, |entity| entity | 1 << 63)
    }

    fn follow_up(&self, id: u64) -> Self {
        Self {
            id,
            lives: None,
            patience: Patience::Engine,
            weight: 1,
            retries: 0,
            leaves: false,
            absorbed: Vec::new(),
            emits: self.emits - 1,
            ..*self
        }
    }
}

impl<const CAN: u8> Drop for Job<CAN> {
    fn drop(&mut self) {
        GONE.with_borrow_mut(|gone| {
            gone.push(self.id);
            gone.append(&mut self.absorbed);
        });
    }
}

impl<const CAN: u8> Item for Job<CAN> {
    type Key<'a> = Key;
    const EXPIRES: bool = CAN & EXPIRES != 0;
    const ENTITIES: bool = CAN & ENTITIES != 0;
    const WEIGHS: bool = CAN & WEIGHS != 0;
    const ABSORBS: bool = CAN & ABSORBS != 0;

    fn key(&self) -> Key {
        Key { number: self.key, of: self.id }
    }

    fn entity(&self) -> Option<u64> {
        self.entity
    }

    fn weight(&self) -> u32 {
        self.weight
    }

    fn expires_after(&self) -> Option<Duration> {
        self.lives
    }

    fn patience(&self) -> Patience {
        self.patience
    }

    /// What the newer one would have become is forgotten.
    fn absorb(&mut self, mut newer: Self) -> Result<(), Self> {
        if newer.id.is_multiple_of(3) {
            return Err(newer);
        }
        self.absorbed.push(newer.id);
        self.absorbed.append(&mut newer.absorbed);
        self.weight = self.weight.saturating_add(newer.weight);
        judged(|ledger| ledger.absorb(self.id, newer.id));
        // It goes with the one that took it in.
        newer.id = NOBODY;
        Ok(())
    }
}

/// No item's number.
pub(crate) const NOBODY: u64 = u64::MAX;

thread_local! {
    /// Items that were dropped since this was looked at.
    pub(crate) static GONE: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    /// What is known of every item. A stepped engine's handlers are on the test's own thread.
    pub(crate) static LEDGER: RefCell<Ledger> = RefCell::new(Ledger::default());
}

/// Holds something against the ledger in the midst of the engine, which would catch a panic and go on: the
/// run itself fails when it next [looks](Ledger::check).
pub(crate) fn judged(judge: impl FnOnce(&mut Ledger)) {
    let held = catch_unwind(AssertUnwindSafe(|| LEDGER.with_borrow_mut(judge)));
    if held.is_err() {
        LEDGER.with_borrow_mut(|ledger| ledger.broken = true);
    }
}

/// Does with each item what that says.
pub(crate) struct Doer<const CAN: u8> {
    /// Batches that were taken along.
    pub(crate) away: Away<CAN>,
    /// It decides about some batches as one.
    pub(crate) isolates: bool,
}

/// A batch that was taken along.
pub(crate) type Taken<const CAN: u8> = Detached<Job<CAN>, u64, &'static str>;

/// Shared with the test, on the same thread; the oldest first.
pub(crate) type Away<const CAN: u8> = Arc<Mutex<Vec<Taken<CAN>>>>;

pub(crate) fn ids<const CAN: u8>(detached: &Taken<CAN>) -> Vec<u64> {
    detached.items().iter().map(|job| job.id).collect()
}

impl<const CAN: u8> Handler for Doer<CAN> {
    type Item = Job<CAN>;
    type Reply = u64;
    type Error = &'static str;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let (items, trigger) = (batch.items(), batch.trigger());
        let names: Vec<_> = (0..batch.len()).filter_map(|at| batch.id(at)).collect();
        judged(|ledger| ledger.call(items, &names, trigger));
        let attempts: Vec<u32> = (0..batch.len()).map(|at| batch.attempt(at)).collect();
        let batch = if items.iter().any(|job| job.leaves) {
            match batch.detach() {
                Ok((settled, detached)) => {
                    let mut away = self.away.lock().expect("one thread");
                    judged(|ledger| ledger.leave(&ids(&detached), away.len()));
                    away.push(detached);
                    return settled;
                }
                Err(batch) => batch,
            }
        } else {
            batch
        };
        if self.isolates && is_one(batch.items()) {
            return batch.settle_all(|_, jobs| do_as_one(jobs, &attempts, true));
        }
        let mut at = places(batch.items());
        batch.settle_each_with(|job, follow_ups| {
            do_as_told(job, attempts[at(job)], Some(follow_ups))
        })
    }
}

/// Settles a batch that was taken along, and is not late.
pub(crate) fn settle<const CAN: u8>(detached: Taken<CAN>, isolates: bool) {
    LEDGER.with_borrow_mut(|ledger| ledger.come_back(&ids(&detached), false));
    let attempts: Vec<u32> = (0..detached.len()).map(|at| detached.attempt(at)).collect();
    if isolates && is_one(detached.items()) {
        return detached.settle_all(|_, jobs| do_as_one(jobs, &attempts, false));
    }
    let mut at = places(detached.items());
    detached.settle_each(|job| do_as_told(job, attempts[at(job)], None));
}

/// The place of an item in its batch, for those that are asked about in order.
fn places<const CAN: u8>(items: &[Job<CAN>]) -> impl FnMut(&Job<CAN>) -> usize + use<CAN> {
    let ids: Vec<u64> = items.iter().map(|job| job.id).collect();
    move |job| ids.iter().position(|id| *id == job.id).expect("it is of this batch")
}

/// The reply to all of a batch that is done as one.
pub(crate) const AS_ONE: u64 = u64::MAX - 1;

/// Whether a batch is decided as one: most are.
fn is_one<const CAN: u8>(jobs: &[Job<CAN>]) -> bool {
    let sum: u64 = jobs.iter().map(|job| job.id).sum();
    !sum.is_multiple_of(5)
}

/// All or nothing: with a single bad one nothing is done. A batch that was taken along is settled where nobody
/// catches a panic.
fn do_as_one<const CAN: u8>(
    jobs: &[Job<CAN>],
    attempts: &[u32],
    may_panic: bool,
) -> Result<u64, &'static str> {
    if may_panic && jobs.iter().any(|job| job.end == Final::Panic) {
        std::panic::resume_unwind(Box::new("planted"));
    }
    if jobs.iter().any(|job| job.end != Final::Done) {
        return Err("no");
    }
    for (job, attempt) in jobs.iter().zip(attempts) {
        judged(|ledger| {
            ledger.take_up(job.id, *attempt);
            ledger.end(job.id, Final::Done);
        });
    }
    Ok(AS_ONE)
}

fn do_as_told<const CAN: u8>(
    job: &Job<CAN>,
    attempt: u32,
    follow_ups: Option<&mut FollowUps<'_, Job<CAN>>>,
) -> Verdict<u64, &'static str> {
    judged(|ledger| ledger.take_up(job.id, attempt));
    if attempt <= job.retries {
        LEDGER.with_borrow_mut(|ledger| ledger.retry(job.id));
        return Verdict::Retry("later");
    }
    // A batch that was taken along is settled outside of the engine, where nobody catches a panic.
    let end = if follow_ups.is_none() && job.end == Final::Panic { Final::Fail } else { job.end };
    LEDGER.with_borrow_mut(|ledger| ledger.end(job.id, end));
    match end {
        Final::Done => {}
        Final::Fail => return Verdict::Failed("no"),
        Final::Panic => std::panic::resume_unwind(Box::new("planted")),
    }
    if let Some(follow_ups) = follow_ups {
        for _ in 0..job.emits {
            let id = LEDGER.with_borrow_mut(|ledger| ledger.next_id());
            if follow_ups.emit(job.follow_up(id)).is_ok() {
                LEDGER.with_borrow_mut(|ledger| ledger.emitted(job.id, id));
            }
        }
    }
    LEDGER.with_borrow_mut(|ledger| ledger.begin_follow_ups(job.id));
    Verdict::Done(job.id)
}
