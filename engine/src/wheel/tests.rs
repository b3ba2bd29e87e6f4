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
    Refine(u64),
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
        1 => spans().prop_map(Step::Refine),
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
        let mut tick = wheel.tick().as_nanos();
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
                Step::Refine(horizon) => {
                    wheel.refine(nanos(horizon));
                    let coarse = std::mem::replace(&mut tick, wheel.tick().as_nanos());
                    let fresh = Wheel::new(1, nanos(horizon), nanos(0)).tick().as_nanos();
                    prop_assert_eq!(tick, coarse.min(fresh));
                    standing *= coarse / tick;
                    plain.0 = plain.0.iter().map(|&(_, order, token)| {
                        let deadline = deadlines[token as usize].unwrap();
                        ((deadline / tick).max(standing), order, token)
                    }).collect();
                    most = 0;
                }
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
