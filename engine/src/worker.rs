//! A shard's thread, as the engine knows it.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use crossbeam_utils::sync::{Parker, Unparker};
use ringbuf::{SeqlockReader, SeqlockWriter, seqlock};

use crate::error::StartError;
use crate::handler::Handler;
use crate::pin::pin;
use crate::plan::Plan;
use crate::shard::{Control, FactoryError, Shard, ShardId};
use crate::snapshot::Pin;
use crate::tally::{Counters, Histograms};

/// Requests that may wait for one shard: a snapshot's, a close, a stop, and some to spare.
const REQUESTS: usize = 8;

/// How long a snapshot waits for a shard that is inside its handler. Its histograms then come with
/// the next one.
const SNAPSHOT_PATIENCE: Duration = Duration::from_millis(20);

/// A parker, and what wakes it: the target of a shard's doorbell.
pub(crate) fn parker() -> (Parker, Waker) {
    let parker = Parker::new();
    let waker = Waker::from(Arc::new(Unpark(parker.unparker().clone())));
    (parker, waker)
}

struct Unpark(Unparker);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// One shard's thread.
pub(crate) struct Worker {
    control: Sender<Control>,
    counters: SeqlockReader,
    pin: Pin,
    started: Receiver<Result<Pin, FactoryError>>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
    /// Only snapshots and the shutdown take this lock; the shard never does.
    seen: Mutex<Seen>,
}

/// The histograms that snapshots have collected from a shard so far.
struct Seen {
    sum: Histograms,
    largest: u32,
    /// A request that was not answered in time.
    pending: Option<Receiver<Box<Histograms>>>,
    thread: Option<JoinHandle<Box<Histograms>>>,
}

impl Worker {
    /// Starts a thread that makes a shard and goes round with it.
    pub(crate) fn spawn<H: Handler>(
        shard: ShardId,
        plan: &Plan,
        parker: Parker,
        make: impl FnOnce(Receiver<Control>, SeqlockWriter) -> Result<Shard<H>, FactoryError>
        + Send
        + 'static,
    ) -> Result<Self, StartError> {
        let (control, requests) = bounded(REQUESTS);
        let (publish, counters) = seqlock(Counters::WORDS);
        let (report, started) = bounded(1);
        let (alive, ended) = bounded(0);
        let (core, idle) = (plan.core(shard.index()), plan.idle);
        let run = move || {
            // Dropped last, however the thread ends.
            let _alive: Sender<()> = alive;
            let pin = pin(core);
            // Nobody listens if the start has failed by now: then the engine closes this shard too.
            match make(requests, publish) {
                Ok(made) => {
                    let _ = report.send(Ok(pin));
                    made.run(&idle, &parker)
                }
                Err(error) => {
                    let _ = report.send(Err(error));
                    Box::new(Histograms::new(0))
                }
            }
        };
        let builder = std::thread::Builder::new().name(format!("tidegate-{shard}"));
        let thread = builder
            .spawn(run)
            .map_err(|source| StartError::Thread { shard: shard.index(), source })?;
        let largest = plan.batcher.sizing.largest();
        let sum = Histograms::new(largest);
        let seen = Mutex::new(Seen { sum, largest, pending: None, thread: Some(thread) });
        Ok(Self { control, counters, pin: Pin::None, started, ended, seen })
    }

    /// Waits until the shard has its handler, or could not get one.
    pub(crate) fn await_handler(&mut self) -> Result<Pin, FactoryError> {
        let started = self.started.recv().unwrap_or_else(|gone| Err(gone.into()));
        self.pin = started?;
        Ok(self.pin)
    }

    /// Asks the shard for something, to be found at the next knock; `false` if it has ended.
    pub(crate) fn ask(&self, control: Control) -> bool {
        self.control.try_send(control).is_ok()
    }

    /// Waits until the thread has ended; `false` if that takes longer than `within`.
    pub(crate) fn await_end(&self, within: Duration) -> bool {
        self.ended.recv_timeout(within) != Err(RecvTimeoutError::Timeout)
    }

    /// The counters that the shard published last.
    pub(crate) fn counters(&self) -> Counters {
        let mut words = [0; Counters::WORDS];
        self.counters.read(&mut words);
        Counters::read(&words)
    }

    /// Everything that is known of the shard. `ask` brings it a request and knocks.
    pub(crate) fn state(&self, ask: impl FnOnce(Control) -> bool) -> (Counters, Histograms, Pin) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self.ended.try_recv() == Err(TryRecvError::Disconnected);
        seen.collect(ended, ask);
        (self.counters(), seen.sum.clone(), self.pin)
    }
}

impl Seen {
    /// Collects what the shard has seen since the last time, if it answers soon or has ended.
    fn collect(&mut self, ended: bool, ask: impl FnOnce(Control) -> bool) {
        if !ended && self.pending.is_none() {
            let (reply, answer) = bounded(1);
            let asked = ask(Control::Swap(Box::new(Histograms::new(self.largest)), reply));
            self.pending = asked.then_some(answer);
        }
        if let Some(answer) = self.pending.take() {
            match answer.recv_timeout(SNAPSHOT_PATIENCE) {
                Ok(seen) => self.sum.add(&seen),
                Err(RecvTimeoutError::Timeout) => self.pending = Some(answer),
                Err(RecvTimeoutError::Disconnected) => {}
            }
        }
        // A thread that has ended still takes a moment until it is finished, and its last histograms
        // are needed now: joining it waits for no more than that.
        if ended
            && let Some(thread) = self.thread.take()
            && let Ok(seen) = thread.join()
        {
            self.sum.add(&seen);
        }
    }
}
