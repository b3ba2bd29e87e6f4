//! What an engine asks of a shard, besides items. A knock on the shard's doorbell says that something has
//! come.

use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};

use super::Operation;
use crate::tally::Histograms;
use crate::tunables::Tunables;

/// Something that a shard does between two handler calls.
pub(crate) enum Request {
    /// Send your histograms back, and go on with these.
    Swap(Box<Histograms>, Sender<Box<Histograms>>),
    /// Go by these from now on, and say when.
    Tune(Tunables, Sender<()>),
    /// Something that only queues can do.
    Operate(Operation),
}

/// How a shard is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Close {
    /// Accept nothing more, settle what is here, and end.
    Drain,
    /// Fail what is here, and end.
    Stop,
}

/// Both ends of a mailbox in which so many requests may wait. However many do, there is room for the word to
/// close.
pub(crate) fn mailbox(requests: usize) -> (Post, Mailbox) {
    let (request, requests) = bounded(requests);
    let ((drain, drains), (stop, stops)) = (bounded(1), bounded(1));
    (Post { request, drain, stop }, Mailbox { requests, drains, stops })
}

/// The engine's end.
pub(crate) struct Post {
    request: Sender<Request>,
    drain: Sender<()>,
    stop: Sender<()>,
}

/// Why a shard was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unasked {
    /// Too many requests wait.
    Full,
    /// It has ended.
    Ended,
}

impl Post {
    /// Asks, if not too much waits already.
    pub(crate) fn try_ask(&self, request: Request) -> Result<(), Unasked> {
        self.request.try_send(request).map_err(|refused| match refused.is_full() {
            true => Unasked::Full,
            false => Unasked::Ended,
        })
    }

    /// Asks; waits for as long as too much waits already.
    pub(crate) fn ask(&self, request: Request) -> Result<(), Unasked> {
        self.request.send(request).map_err(|_| Unasked::Ended)
    }

    /// As [`ask`](Self::ask), but not for longer than `within`.
    pub(crate) fn ask_within(&self, request: Request, within: Duration) -> Result<(), Unasked> {
        self.request.send_timeout(request, within).map_err(|refused| match refused {
            SendTimeoutError::Timeout(_) => Unasked::Full,
            SendTimeoutError::Disconnected(_) => Unasked::Ended,
        })
    }

    /// Says how to end.
    pub(crate) fn close(&self, close: Close) {
        let word = match close {
            Close::Drain => &self.drain,
            Close::Stop => &self.stop,
        };
        // Full: it was said before.
        let _ = word.try_send(());
    }
}

/// The shard's end.
pub(crate) struct Mailbox {
    requests: Receiver<Request>,
    drains: Receiver<()>,
    stops: Receiver<()>,
}

impl Mailbox {
    /// Takes the next request.
    pub(crate) fn request(&self) -> Option<Request> {
        self.requests.try_recv().ok()
    }

    /// How many requests may wait at once.
    pub(crate) fn capacity(&self) -> usize {
        self.requests.capacity().unwrap_or(usize::MAX)
    }

    /// Takes the word to close, the stronger one first.
    pub(crate) fn close(&self) -> Option<Close> {
        let heard = |word: &Receiver<()>, close| word.try_recv().is_ok().then_some(close);
        heard(&self.stops, Close::Stop).or_else(|| heard(&self.drains, Close::Drain))
    }
}
