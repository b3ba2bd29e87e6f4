//! Waiting from a plain thread: wakers that unpark it, and running a future on it.

use crate::sync::{self, AtomicBool, Ordering, Parking};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// What a waiting thread's waker rings.
#[derive(Debug)]
struct Parker {
    parking: Parking,
    notified: AtomicBool,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release [notified]: the sleeper sees what was done before it was woken. And a
        // read-modify-write, so that a second wake before the first is taken hands on what the
        // first waker did too: the sleeper takes both with one look.
        self.notified.swap(true, Ordering::Release);
        self.parking.unpark();
    }
}

impl Parker {
    fn of_this_thread() -> Arc<Self> {
        Arc::new(Self { parking: Parking::here(), notified: AtomicBool::new(false) })
    }

    /// Waits for a wake, which it uses up: `spin` rounds on the core, then parked.
    fn wait(&self, spin: u32) {
        if self.spin(spin) {
            return;
        }
        while !self.take() {
            self.parking.park();
        }
    }

    /// As [`wait`](Self::wait), parked for no longer than `limit`. Returns for nothing at times.
    fn wait_for(&self, spin: u32, limit: Duration) {
        if !self.spin(spin) && !self.take() {
            self.parking.park_timeout(limit);
            self.take();
        }
    }

    /// Whether a wake came within `rounds` on the core.
    fn spin(&self, rounds: u32) -> bool {
        for _ in 0..rounds {
            if self.take() {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }

    fn take(&self) -> bool {
        // Acquire [notified]: what was done before the wake is seen.
        self.notified.load(Ordering::Relaxed) && self.notified.swap(false, Ordering::Acquire)
    }
}

/// A waker that unparks the calling thread.
///
/// For a thread that parks by itself ([`std::thread::park`], `park_timeout`): what it waits for is
/// to be looked at again after each return, since a park may also return for nothing. Allocates
/// once; keep it. See [`block_on`] for a thread that waits for a future.
pub fn thread_waker() -> Waker {
    Waker::from(Arc::new(Unpark(sync::current())))
}

/// Nothing but the thread: for those who keep their own state and park themselves.
#[derive(Debug)]
struct Unpark(sync::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// How many rounds a waiting thread spins before it parks, where nothing else is asked for: about
/// a microsecond, far less than a park and its wake-up cost. Spinning longer helps only where the
/// other side has a core of its own.
pub const BRIEF_SPIN: u32 = 64;

/// Runs a future on the calling thread until it is done.
///
/// Between polls it spins for `spin` rounds (see [`BRIEF_SPIN`]; 0 parks at once) and then parks.
/// A thread allocates the first time it comes here, and again only for a call within a call.
///
/// ```
/// assert_eq!(ringbuf::wake::block_on(async { 2 + 2 }, 0), 4);
/// ```
pub fn block_on<F: Future>(future: F, spin: u32) -> F::Output {
    let lent = Lent::take();
    let waker = &lent.pair().1;
    let mut context = Context::from_waker(waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        lent.pair().0.wait(spin);
    }
}

/// Runs a future on the calling thread until it is done or its time is up: then `None`, and the future
/// is as it was left, to be polled again or dropped.
///
/// After each poll that does not finish, `remaining` says how much time is left. No clock is read here:
/// the caller asks its own. Zero is none left; [`Duration::MAX`] is no limit. So the future is polled at
/// least once, and once more after the last time that it was waited for. Between polls the thread spins
/// for `spin` rounds (see [`BRIEF_SPIN`]) and then parks for at most what is left. It allocates as
/// [`block_on`] does.
///
/// ```
/// use ringbuf::{ReplyPool, wake::{BRIEF_SPIN, block_on_for}};
/// use std::pin::Pin;
/// use std::time::{Duration, Instant};
///
/// let pool = ReplyPool::new(1);
/// let (answer, mut reply) = pool.open().unwrap();
/// let deadline = Instant::now() + Duration::from_millis(1);
/// let remaining = || deadline.saturating_duration_since(Instant::now());
/// assert_eq!(block_on_for(Pin::new(&mut reply), BRIEF_SPIN, remaining), None);
/// answer.answer("late");
/// assert_eq!(block_on_for(Pin::new(&mut reply), BRIEF_SPIN, remaining), Some(Some("late")));
/// ```
pub fn block_on_for<F: Future + ?Sized>(
    mut future: Pin<&mut F>,
    spin: u32,
    mut remaining: impl FnMut() -> Duration,
) -> Option<F::Output> {
    let lent = Lent::take();
    let (parker, waker) = lent.pair();
    let mut context = Context::from_waker(waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let left = remaining();
        if left.is_zero() {
            return None;
        }
        parker.wait_for(spin, left);
    }
}

/// Calls `step` with the calling thread's waker until it is ready, as [`block_on`] does.
///
/// ```
/// use std::task::Poll;
///
/// let mut polls = 0;
/// let answer = ringbuf::wake::block_on_fn(0, |waker| {
///     polls += 1;
///     if polls < 3 {
///         waker.wake_by_ref();
///         return Poll::Pending;
///     }
///     Poll::Ready(polls)
/// });
/// assert_eq!(answer, 3);
/// ```
pub fn block_on_fn<R>(spin: u32, step: impl FnMut(&Waker) -> Poll<R>) -> R {
    struct Steps<S>(S);

    impl<S> Unpin for Steps<S> {}

    impl<R, S: FnMut(&Waker) -> Poll<R>> Future for Steps<S> {
        type Output = R;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
            (self.0)(context.waker())
        }
    }

    block_on(Steps(step), spin)
}

/// The thread's parker for as long as one `block_on` runs; a nested one gets its own, since one
/// that shared it would use up the outer one's wakes.
struct Lent(Option<(Arc<Parker>, Waker)>);

#[cfg(not(tidegate_loom))]
thread_local! {
    static SPARE: std::cell::RefCell<Option<(Arc<Parker>, Waker)>> =
        const { std::cell::RefCell::new(None) };
}

impl Lent {
    fn take() -> Self {
        #[cfg(not(tidegate_loom))]
        if let Ok(Some(pair)) = SPARE.try_with(|spare| spare.borrow_mut().take()) {
            // A wake that came after the last use was for nothing.
            pair.0.notified.store(false, Ordering::Relaxed);
            return Self(Some(pair));
        }
        let parker = Parker::of_this_thread();
        let waker = Waker::from(Arc::clone(&parker));
        Self(Some((parker, waker)))
    }

    fn pair(&self) -> &(Arc<Parker>, Waker) {
        self.0.as_ref().expect("only drop takes the pair out")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        #[cfg(not(tidegate_loom))]
        {
            let pair = self.0.take();
            // At the end of a thread there may be nowhere to keep it.
            let _ = SPARE.try_with(|spare| *spare.borrow_mut() = pair);
        }
    }
}
