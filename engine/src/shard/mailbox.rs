//! What an engine asks of a shard, besides items. A knock on the shard's doorbell says that something has
//! come.
//!
//! A shard may end with requests in its mailbox, or while one is put there, and somebody waits for each answer.
//! The channel keeps what nobody takes, and with it the end that the answer would come through. So the shard
//! says that it has ended before it empties its mailbox for the last time, and whoever has put a request in
//! looks for that word after: one of the two sees the other's, and drops the request. Then the answer's other
//! end says that none will come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

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
    let ended = Arc::<AtomicBool>::default();
    let post = Post { request, left: requests.clone(), ended: Arc::clone(&ended), drain, stop };
    (post, Mailbox { requests, ended, drains, stops })
}

/// The engine's end.
pub(crate) struct Post {
    request: Sender<Request>,
    /// What an ended shard has left.
    left: Receiver<Request>,
    ended: Arc<AtomicBool>,
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
        self.asked(self.request.try_send(request).is_ok())
    }

    /// Asks; waits for as long as too much waits already.
    pub(crate) fn ask(&self, request: Request) -> Result<(), Unasked> {
        self.asked(self.request.send(request).is_ok())
    }

    /// As [`ask`](Self::ask), but not for longer than `within`.
    pub(crate) fn ask_within(&self, request: Request, within: Duration) -> Result<(), Unasked> {
        self.asked(self.request.send_timeout(request, within).is_ok())
    }

    /// What became of a request that is in the mailbox, or for which there was no room.
    fn asked(&self, is_in: bool) -> Result<(), Unasked> {
        // Between putting it there and looking whether the shard has ended.
        fence(Ordering::SeqCst);
        if self.ended.load(Ordering::Relaxed) {
            empty(&self.left);
            return Err(Unasked::Ended);
        }
        if is_in { Ok(()) } else { Err(Unasked::Full) }
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
    ended: Arc<AtomicBool>,
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

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Between saying so and looking for the last time.
        fence(Ordering::SeqCst);
        empty(&self.requests);
    }
}

/// Drops every request, and so the end that its answer would have come through.
fn empty(requests: &Receiver<Request>) {
    requests.try_iter().for_each(drop);
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use crossbeam_channel::{RecvError, TryRecvError};

    use super::*;

    fn request() -> (Request, Receiver<Box<Histograms>>) {
        let (reply, said) = bounded(1);
        (Request::Swap(Box::new(Histograms::new(1)), reply), said)
    }

    #[test]
    fn what_a_shard_leaves_in_its_mailbox_is_never_answered_and_says_so() {
        let (post, mailbox) = mailbox(1);
        let (first, said) = request();
        assert_eq!(post.try_ask(first), Ok(()));
        assert_eq!(post.try_ask(request().0), Err(Unasked::Full));
        assert_eq!(said.try_recv().err(), Some(TryRecvError::Empty));
        drop(mailbox);
        assert_eq!(said.try_recv().err(), Some(TryRecvError::Disconnected));
        for ask in [Post::try_ask, Post::ask] {
            let (late, said) = request();
            assert_eq!(ask(&post, late), Err(Unasked::Ended));
            assert_eq!(said.try_recv().err(), Some(TryRecvError::Disconnected));
        }
    }

    #[test]
    fn whoever_asks_while_a_shard_ends_does_not_wait_for_ever() {
        for _ in 0..2_000 {
            let (post, mailbox) = mailbox(1);
            let both = Barrier::new(2);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    both.wait();
                    drop(mailbox);
                });
                both.wait();
                // More than there is room for: one of them may wait for room when the shard ends.
                for _ in 0..3 {
                    let (request, said) = request();
                    if post.ask(request).is_ok() {
                        assert_eq!(said.recv().err(), Some(RecvError));
                    }
                }
            });
        }
    }
}
