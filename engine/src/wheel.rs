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
        let tick_bits = tick_bits(horizon);
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

    /// From now on deadlines lie at most that far ahead: the tick becomes as fine as [`new`](Self::new)
    /// would make it. Never coarser: what is armed would come early by that. Constant time for each
    /// token that is armed; nothing is allocated.
    pub(crate) fn refine(&mut self, horizon: Nanos) {
        let finer = tick_bits(horizon);
        if finer >= self.tick_bits {
            return;
        }
        // All tokens in one list, the wide slots' first: in those lie the older ones of a tick.
        let (mut first, mut last) = (UNARMED, UNARMED);
        let far = (0..FAR_LEVELS).rev().flat_map(|far| {
            let begin = NEAR_SLOTS + far * FAR_SLOTS;
            begin..begin + FAR_SLOTS
        });
        let capacity = self.capacity;
        for slot in far.chain(0..NEAR_SLOTS).map(|slot| capacity + slot as u32) {
            let Node { next, prev, .. } = self.nodes[slot as usize];
            if next == slot {
                continue;
            }
            match last {
                UNARMED => first = next,
                last => self.nodes[last as usize].next = next,
            }
            last = prev;
            (self.nodes[slot as usize].next, self.nodes[slot as usize].prev) = (slot, slot);
        }
        if last != UNARMED {
            self.nodes[last as usize].next = UNARMED;
        }
        let by = self.tick_bits - finer;
        (self.now, self.current) = (self.now << by, self.current << by);
        (self.tick_bits, self.hint, self.armed) = (finer, u64::MAX, 0);
        (self.near, self.far, self.far_levels) = ([0; NEAR_WORDS], [0; FAR_LEVELS], 0);
        while first != UNARMED {
            let Node { next, deadline_ns, .. } = self.nodes[first as usize];
            self.nodes[first as usize].next = UNARMED;
            self.arm(first, Nanos::from_nanos(deadline_ns));
            first = next;
        }
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
    #[cfg(test)]
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

/// A tick is two to this, in nanoseconds, for deadlines that lie so far ahead.
fn tick_bits(horizon: Nanos) -> u32 {
    // One tick for the rounding of the deadline, one for that of the present.
    let ticks = NEAR_SLOTS as u64 - 2;
    let tick_bits = horizon.as_nanos().div_ceil(ticks).max(1).next_power_of_two().ilog2();
    tick_bits.max(TICK_BITS_MIN)
}

/// A slot of this far level is `1 << far_shift` ticks wide.
const fn far_shift(far: usize) -> u32 {
    NEAR_BITS + far as u32 * FAR_BITS
}

#[cfg(test)]
mod tests;
