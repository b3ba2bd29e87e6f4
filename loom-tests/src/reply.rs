//! Reply slots: answering against waiting, leaving and cancelling; the stack of free slots; who frees all.

use crate::watch::{Count, Item, Nap};
use crate::{explore, list};
use loom::thread;
use ringbuf::{Answer, Reply, ReplyPool, wake};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

list![
    who_waits_for_an_answer_is_woken_and_gets_it,
    who_waits_is_woken_when_nobody_answers_any_more,
    the_waker_left_last_is_the_one_that_is_woken,
    an_asker_that_leaves_disturbs_nothing,
    an_asker_that_never_waited_leaves,
    a_slot_is_used_again_while_its_last_answerer_is_about_to_go,
    a_slot_is_used_again_by_the_answerer_of_an_asker_that_left,
    a_slot_is_used_again_by_the_answerer_of_an_asker_that_took_it,
    a_cancelled_question_is_answered,
    a_wait_that_runs_out_loses_no_answer,
    two_who_open_and_free_never_hold_the_same_slot,
    slots_freed_at_once_are_all_there,
    what_is_out_outlives_the_pool,
    the_last_of_several_frees_all,
];

fn waited_for(mut reply: Reply<Item>, nap: &Nap) -> Option<Item> {
    loop {
        if let Poll::Ready(answer) = reply.poll(&nap.waker()) {
            return answer;
        }
        nap.sleep(); // for good, should the wake be lost
    }
}

/// Answers in a thread.
fn answer_in(answer: Answer<Item>, item: Item) -> thread::JoinHandle<()> {
    thread::spawn(move || answer.answer(item))
}

/// Uses every cell of a slot, if one is free.
fn use_a_slot(pool: &ReplyPool<Item>, made: &Count, dropped: &Count) -> bool {
    let Some((answer, mut reply)) = pool.open() else {
        return false;
    };
    assert!(reply.poll(&Count::default().waker()).is_pending(), "a slot that is not fresh");
    assert!(answer.has_asker() && !answer.is_cancelled());
    answer.answer(Item::new(99, made, dropped));
    assert!(matches!(reply.try_take(), Poll::Ready(Some(Item { number: 99, .. }))));
    true
}

/// Runs `asker` against an answer in another thread, on a pool of one slot: all that was made is dropped
/// once, and the slot is free.
fn against_an_answer(
    preemptions: usize,
    asker: impl Fn(&ReplyPool<Item>, Reply<Item>, &Count, &Count) + Sync + Send + 'static,
) {
    explore(preemptions, move || {
        let (made, dropped) = (Count::default(), Count::default());
        let pool = ReplyPool::new(1);
        let (answer, reply) = pool.open().unwrap();
        let answerer = answer_in(answer, Item::new(1, &made, &dropped));
        asker(&pool, reply, &made, &dropped);
        answerer.join().unwrap();
        assert_eq!(pool.free(), 1, "the slot is lost");
        assert!(use_a_slot(&pool, &made, &dropped));
        assert_eq!(made.get(), dropped.get());
    });
}

fn who_waits_for_an_answer_is_woken_and_gets_it() {
    against_an_answer(3, |_, reply, _, _| {
        assert_eq!(waited_for(reply, &Nap::default()).unwrap().number, 1);
    });
}

fn who_waits_is_woken_when_nobody_answers_any_more() {
    explore(3, || {
        let pool = ReplyPool::new(1);
        let (answer, reply) = pool.open().unwrap();
        let answerer = thread::spawn(move || drop(answer));
        assert!(waited_for(reply, &Nap::default()).is_none());
        answerer.join().unwrap();
        assert_eq!(pool.free(), 1);
    });
}

fn the_waker_left_last_is_the_one_that_is_woken() {
    against_an_answer(3, |_, mut reply, _, _| {
        let (older, nap) = (Count::default(), Nap::default());
        if reply.poll(&older.waker()).is_pending() {
            assert_eq!(waited_for(reply, &nap).unwrap().number, 1);
        }
    });
}

fn an_asker_that_leaves_disturbs_nothing() {
    against_an_answer(3, |pool, mut reply, made, dropped| {
        let woken = Count::default();
        drop(reply.poll(&woken.waker()));
        drop(reply);
        use_a_slot(pool, made, dropped);
        assert!(woken.get() <= 1);
    });
}

fn an_asker_that_never_waited_leaves() {
    against_an_answer(3, |pool, reply, made, dropped| {
        drop(reply);
        use_a_slot(pool, made, dropped);
    });
}

fn a_slot_is_used_again_while_its_last_answerer_is_about_to_go() {
    against_an_answer(3, |pool, mut reply, made, dropped| {
        let early = reply.poll(&Count::default().waker());
        let answer = if early.is_ready() { early } else { reply.try_take() };
        if let Poll::Ready(answer) = answer {
            assert_eq!(answer.unwrap().number, 1);
            use_a_slot(pool, made, dropped);
        }
    });
}

/// Against an answerer that asks a question of its own as soon as the slot is free.
fn against_an_answerer_that_asks(asker: impl Fn(Reply<Item>) + Sync + Send + 'static) {
    let asked_early = Count::default();
    let times = asked_early.clone();
    explore(3, move || {
        let (made, dropped) = (Count::default(), Count::default());
        let pool = ReplyPool::new(1);
        let (answer, mut reply) = pool.open().unwrap();
        let item = Item::new(1, &made, &dropped);
        let _ = reply.poll(&Count::default().waker());
        let answerer = {
            let (made, dropped, pool, times) =
                (made.clone(), dropped.clone(), pool.clone(), times.clone());
            thread::spawn(move || {
                answer.answer(item);
                if use_a_slot(&pool, &made, &dropped) {
                    times.add(1);
                }
            })
        };
        asker(reply);
        answerer.join().unwrap();
        assert_eq!((made.get(), pool.free()), (dropped.get(), 1));
    });
    assert!(asked_early.get() > 0, "the slot was never free in time");
}

fn a_slot_is_used_again_by_the_answerer_of_an_asker_that_left() {
    against_an_answerer_that_asks(drop);
}

fn a_slot_is_used_again_by_the_answerer_of_an_asker_that_took_it() {
    against_an_answerer_that_asks(|mut reply| drop(reply.try_take()));
}

fn a_cancelled_question_is_answered() {
    explore(3, || {
        let (made, dropped) = (Count::default(), Count::default());
        let pool = ReplyPool::new(1);
        let (answer, mut reply) = pool.open().unwrap();
        let item = Item::new(1, &made, &dropped);
        let answerer = thread::spawn(move || {
            let cancelled = answer.is_cancelled();
            answer.answer(item);
            cancelled
        });
        let nap = Nap::default();
        let answered = match reply.poll(&nap.waker()) {
            Poll::Ready(answer) => answer,
            Poll::Pending => {
                reply.cancel();
                waited_for(reply, &nap)
            }
        };
        assert_eq!(answered.unwrap().number, 1);
        answerer.join().unwrap();
        assert_eq!(pool.free(), 1);
        let (answer, reply) = pool.open().unwrap();
        reply.cancel();
        let told = thread::spawn(move || answer.is_cancelled());
        assert!(told.join().unwrap(), "what was cancelled before is seen");
    });
}

fn a_wait_that_runs_out_loses_no_answer() {
    against_an_answer(3, |_, mut reply, _, _| {
        let mut rounds = 2_u64;
        let remaining = || {
            rounds -= 1;
            Duration::from_secs(rounds)
        };
        let answer = match wake::block_on_for(Pin::new(&mut reply), 0, remaining) {
            Some(answer) => answer,
            None => wake::block_on(reply, 0),
        };
        assert_eq!(answer.unwrap().number, 1);
    });
}

/// Says of each slot whether somebody has it, without ordering anybody.
#[derive(Debug, Clone, Default)]
struct Held(Arc<[AtomicBool; 3]>);

impl Held {
    /// Opens one, if any is free, and leaves a trace in its cells.
    fn open(&self, pool: &ReplyPool<Item>) -> Option<(Answer<Item>, Reply<Item>)> {
        let (answer, mut reply) = pool.open()?;
        let was = self.0[answer.slot() as usize].swap(true, Ordering::SeqCst);
        assert!(!was, "two hold slot {}", answer.slot());
        assert!(reply.poll(Waker::noop()).is_pending());
        Some((answer, reply))
    }

    fn free(&self, (answer, reply): (Answer<Item>, Reply<Item>)) {
        self.0[answer.slot() as usize].store(false, Ordering::SeqCst);
        drop(reply);
        drop(answer);
    }
}

fn two_who_open_and_free_never_hold_the_same_slot() {
    explore(2, || {
        let pool = ReplyPool::new(2);
        let held = Held::default();
        let other = {
            let (pool, held) = (pool.clone(), held.clone());
            thread::spawn(move || {
                let ends = [held.open(&pool), held.open(&pool)];
                let [first, second] = ends;
                // Back on top, while the one that lay beneath it is still out.
                first.into_iter().for_each(|ends| held.free(ends));
                second.into_iter().for_each(|ends| held.free(ends));
            })
        };
        let ends = [held.open(&pool), held.open(&pool)];
        ends.into_iter().flatten().for_each(|ends| held.free(ends));
        other.join().unwrap();
        assert_eq!(pool.free(), 2);
        let ends: Vec<_> = std::iter::from_fn(|| held.open(&pool)).collect();
        assert_eq!(ends.len(), 2, "a slot is lost");
    });
}

fn slots_freed_at_once_are_all_there() {
    explore(3, || {
        let pool = ReplyPool::new(3);
        let held = Held::default();
        let [first, second, third] = [(); 3].map(|()| held.open(&pool).unwrap());
        let other = {
            let held = held.clone();
            thread::spawn(move || held.free(first))
        };
        held.free(second);
        other.join().unwrap();
        assert_eq!(pool.free(), 2);
        held.free(third);
        assert_eq!(pool.free(), 3);
        let ends: Vec<_> = std::iter::from_fn(|| held.open(&pool)).collect();
        assert_eq!(ends.len(), 3);
    });
}

fn what_is_out_outlives_the_pool() {
    explore(3, || {
        let (made, dropped) = (Count::default(), Count::default());
        let pool = ReplyPool::new(2);
        let (answer, reply) = pool.open().unwrap();
        let answerer = answer_in(answer, Item::new(1, &made, &dropped));
        drop(reply);
        drop(pool);
        answerer.join().unwrap();
        assert_eq!((made.get(), dropped.get()), (1, 1));
    });
}

fn the_last_of_several_frees_all() {
    explore(3, || {
        let pool = ReplyPool::new(2);
        let [(first, asker), (second, other_asker)] = [(); 2].map(|()| pool.open().unwrap());
        drop((asker, other_asker));
        let answerer = thread::spawn(move || drop::<Answer<Item>>(first));
        let dropper = thread::spawn(move || drop(pool));
        drop(second);
        answerer.join().unwrap();
        dropper.join().unwrap();
    });
}
