//! The smallest part of a stream that still fails.

use crate::stream::{Op, Stream};

/// Leaves out operations, larger runs first, and instructions, while the stream still fails.
pub(crate) fn shrink(mut stream: Stream, fails: impl Fn(&Stream) -> bool) -> Stream {
    let mut run = stream.ops.len() / 2;
    while run > 0 {
        let mut at = 0;
        while at < stream.ops.len() {
            let mut fewer = stream.clone();
            fewer.ops.drain(at..(at + run).min(stream.ops.len()));
            if fails(&fewer) {
                stream = fewer;
            } else {
                at += run;
            }
        }
        run /= 2;
    }
    for at in 0..stream.ops.len() {
        let mut step = 0;
        loop {
            let mut fewer = stream.clone();
            let Op::Send(sent) = &mut fewer.ops[at] else { break };
            if step >= sent.script.len() {
                break;
            }
            sent.script.remove(step);
            if fails(&fewer) {
                stream = fewer;
            } else {
                step += 1;
            }
        }
    }
    stream
}
