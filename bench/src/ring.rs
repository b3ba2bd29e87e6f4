//! `ring`: one producer hands items to one consumer, against the queues that people would take.
//!
//! Producer and consumer have a core each, the queue has room for 8,192 items for everybody, and whoever
//! finds it full or empty waits in the same way, wherever the queue lets it. Items are made from a
//! counter in the time that is measured, into the queue's slots where its interface allows, and all their
//! words are read. A burst is what is published at once, and taken at once: where a queue has no such
//! thing, its items go one by one.

use crate::cell::Cell;
use crate::checksum::Digest;
use crate::peer::{Case, Peer};

mod array_queue;
mod crossbeam_channel;
mod disruptor;
mod kanal;
mod ping_pong;
mod rtrb;
mod threads;
mod tidegate;
mod words;

use array_queue::ArrayQueue;
use crossbeam_channel::CrossbeamChannel;
use disruptor::Disruptor;
use kanal::Kanal;
use ping_pong::PingPong;
use rtrb::{Rtrb, RtrbChunks};
use tidegate::{Ringbuf, RingbufRuns};
use words::{Sum, items};

/// Items of `N` words, in bursts.
#[derive(Clone, Copy, Debug)]
struct RingCase<const N: usize> {
    burst: usize,
    items: u32,
}

impl<const N: usize> Case for RingCase<N> {
    const WORKLOAD: &'static str = "ring";

    fn cell(&self) -> String {
        format!("item={} burst={}", size_of::<[u64; N]>(), self.burst)
    }

    fn expected(&self) -> Digest {
        let mut sum = Sum::default();
        items::<N>(self.items).for_each(|item| sum.add(&item));
        sum.digest()
    }
}

/// Items of a run against peers that are as fast as the project's own ring …
const FAST: u32 = 16_000_000;
/// … and against those that are much slower, and slower still.
const SLOW: u32 = 4_000_000;
const SLOWEST: u32 = 1_000_000;

/// All bursts of one size of item.
fn cells_of_size<const N: usize>(cells: &mut Vec<Cell>) {
    // About as many bytes, from a certain size of item on.
    let fast = FAST / (N as u32).div_ceil(4);
    for burst in [1, 8, 64, 256] {
        let case = RingCase::<N> { burst, items: fast };
        let slow = RingCase::<N> { items: SLOW, ..case };
        let slowest = RingCase::<N> { items: SLOWEST, ..case };
        let (subject, rtrb): (&dyn Peer<_>, &dyn Peer<_>) = match burst {
            1 => (&Ringbuf, &Rtrb),
            _ => (&RingbufRuns, &RtrbChunks),
        };
        cells.push(Cell::new(case, subject, rtrb).not_slower());
        let disruptor = Cell::new(slow, subject, &Disruptor);
        cells.push(match (N, burst) {
            (1, 1 | 256) => disruptor.with_target(1.5),
            _ => disruptor,
        });
        if burst == 1 || burst == 64 {
            let wanted = burst == 1 && (N == 1 || N == 8);
            for peer in [&ArrayQueue as &dyn Peer<_>, &Kanal] {
                cells.push(match wanted {
                    true => Cell::new(slow, subject, peer).with_target(3.0),
                    false => Cell::new(slowest, subject, peer),
                });
            }
            cells.push(Cell::new(slowest, subject, &CrossbeamChannel));
        }
    }
}

/// Every situation, in the order to run.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    cells_of_size::<1>(&mut cells);
    cells_of_size::<2>(&mut cells);
    cells_of_size::<8>(&mut cells);
    cells_of_size::<16>(&mut cells);
    let case = PingPong { trips: 200_000 };
    cells.push(Cell::new(case, &Ringbuf, &Rtrb));
    cells.push(Cell::new(case, &Ringbuf, &CrossbeamChannel));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<const N: usize>(peer: &dyn Peer<RingCase<N>>) {
        // One of them does not divide the queue, so that a burst goes round its end.
        for burst in [1, 8, 64, 100, 256] {
            // Not a multiple of any burst, and several times round the queue.
            let case = RingCase::<N> { burst, items: 50_001 };
            let run = peer.run(case).unwrap_or_else(|failure| panic!("{}: {failure}", peer.name()));
            let cell = format!("{} {}", peer.name(), case.cell());
            let digest = run.handled.digest;
            digest.check(case.expected(), &cell).unwrap_or_else(|found| panic!("{found}"));
            assert_eq!(digest.items(), 50_001);
        }
    }

    fn check_all<const N: usize>() {
        let peers: [&dyn Peer<RingCase<N>>; 8] = [
            &Ringbuf,
            &RingbufRuns,
            &Rtrb,
            &RtrbChunks,
            &ArrayQueue,
            &CrossbeamChannel,
            &Kanal,
            &Disruptor,
        ];
        peers.into_iter().for_each(check);
    }

    #[test]
    fn everybody_hands_over_everything_once_and_in_order() {
        check_all::<1>();
        check_all::<2>();
        check_all::<16>();
    }

    #[test]
    fn every_round_trip_brings_the_same_item_back() {
        let case = PingPong { trips: 2_000 };
        let peers: [&dyn Peer<PingPong>; 3] = [&Ringbuf, &Rtrb, &CrossbeamChannel];
        for peer in peers {
            let run = peer.run(case).unwrap_or_else(|failure| panic!("{}: {failure}", peer.name()));
            assert_eq!(run.handled.digest, case.expected(), "{}", peer.name());
            assert_eq!(run.latencies.map(|trips| trips.len()), Some(2_000), "{}", peer.name());
        }
    }

    #[test]
    fn every_target_of_the_plan_has_its_cell() {
        let targets = |peer: &str| {
            cells().iter().filter(|cell| cell.peer == peer && cell.target.is_some()).count()
        };
        assert_eq!(targets("rtrb push/pop"), 4);
        assert_eq!(targets("rtrb chunks"), 12);
        assert_eq!(targets("crossbeam ArrayQueue"), 2);
        assert_eq!(targets("kanal"), 2);
        assert_eq!(targets("disruptor"), 2);
    }
}
