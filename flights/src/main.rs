//! Flights.
fn main() {}
