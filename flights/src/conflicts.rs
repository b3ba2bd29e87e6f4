//! What order by aircraft would cost without entities: a batch is handed over whenever an aircraft's change
//! for one table comes while one for the other still waits.

use std::collections::HashMap;

use engine::Sizing;

use crate::change::{Change, Table};
use crate::flight::{Flight, Name};

/// The handler calls that `flights` would take so, pushed in their order by one producer. Deadlines are
/// left out, so there would be more rather than fewer.
pub(crate) fn calls_flushing_at_conflicts(flights: &[Flight], sizing: &Sizing) -> u64 {
    let most = match sizing {
        Sizing::Single => 1,
        Sizing::Fixed(items) => u64::from(*items),
        _ => LARGEST_TIER,
    };
    let mut open = [Open::default(); 2];
    let mut waiting: HashMap<Name, Waiting> = HashMap::new();
    let mut calls = 0;
    for change in flights.iter().copied().flat_map(Change::of) {
        let own = place(change.table);
        if let Some(aircraft) = change.flight.tailnum {
            if let Some(before) = waiting.get(&aircraft)
                && before.place != own
                && before.batch == open[before.place].batch
            {
                calls += open[before.place].hand_over();
            }
            waiting.insert(aircraft, Waiting { place: own, batch: open[own].batch });
        }
        open[own].items += 1;
        if open[own].items >= most {
            calls += open[own].hand_over();
        }
    }
    calls + open.iter().filter(|open| open.items > 0).count() as u64
}

/// The largest target of the default tiers.
const LARGEST_TIER: u64 = 200;

fn place(table: Table) -> usize {
    match table {
        Table::Flights => 0,
        Table::Aircraft => 1,
    }
}

/// The batch of a table that is being filled.
#[derive(Clone, Copy, Default)]
struct Open {
    items: u64,
    /// The number of this batch.
    batch: u64,
}

impl Open {
    fn hand_over(&mut self) -> u64 {
        *self = Self { items: 0, batch: self.batch + 1 };
        1
    }
}

/// Where an aircraft's last change waits, or has waited.
#[derive(Clone, Copy)]
struct Waiting {
    place: usize,
    batch: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Input;

    #[test]
    fn every_row_goes_alone_where_its_update_follows() {
        let input = Input::read(None, None).unwrap();
        let flights: Vec<_> = input.flights.into_iter().take(10_000).collect();
        let calls = calls_flushing_at_conflicts(&flights, &Sizing::Fixed(200));
        let known = flights.iter().filter(|flight| flight.tailnum.is_some()).count() as u64;
        // A row without an aircraft has no update that would push it out.
        assert!(calls >= known, "{calls} of {known}");
        assert!(
            calls < known + known / 4,
            "updates share calls until the aircraft flies again: {calls}"
        );
        let changes = known + flights.len() as u64;
        assert_eq!(calls_flushing_at_conflicts(&flights, &Sizing::Single), changes);
        assert_eq!(calls_flushing_at_conflicts(&[], &Sizing::Single), 0);
    }

    #[test]
    fn rows_of_no_aircraft_fill_their_batches() {
        let input = Input::read(None, None).unwrap();
        let unknown: Vec<_> =
            input.flights.into_iter().filter(|flight| flight.tailnum.is_none()).collect();
        assert_eq!(unknown.len(), 2_512);
        assert_eq!(calls_flushing_at_conflicts(&unknown, &Sizing::Fixed(100)), 26);
    }
}
