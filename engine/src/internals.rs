//! Parts of the engine alone, for the project's own measurements: grouping without lanes and threads,
//! and timers without items.
//!
//! Behind the feature `internals`, **and not covered by SemVer**: whatever stands here may change or
//! go with any release. The engine itself runs through the same code; these types only take the place
//! of what surrounds it.

use std::hash::BuildHasher;
use std::panic::resume_unwind;

use crate::batcher::{Arrival, Arrivals, Batcher, BatcherSizes};
use crate::handler::Handler;
use crate::item::Item;
use crate::limits;
use crate::nanos::Nanos;
use crate::router::Router;
use crate::sizing::Sizing;
use crate::verdict::Trigger;

/// What a [`Turns`] is made for.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// How large batches become. `Fixed` from 1 to 32,768.
    pub sizing: Sizing,
    /// How long an item may linger: 1 µs to 1 h.
    pub flush_after: Nanos,
    /// Keys that are remembered, with a batch open or without: 1 to 2^26.
    pub open_keys: usize,
    /// Items in open batches: 1 to 2^30.
    pub open_items: usize,
}

/// What a shard does in a turn (drain, group, decide, hand over, settle), without lanes, on the caller's
/// thread and by the caller's clock. It differs from a shard's turn in these points: items wait in an
/// array instead of a lane, all of them have the engine's patience, no counters are published, no
/// handler call is timed, and a panic of the handler or of an item's own code goes on to the caller.
///
/// ```
/// use engine::internals::{Turns, Sizes};
/// use engine::{Batch, Handler, Item, KeyHasher, Nanos, Settled, Sizing};
/// # use engine::Engine;
///
/// struct Reading { sensor: u32 }
///
/// impl Item for Reading {
///     type Key<'a> = u32;
///     fn key(&self) -> u32 { self.sensor }
/// }
///
/// #[derive(Default)]
/// struct Count(Vec<usize>);
///
/// impl Handler for Count {
///     type Item = Reading;
///     type Reply = ();
///     type Error = ();
///
///     fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
///         self.0.push(batch.len());
///         batch.settle_all(|_, _| Ok(()))
///     }
/// }
///
/// let sizes = Sizes {
///     sizing: Sizing::Fixed(100),
///     flush_after: Nanos::from_nanos(10_000_000),
///     open_keys: 16,
///     open_items: 1_024,
/// };
/// let hasher = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
/// let mut grouping = Turns::new(&sizes, hasher, Count::default());
/// for sensor in [3, 5, 3, 3] {
///     grouping.push(Reading { sensor });
/// }
/// grouping.turn(Nanos::from_nanos(1_000));
/// assert!(grouping.handler().0.is_empty(), "both batches linger");
/// grouping.flush();
/// assert_eq!(grouping.handler().0, [3, 1]);
/// ```
pub struct Turns<H: Handler, S> {
    router: Router<S>,
    waiting: Vec<H::Item>,
    /// Where those that found no memory wait until `waiting` is free again; nearly always empty.
    left: Vec<H::Item>,
    /// When the latest turn was: what waits was pushed after it.
    since: Nanos,
    batcher: Batcher<H::Item, H::Reply, H::Error>,
    handler: H,
}

impl<H: Handler, S: BuildHasher> Turns<H, S> {
    /// Takes all memory that grouping will need; it does not grow later, but for the array of
    /// waiting items, which holds as many as were ever pushed between two turns.
    ///
    /// # Panics
    ///
    /// If a size is outside its range.
    #[must_use]
    pub fn new(sizes: &Sizes, hasher: S, handler: H) -> Self {
        let &Sizes { sizing, flush_after, open_keys, open_items } = sizes;
        assert!(limits::BATCH_ITEMS.contains(&sizing.largest()), "no batch can be of {sizing}");
        assert!(limits::FLUSH_AFTER.contains(&flush_after), "{flush_after} is no time to linger");
        assert!(limits::OPEN_KEYS.contains(&open_keys), "{open_keys} open keys");
        assert!(limits::OPEN_ITEMS.contains(&open_items), "{open_items} open items");
        let largest = sizing.largest();
        let sizes = BatcherSizes { sizing, largest, flush_after, open_keys, open_items };
        Self {
            router: Router::new(hasher, 1),
            waiting: Vec::new(),
            left: Vec::new(),
            since: Nanos::ZERO,
            batcher: Batcher::new(&sizes, Nanos::ZERO),
            handler,
        }
    }

    /// Lets an item wait for the next turn, which hashes its key.
    #[inline]
    pub fn push(&mut self, item: H::Item) {
        self.waiting.push(item);
    }

    /// One turn at `now`, which does not run backwards: what waits goes into batches, and what is full
    /// or due goes to the handler. Says how many items still wait: none, unless the batches of one turn
    /// would be more than may stand ready, or there is no memory for them until others have gone.
    ///
    /// # Panics
    ///
    /// As the handler and the items' own code do. After a panic of the handler the rest of its batch is
    /// handed over with the next turn; after one of an item's `key` or `Eq`, what waited is lost.
    pub fn turn(&mut self, now: Nanos) -> usize {
        self.batcher.begin(now, self.waiting.len());
        self.drain();
        self.since = self.since.max(now);
        self.batcher.decide();
        self.hand_over();
        self.waiting.len()
    }

    /// Turns, at the time of the latest one, until everything that waits or lingers has been handled.
    ///
    /// # Panics
    ///
    /// As [`turn`](Self::turn).
    pub fn flush(&mut self) {
        while !self.waiting.is_empty() {
            self.turn(self.since);
        }
        while !self.batcher.is_empty() {
            self.batcher.sweep(Trigger::Flush);
            self.batcher.decide();
            self.hand_over();
        }
    }

    /// The handler.
    #[must_use]
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// As much of what waits as there is room for.
    fn drain(&mut self) {
        let most = self.waiting.len().min(self.batcher.room());
        let mut run = self.waiting.drain(..most);
        self.batcher.stretch(Run(&mut run), self.since, &self.router);
        self.batcher.accepted(most - run.len());
        self.left.extend(run);
        if !self.left.is_empty() {
            self.left.append(&mut self.waiting);
            std::mem::swap(&mut self.waiting, &mut self.left);
        }
    }

    fn hand_over(&mut self) {
        while let Some(handed) = self.batcher.hand_over(&mut self.handler, |_, _| ()) {
            if let Some(panic) = handed.panic {
                resume_unwind(panic);
            }
        }
    }
}

/// A run of waiting items.
struct Run<'r, 'a, T>(&'r mut std::vec::Drain<'a, T>);

impl<'a, T: Item> Arrivals<T> for Run<'_, 'a, T> {
    type Here<'h>
        = Front<'h, 'a, T>
    where
        Self: 'h;

    #[inline(always)]
    fn ahead(&self) -> &[T] {
        self.0.as_slice()
    }

    #[inline(always)]
    fn here(&mut self) -> Option<Front<'_, 'a, T>> {
        if self.0.as_slice().is_empty() { None } else { Some(Front(self.0)) }
    }
}

/// The first of a run, which is not empty.
struct Front<'h, 'a, T>(&'h mut std::vec::Drain<'a, T>);

impl<T> Arrival<T> for Front<'_, '_, T> {
    #[inline(always)]
    fn item(&self) -> &T {
        let [first, ..] = self.0.as_slice() else { unreachable!("a run with a front has one") };
        first
    }

    #[inline(always)]
    fn take(self) -> T {
        self.0.next().expect("a run with a front has one")
    }
}

/// A shard's timers, with what its records remember of them: a queue for times that come in order,
/// and a timing wheel for the others.
///
/// Tokens are numbers below a capacity. A token has one timer at most; it rings up to a tick of the
/// wheel early (65,536 ns for a horizon of 10 ms), and never late if [`ring`](Self::ring) is called in
/// time.
///
/// ```
/// use engine::Nanos;
/// use engine::internals::Timers;
///
/// let ms = |ms: u64| Nanos::from_nanos(ms * 1_000_000);
/// let mut timers = Timers::new(8, ms(10), ms(0));
/// timers.set(3, ms(10));
/// timers.set(5, ms(10));
/// timers.set(3, ms(12)); // anew
/// timers.clear(5);
/// assert_eq!(timers.ring(ms(11)), None);
/// assert_eq!(timers.ring(ms(12)), Some(3));
/// assert_eq!(timers.ring(ms(12)), None);
/// ```
pub struct Timers {
    timers: crate::timers::Timers,
    /// What a shard's records remember: [`Nanos::MAX`] while no timer is set.
    remembered: Vec<Nanos>,
}

impl Timers {
    /// Timers for tokens below `tokens`, most of them set up to `horizon` ahead; nothing is
    /// allocated later.
    ///
    /// # Panics
    ///
    /// If there are more than `u32::MAX - 768` tokens.
    #[must_use]
    pub fn new(tokens: usize, horizon: Nanos, now: Nanos) -> Self {
        Self {
            timers: crate::timers::Timers::new(tokens, horizon, now),
            remembered: vec![Nanos::MAX; tokens],
        }
    }

    /// Sets the token's timer, anew if it was set before. Constant time.
    ///
    /// # Panics
    ///
    /// If there is no such token.
    #[inline]
    pub fn set(&mut self, token: u32, at: Nanos) {
        self.clear(token);
        self.remembered[token as usize] = self.timers.set(token, at);
    }

    /// The token's timer does not ring, if it was set. Constant time; its place in the queue is given
    /// back when its time comes.
    ///
    /// # Panics
    ///
    /// If there is no such token.
    #[inline]
    pub fn clear(&mut self, token: u32) {
        let remembered = &mut self.remembered[token as usize];
        if *remembered != Nanos::MAX {
            *remembered = Nanos::MAX;
            self.timers.clear(token);
        }
    }

    /// One token whose time has come at `now`: by their times, up to a tick. `None` if there is none:
    /// call it until then.
    #[inline]
    pub fn ring(&mut self, now: Nanos) -> Option<u32> {
        loop {
            let rung = self.timers.ring(now)?;
            let remembered = &mut self.remembered[rung.index as usize];
            if rung.at == crate::timers::ANY || *remembered == rung.at {
                *remembered = Nanos::MAX;
                return Some(rung.index);
            }
        }
    }

    /// When [`ring`](Self::ring) may next return a token: no later than the earliest time. `None` if
    /// no timer is set.
    #[must_use]
    pub fn next(&self) -> Option<Nanos> {
        self.timers.next()
    }
}

/// The timing wheel alone: Varghese and Lauck's scheme 7 (*Hashed and Hierarchical Timing Wheels*, SOSP
/// 1987), whose near level reaches past the horizon, so that usual deadlines never cascade.
///
/// Tokens are numbers below a capacity.
///
/// ```
/// use engine::Nanos;
/// use engine::internals::Wheel;
///
/// let ms = |ms: u64| Nanos::from_nanos(ms * 1_000_000);
/// let mut wheel = Wheel::new(8, ms(10), ms(0));
/// wheel.arm(3, ms(10));
/// wheel.arm(5, ms(9));
/// assert!(wheel.cancel(5));
/// assert_eq!(wheel.expire(ms(9)), None);
/// assert_eq!(wheel.expire(ms(10)), Some(3));
/// ```
pub struct Wheel(crate::wheel::Wheel);

impl Wheel {
    /// A wheel for tokens below `tokens`. `horizon` is how far ahead deadlines usually lie; the tick is a
    /// power of two, at least 1,024 ns and a 254th of the horizon. Allocates 16 bytes a token, and 12 KiB;
    /// nothing later.
    ///
    /// # Panics
    ///
    /// If there are more than `u32::MAX - 768` tokens.
    #[must_use]
    pub fn new(tokens: usize, horizon: Nanos, now: Nanos) -> Self {
        Self(crate::wheel::Wheel::new(tokens, horizon, now))
    }

    /// Lets [`expire`](Self::expire) return `token` once when its deadline has come. Constant time.
    ///
    /// # Panics
    ///
    /// If there is no such token, or (in debug builds) if it is armed.
    #[inline]
    pub fn arm(&mut self, token: u32, deadline: Nanos) {
        self.0.arm(token, deadline);
    }

    /// Disarms the token; `false` if it was not armed. Constant time.
    ///
    /// # Panics
    ///
    /// If there is no such token.
    #[inline]
    pub fn cancel(&mut self, token: u32) -> bool {
        self.0.cancel(token)
    }

    /// One token whose deadline's tick has begun at `now`; `None` if there is none: call it until then.
    #[inline]
    pub fn expire(&mut self, now: Nanos) -> Option<u32> {
        self.0.expire(now)
    }

    /// When to call [`expire`](Self::expire) next: no later than the earliest deadline. `None` if nothing is
    /// armed.
    #[must_use]
    pub fn next(&self) -> Option<Nanos> {
        self.0.next()
    }

    /// The begin of the tick of a deadline: a token armed for it would come then.
    #[inline]
    #[must_use]
    pub fn begin_of_tick(&self, deadline: Nanos) -> Nanos {
        self.0.begin_of_tick(deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use foldhash::fast::FixedState;
    use proptest::prelude::*;

    use super::*;
    use crate::batch::Settled;
    use crate::handler::Batch;

    /// A key, and how many of that key were pushed before.
    struct Numbered {
        key: u64,
        nth: u64,
    }

    impl Item for Numbered {
        type Key<'a> = u64;

        fn key(&self) -> u64 {
            self.key
        }
    }

    #[derive(Default)]
    struct Seen {
        next: BTreeMap<u64, u64>,
        largest: usize,
        items: u64,
        panics_at: Option<u64>,
    }

    impl Handler for Seen {
        type Item = Numbered;
        type Reply = ();
        type Error = ();

        fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
            self.largest = self.largest.max(batch.len());
            batch.settle_all(|key, items| {
                if self.panics_at == Some(self.items) {
                    panic!("at {}", self.items);
                }
                for item in items {
                    let next = self.next.entry(key).or_default();
                    assert_eq!((item.key, item.nth), (key, *next), "in order, and once");
                    *next += 1;
                    self.items += 1;
                }
                Ok(())
            })
        }
    }

    fn grouping(sizing: Sizing, keys: usize, items: usize) -> Turns<Seen, FixedState> {
        let flush_after = Nanos::from_nanos(10_000_000);
        let sizes = Sizes { sizing, flush_after, open_keys: keys, open_items: items };
        Turns::new(&sizes, FixedState::with_seed(7), Seen::default())
    }

    /// Pushes items of pseudo-random keys, with a turn every so many; says how many turns left some
    /// waiting.
    fn push_all(grouping: &mut Turns<Seen, FixedState>, keys: u64, items: u64, every: u64) -> u64 {
        let mut nth = BTreeMap::<u64, u64>::new();
        let mut behind = 0;
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for item in 1..=items {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let key = ((state >> 32) * keys) >> 32;
            let count = nth.entry(key).or_default();
            grouping.push(Numbered { key, nth: *count });
            *count += 1;
            if item % every == 0 {
                behind += u64::from(grouping.turn(Nanos::from_nanos(item * 50)) > 0);
            }
        }
        behind
    }

    #[test]
    fn every_item_is_handed_over_once_and_in_the_order_of_its_key() {
        for sizing in [Sizing::Single, Sizing::Fixed(100), Sizing::default()] {
            for keys in [1, 8, 1_000, 10_000] {
                let mut grouping = grouping(sizing, 16_384, 131_072);
                push_all(&mut grouping, keys, 30_000, 256);
                grouping.flush();
                assert_eq!(grouping.handler().items, 30_000, "{sizing}, {keys} keys");
                assert!(grouping.handler().largest <= sizing.largest() as usize);
            }
        }
    }

    #[test]
    fn what_finds_no_memory_waits_and_keeps_its_order() {
        // Less memory than one turn's items need: some of every turn are left.
        let mut grouping = grouping(Sizing::Fixed(100), 1_024, 64);
        let behind = push_all(&mut grouping, 1_000, 40_000, 4_000);
        assert_eq!(behind, 10, "memory ran out each time");
        grouping.flush();
        assert_eq!(grouping.handler().items, 40_000);
    }

    #[test]
    fn a_batch_that_is_not_full_goes_at_its_deadline() {
        let mut grouping = grouping(Sizing::Fixed(100), 64, 1_024);
        grouping.push(Numbered { key: 1, nth: 0 });
        grouping.turn(Nanos::from_nanos(1_000));
        grouping.turn(Nanos::from_nanos(9_000_000));
        assert_eq!(grouping.handler().items, 0);
        grouping.turn(Nanos::from_nanos(10_001_000));
        assert_eq!(grouping.handler().items, 1);
    }

    #[test]
    fn a_panic_of_the_handler_reaches_the_caller() {
        let mut grouping = grouping(Sizing::Fixed(2), 64, 1_024);
        grouping.handler.panics_at = Some(0);
        for nth in 0..2 {
            grouping.push(Numbered { key: 1, nth });
        }
        let turn = std::panic::AssertUnwindSafe(|| grouping.turn(Nanos::ZERO));
        assert!(std::panic::catch_unwind(turn).is_err());
    }

    #[test]
    #[should_panic(expected = "open keys")]
    fn a_size_out_of_range_is_refused() {
        let _ = grouping(Sizing::Fixed(100), 0, 1_024);
    }

    proptest! {
        /// Wheel and timers ring for each setting at most once, within a tick of its time, and not
        /// when it was taken back.
        #[test]
        fn timers_ring_for_what_is_set(
            steps in prop::collection::vec((0_u32..6, 0_u64..20_000_000, 0_u64..3_000_000, any::<bool>()), 1..200),
        ) {
            let at = Nanos::from_nanos;
            let horizon = at(10_000_000);
            let mut timers = Timers::new(6, horizon, at(0));
            let mut wheel = Wheel::new(6, horizon, at(0));
            let tick = 65_536;
            prop_assert_eq!(wheel.begin_of_tick(at(3 * tick - 1)), at(2 * tick));
            let mut set = [None; 6];
            let mut now = 0;
            for (token, ahead, step, clears) in steps {
                timers.clear(token);
                prop_assert_eq!(wheel.cancel(token), set[token as usize].take().is_some());
                if !clears {
                    timers.set(token, at(now + ahead));
                    wheel.arm(token, at(now + ahead));
                    set[token as usize] = Some(now + ahead);
                }
                now += step;
                let mut rung = Vec::new();
                rung.extend(std::iter::from_fn(|| timers.ring(at(now))));
                let mut expired = Vec::new();
                expired.extend(std::iter::from_fn(|| wheel.expire(at(now))));
                rung.sort_unstable();
                expired.sort_unstable();
                prop_assert_eq!(&rung, &expired);
                for token in rung {
                    let due = set[token as usize].take();
                    prop_assert!(due.is_some_and(|due| due < now + tick), "{:?} at {}", due, now);
                }
                let first = set.iter().flatten().min().copied();
                prop_assert!(first.is_none_or(|first| first > now), "late at {}", now);
                for next in [timers.next(), wheel.next()] {
                    prop_assert!(first.is_none_or(|first| next.is_some_and(|next| next <= at(first))));
                }
            }
        }
    }
}
