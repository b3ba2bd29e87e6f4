//! What is due when: deadlines of numbered things, on a hierarchical timing wheel.
//!
//! # Idea
//!
//! Time is cut into ticks. The near future has a slot for every tick; what lies further ahead shares
//! slots that are the wider the further ahead they are, and moves to narrower ones (*cascades*) when its
//! slot begins. So arming, cancelling and expiring cost the same however much is armed (Varghese &
//! Lauck, *Hashed and Hierarchical Timing Wheels*, SOSP 1987, scheme 7). Here the tick is chosen so that
//! the usual deadline falls into the near future: then nothing ever cascades, and deadlines that all lie
//! equally far ahead are appended to a list and taken from its front, as in a queue.
//!
//! # Layout
//!
//! ```text
//! level 0    256 slots of 1 tick                               bitmap of four words
//! level 1     64 slots of 256 ticks                            bitmap of one word
//! level 2     64 slots of 256 × 64 ticks                       …
//! level 8     64 slots of 256 × 64⁷ ticks                      reaches past the end of u64 nanoseconds
//! ```
//!
//! One array of nodes: first one for each token, then one for each slot. The nodes of a slot's tokens and
//! the slot's own form a ring, in both directions, so that taking a token out needs neither its slot nor
//! a test for the ends. Slots are found by the bits of the tick, counted from the current tick on; the
//! bitmaps say which ones are occupied, so a clock that jumps by a day steps over the empty ones.
//!
//! # Traps
//!
//! - Deadlines are rounded *down* to the tick: a token may come up to one tick early, and never late if
//!   the caller comes at [`Wheel::next`].
//! - A token that cascades is older than every token armed directly into the slot it falls into (it was
//!   further ahead when it was armed), so a cascade puts its tokens in *front*, last first. Behind them
//!   they would be overtaken by younger ones with the same deadline.
//! - Where several slots begin at one tick, the narrower one cascades first, for the same reason.
//! - The current tick must move on while nothing is due, or deadlines would be placed as seen from the
//!   past, beyond level 0: so [`Wheel::expire`] wants to be called each turn, due or not.
//! - A cascade moves all tokens of a slot within one call of `expire`. This concerns only deadlines that
//!   were armed further ahead than the horizon.

use crate::nanos::Nanos;

/// What is armed: a number below the wheel's capacity, chosen by the caller.
pub(crate) type Token = u32;

/// The shortest tick is 2^10 = 1024 ns: below that, reading the clock costs more than is gained.
const TICK_BITS_MIN: u32 = 10;

const NEAR_BITS: u32 = 8;
/// Slots of level 0.
const NEAR_SLOTS: usize = 1 << NEAR_BITS;
const NEAR_WORDS: usize = NEAR_SLOTS / 64;

const FAR_BITS: u32 = 6;
/// Slots of each level above 0.
const FAR_SLOTS: usize = 1 << FAR_BITS;
/// Levels above 0.
const FAR_LEVELS: usize = 8;

const SLOTS: usize = NEAR_SLOTS + FAR_LEVELS * FAR_SLOTS;

const _: () = assert!(
    TICK_BITS_MIN + NEAR_BITS + FAR_LEVELS as u32 * FAR_BITS >= u64::BITS,
    "every deadline has a slot, so none must be clamped"
);
const _: () = assert!(FAR_SLOTS == u64::BITS as usize, "one word is the bitmap of one far level");

/// `next` of a token that is not armed.
const UNARMED: u32 = u32::MAX;

/// A place in the ring of a slot.
#[derive(Clone, Copy)]
struct Node {
    next: u32,
    prev: u32,
    /// In nanoseconds; 0 for the node of a slot.
    deadline_ns: u64,
}

const _: () = assert!(size_of::<Node>() == 16, "four nodes a cache line");

/// Deadlines of up to `capacity` tokens; see the module for the idea and the traps.
pub(crate) struct Wheel {
    /// A node for each token, then one for each slot.
    nodes: Box<[Node]>,
    capacity: u32,
    armed: u32,
    /// A tick is `1 << tick_bits` nanoseconds; 10 to 57.
    tick_bits: u32,
    /// The latest tick that `expire` was told.
    now: u64,
    /// No occupied slot begins before this tick, except that the slot of this tick may be occupied; at
    /// most `now`, and behind it only while tokens are due.
    current: u64,
    /// At most the tick of the first event (see [`Wheel::first_event`]); too early where the token that
    /// caused it was cancelled.
    hint: u64,
    /// A bit for each occupied slot.
    near: [u64; NEAR_WORDS],
    far: [u64; FAR_LEVELS],
    /// A bit for each far level that has an occupied slot.
    far_levels: u32,
}

/// The beginning of an occupied slot.
struct Event {
    tick: u64,
    /// Number of the slot, over all levels.
    slot: u32,
    /// Whether it is of a level above 0.
    is_far: bool,
}

impl Wheel {
    /// A wheel for tokens below `capacity`. `horizon` is how far ahead deadlines usually lie: those at
    /// most that far cost least. The tick is a power of two, at least 1024 ns, and at least a 254th of
    /// the horizon: 65.5 µs for 10 ms.
    ///
    /// Allocates [`Wheel::bytes`]; nothing does later.
    ///
    /// # Panics
    ///
    /// If `capacity` leaves no numbers for the slots (at most `u32::MAX - 768`).
    pub(crate) fn new(capacity: usize, horizon: Nanos, now: Nanos) -> Self {
        assert!(
            capacity <= UNARMED as usize - SLOTS,
            "a wheel numbers its {capacity} tokens and its slots in 32 bits"
        );
        let nodes = (0..(capacity + SLOTS) as u32)
            .map(|index| match (index as usize) < capacity {
                true => Node { next: UNARMED, prev: UNARMED, deadline_ns: 0 },
                false => Node { next: index, prev: index, deadline_ns: 0 },
            })
            .collect();
        // One tick for the rounding of the deadline, one for that of the present.
        let ticks = NEAR_SLOTS as u64 - 2;
        let tick_bits = horizon.as_nanos().div_ceil(ticks).max(1).next_power_of_two().ilog2();
        let tick_bits = tick_bits.max(TICK_BITS_MIN);
        let current = now.as_nanos() >> tick_bits;
        Self {
            nodes,
            capacity: capacity as u32,
            armed: 0,
            tick_bits,
            now: current,
            current,
            hint: u64::MAX,
            near: [0; NEAR_WORDS],
            far: [0; FAR_LEVELS],
            far_levels: 0,
        }
    }

    /// Bytes that [`Wheel::new`] allocates for that capacity: 16 for each token, and 12 KiB.
    pub(crate) fn bytes(capacity: usize) -> usize {
        capacity.saturating_add(SLOTS).saturating_mul(size_of::<Node>())
    }

    /// Tokens armed.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.armed as usize
    }

    /// Whether no token is armed.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.armed == 0
    }

    /// How many nanoseconds early a token may come.
    #[cfg(test)]
    pub(crate) fn tick(&self) -> Nanos {
        Nanos::from_nanos(1 << self.tick_bits)
    }

    /// Whether the token is armed.
    ///
    /// # Panics
    ///
    /// If `token` is not below the capacity.
    #[inline]
    pub(crate) fn is_armed(&self, token: Token) -> bool {
        self.node(token).next != UNARMED
    }

    /// The token's deadline as it was given, if it is armed.
    ///
    /// # Panics
    ///
    /// If `token` is not below the capacity.
    #[inline]
    pub(crate) fn deadline(&self, token: Token) -> Option<Nanos> {
        let node = self.node(token);
        (node.next != UNARMED).then(|| Nanos::from_nanos(node.deadline_ns))
    }

    /// Lets [`Wheel::expire`] return `token` once when its deadline has come; at once if it is past.
    ///
    /// Constant time: for deadlines within the horizon one compare and an append.
    ///
    /// # Panics
    ///
    /// If `token` is not below the capacity, or (in debug builds) armed already. In release builds the
    /// token is then moved to the new deadline.
    #[inline]
    pub(crate) fn arm(&mut self, token: Token, deadline: Nanos) {
        let armed = self.is_armed(token);
        debug_assert!(!armed, "token {token} is armed already");
        if armed {
            self.take_out(token);
        }
        let deadline_ns = deadline.as_nanos();
        let slot = self.occupy(deadline_ns);
        let last = self.nodes[slot as usize].prev;
        self.nodes[token as usize] = Node { next: slot, prev: last, deadline_ns };
        self.nodes[last as usize].next = token;
        self.nodes[slot as usize].prev = token;
        self.armed += 1;
    }

    /// As [`arm`](Self::arm), so that the token never comes before `moment`: up to a tick after it.
    pub(crate) fn arm_not_before(&mut self, token: Token, moment: Nanos) {
        let rest_of_tick = Nanos::from_nanos((1 << self.tick_bits) - 1);
        self.arm(token, moment.saturating_add(rest_of_tick));
    }

    /// Disarms the token; `false` if it was not armed. Constant time.
    ///
    /// # Panics
    ///
    /// If `token` is not below the capacity.
    #[inline]
    pub(crate) fn cancel(&mut self, token: Token) -> bool {
        let armed = self.is_armed(token);
        if armed {
            self.take_out(token);
        }
        armed
    }

    /// When to call [`Wheel::expire`] next: no later than the earliest deadline, and less than a tick
    /// before it; or sooner, if tokens must move to narrower slots first (then `expire` may return
    /// nothing, and `next` moves on). What is overdue already gives a moment that `expire` was told
    /// before. `None` if nothing is armed.
    ///
    /// Costs about a dozen words looked at, whatever is armed.
    pub(crate) fn next(&self) -> Option<Nanos> {
        self.first_event().map(|event| Nanos::from_nanos(event.tick << self.tick_bits))
    }

    /// The begin of the tick of a deadline: a token armed for it would come then.
    #[inline]
    pub(crate) fn begin_of_tick(&self, deadline: Nanos) -> Nanos {
        Nanos::from_nanos(deadline.as_nanos() >> self.tick_bits << self.tick_bits)
    }

    /// Whether a token armed for `deadline` would come at `now`: whether its tick has begun.
    #[inline]
    pub(crate) fn is_due(&self, deadline: Nanos, now: Nanos) -> bool {
        deadline.as_nanos() >> self.tick_bits <= now.as_nanos() >> self.tick_bits
    }

    /// One token of the slot that begins first: among those with the earliest deadlines, within the
    /// width of that slot. `None` if nothing is armed. Costs as much as [`Wheel::next`].
    pub(crate) fn earliest(&self) -> Option<Token> {
        self.first_event().map(|event| self.nodes[event.slot as usize].next)
    }

    /// Takes one token whose deadline's tick has begun at `now`: by ticks, and in the order of arming
    /// within one. `None` if there is none (yet): call it until then, or as often as the turn allows.
    ///
    /// A `now` before an earlier one counts as that one. One compare where nothing is due.
    #[inline]
    pub(crate) fn expire(&mut self, now: Nanos) -> Option<Token> {
        self.now = self.now.max(now.as_nanos() >> self.tick_bits);
        if self.now < self.hint {
            self.current = self.now;
            return None;
        }
        let slot = self.near_slot(self.current);
        if let Some(token) = self.pop_near(slot) {
            return Some(token);
        }
        self.advance()
    }

    /// Goes to the next occupied slot that has begun, if there is one, and takes its first token.
    fn advance(&mut self) -> Option<Token> {
        loop {
            match self.first_event() {
                Some(event) if event.tick <= self.now => {
                    self.current = event.tick;
                    self.hint = event.tick;
                    if event.is_far {
                        self.cascade();
                    }
                    if let Some(token) = self.pop_near(self.near_slot(self.current)) {
                        return Some(token);
                    }
                }
                event => {
                    self.current = self.now;
                    self.hint = event.map_or(u64::MAX, |event| event.tick);
                    return None;
                }
            }
        }
    }

    /// Takes the first token out of a near slot.
    #[inline]
    fn pop_near(&mut self, slot: u32) -> Option<Token> {
        let token = self.nodes[slot as usize].next;
        if token == slot {
            return None;
        }
        let node = &mut self.nodes[token as usize];
        let next = node.next;
        node.next = UNARMED;
        self.nodes[slot as usize].next = next;
        self.nodes[next as usize].prev = slot;
        self.armed -= 1;
        if next == slot {
            self.vacate(slot);
        }
        Some(token)
    }

    /// Empties the far slots that begin at the current tick, narrow ones first: from the next tick on
    /// they would count as the last of their level, not as the first.
    #[cold]
    fn cascade(&mut self) {
        for far in 0..FAR_LEVELS {
            let index = (self.current >> far_shift(far)) as usize % FAR_SLOTS;
            if self.far[far] & (1 << index) != 0 {
                self.far[far] &= !(1 << index);
                self.far_levels &= !(u32::from(self.far[far] == 0) << far);
                self.cascade_slot(self.far_slot(far, index));
            }
        }
    }

    /// Moves the tokens of a far slot to the narrower slots where they belong now.
    fn cascade_slot(&mut self, slot: u32) {
        let mut token = self.nodes[slot as usize].prev;
        self.nodes[slot as usize].next = slot;
        self.nodes[slot as usize].prev = slot;
        while token != slot {
            let Node { prev, deadline_ns, .. } = self.nodes[token as usize];
            let place = self.occupy(deadline_ns);
            debug_assert!(place < slot, "a cascade goes down");
            let first = self.nodes[place as usize].next;
            self.nodes[token as usize] = Node { next: first, prev: place, deadline_ns };
            self.nodes[first as usize].prev = token;
            self.nodes[place as usize].next = token;
            token = prev;
        }
    }

    /// The slot for a deadline, as seen from the current tick; it counts as occupied from here on.
    #[inline]
    fn occupy(&mut self, deadline_ns: u64) -> u32 {
        let tick = (deadline_ns >> self.tick_bits).max(self.current);
        if tick - self.current >= NEAR_SLOTS as u64 {
            return self.occupy_far(tick);
        }
        let index = tick as usize % NEAR_SLOTS;
        self.near[index / 64] |= 1 << (index % 64);
        self.hint = self.hint.min(tick);
        self.capacity + index as u32
    }

    #[cold]
    fn occupy_far(&mut self, tick: u64) -> u32 {
        let current = self.current;
        let far = (0..FAR_LEVELS)
            .find(|&far| (tick >> far_shift(far)) - (current >> far_shift(far)) < FAR_SLOTS as u64)
            .expect("the widest level reaches the end of time");
        let shift = far_shift(far);
        let index = (tick >> shift) as usize % FAR_SLOTS;
        self.far[far] |= 1 << index;
        self.far_levels |= 1 << far;
        self.hint = self.hint.min(tick >> shift << shift);
        self.far_slot(far, index)
    }

    /// Notes that a slot holds no token any more.
    #[inline]
    fn vacate(&mut self, slot: u32) {
        let index = (slot - self.capacity) as usize;
        match index.checked_sub(NEAR_SLOTS) {
            None => self.near[index / 64] &= !(1 << (index % 64)),
            Some(index) => {
                let far = index / FAR_SLOTS;
                self.far[far] &= !(1 << (index % FAR_SLOTS));
                self.far_levels &= !(u32::from(self.far[far] == 0) << far);
            }
        }
    }

    #[inline]
    fn near_slot(&self, tick: u64) -> u32 {
        self.capacity + (tick % NEAR_SLOTS as u64) as u32
    }

    fn far_slot(&self, far: usize, index: usize) -> u32 {
        self.capacity + (NEAR_SLOTS + far * FAR_SLOTS + index) as u32
    }

    /// Takes an armed token out of its slot.
    #[inline]
    fn take_out(&mut self, token: Token) {
        let Node { next, prev, .. } = self.nodes[token as usize];
        self.nodes[prev as usize].next = next;
        self.nodes[next as usize].prev = prev;
        self.nodes[token as usize].next = UNARMED;
        self.armed -= 1;
        if next == prev && next >= self.capacity {
            // The slot's own node is alone.
            self.vacate(next);
        }
    }

    /// The occupied slot that begins first; of those that begin together a far one, if there is one, since
    /// it holds the older tokens.
    fn first_event(&self) -> Option<Event> {
        let near =
            self.first_near().map(|tick| Event { tick, slot: self.near_slot(tick), is_far: false });
        if self.far_levels == 0 {
            return near;
        }
        let far = self.first_far()?;
        Some(near.filter(|near| near.tick < far.tick).unwrap_or(far))
    }

    #[cold]
    fn first_far(&self) -> Option<Event> {
        let levels = (0..FAR_LEVELS).filter(|&far| self.far[far] != 0);
        let events = levels.map(|far| {
            let shift = far_shift(far);
            // What belongs into the current slot of this level is on a narrower one.
            let after = (self.current >> shift) + 1;
            let ahead = self.far[far].rotate_right((after % FAR_SLOTS as u64) as u32);
            let begins = after + u64::from(ahead.trailing_zeros());
            let slot = self.far_slot(far, begins as usize % FAR_SLOTS);
            Event { tick: begins << shift, slot, is_far: true }
        });
        events.min_by_key(|event| event.tick)
    }

    /// The tick of the first occupied near slot.
    fn first_near(&self) -> Option<u64> {
        let from = (self.current % NEAR_SLOTS as u64) as usize;
        let (word, bit) = (from / 64, from % 64);
        let here = self.near[word] >> bit;
        if here != 0 {
            return Some(self.current + u64::from(here.trailing_zeros()));
        }
        // The other words, and the bits of this one that lie before `bit`, a round later.
        let begin = self.current - bit as u64;
        (1..=NEAR_WORDS).find_map(|ahead| {
            let bits = self.near[(word + ahead) % NEAR_WORDS];
            (bits != 0).then(|| begin + 64 * ahead as u64 + u64::from(bits.trailing_zeros()))
        })
    }

    #[inline]
    fn node(&self, token: Token) -> &Node {
        assert!(token < self.capacity, "token {token} is not below {}", self.capacity);
        &self.nodes[token as usize]
    }
}

/// A slot of this far level is `1 << far_shift` ticks wide.
const fn far_shift(far: usize) -> u32 {
    NEAR_BITS + far as u32 * FAR_BITS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// What the wheel must do, as slowly and plainly as possible: by tick of the deadline (of the clock,
    /// if that is later), then in the order of arming.
    #[derive(Default)]
    struct Plain(BTreeSet<(u64, u64, Token)>);

    impl Plain {
        fn cancel(&mut self, token: Token) -> bool {
            let before = self.0.len();
            self.0.retain(|&(_, _, armed)| armed != token);
            before != self.0.len()
        }

        fn expire(&mut self, now: u64) -> Option<Token> {
            let first = *self.0.first().filter(|&&(tick, _, _)| tick <= now)?;
            self.0.remove(&first);
            Some(first.2)
        }
    }

    const CAPACITY: usize = 24;
    const MS: u64 = 1_000_000;
    const HOUR: u64 = 3_600_000 * MS;

    fn nanos(nanos: u64) -> Nanos {
        Nanos::from_nanos(nanos)
    }

    #[derive(Clone, Debug)]
    enum When {
        Past(u64),
        Ahead(u64),
        End(u64),
        AsLast,
    }

    #[derive(Clone, Debug)]
    enum Step {
        Arm(Token, When),
        Cancel(Token),
        /// Moves the clock, then expires so many.
        Advance(u64, usize),
        /// Moves the clock to `next()`, then expires all.
        Next,
    }

    fn spans() -> impl Strategy<Value = u64> {
        prop_oneof![
            Just(0),
            0..20_000_u64,
            0..MS,
            0..10 * MS,
            10 * MS - 3..10 * MS + 3,
            0..300 * MS,
            0..HOUR,
            0..1_000 * HOUR,
            (0_u32..63).prop_map(|bits| 1 << bits),
        ]
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let token = 0..CAPACITY as Token;
        let when = prop_oneof![
            1 => (0..100 * MS).prop_map(When::Past),
            6 => spans().prop_map(When::Ahead),
            1 => (0..10_000_u64).prop_map(When::End),
            3 => Just(When::AsLast),
        ];
        let step = prop_oneof![
            10 => (token.clone(), when).prop_map(|(token, when)| Step::Arm(token, when)),
            2 => token.prop_map(Step::Cancel),
            4 => (spans(), prop_oneof![Just(usize::MAX), 0..4_usize])
                .prop_map(|(by, most)| Step::Advance(by, most)),
            3 => Just(Step::Next),
        ];
        prop::collection::vec(step, 0..150)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn it_expires_what_a_sorted_set_would_in_the_same_order(
            steps in steps(),
            horizon in prop_oneof![Just(10 * MS), Just(0), spans()],
            start in spans(),
        ) {
            let mut wheel = Wheel::new(CAPACITY, nanos(horizon), nanos(start));
            let mut plain = Plain::default();
            let tick = wheel.tick().as_nanos();
            let mut deadlines = [None; CAPACITY];
            let mut now = start;
            // While tokens wait that were due, new ones that are past go to the slot where it stands.
            let mut standing = start / tick;
            let mut last = start;
            for (order, step) in steps.into_iter().enumerate() {
                let mut most = usize::MAX;
                match step {
                    Step::Arm(token, when) => {
                        let deadline = match when {
                            When::Past(by) => now.saturating_sub(by),
                            When::Ahead(by) => now.saturating_add(by),
                            When::End(by) => u64::MAX - by,
                            When::AsLast => last,
                        };
                        last = deadline;
                        prop_assert_eq!(wheel.cancel(token), plain.cancel(token));
                        wheel.arm(token, nanos(deadline));
                        plain.0.insert(((deadline / tick).max(standing), order as u64, token));
                        deadlines[token as usize] = Some(deadline);
                        prop_assert_eq!(wheel.deadline(token), Some(nanos(deadline)));
                        most = 0;
                    }
                    Step::Cancel(token) => {
                        prop_assert_eq!(wheel.is_armed(token), deadlines[token as usize].is_some());
                        prop_assert_eq!(wheel.cancel(token), plain.cancel(token));
                        deadlines[token as usize] = None;
                        prop_assert_eq!(wheel.deadline(token), None);
                        most = 0;
                    }
                    Step::Advance(by, few) => {
                        now = now.saturating_add(by);
                        most = few;
                    }
                    Step::Next => if let Some(next) = wheel.next() {
                        now = now.max(next.as_nanos());
                    },
                }
                for _ in 0..most {
                    let due = wheel.expire(nanos(now));
                    prop_assert_eq!(due, plain.expire(now / tick));
                    let Some(token) = due else {
                        standing = now / tick;
                        break;
                    };
                    let deadline = deadlines[token as usize].take().unwrap();
                    prop_assert!(deadline.saturating_sub(now) < tick, "more than one tick early");
                    standing = standing.max(deadline / tick);
                }
                prop_assert_eq!(wheel.len(), plain.0.len());
                prop_assert_eq!(wheel.is_empty(), plain.0.is_empty());
                // `next` is never late, and what it promises comes within a step for each level.
                match deadlines.iter().flatten().min() {
                    None => prop_assert_eq!((wheel.next(), wheel.earliest()), (None, None)),
                    Some(&first) => {
                        prop_assert!(wheel.next().unwrap().as_nanos() <= first.max(now));
                        prop_assert!(wheel.is_armed(wheel.earliest().unwrap()));
                    }
                }
            }
        }

        #[test]
        fn stepped_from_next_to_next_nothing_is_late_or_more_than_a_tick_early(
            ahead in prop::collection::vec(spans(), 1..CAPACITY),
            start in 0..HOUR,
        ) {
            let mut wheel = Wheel::new(CAPACITY, nanos(10 * MS), nanos(start));
            let tick = wheel.tick().as_nanos();
            for (token, &ahead) in ahead.iter().enumerate() {
                wheel.arm(token as Token, nanos(start.saturating_add(ahead)));
            }
            let mut now = start;
            let mut steps = 0;
            while let Some(next) = wheel.next() {
                prop_assert!(steps == 0 || next.as_nanos() > now, "the same moment twice");
                now = now.max(next.as_nanos());
                steps += 1;
                while let Some(token) = wheel.expire(nanos(now)) {
                    let deadline = start.saturating_add(ahead[token as usize]);
                    prop_assert!(now <= deadline && deadline - now < tick, "{now} {deadline}");
                }
            }
            prop_assert!(steps <= ahead.len() * (FAR_LEVELS + 1));
        }
    }

    #[test]
    fn a_deadline_within_the_horizon_is_placed_once() {
        for horizon in [1, 1_000, MS, 10 * MS, 16 * MS, 333 * MS, HOUR, u64::MAX] {
            for start in [0, 1, 12_345_678_901, HOUR * 5 + 7] {
                let mut wheel = Wheel::new(1, nanos(horizon), nanos(start));
                let mut now = start;
                for _ in 0..2_000 {
                    assert_eq!(wheel.expire(nanos(now)), None);
                    wheel.arm(0, nanos(now.saturating_add(horizon)));
                    assert_eq!(wheel.far, [0; FAR_LEVELS], "horizon {horizon}, now {now}");
                    wheel.cancel(0);
                    now = now.saturating_add(horizon / 7 + 13);
                }
            }
        }
    }

    #[test]
    fn the_tick_is_a_power_of_two_that_fits_the_horizon() {
        let tick = |horizon| Wheel::new(0, nanos(horizon), Nanos::ZERO).tick().as_nanos();
        assert_eq!(tick(0), 1_024);
        assert_eq!(tick(254 * 1_024), 1_024);
        assert_eq!(tick(254 * 1_024 + 1), 2_048);
        assert_eq!(tick(10 * MS), 65_536);
        assert_eq!(tick(u64::MAX), 1 << 57);
    }

    #[test]
    fn equal_deadlines_come_in_the_order_of_arming_however_far_ahead_they_were_armed() {
        // The deadline is approached in steps, up to a tick before it, so it is armed from every level.
        let deadline = 700 * HOUR;
        let mut wheel = Wheel::new(200, nanos(10 * MS), Nanos::ZERO);
        let mut now = 0;
        for token in 0..200 {
            assert_eq!(wheel.expire(nanos(now)), None);
            wheel.arm(token, nanos(deadline));
            now += (deadline - wheel.tick().as_nanos() - now) / 5;
        }
        let came: Vec<_> = std::iter::from_fn(|| wheel.expire(nanos(deadline))).collect();
        assert_eq!(came, (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn a_jump_of_the_clock_looks_at_occupied_slots_alone() {
        let mut wheel = Wheel::new(1_000, nanos(10 * MS), Nanos::ZERO);
        let mut now = 0;
        // A day a step, 100 000 times: walking slot by slot would be 10^14 steps.
        for round in 0..100_000_u32 {
            let token = round % 1_000;
            wheel.arm(token, nanos(now + 24 * HOUR - 1));
            now += 24 * HOUR;
            assert_eq!(wheel.expire(nanos(now)), Some(token));
            assert_eq!(wheel.expire(nanos(now)), None);
        }
    }

    #[test]
    fn a_clock_that_runs_backwards_stands_still() {
        let mut wheel = Wheel::new(2, nanos(10 * MS), Nanos::ZERO);
        wheel.arm(0, nanos(5 * MS));
        wheel.arm(1, nanos(6 * MS));
        assert_eq!(wheel.expire(nanos(7 * MS)), Some(0));
        assert_eq!(wheel.expire(Nanos::ZERO), Some(1));
    }

    #[test]
    fn the_memory_plan_is_what_the_wheel_takes() {
        for capacity in [0, 1, 1_000] {
            let wheel = Wheel::new(capacity, nanos(10 * MS), Nanos::ZERO);
            assert_eq!(size_of_val(&*wheel.nodes), Wheel::bytes(capacity));
        }
        assert_eq!(Wheel::bytes(usize::MAX), usize::MAX);
    }

    #[test]
    #[should_panic(expected = "token 8 is not below 8")]
    fn a_token_out_of_range_is_refused() {
        Wheel::new(8, nanos(10 * MS), Nanos::ZERO).arm(8, Nanos::ZERO);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "token 3 is armed already")]
    fn arming_twice_is_refused() {
        let mut wheel = Wheel::new(8, nanos(10 * MS), Nanos::ZERO);
        wheel.arm(3, nanos(MS));
        wheel.arm(3, nanos(MS));
    }
}
