//! error: E0382
//!
//! Shutting down takes the engine: nothing can be asked of it afterwards.

use engine::{Handler, Item};

pub struct Row(pub u64);

impl Item for Row {
    type Key<'a> = u64;
    fn key(&self) -> u64 {
        self.0
    }
}

pub fn late<H: Handler<Item = Row>>(engine: engine::Engine<H>) {
    let _last = engine.shutdown(std::time::Duration::from_secs(1));
    let _producer = engine.producer();
}
