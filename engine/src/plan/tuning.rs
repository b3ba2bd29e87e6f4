//! What of a running engine may become what.

use std::fmt;

use super::Plan;
use crate::misfit::Misfit;
use crate::operations::Oversize;
use crate::tunables::Tunables;

impl Plan {
    /// Whether an engine of this plan can go from the one to the other.
    pub(crate) fn check_tuning(&self, from: &Tunables, to: &Tunables) -> Result<(), Misfit> {
        to.check()?;
        let largest = self.batcher.largest;
        if to.sizing.largest() > largest {
            let allowed = format_args!("up to {largest} items (`batch_items_max`)");
            return Err(Misfit::new("sizing", to.sizing, allowed));
        }
        if self.windows.is_some() {
            to.batch_items_of_windows()?;
        }
        let Some(operations) = &self.operations else { return refuse_without_queues(from, to) };
        if to.in_flight_max > operations.seats {
            let allowed = format_args!("0 to {}, as at the start", operations.seats);
            return Err(Misfit::new("in_flight_max", to.in_flight_max, allowed));
        }
        // Every producer has a copy of what it refuses by.
        if to.batch_weight_max != from.batch_weight_max && operations.oversize == Oversize::Refused
        {
            let (value, present) = (limit(to.batch_weight_max), limit(from.batch_weight_max));
            let allowed = format_args!("{present}, where heavier items are refused (`oversize`)");
            return Err(Misfit::new("batch_weight_max", value, allowed));
        }
        Ok(())
    }
}

/// Batches as they come can be sized, and that is all.
fn refuse_without_queues(from: &Tunables, to: &Tunables) -> Result<(), Misfit> {
    let shown = |tunables: &Tunables| {
        [
            ("held_items_max", tunables.held_items_max.to_string()),
            ("key_items_max", limit(tunables.key_items_max)),
            ("batch_weight_max", limit(tunables.batch_weight_max)),
            ("in_flight_max", tunables.in_flight_max.to_string()),
            ("in_flight_for", format!("{:?}", tunables.in_flight_for)),
        ]
    };
    for ((field, present), (_, value)) in shown(from).into_iter().zip(shown(to)) {
        if value != present {
            let allowed = format_args!("{present}, in an engine that keeps no queues (`queues`)");
            return Err(Misfit::new(field, value, allowed));
        }
    }
    Ok(())
}

/// A limit, if there is one.
fn limit(most: Option<impl fmt::Display>) -> String {
    most.map_or("none".to_owned(), |most| most.to_string())
}
