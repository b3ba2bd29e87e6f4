//! What an action does, step by step.

use std::fmt;

use super::signal::Directive;
use super::tree::Tree;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Instruction {
    /// Puts a value at a path.
    Set { path: String, value: Tree },
    /// Merges a tree into what is at a path.
    Update { path: String, with: Tree },
    /// Takes away what is at a path.
    Delete { path: String },
    /// Puts at a path what was there at the very beginning.
    Reset { path: String },
    /// Adds to the number at a path; nothing there counts as 0.
    Add { path: String, amount: i64 },
    /// Puts at one path what is at another.
    Copy { from: String, to: String },
    /// Fails unless this is at the path.
    Expect { path: String, value: Tree },
    /// Has a signal handled next, before all that wait for this state.
    Enqueue(Directive),
    /// Fails so many attempts, each with a wish to be tried again.
    Flaky { times: u32 },
    /// Panics.
    Crash,
}

impl Instruction {
    /// Whether it never fails, so that it may be merged with others.
    pub(crate) fn is_sure(&self) -> bool {
        matches!(
            self,
            Self::Set { .. } | Self::Update { .. } | Self::Delete { .. } | Self::Reset { .. }
        )
    }
}

/// Why a signal failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No action is routed to signals of this type.
    UnknownSignal(String),
    /// Nothing is there.
    Missing(String),
    /// A text or a branch is there.
    NotANumber(String),
    /// A sum that no number holds.
    TooLarge(String),
    /// Something else was expected there.
    Unexpected(String),
    /// Not this time.
    Flaky,
    /// A directive that was not taken, and why.
    NotEnqueued(String),
    /// The whole call was undone.
    Undone,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSignal(kind) => write!(f, "no action for signals of type {kind:?}"),
            Self::Missing(path) => write!(f, "nothing at {path:?}"),
            Self::NotANumber(path) => write!(f, "what is at {path:?} is no number"),
            Self::TooLarge(path) => {
                write!(f, "the sum at {path:?} is not from {} to {}", i64::MIN, i64::MAX)
            }
            Self::Unexpected(path) => write!(f, "something else was expected at {path:?}"),
            Self::Flaky => f.write_str("not this time"),
            Self::NotEnqueued(why) => write!(f, "a directive was not taken: {why}"),
            Self::Undone => f.write_str("all of its call was undone"),
        }
    }
}

impl std::error::Error for Fault {}

/// What stops a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    Failed(Fault),
    Retry(Fault),
    Crash,
}

/// Runs instructions on a state, at the so-many-th attempt. `initial` is what a reset brings back;
/// `enqueue` takes directives.
///
/// # Errors
///
/// What stopped it; the state is half-changed then, so work on a copy.
pub(crate) fn run(
    instructions: &[Instruction],
    state: &mut Tree,
    initial: &Tree,
    attempt: u32,
    enqueue: &mut dyn FnMut(usize, &Directive) -> Result<(), String>,
) -> Result<(), Halt> {
    let mut enqueued = 0;
    for instruction in instructions {
        match instruction {
            Instruction::Set { path, value } => state.set(path, value.clone()),
            Instruction::Update { path, with } => state.update(path, with.clone()),
            Instruction::Delete { path } => state.delete(path),
            Instruction::Reset { path } => match initial.get(path) {
                Some(value) => state.set(path, value.clone()),
                None => state.delete(path),
            },
            Instruction::Add { path, amount } => {
                let sum = match state.get(path) {
                    None => *amount,
                    Some(Tree::Number(number)) => {
                        let over = || Halt::Failed(Fault::TooLarge(path.clone()));
                        number.checked_add(*amount).ok_or_else(over)?
                    }
                    Some(_) => return Err(Halt::Failed(Fault::NotANumber(path.clone()))),
                };
                state.set(path, Tree::Number(sum));
            }
            Instruction::Copy { from, to } => {
                let missing = || Halt::Failed(Fault::Missing(from.clone()));
                let value = state.get(from).cloned().ok_or_else(missing)?;
                state.set(to, value);
            }
            Instruction::Expect { path, value } => {
                if state.get(path) != Some(value) {
                    return Err(Halt::Failed(Fault::Unexpected(path.clone())));
                }
            }
            Instruction::Enqueue(directive) => {
                let refused = |why| Halt::Failed(Fault::NotEnqueued(why));
                enqueue(enqueued, directive).map_err(refused)?;
                enqueued += 1;
            }
            Instruction::Flaky { times } if attempt <= *times => {
                return Err(Halt::Retry(Fault::Flaky));
            }
            Instruction::Flaky { .. } => {}
            Instruction::Crash => return Err(Halt::Crash),
        }
    }
    Ok(())
}
