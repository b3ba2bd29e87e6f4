//! A poisoned item is told apart by halves.

use engine::{DeadLetter, Verdict};

use crate::scene::{
    Book, Hand, Op, acting, at_rest, conserved, handling, numbers, panic_quietly, run_out, stepped,
};

/// The calls, the items done in their order, and what callers heard, for a batch of `size` of which
/// `bad` are bad.
struct Told {
    calls: Vec<Vec<i64>>,
    done: Vec<i64>,
    isolation_calls: u64,
    failed: u64,
}

fn tell(size: i64, bad: &'static [i64], panics: bool) -> Told {
    let (calls, done) = (Book::new(), Book::new());
    let (all, effects) = (calls.clone(), done.clone());
    let act = handling(move |hand: Hand<'_, Op>| {
        all.note(numbers(&hand));
        hand.settle_all(|_, ops| {
            if ops.iter().any(|op| bad.contains(&op.n)) {
                if panics {
                    panic_quietly();
                }
                return Err("poisoned");
            }
            ops.iter().for_each(|op| effects.note(op.n));
            Ok(0)
        })
    });
    let (mut engine, mut producer) = stepped(acting(act).isolate_poisoned(true));
    for n in 0..size {
        producer.push(Op::new(1, n)).expect("room");
    }
    run_out(&mut engine);
    let last = at_rest(engine);
    conserved(&last);
    let (isolation_calls, failed) = (last.isolation_calls, last.failed);
    Told { calls: calls.take(), done: done.take(), isolation_calls, failed }
}

/// ⌈log2 n⌉ + 1.
fn most(size: i64) -> u64 {
    u64::from((size as u64).next_power_of_two().trailing_zeros()) + 1
}

/// Lives for the whole of the test's run.
fn one(n: i64) -> &'static [i64] {
    const ALL: [i64; 33] = {
        let mut all = [0; 33];
        let mut n = 0;
        while n < 33 {
            all[n] = n as i64;
            n += 1;
        }
        all
    };
    static NUMBERS: [i64; 33] = ALL;
    &NUMBERS[n as usize..=n as usize]
}

#[test]
fn one_bad_item_at_any_place_costs_a_logarithm_of_calls_and_nothing_else() {
    for panics in [false, true] {
        for size in 1..=33 {
            for bad in 0..size {
                let told = tell(size, one(bad), panics);
                let others: Vec<_> = (0..size).filter(|n| *n != bad).collect();
                assert_eq!(told.done, others, "{bad} of {size}: {:?}", told.calls);
                assert_eq!(told.failed, 1);
                let extra = told.calls.len() as u64 - 1;
                assert!(extra <= most(size), "{bad} of {size}: {:?}", told.calls);
                assert_eq!(told.isolation_calls, extra, "{bad} of {size}: {:?}", told.calls);
            }
        }
    }
}

#[test]
fn of_two_bad_items_both_fail_and_all_others_are_done_in_order() {
    for bad in [&[0, 1][..], &[3, 4], &[0, 15], &[7, 8], &[14, 15], &[2, 11]] {
        let told = tell(16, bad, false);
        let others: Vec<_> = (0..16).filter(|n| !bad.contains(n)).collect();
        assert_eq!(told.done, others, "{bad:?}: {:?}", told.calls);
        assert_eq!(told.failed, 2, "{bad:?}: {:?}", told.calls);
    }
}

#[test]
fn a_bad_item_hears_the_error_of_the_smallest_failing_call_that_held_it() {
    const SIZES: [&str; 9] = ["0", "1", "2", "3", "4", "5", "6", "7", "8"];
    for bad in 0..8 {
        let smallest = Book::new();
        let notes = smallest.clone();
        let act = handling(move |hand: Hand<'_, Op>| {
            hand.settle_all(|_, ops| {
                if ops.iter().any(|op| op.n == bad) {
                    notes.note(ops.len());
                    return Err(SIZES[ops.len()]);
                }
                Ok(0)
            })
        });
        let (mut engine, mut producer) = stepped(acting(act).isolate_poisoned(true).replies_max(8));
        let tickets = producer.call_all(&mut (0..8).map(|n| Op::new(1, n))).expect("slots");
        run_out(&mut engine);
        let answers = tickets.wait_for(std::time::Duration::ZERO).expect("all are answered");
        let least = smallest.take().into_iter().min().expect("it failed");
        assert_eq!(answers[bad as usize], Err(engine::Failure::Handler(SIZES[least])));
        assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 1);
        at_rest(engine);
    }
}

#[test]
fn an_item_that_fails_by_itself_is_no_cause_to_look_further() {
    let act = handling(|hand: Hand<'_, Op>| {
        hand.settle_each(|op| if op.n == 3 { Verdict::Failed("bad") } else { Verdict::Done(0) })
    });
    let hook = |_: DeadLetter<'_, Op, &'static str>| {};
    let (mut engine, mut producer) = stepped(acting(act).isolate_poisoned(true).dead_letters(hook));
    for n in 0..8 {
        producer.push(Op::new(1, n)).expect("room");
    }
    run_out(&mut engine);
    let last = at_rest(engine);
    assert_eq!((last.batches, last.isolation_calls, last.failed), (1, 0, 1));
}
