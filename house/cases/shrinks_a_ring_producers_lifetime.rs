//! error: E0597
//!
//! A producer of `&'static str` does not pass for one of shorter lives: its consumer would keep what is gone.

use ringbuf::Producer;

pub fn keeps_what_is_gone(producer: Producer<&'static str>) {
    let gone = String::from("not here when it is taken");
    let mut shrunk: Producer<&str> = producer;
    shrunk.try_push(gone.as_str()).unwrap();
}
