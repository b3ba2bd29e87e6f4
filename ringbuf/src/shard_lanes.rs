//! A shard's side of the lanes: the ends it drains, and its bell.

use crate::barrier::heavy;
use crate::claim::{Claim, Stretch};
use crate::doorbell::Doorbell;
use crate::ends::Head;
use crate::matrix::Matrix;
use crate::panics::FirstPanic;
use crate::run::Run;
use crate::side::SideHead;
use crate::sync::Arc;
use std::iter::FusedIterator;

/// The consumer's ends between a lane and one shard.
#[derive(Debug)]
struct ShardCell<T, M> {
    items: Head<T>,
    marks: SideHead<M>,
}

/// What a shard's end of one cell takes on the heap, in bytes.
pub(crate) fn bytes_per_cell<T, M>() -> usize {
    size_of::<ShardCell<T, M>>()
}

/// One shard's ends of all lanes, with its bell.
///
/// Made by [`lanes`](crate::lanes()). Belongs to one thread at a time. Dropping it closes it and
/// drops what is in the lanes. All functions that take a lane panic if there is none of that
/// number.
///
/// A turn looks at each lane in use, drains some of each, and sleeps when nothing is there:
///
/// ```
/// use ringbuf::{LanesConfig, wake::thread_waker};
///
/// let config = LanesConfig { shards: 1, lanes: 4, capacity: 64, marks: 8 };
/// let (lanes, mut shards) = ringbuf::lanes::<u32, ()>(config, |_| thread_waker());
/// let mut shard = shards.remove(0);
/// let pusher = std::thread::spawn(move || {
///     let mut lane = lanes.claim().unwrap();
///     for n in 0..100 {
///         lane.push(0, n, || 0, 0).unwrap();
///     }
/// });
/// let mut sum = 0;
/// let mut count = 0;
/// while count < 100 {
///     for lane in 0..shard.lanes_in_use() {
///         shard.look(lane);
///         for item in shard.run(lane, 32) {
///             sum += item;
///             count += 1;
///         }
///     }
///     if count < 100 && shard.lie_down() {
///         std::thread::park();
///         shard.get_up();
///     }
/// }
/// pusher.join().unwrap();
/// assert_eq!(sum, 4950);
/// ```
#[derive(Debug)]
pub struct ShardLanes<T, M> {
    matrix: Arc<Matrix<T, M>>,
    shard: usize,
    bell: Arc<Doorbell>,
    cells: Box<[ShardCell<T, M>]>,
    closed: bool,
}

impl<T, M> ShardLanes<T, M> {
    pub(crate) fn new(matrix: &Arc<Matrix<T, M>>, shard: usize) -> Self {
        let cells = (0..matrix.config().lanes)
            .map(|lane| {
                let cell = matrix.cell(lane, shard);
                ShardCell {
                    items: Head::new(&cell.items),
                    marks: SideHead::new(Head::new(&cell.marks)),
                }
            })
            .collect();
        let bell = Arc::clone(matrix.bell(shard));
        Self { matrix: Arc::clone(matrix), shard, bell, cells, closed: false }
    }

    /// The shard's number, from 0.
    pub fn shard(&self) -> usize {
        self.shard
    }

    /// How many lanes, from the first on, were ever claimed: those to look at. Only grows.
    #[inline]
    pub fn lanes_in_use(&self) -> usize {
        self.matrix.ever_used()
    }

    /// Looks at a lane: how many items are there to be taken.
    #[inline]
    pub fn look(&mut self, lane: usize) -> usize {
        self.cells[lane].items.look()
    }

    /// How many items the lane has had as of the last [`look`](Self::look): the number of the one
    /// after the last.
    #[inline]
    pub fn tail(&self, lane: usize) -> u64 {
        self.cells[lane].items.tail_seen()
    }

    /// How many items were taken from the lane: the number of the next one.
    #[inline]
    pub fn head(&self, lane: usize) -> u64 {
        self.cells[lane].items.seq()
    }

    /// For how many items there is room in each ring when it is empty: a power of two.
    pub fn capacity(&self) -> usize {
        self.matrix.config().capacity
    }

    /// How many of the lane's next `most` items come before its next mark.
    #[inline]
    pub fn unmarked(&mut self, lane: usize, most: usize) -> usize {
        let ShardCell { items, marks } = &mut self.cells[lane];
        most.min(marks.next_seq().saturating_sub(items.seq()) as usize)
    }

    /// Takes the lane's next item, if there is one, and frees its slot at once. Marks are not looked at:
    /// ask [`unmarked`](Self::unmarked) first.
    #[inline(always)]
    pub fn pop(&mut self, lane: usize) -> Option<T> {
        self.cells[lane].items.pop()
    }

    /// Begins to drain up to `max` of the items that were there when the lane was last looked at;
    /// looks at it first if none are known of.
    #[inline]
    pub fn run(&mut self, lane: usize, max: usize) -> LaneDrain<'_, T, M> {
        let ShardCell { items, marks } = &mut self.cells[lane];
        if items.known() == 0 {
            items.look();
        }
        LaneDrain { run: Run::new(Claim::of(items, max)), marks }
    }

    /// The next mark that stands alone at the head of a lane, where no item comes before it. To
    /// be asked until `None`, when a lane is empty or may be.
    pub fn take_mark_at_head(&mut self, lane: usize) -> Option<M> {
        let ShardCell { items, marks } = &mut self.cells[lane];
        marks.take_due(items.seq(), false)
    }

    /// Says that this shard sleeps from now on, and then looks at every lane once more: `true` if
    /// there is truly nothing, and the thread may park until its bell wakes it. `false` if there
    /// is an item or a mark: then the shard is awake again, and the bell's time of a ring in
    /// between is lost.
    ///
    /// After this has returned `true`, [`get_up`](Self::get_up) must follow when the thread is awake,
    /// whatever woke it. Costs a heavy barrier and a look at every lane.
    pub fn lie_down(&mut self) -> bool {
        self.lie_down_if(|cell| cell.items.look() == 0 && cell.marks.look() == 0)
    }

    /// As [`lie_down`](Self::lie_down), beside what was there when each lane was [looked at](Self::look)
    /// last, and may stay for now: `true` if nothing has come since.
    pub fn lie_down_beside(&mut self) -> bool {
        self.lie_down_if(|cell| {
            let seen = (cell.items.tail_seen(), cell.marks.tail_seen());
            cell.items.look();
            cell.marks.look();
            seen == (cell.items.tail_seen(), cell.marks.tail_seen())
        })
    }

    fn lie_down_if(&mut self, quiet: impl FnMut(&mut ShardCell<T, M>) -> bool) -> bool {
        // Passes the heavy barrier; what follows therefore sees all that was pushed by anyone who
        // found the shard awake, the claims of their lanes included.
        self.bell.lie_down();
        let lanes = self.matrix.ever_used();
        let sleeps = self.cells[..lanes].iter_mut().all(quiet);
        if !sleeps {
            self.bell.get_up();
        }
        sleeps
    }

    /// Ends a sleep. `Some(time)` when a push rang the bell: the time that the push read. What it
    /// pushed is there to be seen.
    pub fn get_up(&mut self) -> Option<u64> {
        self.bell.get_up()
    }

    /// This shard's bell.
    pub fn doorbell(&self) -> &Doorbell {
        &self.bell
    }

    /// Accepts nothing more: what was pushed so far stays to be taken, and every later push gives
    /// its item back, also through lanes that are claimed later. Wakes everyone who waits for
    /// room. Costs a heavy barrier and a look at every lane; does nothing the second time.
    pub fn close(&mut self) {
        if self.closed {
            return;
        }
        self.closed = true;
        self.bell.close();
        // Between the word that we have closed and the last look at the tails.
        heavy();
        for cell in &mut self.cells {
            cell.items.finish(|_, tail| tail);
            cell.marks.finish(cell.items.tail_seen());
        }
        // Only now: a waker is foreign code, and by now every producer can settle.
        for cell in &self.cells {
            cell.items.wake_waiter();
            cell.marks.wake_waiter();
        }
    }

    /// Whether this shard has closed and taken all that it had accepted, items and marks.
    pub fn is_drained(&self) -> bool {
        self.cells.iter().all(|cell| cell.items.is_drained() && cell.marks.is_drained())
    }
}

impl<T, M> Drop for ShardLanes<T, M> {
    fn drop(&mut self) {
        self.close();
        let mut panics = FirstPanic::default();
        for cell in &mut self.cells {
            panics.run(|| cell.items.discard());
            panics.run(|| cell.marks.discard());
        }
        panics.resume();
    }
}

/// A run of items of one lane that is being drained in place, with the marks that belong to them.
///
/// Made by [`ShardLanes::run`]; works as [`Run`]. With marks in play, ask
/// [`next_mark_seq`](Self::next_mark_seq) once: the items before that number have none, so that
/// they can be drained without asking.
#[derive(Debug)]
pub struct LaneDrain<'a, T, M> {
    run: Run<'a, T>,
    marks: &'a mut SideHead<M>,
}

impl<T, M> LaneDrain<'_, T, M> {
    /// How many items are left in this run.
    #[inline]
    pub fn len(&self) -> usize {
        self.run.len()
    }

    /// Whether nothing is left in this run.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.run.is_empty()
    }

    /// The number of the next item in its ring, counted from 0.
    #[inline]
    pub fn seq(&self) -> u64 {
        self.run.seq()
    }

    /// The next items, up to `count`.
    #[inline(always)]
    pub fn first(&mut self, count: usize) -> Stretch<'_, T> {
        self.run.first(count)
    }

    /// The next item, where it lies.
    #[inline]
    pub fn peek(&self) -> Option<&T> {
        self.run.peek()
    }

    /// The number of the item that the next mark belongs to or stands before; `u64::MAX` if none
    /// of this run's items has one. Good until the mark is taken.
    #[inline]
    pub fn next_mark_seq(&mut self) -> u64 {
        self.marks.next_seq()
    }

    /// The next mark, if the next item is not before it: marks that stand alone before the next
    /// item, and those that belong to it or to an earlier one. To be asked until `None`, before
    /// the item is taken. At the end of the run, a mark that belongs to an item which is not in
    /// this run is left for the next.
    #[inline]
    pub fn take_mark(&mut self) -> Option<M> {
        let (next, is_there) = (self.run.seq(), !self.run.is_empty());
        self.marks.take_due(next, is_there)
    }
}

impl<T, M> Iterator for LaneDrain<'_, T, M> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.run.next()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.run.size_hint()
    }
}

impl<T, M> ExactSizeIterator for LaneDrain<'_, T, M> {}
impl<T, M> FusedIterator for LaneDrain<'_, T, M> {}
