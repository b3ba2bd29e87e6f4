//! What signals do to states.

use engine::Failure;

use crate::agent::instruction::{Fault, Instruction};
use crate::agent::tree::Tree;
use crate::rig::{Kind, Rig, Terms, add, set};

pub(crate) fn a_value_is_set_merged_deleted_and_reset_by_its_path<K: Kind>(terms: Terms) {
    let mut rig = Rig::<K>::new(terms);
    let merged = Tree::from([("b", Tree::from([("d", Tree::from(2))]))]);
    let calls = [
        rig.call("agent.set", "a.b.c", Tree::from(1)),
        rig.call("agent.update", "a", merged),
        rig.call("agent.set", "mood", Tree::from("wild")),
        rig.call("agent.set", "seen", Tree::from(9)),
        rig.call("agent.delete", "a.b.c", Tree::default()),
        rig.call("agent.reset", "mood", Tree::default()),
    ];
    rig.rest();
    let states = calls.map(|call| call.wait().expect("it is done").state);
    assert_eq!(states[1].get("a.b.c"), Some(&Tree::from(1)), "what stood beside it stays");
    assert_eq!(states[1].get("a.b.d"), Some(&Tree::from(2)));
    assert_eq!(states[3].get("mood"), Some(&Tree::from("wild")));
    assert_eq!(states[4].get("a.b"), Some(&Tree::from([("d", Tree::from(2))])));
    assert_eq!(rig.at("mood"), Some(Tree::from("calm")));
    assert_eq!(rig.at("seen"), Some(Tree::from(9)), "only what the path names is reset");
}

pub(crate) fn a_later_instruction_sees_what_an_earlier_one_made<K: Kind>(terms: Terms) {
    let mut rig = Rig::<K>::new(terms);
    let copy = Instruction::Copy { from: "n".to_owned(), to: "m".to_owned() };
    let call = rig.script(vec![add("n", 2), add("n", 3), copy, add("m", 1)]);
    let state = rig.answer(call).expect("it is done").state;
    assert_eq!((state.get("n"), state.get("m")), (Some(&Tree::from(5)), Some(&Tree::from(6))));
}

pub(crate) fn a_failure_stops_the_rest_and_restores_the_state<K: Kind>(terms: Terms) {
    let mut rig = Rig::<K>::new(terms);
    let before = rig.script(vec![set("n", Tree::from(1))]);
    let expect = Instruction::Expect { path: "n".to_owned(), value: Tree::from(1) };
    let fails = rig.script(vec![set("n", Tree::from(2)), expect, set("m", Tree::from(3))]);
    let after = rig.script(vec![add("n", 10)]);
    rig.rest();
    assert!(before.wait().is_ok());
    assert_eq!(fails.wait(), Err(Failure::Handler(Fault::Unexpected("n".to_owned()))));
    let state = after.wait().expect("it is done").state;
    assert_eq!((state.get("n"), state.get("m")), (Some(&Tree::from(11)), None));
}

pub(crate) fn a_signal_of_an_unknown_type_fails_alone<K: Kind>(terms: Terms) {
    let mut rig = Rig::<K>::new(terms);
    let calls: Vec<_> = (0..30)
        .map(|at| {
            let kind = if at % 3 == 0 { "agent.sing" } else { "agent.add" };
            rig.call(kind, "n", Tree::from(1))
        })
        .collect();
    rig.rest();
    for (at, call) in calls.into_iter().enumerate() {
        match call.wait() {
            Ok(_) => assert_ne!(at % 3, 0),
            Err(failure) => {
                let unknown = Fault::UnknownSignal("agent.sing".to_owned());
                assert_eq!((at % 3, failure), (0, Failure::Handler(unknown)));
            }
        }
    }
    assert_eq!(rig.at("n"), Some(Tree::from(20)));
}

pub(crate) fn a_crash_fails_its_signal_alone_and_leaves_the_state<K: Kind>(terms: Terms) {
    let mut rig = Rig::<K>::new(terms);
    let calls: Vec<_> = (0..20)
        .map(|at| {
            let crash = (at == 7).then_some(Instruction::Crash);
            rig.script([add("n", 1)].into_iter().chain(crash).collect())
        })
        .collect();
    rig.rest();
    for (at, call) in calls.into_iter().enumerate() {
        match call.wait() {
            Ok(reply) => {
                let sum = if at < 7 { at + 1 } else { at } as i64;
                assert_eq!(reply.state.get("n"), Some(&Tree::from(sum)), "at {at}");
            }
            Err(failure) => assert_eq!((at, failure), (7, Failure::Panicked)),
        }
    }
}
