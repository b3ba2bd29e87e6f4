//! error: E0599
//!
//! A proof is used once.

use engine::Settled;

pub fn doubled<'b>(proof: Settled<'b>) -> (Settled<'b>, Settled<'b>) {
    (proof.clone(), proof)
}
