//! What must come of a stream, worked out without an engine: signal by signal.

use std::collections::{BTreeMap, VecDeque};

use engine::Failure;

use crate::agent::brain::{Answer, Style};
use crate::agent::instruction::{Fault, Halt, run};
use crate::agent::place::Place;
use crate::agent::router::Router;
use crate::agent::signal::{Home, Signal};
use crate::agent::tree::Tree;
use crate::agent::world::{Effect, Reply};
use crate::stream::Stream;

/// What came of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) states: BTreeMap<Home, Tree>,
    pub(crate) effects: BTreeMap<Home, Vec<Effect>>,
    /// Every attempt, in the order of all, and whether it was done; not the twin's, which has another order.
    pub(crate) attempts: Vec<(u64, bool)>,
    /// Of those that were called for.
    pub(crate) answers: BTreeMap<u64, Answer>,
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) dead: u64,
}

pub(crate) fn initial() -> Tree {
    Tree::from([("seed", Tree::from([("kept", Tree::from(7))]))])
}

/// Handles each state's signals one after the other, follow-ups first. Those for another state come after
/// what that one has.
pub(crate) fn came<P: Place>(stream: &Stream) -> Came {
    let router = Router::standard();
    let mut queues: BTreeMap<Home, VecDeque<(Signal<P>, u16, bool)>> = BTreeMap::new();
    for sent in stream.sent() {
        let signal = sent.signal::<P>(&router);
        queues.entry(signal.home()).or_default().push_back((signal, 0, sent.call));
    }
    let mut came = Came::default();
    // Again, where signals were caused for states that had been through.
    while let Some((home, mut queue)) = queues.pop_first() {
        let before = came.states.get(&home);
        let mut changed = before.is_some();
        let mut state = before.cloned().unwrap_or_else(initial);
        let effects = came.effects.entry(home.clone()).or_default();
        while let Some((signal, depth, call)) = queue.pop_front() {
            let mut attempt = 0;
            let mut caused: Vec<(Signal<P>, u16, bool)> = Vec::new();
            let answer: Answer = loop {
                attempt += 1;
                caused.clear();
                let mut draft = state.clone();
                let halt = match signal.action {
                    None => Err(Halt::Failed(Fault::UnknownSignal(signal.kind.clone()))),
                    Some(_) => run(
                        &signal.script,
                        &mut draft,
                        &initial(),
                        attempt,
                        &mut |nth, directive| {
                            if stream.settings.per_item == 0 || stream.settings.style != Style::Each
                            {
                                return Err("NotSetUp(..)".to_owned());
                            }
                            if depth >= stream.settings.depth {
                                return Err("TooDeep(..)".to_owned());
                            }
                            if caused.len() >= stream.settings.per_item as usize {
                                return Err("TooMany(..)".to_owned());
                            }
                            caused.push((signal.caused(nth, directive), depth + 1, false));
                            Ok(())
                        },
                    ),
                };
                effects.push(Effect { serial: signal.serial, attempt, came: halt.clone() });
                break match halt {
                    Ok(()) => {
                        state = draft;
                        changed = true;
                        let (serial, state) = (signal.serial, state.clone());
                        Ok(Reply { serial, attempt, state })
                    }
                    Err(Halt::Failed(fault)) => Err(Failure::Handler(fault)),
                    Err(Halt::Crash) => Err(Failure::Panicked),
                    Err(Halt::Retry(_)) if attempt < stream.settings.attempts => continue,
                    Err(Halt::Retry(fault)) => Err(Failure::Dead(fault)),
                };
            };
            match &answer {
                Ok(_) => came.done += 1,
                Err(Failure::Dead(_)) => came.dead += 1,
                Err(_) => came.failed += 1,
            }
            if answer.is_ok() {
                for next in caused.into_iter().rev() {
                    let its = next.0.home();
                    match its == home {
                        true => queue.push_front(next),
                        false => queues.entry(its).or_default().push_back(next),
                    }
                }
            }
            if call {
                came.answers.insert(signal.serial, answer);
            }
        }
        if changed {
            came.states.insert(home, state);
        }
    }
    came
}
