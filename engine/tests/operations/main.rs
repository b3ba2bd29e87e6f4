//! What the operations promise, promise by promise, through the engine's public face: calls, retries,
//! isolation, entities, routes, follow-ups, detached batches, limits, control.
//!
//! Each test ends with [`scene::at_rest`], which asserts that everything accepted was settled once.

mod calls;
mod detached;
mod entities;
mod follow_ups;
mod foreign;
mod hurries;
mod isolation;
mod limits;
mod merge;
mod names;
mod observers;
mod pauses;
mod places;
mod retry;
mod routing;
mod scene;
mod stops;
mod suspects;
mod tickets;
mod traces;
mod trees;
mod tuning;
mod turns;
