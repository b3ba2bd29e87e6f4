//! What an observer hears of all batches, added up.

use engine::{BatchEvent, BatchStage, Snapshot};

#[derive(Debug, Default)]
pub(crate) struct Heard {
    hand_overs: u64,
    done: u64,
    failed: u64,
    retried: u64,
    /// In batches that were taken along, and have not come to their end.
    away: u64,
}

impl Heard {
    pub(crate) fn hear(&mut self, event: &BatchEvent) {
        let items = (event.items + event.absorbed) as u64;
        match event.stage {
            BatchStage::Detached => self.away += items,
            BatchStage::Handled | BatchStage::Isolated => {}
            _ => self.away -= items,
        }
        self.hand_overs += u64::from(event.stage.is_hand_over());
        self.done += event.done as u64;
        self.failed += event.failed as u64;
        self.retried += event.retried as u64;
    }

    /// It is what the snapshot says, but for what ended in nobody's hands.
    pub(crate) fn check(&self, snapshot: &Snapshot) {
        assert_eq!(self.hand_overs, snapshot.batches, "{self:?}: {snapshot}");
        assert_eq!(self.done, snapshot.done, "{self:?}: {snapshot}");
        let by_themselves = snapshot.expired + snapshot.cancelled + snapshot.key_full;
        let failed = snapshot.failed + snapshot.dead - by_themselves;
        assert_eq!(self.failed, failed, "{self:?}: {snapshot}");
        assert_eq!(self.retried, snapshot.retries, "{self:?}: {snapshot}");
        assert_eq!(self.away, snapshot.in_flight, "{self:?}: {snapshot}");
    }
}
