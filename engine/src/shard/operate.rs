//! What a user asks of queues.

use crossbeam_channel::Sender;

use crate::error::{ControlError, FlushError};
use crate::queues::FlushAsked;

/// What a user asks of queues; keys by their hashes.
pub(crate) enum Operation {
    /// Answered with whether that is new.
    Pause(u64, Sender<Result<bool, ControlError>>),
    Resume(u64),
    PauseAll(Sender<Result<(), ControlError>>),
    ResumeAll,
    /// A key, or everything.
    Flush(FlushAsked),
    Step(Sender<bool>),
}

impl Operation {
    /// There are no queues.
    pub(crate) fn refuse(self) {
        // Nobody listens any more to some of these: they gave up waiting.
        match self {
            Self::Pause(_, reply) => {
                let _ = reply.send(Err(ControlError::NoQueues));
            }
            Self::PauseAll(reply) => {
                let _ = reply.send(Err(ControlError::NoQueues));
            }
            Self::Flush(asked) => {
                let _ = asked.done.send(Err(FlushError::NoQueues));
            }
            Self::Resume(_) | Self::ResumeAll => {}
            Self::Step(reply) => {
                let _ = reply.send(false);
            }
        }
    }
}
