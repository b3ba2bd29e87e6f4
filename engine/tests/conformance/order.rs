//! In which order signals are handled, and how many may wait.

use engine::{Failure, FlushError, Item};

use crate::agent::instruction::{Fault, Instruction};
use crate::agent::place::ByAgent;
use crate::agent::router::Action;
use crate::agent::signal::{Directive, Key, Params, Signal};
use crate::agent::tree::Tree;
use crate::rig::{Kind, QUEUE_MAX, Rig, Terms, add, outcomes, set};

/// The key of scripts without parameters.
fn key_of_scripts(params: &Params) -> Key<'_> {
    Key { action: Some(Action::Script), params, agent: None }
}

fn then(script: Vec<Instruction>) -> Instruction {
    Instruction::Enqueue(Directive { params: Params::default(), script })
}

pub(crate) fn parameters_are_one_key_however_they_are_written(terms: Terms) {
    let rig = Rig::<ByAgent>::new(terms);
    let signal = |params: &[(&str, &str)]| -> Signal<ByAgent> {
        rig.router.signal(0, 1, "agent.set", params, Tree::from(1))
    };
    let plain = signal(&[("path", "a.b"), ("unit", "s")]);
    let other = signal(&[(" Unit", "s "), ("PATH", "a"), ("path", " a.b")]);
    assert_eq!(plain.key(), other.key());
    assert_ne!(plain.key(), signal(&[("path", "a.b"), ("unit", "ms")]).key());
}

pub(crate) fn signals_are_handled_first_in_first_out<K: Kind>(terms: Terms) {
    let mut rig = Rig::<K>::new(terms);
    let kinds = ["agent.add", "agent.script"];
    let calls: Vec<_> = (0..1_000)
        .map(|at: usize| match at % 7 {
            0 => rig.call(kinds[0], "n", Tree::from(1)),
            _ => rig.script(vec![add("n", 1)]),
        })
        .collect();
    rig.rest();
    for (at, call) in (1..).zip(calls) {
        let state = call.wait().expect("it is done").state;
        assert_eq!(state.get("n"), Some(&Tree::from(at)), "its own answer, in its turn");
    }
    assert!(rig.is_in_order());
}

pub(crate) fn directives_run_before_what_waits_and_in_their_order(terms: Terms) {
    let mut rig = Rig::<ByAgent>::new(terms);
    let expect = |value: i64| Instruction::Expect { path: "n".into(), value: Tree::from(value) };
    let turn = |value: i64| vec![expect(value), add("n", 1)];
    let mut first = turn(100);
    first.push(then([turn(101), vec![then(turn(102))]].concat()));
    first.push(then(turn(103)));
    let start = rig.script(vec![set("n", Tree::from(100))]);
    let calls = [rig.script(first), rig.script(turn(104)), rig.script(turn(105))];
    assert!(rig.answer(start).is_ok());
    for call in calls {
        assert!(call.wait().is_ok(), "each finds the number that those before it left");
    }
    assert_eq!(rig.at("n"), Some(Tree::from(106)));
}

pub(crate) fn a_directive_too_many_fails_its_signal_and_enqueues_nothing(terms: Terms) {
    let mut rig = Rig::<ByAgent>::new(terms);
    let many = rig.script((0..4).map(|_| then(vec![add("n", 1)])).collect());
    let deep = vec![then(vec![then(vec![then(vec![add("n", 10)])])])];
    let deep = rig.script(deep);
    let after = rig.script(vec![add("order", 3)]);
    rig.rest();
    let refused = Fault::NotEnqueued("TooMany(..)".to_owned());
    assert_eq!(many.wait(), Err(Failure::Handler(refused)));
    assert!(deep.wait().is_ok(), "it is the third that is one too deep");
    assert!(after.wait().is_ok());
    assert_eq!((rig.at("n"), rig.at("order")), (None, Some(Tree::from(3))));
}

pub(crate) fn an_overflow_is_an_error_and_leaves_the_queue_unchanged(terms: Terms) {
    let mut rig = Rig::<ByAgent>::new(terms);
    let params = Params::default();
    rig.engine.pause(&key_of_scripts(&params)).expect("it is open");
    rig.engine.turn();
    let fits: Vec<_> = (0..QUEUE_MAX).map(|_| rig.script(vec![add("n", 1)])).collect();
    let over: Vec<_> = (0..5).map(|_| rig.script(vec![add("n", 1_000_000)])).collect();
    rig.engine.settle();
    for call in over {
        assert_eq!(call.wait(), Err(Failure::KeyFull), "at once, though the key is paused");
    }
    assert_eq!(rig.engine.snapshot().held, rig.doubles() as u64 * u64::from(QUEUE_MAX));
    rig.engine.resume(&key_of_scripts(&params)).expect("it is open");
    rig.rest();
    for (at, call) in (1..).zip(fits) {
        let state = call.wait().expect("it was in the queue").state;
        assert_eq!(state.get("n"), Some(&Tree::from(at)));
    }
}

pub(crate) fn a_step_handles_exactly_one_signal(terms: Terms) {
    let mut rig = Rig::<ByAgent>::new(terms);
    let params = Params::default();
    rig.engine.pause(&key_of_scripts(&params)).expect("it is open");
    rig.engine.turn();
    let calls: Vec<_> = (0..5).map(|_| rig.script(vec![add("n", 1)])).collect();
    rig.engine.turn();
    for steps in 1..=5 * rig.doubles() as i64 {
        assert!(rig.engine.step());
        rig.engine.settle();
        assert_eq!(rig.sum("n"), steps, "of all shards, one");
    }
    assert_eq!(rig.at("n"), Some(Tree::from(5)));
    assert!(!rig.engine.step(), "nothing is left");
    rig.engine.resume_all().expect("it is open");
    rig.rest();
    assert!(calls.into_iter().all(|call| call.wait().is_ok()));
}

pub(crate) fn a_signal_is_tried_again_before_what_waits_behind_it(terms: Terms) {
    let mut rig = Rig::<ByAgent>::new(terms);
    let flaky = |times| vec![Instruction::Flaky { times }, add("n", 1)];
    let third = rig.script(flaky(2));
    let dead = rig.script(flaky(3));
    let behind = rig.script(vec![add("n", 1)]);
    let other = rig.script_to_another(vec![add("n", 1)]);
    rig.engine.settle();
    assert!(other.wait().is_ok(), "another agent does not wait for it");
    assert_eq!(rig.at("n"), None, "what is behind it does");
    rig.rest();
    let third = third.wait().expect("the third attempt");
    assert_eq!((third.attempt, third.state.get("n")), (3, Some(&Tree::from(1))));
    assert_eq!(dead.wait(), Err(Failure::Dead(Fault::Flaky)));
    assert_eq!(behind.wait().expect("it is done").state.get("n"), Some(&Tree::from(2)));
    assert!(!rig.is_miscounted());
}

pub(crate) fn a_flush_is_complete_when_everything_before_it_is_settled(terms: Terms) {
    let mut rig = Rig::<ByAgent>::new(terms);
    let params = Params::default();
    let call = rig.script(vec![Instruction::Flaky { times: 1 }, add("n", 1)]);
    rig.engine.settle();
    let flushing = rig.engine.flush(&key_of_scripts(&params)).expect("it is open");
    rig.engine.settle();
    assert_eq!(outcomes(&flushing), [], "it waits to be tried again");
    assert_eq!(rig.at("n"), None, "no backoff is cut");
    assert!(rig.answer(call).is_ok());
    assert_eq!(outcomes(&flushing), vec![Ok(()); rig.doubles()]);
    rig.engine.pause(&key_of_scripts(&params)).expect("it is open");
    rig.engine.turn();
    let flushing = rig.engine.flush(&key_of_scripts(&params)).expect("it is open");
    rig.engine.turn();
    assert_eq!(outcomes(&flushing), vec![Err(FlushError::Paused); rig.doubles()]);
}
