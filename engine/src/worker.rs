//! A shard's thread, as the engine knows it.

use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, select};
use crossbeam_utils::sync::{Parker, Unparker};
use ringbuf::{SeqlockReader, SeqlockWriter, seqlock};

use crate::error::StartError;
use crate::handler::Handler;
use crate::panics::message_of;
use crate::pin::pin;
use crate::plan::Plan;
use crate::shard::{Core, FactoryError, Mailbox, Post, Request, Shard, mailbox};
use crate::shard_id::ShardId;
use crate::snapshot::Pin;
use crate::tally::{Counters, Histograms};

/// Requests that may wait for one shard: a snapshot's, and some to spare.
const REQUESTS: usize = 8;

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
    post: Post,
    counters: SeqlockReader,
    /// How many they are.
    words: usize,
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
    /// The thread ended by a panic.
    died: bool,
}

impl Worker {
    /// Starts a thread that makes a shard and goes round with it.
    pub(crate) fn spawn<H: Handler, S: BuildHasher, C: Core<H>>(
        shard: ShardId,
        plan: &Plan,
        parker: Parker,
        make: impl FnOnce(Mailbox, SeqlockWriter) -> Result<Shard<H, S, C>, FactoryError>
        + Send
        + 'static,
    ) -> Result<Self, StartError> {
        let (post, mailbox) = mailbox(REQUESTS);
        let (publish, counters) = seqlock(C::WORDS);
        let (report, started) = bounded(1);
        let (alive, ended) = bounded(0);
        let (core, idle) = (plan.core(shard.index()), plan.idle);
        let run = move || {
            // Dropped last, however the thread ends.
            let _alive: Sender<()> = alive;
            let pin = pin(core);
            let made = catch_unwind(AssertUnwindSafe(|| make(mailbox, publish)))
                .unwrap_or_else(|panic| Err(message_of(panic).into()));
            match made {
                Ok(made) => {
                    // Nobody listens if the start has failed by now: then this shard is closed too.
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
        let largest = plan.batcher.largest;
        let sum = Histograms::new(largest);
        let seen =
            Mutex::new(Seen { sum, largest, pending: None, thread: Some(thread), died: false });
        Ok(Self { post, counters, words: C::WORDS, pin: Pin::None, started, ended, seen })
    }

    /// Waits until the shard has its handler, or could not get one.
    pub(crate) fn await_handler(&mut self) -> Result<Pin, FactoryError> {
        let started = self.started.recv().unwrap_or_else(|gone| Err(gone.into()));
        self.pin = started?;
        Ok(self.pin)
    }

    /// Where to ask the shard for something, to be found at the next knock.
    pub(crate) fn post(&self) -> &Post {
        &self.post
    }

    /// Waits for the answer to a request that was posted; `None` if none will come. The shard may end with
    /// the request in its mailbox, which keeps it, and with it the end that the answer would come through:
    /// that this is open says nothing.
    pub(crate) fn hear<A>(&self, answer: &Receiver<A>) -> Option<A> {
        select! {
            recv(answer) -> heard => heard.ok(),
            // What it has answered, it has answered before it ended.
            recv(self.ended) -> _ => answer.try_recv().ok(),
        }
    }

    /// As [`hear`](Self::hear), but not for longer than `within`.
    pub(crate) fn hear_within<A>(
        &self,
        answer: &Receiver<A>,
        within: Duration,
    ) -> Result<A, RecvTimeoutError> {
        select! {
            recv(answer) -> heard => heard.map_err(|_| RecvTimeoutError::Disconnected),
            recv(self.ended) -> _ => answer.try_recv().map_err(|_| RecvTimeoutError::Disconnected),
            default(within) => Err(RecvTimeoutError::Timeout),
        }
    }

    /// Waits until the thread has ended; `false` if that takes longer than `within`.
    pub(crate) fn await_end(&self, within: Duration) -> bool {
        self.ended.recv_timeout(within) != Err(RecvTimeoutError::Timeout)
    }

    /// The counters as the shard last told them.
    pub(crate) fn counters(&self) -> Counters {
        let mut words = [0; Counters::ALL_WORDS];
        let words = &mut words[..self.words];
        let progress = self.counters.read(words);
        let mut counters = Counters::read_any(words);
        // Queues publish all counters each time, and no progress since.
        if words.len() == Counters::WORDS {
            counters.advance(progress);
        }
        counters
    }

    /// Asks for what the shard has seen, to be found at the next knock.
    pub(crate) fn ask_for_histograms(&self) {
        let mut seen = self.seen();
        if seen.pending.is_none() {
            let (reply, answer) = bounded(1);
            let fresh = Box::new(Histograms::new(seen.largest));
            seen.pending = self.post.try_ask(Request::Swap(fresh, reply)).ok().map(|()| answer);
        }
    }

    /// Everything that is known of the shard. Waits for its answer at most so long; what comes later
    /// is found the next time.
    pub(crate) fn state(&self, within: Duration) -> (Counters, Histograms, Pin) {
        let mut seen = self.seen();
        if let Some(answer) = seen.pending.take() {
            match self.hear_within(&answer, within) {
                Ok(histograms) => seen.sum.add(&histograms),
                Err(RecvTimeoutError::Timeout) => seen.pending = Some(answer),
                Err(RecvTimeoutError::Disconnected) => {}
            }
        }
        if self.ended.try_recv() == Err(TryRecvError::Disconnected) {
            seen.join();
        }
        let mut counters = self.counters();
        counters.stopped_shards = counters.stopped_shards.max(u64::from(seen.died));
        (counters, seen.sum.clone(), self.pin)
    }

    /// Whether the thread has ended by a panic: a fault of the engine, since user code's panics are
    /// caught. Only after [`await_end`](Self::await_end).
    pub(crate) fn has_died(&self) -> bool {
        let mut seen = self.seen();
        seen.join();
        seen.died
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Joins a thread that has ended: it still takes a moment until it is finished, and its last
    /// histograms are needed now.
    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            match thread.join() {
                Ok(histograms) => self.sum.add(&histograms),
                Err(panic) => {
                    tracing::error!(panic = message_of(panic), "a shard's thread panicked");
                    self.died = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Settled;
    use crate::entrance::Entrance;
    use crate::handler::{Batch, FromFn};
    use crate::home::Home;
    use crate::item::Item;
    use crate::machine::Machine;
    use crate::nanos::Clock;
    use crate::plan::Settings;
    use crate::router::{KeyHasher, Router, key_hasher};
    use crate::shard::{Close, Ends, Factory, Plain};
    use crate::verdict::Verdict;

    struct Row(u64);
    impl Item for Row {
        type Key<'a> = u64;
        fn key(&self) -> u64 {
            self.0
        }
    }

    struct Nothing;
    impl Handler for Nothing {
        type Item = Row;
        type Reply = ();
        type Error = ();
        fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
            batch.settle_each(|_| Verdict::Done(()))
        }
    }

    fn plain<H: Handler>(
        shard: ShardId,
        plan: &Plan,
        entrance: &Entrance<H::Item, H::Reply, H::Error, KeyHasher>,
        ends: Ends<H>,
    ) -> Result<Shard<H, KeyHasher, Plain<H>>, FactoryError> {
        Shard::new(shard, plan, entrance, ends, plan.batcher)
    }

    #[test]
    fn an_ended_shard_answers_nothing_even_if_what_it_was_asked_is_kept() {
        let (parker, _waker) = parker();
        let plan = Plan::parse::<Row, (), ()>(&Settings::default(), &Machine::here())
            .expect("the defaults are allowed");
        let make = |_, _| Err("none today".into());
        let mut worker =
            Worker::spawn::<Nothing, KeyHasher, Plain<Nothing>>(ShardId(0), &plan, parker, make)
                .expect("a thread can be had");
        assert!(worker.await_handler().is_err());
        let (kept, answer) = bounded(1);
        assert_eq!(worker.hear(&answer), None);
        let hour = Duration::from_secs(3_600);
        assert_eq!(worker.hear_within(&answer, hour), Err(RecvTimeoutError::Disconnected));
        assert!(worker.await_end(hour));
        kept.send(7).expect("there is room");
        assert_eq!(worker.hear(&answer), Some(7), "it was answered before");
        kept.send(8).expect("there is room");
        assert_eq!(worker.hear_within(&answer, hour), Ok(8));
    }

    #[test]
    fn a_refused_pin_is_reported_and_the_shard_works_all_the_same() {
        const NO_CORE: usize = 1_000;
        let mut plan = Plan::parse::<Row, (), ()>(&Settings::default(), &Machine::here())
            .expect("the defaults are allowed");
        plan.cores = vec![Some(NO_CORE)];
        let (parker, waker) = parker();
        let (lanes, mut ends) = ringbuf::lanes(plan.lanes_config(), |_| waker.clone());
        let (shard, end, planned) = (ShardId(0), ends.remove(0), plan.clone());
        let make = move |mailbox, counters| {
            let store = |_: u64, _: &[Row]| Ok::<(), ()>(());
            let factory: Factory<_> = Arc::new(move |_| Ok(FromFn::new(store)));
            let entrance = Entrance {
                router: Router::new(key_hasher(), 1),
                clock: Clock::system(),
                idle: planned.idle,
                home: Home::new(),
                calls: None,
                knows: None,
                weight_max: u64::MAX,
            };
            let ends = Ends { lanes: end, factory, mailbox, counters, observer: None };
            plain(shard, &planned, &entrance, ends)
        };
        let mut worker = Worker::spawn(shard, &plan, parker, make).expect("a thread can be had");
        assert_eq!(worker.await_handler().expect("it has a handler"), Pin::Refused(NO_CORE));

        let mut lane = lanes.claim().expect("none is claimed");
        let pushed = lane.try_push(0, Row(7), || 0);
        assert!(pushed.is_ok(), "there is room");
        worker.post().close(Close::Drain);
        lanes.doorbell(0).knock();
        assert!(worker.await_end(Duration::from_secs(60)), "it drains and ends");
        let (counters, _, pin) = worker.state(Duration::ZERO);
        assert_eq!((counters.done, pin), (1, Pin::Refused(NO_CORE)));
        assert!(!worker.has_died());
    }
}
