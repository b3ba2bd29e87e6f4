//! error: E0597
//!
//! What holds for a lane's items holds for its marks, and for the set of lanes that hands them out.

use ringbuf::Lanes;

pub fn keeps_what_is_gone(lanes: Lanes<(), &'static str>) {
    let gone = String::from("not here when it is taken");
    let shrunk: Lanes<(), &str> = lanes;
    shrunk.claim().unwrap().try_mark(0, gone.as_str(), || 0).unwrap();
}
