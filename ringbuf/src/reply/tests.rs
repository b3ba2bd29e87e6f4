use super::*;
use crate::wake::{BRIEF_SPIN, block_on, block_on_for};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;
use std::time::Duration;

/// Counts its drops; each is worth a look of its own.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("a bad drop");
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Woken {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn pool<V>(slots: usize) -> ReplyPool<V> {
    ReplyPool::new(slots)
}

#[test]
fn an_exhausted_pool_gives_nothing_until_both_ends_are_done() {
    let pool = pool::<u32>(3);
    let mut open: Vec<_> = (0..3).map(|_| pool.open().unwrap()).collect();
    let mut slots: Vec<_> = open.iter().map(|(answer, _)| answer.slot()).collect();
    slots.sort_unstable();
    assert_eq!((slots, pool.free(), pool.capacity()), (vec![0, 1, 2], 0, 3));
    assert!(pool.open().is_none());
    let (answer, mut reply) = open.remove(1);
    assert_eq!(answer.slot(), reply.slot());
    answer.answer(7);
    assert!(pool.open().is_none(), "the asker has not taken it yet");
    assert_eq!(reply.try_take(), Poll::Ready(Some(7)));
    assert_eq!(pool.free(), 1);
    let (again, _reply) = pool.open().unwrap();
    assert_eq!(again.slot(), reply.slot(), "last back, first out");
    assert!(reply.is_done());
}

#[test]
fn every_pool_from_one_to_many_slots_gives_each_slot_once() {
    for slots in [1, 2, 3, 64, 100] {
        let pool = pool::<u8>(slots);
        for _ in 0..2 {
            let open: Vec<_> = std::iter::from_fn(|| pool.open()).collect();
            let mut seen: Vec<_> = open.iter().map(|(answer, _)| answer.slot()).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..slots as u32).collect::<Vec<_>>());
            assert_eq!(pool.free(), 0);
            drop(open);
            assert_eq!(pool.free(), slots);
        }
    }
}

#[test]
fn a_pool_of_no_or_too_many_slots_is_refused() {
    for slots in [0, REPLIES_MAX + 1] {
        assert!(catch_unwind(|| pool::<u8>(slots)).is_err(), "{slots}");
    }
}

#[test]
fn an_answer_is_dropped_once_whichever_end_goes_first() {
    let drops = Arc::new(AtomicUsize::new(0));
    let counted = || Counted(Arc::clone(&drops));
    let dropped = || drops.swap(0, Ordering::Relaxed);
    let pool = pool(1);

    let (answer, reply) = pool.open().unwrap();
    answer.answer(counted());
    assert_eq!((dropped(), pool.free()), (0, 0), "it waits for the asker");
    drop(reply);
    assert_eq!((dropped(), pool.free()), (1, 1), "nobody took it");

    let (answer, reply) = pool.open().unwrap();
    assert!(answer.has_asker());
    drop(reply);
    assert!(!answer.has_asker());
    assert_eq!(pool.free(), 0, "the answerer has it still");
    answer.answer(counted());
    assert_eq!((dropped(), pool.free()), (1, 1), "nobody was there");

    let (answer, mut reply) = pool.open().unwrap();
    answer.answer(counted());
    let Poll::Ready(Some(value)) = reply.try_take() else { panic!("it was answered") };
    drop(reply);
    assert_eq!((dropped(), pool.free()), (0, 1), "it is the asker's now");
    drop(value);
    assert_eq!(dropped(), 1);

    let (answer, reply) = pool.open().unwrap();
    drop((answer, reply));
    let (answer, reply) = pool.open().unwrap();
    drop((reply, answer));
    assert_eq!((dropped(), pool.free()), (0, 1), "no answer, no drop");
}

#[test]
fn an_answer_that_panics_when_dropped_leaves_the_slot_free() {
    let pool = pool(1);
    let panicked = |step: &mut dyn FnMut()| {
        assert!(catch_unwind(AssertUnwindSafe(step)).is_err(), "the panic goes on");
        assert_eq!(pool.free(), 1);
    };
    let (answer, reply) = pool.open().unwrap();
    answer.answer(PanicsInDrop);
    let mut reply = Some(reply);
    panicked(&mut || drop(reply.take()));

    let (answer, reply) = pool.open().unwrap();
    drop(reply);
    let mut answer = Some(answer);
    panicked(&mut || answer.take().unwrap().answer(PanicsInDrop));
}

#[test]
fn ends_outlive_their_pool() {
    let drops = Arc::new(AtomicUsize::new(0));
    let pool = pool(3);
    let clone = pool.clone();
    let [first, second] = [pool.open().unwrap(), clone.open().unwrap()];
    drop((pool, clone));
    first.0.answer(Counted(Arc::clone(&drops)));
    assert!(matches!(block_on(first.1, 0), Some(Counted(_))));
    assert_eq!(drops.load(Ordering::Relaxed), 1);
    drop(second.1);
    second.0.answer(Counted(Arc::clone(&drops)));
    assert_eq!(drops.load(Ordering::Relaxed), 2);
}

#[test]
fn the_last_waker_is_woken_once_and_none_is_kept() {
    let pool = pool(1);
    let wakers: [Arc<Woken>; 2] = Default::default();
    let [first, second] = wakers.clone().map(Waker::from);
    let (answer, mut reply) = pool.open().unwrap();
    assert!(reply.poll(&first).is_pending());
    assert!(reply.poll(&second).is_pending());
    assert!(reply.poll(&second).is_pending());
    assert!(reply.try_take().is_pending());
    drop((first, second));
    assert_eq!(wakers.each_ref().map(Arc::strong_count), [1, 2]);
    answer.answer(5);
    assert_eq!(wakers.each_ref().map(|woken| woken.get()), [0, 1]);
    assert_eq!(wakers.each_ref().map(Arc::strong_count), [1, 1]);
    assert_eq!(reply.poll(Waker::noop()), Poll::Ready(Some(5)));

    for settle in [true, false] {
        let (answer, mut reply) = pool.open().unwrap();
        let woken = Arc::new(Woken::default());
        assert!(reply.poll(&woken.clone().into()).is_pending());
        if settle {
            drop(answer);
            assert_eq!(woken.get(), 1, "nobody answers");
            drop(reply);
        } else {
            drop(reply);
            assert_eq!(Arc::strong_count(&woken), 1, "who left is not woken");
            drop(answer);
            assert_eq!(woken.get(), 0);
        }
        assert_eq!((Arc::strong_count(&woken), pool.free()), (1, 1));
    }
}

#[test]
fn a_cancelled_question_may_be_answered_all_the_same() {
    let pool = pool(1);
    let (answer, mut reply) = pool.open().unwrap();
    assert!(reply.poll(Waker::noop()).is_pending());
    assert!(!answer.is_cancelled());
    reply.cancel();
    reply.cancel();
    assert!(answer.is_cancelled() && answer.has_asker());
    answer.answer(1);
    assert_eq!(block_on(&mut reply, 0), Some(1));
    let (next, _asker) = pool.open().unwrap();
    reply.cancel();
    assert!(!next.is_cancelled(), "it is another question's by now");
}

#[test]
fn asking_again_panics() {
    let pool = pool::<u8>(1);
    let (answer, mut reply) = pool.open().unwrap();
    drop(answer);
    assert_eq!(reply.try_take(), Poll::Ready(None));
    assert!(catch_unwind(AssertUnwindSafe(|| reply.try_take())).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| reply.poll(Waker::noop()))).is_err());
    assert_eq!(pool.free(), 1);
}

#[test]
fn a_wait_that_runs_out_leaves_the_reply_to_be_asked_again() {
    let pool = pool(1);
    let (answer, mut reply) = pool.open().unwrap();
    let mut left = [2, 1, 0].map(Duration::from_nanos).into_iter();
    let remaining = || left.next().unwrap();
    assert_eq!(block_on_for(Pin::new(&mut reply), 0, remaining), None);
    let answerer = std::thread::spawn(move || answer.answer(3));
    let reply = Pin::new(&mut reply);
    assert_eq!(block_on_for(reply, BRIEF_SPIN, || Duration::MAX), Some(Some(3)));
    answerer.join().unwrap();
}

#[test]
fn heap_bytes_grow_by_a_slot_each() {
    let slot = ReplyPool::<u64>::heap_bytes(11) - ReplyPool::<u64>::heap_bytes(10);
    assert_eq!(slot, 64);
}

/// xorshift64*, from Sebastiano Vigna's "An experimental exploration of Marsaglia's xorshift
/// generators, scrambled" (2016).
fn random(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
}

#[test]
fn threads_that_ask_answer_leave_and_cancel_lose_no_slot_and_no_value() {
    use std::hash::{BuildHasher, RandomState};
    let seed = RandomState::new().hash_one(1) | 1;
    eprintln!("seed {seed}");
    let drops = Arc::new(AtomicUsize::new(0));
    let (pool, given, taken) = (pool::<(u64, Counted)>(3), AtomicUsize::new(0), Mutex::new(0));
    let (to, questions) = std::sync::mpsc::sync_channel::<(Answer<_>, u64)>(2);
    let questions = Mutex::new(questions);
    std::thread::scope(|scope| {
        for n in 0..3_u64 {
            let (pool, to, taken) = (pool.clone(), to.clone(), &taken);
            scope.spawn(move || {
                let (mut state, mut got) = (seed.rotate_left(n as u32), 0);
                for turn in 0..3_000 {
                    let Some((answer, mut reply)) = pool.open() else {
                        std::thread::yield_now();
                        continue;
                    };
                    let question = n << 32 | turn;
                    to.send((answer, question)).unwrap();
                    let chance = random(&mut state) % 8;
                    if chance == 0 {
                        continue;
                    }
                    if chance == 1 {
                        reply.cancel();
                    }
                    if chance < 4 {
                        let _ = reply.poll(Waker::noop()).map(|early| {
                            assert!(early.is_none_or(|(same, _)| same == question));
                            got += 1;
                        });
                        continue;
                    }
                    if let Some((same, _)) = block_on(reply, (chance % 2) as u32 * BRIEF_SPIN) {
                        assert_eq!(same, question, "another's answer");
                        got += 1;
                    }
                }
                *taken.lock().unwrap() += got;
            });
        }
        drop(to);
        for n in 3..5 {
            let (questions, drops, given) = (&questions, &drops, &given);
            scope.spawn(move || {
                let mut state = seed.rotate_left(n);
                loop {
                    let Ok((answer, question)) = questions.lock().unwrap().recv() else {
                        return;
                    };
                    if random(&mut state) % 8 < 7 {
                        given.fetch_add(1, Ordering::Relaxed);
                        answer.answer((question, Counted(Arc::clone(drops))));
                    }
                }
            });
        }
    });
    assert_eq!(pool.free(), 3);
    assert_eq!(drops.load(Ordering::Relaxed), given.into_inner(), "each dropped once");
    assert!(*taken.lock().unwrap() > 0);
}
