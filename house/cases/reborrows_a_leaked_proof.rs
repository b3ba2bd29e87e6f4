//! error: lifetime may not live long enough
//!
//! Even a proof that lives for ever does not pass for a shorter-lived one: it is invariant.

use engine::Settled;

pub fn forged<'b>(kept: &'static mut Option<Settled<'static>>) -> Settled<'b> {
    kept.take().unwrap()
}
