//! What a user writes.

use crate::batch::{Group, Settled};
use crate::item::Item;

/// The batch that a handler `H` is given: see [`Group`].
pub type Batch<'b, H> =
    Group<'b, <H as Handler>::Item, <H as Handler>::Reply, <H as Handler>::Error>;

/// Handles batches, on one shard's thread.
///
/// Each shard builds its own handler on its own thread, by the factory given to
/// [`Engine::builder`](crate::Engine::builder); so a handler needs neither `Send` nor locks, and all
/// items of a key meet the same one.
///
/// ```
/// use engine::{Batch, Handler, Item, Settled, Verdict};
///
/// struct Sample { sensor: u32, value: f64 }
///
/// impl Item for Sample {
///     type Key<'a> = u32;
///     fn key(&self) -> u32 { self.sensor }
/// }
///
/// #[derive(Default)]
/// struct Sum(f64);
///
/// impl Handler for Sum {
///     type Item = Sample;
///     type Reply = ();
///     type Error = &'static str;
///
///     fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
///         batch.settle_each(|sample| {
///             if sample.value.is_nan() {
///                 return Verdict::Failed("not a number");
///             }
///             self.0 += sample.value;
///             Verdict::Done(())
///         })
///     }
/// }
/// ```
///
/// # Panics
///
/// A panic stays inside the shard: see [`Group::settle_each`] for what becomes of the batch. The
/// shard then builds a fresh handler (or as [`AfterPanic`](crate::AfterPanic) says), so state that
/// must survive a panic belongs outside the handler.
pub trait Handler: Sized + 'static {
    /// What it handles.
    type Item: Item;
    /// What an item's push may be answered with; `()` where nobody waits for an answer.
    type Reply: Send + 'static;
    /// What it says of an item that failed.
    type Error: Send + 'static;

    /// Handles one batch: items of one key, oldest first. The only way to get the `Settled` that
    /// must be returned is to decide about the batch, by one of its `settle_…` methods.
    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b>;
}

/// A closure as a handler: see [`Engine::from_fn`](crate::Engine::from_fn).
pub struct FromFn<T, R, E, F> {
    call: F,
    types: std::marker::PhantomData<fn(T) -> Result<R, E>>,
}

impl<T, R, E, F> FromFn<T, R, E, F>
where
    T: Item,
    F: FnMut(T::Key<'_>, &[T]) -> Result<R, E>,
{
    pub(crate) fn new(call: F) -> Self {
        Self { call, types: std::marker::PhantomData }
    }
}

impl<T, R, E, F> std::fmt::Debug for FromFn<T, R, E, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FromFn(..)")
    }
}

impl<T, R, E, F> Handler for FromFn<T, R, E, F>
where
    T: Item,
    R: Clone + Send + 'static,
    E: Clone + Send + 'static,
    F: FnMut(T::Key<'_>, &[T]) -> Result<R, E> + 'static,
{
    type Item = T;
    type Reply = R;
    type Error = E;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_all(|key, items| (self.call)(key, items))
    }
}
