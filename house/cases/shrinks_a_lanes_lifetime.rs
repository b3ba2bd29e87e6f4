//! error: E0597
//!
//! A lane of `&'static str` does not pass for one of shorter lives: its shard would keep what is gone.

use ringbuf::Lane;

pub fn keeps_what_is_gone(lane: Lane<&'static str, ()>) {
    let gone = String::from("not here when it is taken");
    let mut shrunk: Lane<&str, ()> = lane;
    shrunk.try_push(0, gone.as_str(), || 0).unwrap();
}
