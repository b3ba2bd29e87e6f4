//! What a handler call costs beside reading its items.

use std::time::Duration;

/// The price of one handler call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Price {
    Free,
    /// Busy for so long, whatever the size of the batch.
    Busy(Duration),
}

/// A handler's purse: pays by keeping the core busy.
#[derive(Debug)]
pub(crate) struct Purse {
    clock: quanta::Clock,
    ns: u64,
}

impl Purse {
    pub(crate) fn new(price: Price) -> Self {
        let ns = match price {
            Price::Free => 0,
            Price::Busy(time) => u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
        };
        Self { clock: quanta::Clock::new(), ns }
    }

    /// Pays for one call.
    #[inline]
    pub(crate) fn pay(&self) {
        if self.ns > 0 {
            let begun = self.clock.raw();
            while self.clock.delta_as_nanos(begun, self.clock.raw()) < self.ns {
                std::hint::spin_loop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_call_takes_its_time() {
        let time = Duration::from_micros(200);
        let purse = Purse::new(Price::Busy(time));
        let begun = purse.clock.raw();
        purse.pay();
        let paid_ns = purse.clock.delta_as_nanos(begun, purse.clock.raw());
        assert!(paid_ns >= 200_000, "{paid_ns} ns");
    }
}
