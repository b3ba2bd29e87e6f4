//! One change of one table, as the engine carries it where the order is that of aircraft.
//!
//! A flight is two changes then: its row, and what it adds to its aircraft. Both name the aircraft as their
//! entity, and their keys are the tables, so that rows share batches with rows and updates with updates,
//! whatever aircraft they are of, and still no change of an aircraft overtakes another.

use engine::Item;

use crate::flight::{Flight, Name};

/// What stands in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// The rows of each carrier. A batch is of one carrier, in one transaction with its sums.
    #[default]
    Carrier,
    /// The changes of each aircraft. A batch is of one table, and so is its transaction.
    Aircraft,
}

impl Order {
    /// As the command line takes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Carrier => "carrier",
            Self::Aircraft => "aircraft",
        }
    }

    /// The word for one item.
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::Carrier => "row",
            Self::Aircraft => "change",
        }
    }

    /// How many items these flights are.
    pub(crate) fn items(self, flights: &[Flight]) -> u64 {
        let updates = match self {
            Self::Carrier => 0,
            Self::Aircraft => flights.iter().filter(|flight| flight.tailnum.is_some()).count(),
        };
        (flights.len() + updates) as u64
    }
}

/// A table that changes go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Table {
    /// A row of it for each flight; the carriers' sums go along.
    Flights,
    /// A row of it for each aircraft.
    Aircraft,
}

impl Table {
    /// As it is called in the database.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Flights => "flights",
            Self::Aircraft => "aircraft",
        }
    }
}

/// What a flight changes in one table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// Which table.
    pub table: Table,
    /// The flight.
    pub flight: Flight,
}

impl Change {
    /// A flight's changes, in their order: its row, then its aircraft's update, where that is known.
    pub(crate) fn of(flight: Flight) -> impl Iterator<Item = Self> {
        let update = flight.tailnum.map(|_| Self { table: Table::Aircraft, flight });
        std::iter::once(Self { table: Table::Flights, flight }).chain(update)
    }
}

impl Item for Change {
    type Key<'a> = Table;

    fn key(&self) -> Table {
        self.table
    }

    const ENTITIES: bool = true;

    fn entity(&self) -> Option<u64> {
        self.flight.tailnum.map(spread)
    }
}

/// Entities are taken for hashes: their bits must be spread. An odd factor keeps them distinct
/// (D. Knuth, "The Art of Computer Programming", volume 3, section 6.4), and the shift brings its good
/// bits, the upper ones, to where a table of shards looks too.
fn spread(name: Name) -> u64 {
    let mixed = (name.index() as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

/// An item that brings a flight to a table.
pub(crate) trait Brings: Item + Copy {
    /// The flight.
    fn flight(&self) -> &Flight;
    /// The table.
    fn table(&self) -> Table;
    /// All that a flight brings, in its order.
    fn all_of(flight: Flight) -> impl Iterator<Item = Self>;
}

impl Brings for Flight {
    fn flight(&self) -> &Flight {
        self
    }

    fn table(&self) -> Table {
        Table::Flights
    }

    fn all_of(flight: Flight) -> impl Iterator<Item = Self> {
        std::iter::once(flight)
    }
}

impl Brings for Change {
    fn flight(&self) -> &Flight {
        &self.flight
    }

    fn table(&self) -> Table {
        self.table
    }

    fn all_of(flight: Flight) -> impl Iterator<Item = Self> {
        Self::of(flight)
    }
}
