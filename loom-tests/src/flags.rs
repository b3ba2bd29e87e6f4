//! Flags: none is lost, and what was done before one was raised is seen.

use crate::watch::Count;
use crate::{explore, list};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use ringbuf::{FlagReader, Flags, flags};

list![
    what_was_done_before_a_flag_was_raised_is_seen,
    flags_of_one_word_are_taken_once_each,
    flags_of_two_levels_are_taken_once_each,
    a_flag_that_is_raised_is_found_whatever_others_are_at,
];

/// Raises some flags, each after a deed.
fn raise(flags: &Flags, deeds: &[Arc<AtomicBool>], numbers: [u32; 2]) -> thread::JoinHandle<()> {
    let (flags, deeds) = (flags.clone(), deeds.to_vec());
    thread::spawn(move || {
        for (number, deed) in numbers.into_iter().zip(deeds) {
            deed.store(true, Ordering::Relaxed);
            flags.raise(number);
        }
    })
}

fn take(reader: &mut FlagReader, taken: &mut Vec<u32>, check: impl Fn(u32)) -> bool {
    let flag = reader.take();
    flag.inspect(|flag| check(*flag)).is_some_and(|flag| {
        taken.push(flag);
        true
    })
}

fn what_was_done_before_a_flag_was_raised_is_seen() {
    explore(3, || {
        let (flags, mut reader) = flags(1);
        let deed = Arc::new(AtomicBool::new(false));
        let raiser = {
            let deed = Arc::clone(&deed);
            thread::spawn(move || {
                deed.store(true, Ordering::Relaxed);
                flags.raise(0);
            })
        };
        if reader.take().is_some() {
            assert!(deed.load(Ordering::Relaxed));
            assert_eq!(reader.take(), None, "it was raised once");
        }
        raiser.join().unwrap();
    });
}

/// Two raise two flags each while the reader looks; then it takes the rest.
fn taken_once_each(preemptions: usize, count: usize, numbers: [u32; 4]) {
    let early = Count::default();
    let times = early.clone();
    explore(preemptions, move || {
        let (flags, mut reader) = flags(count);
        let deeds: Vec<_> = (0..4).map(|_| Arc::new(AtomicBool::new(false))).collect();
        let [a, b, c, d] = numbers;
        let raisers = [raise(&flags, &deeds[..2], [a, b]), raise(&flags, &deeds[2..], [c, d])];
        let mut taken = Vec::new();
        let check = |flag| {
            let deed = numbers.iter().position(|number| *number == flag).unwrap();
            assert!(deeds[deed].load(Ordering::Relaxed), "{flag} before its deed");
        };
        for _ in 0..2 {
            if take(&mut reader, &mut taken, check) {
                times.add(1);
            }
        }
        raisers.into_iter().for_each(|raiser| raiser.join().unwrap());
        while take(&mut reader, &mut taken, check) {}
        taken.sort_unstable();
        assert_eq!(taken, numbers, "each once");
        assert!(reader.is_empty());
    });
    assert!(early.get() > 0, "it never met a raiser");
}

fn flags_of_one_word_are_taken_once_each() {
    taken_once_each(2, 64, [0, 1, 2, 63]);
}

fn flags_of_two_levels_are_taken_once_each() {
    taken_once_each(2, 128, [0, 63, 64, 127]);
}

fn a_flag_that_is_raised_is_found_whatever_others_are_at() {
    explore(2, || {
        let (flags, mut reader) = flags(65);
        let [first, second] = [0, 1].map(|flag| {
            let flags = flags.clone();
            thread::spawn(move || flags.raise(flag))
        });
        let mut taken = Vec::new();
        take(&mut reader, &mut taken, |_| ());
        second.join().unwrap();
        while take(&mut reader, &mut taken, |_| ()) {}
        assert!(taken.contains(&1), "it was raised, and not found");
        first.join().unwrap();
        while take(&mut reader, &mut taken, |_| ()) {}
        taken.sort_unstable();
        assert_eq!(taken, [0, 1]);
    });
}
