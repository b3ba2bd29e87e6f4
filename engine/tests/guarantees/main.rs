//! What the engine promises, promise by promise, through its public face. The numbers (G1 and so on)
//! are those of the guarantees.

mod after_panic;
mod close_race;
mod counters;
mod cut_batches;
mod deadline;
mod deadlock;
mod fairness;
mod full;
mod hashing;
mod key_panics;
mod order;
mod panics;
mod pressure;
mod refused;
mod settled;
mod shallow;
mod shutdown;
mod twin;
mod witness;
mod wrong_key;
