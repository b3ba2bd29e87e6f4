//! error: E0277
//!
//! A proof has no default value.

use engine::Settled;

pub fn forged<'b>() -> Settled<'b> {
    Default::default()
}
