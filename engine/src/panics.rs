//! Panics of user code, caught.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Drops `value`; `true` if that panicked.
pub(crate) fn drop_panics<V>(value: V) -> bool {
    if !mem::needs_drop::<V>() {
        return false;
    }
    let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) else { return false };
    // What was thrown may have a Drop that throws again; where that ends nobody knows.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(again);
    }
    true
}

/// What a panic said, as far as it is text.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("not text")
}

/// What a panic said, and the end of it.
pub(crate) fn message_of(panic: Box<dyn Any + Send>) -> String {
    let text = message(&*panic).to_owned();
    drop_panics(panic);
    text
}
