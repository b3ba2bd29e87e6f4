//! The three tables, and how a batch of flights gets into them.
//!
//! All rows of a batch have one carrier, so the carrier's sums are written once a batch and not once a
//! row; those of an aircraft once for each aircraft in the batch. All of it is in the batch's one
//! transaction, so the sums always hold what the rows say.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use sinks::sqlite::{NotStored, WriteError, Writer};

use crate::flight::{Flight, Name, Names};
use crate::ledger::Ledger;

mod by_aircraft;

pub(crate) use by_aircraft::ChangeWriter;

/// Marks a database as made by this program: "TGFL".
pub(crate) const APPLICATION_ID: i32 = 0x5447_464C;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS flights(
    seq INTEGER PRIMARY KEY, month INTEGER NOT NULL, day INTEGER NOT NULL,
    sched_dep_time INTEGER NOT NULL, dep_delay INTEGER, arr_delay INTEGER, carrier TEXT NOT NULL,
    flight INTEGER NOT NULL, tailnum TEXT, origin TEXT NOT NULL, dest TEXT NOT NULL,
    distance INTEGER NOT NULL, CONSTRAINT goes_elsewhere CHECK (origin <> dest));
CREATE TABLE IF NOT EXISTS carriers(
    carrier TEXT PRIMARY KEY, flights INTEGER NOT NULL, arr_delay_sum INTEGER NOT NULL,
    arr_delay_max INTEGER, miles INTEGER NOT NULL, last_seq INTEGER NOT NULL,
    last_origin TEXT NOT NULL, last_dest TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS aircraft(
    tailnum TEXT PRIMARY KEY, flights INTEGER NOT NULL, arr_delay_sum INTEGER NOT NULL,
    miles INTEGER NOT NULL) WITHOUT ROWID;";

const INSERT_FLIGHT: &str =
    "INSERT INTO flights VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

/// Whether the table takes a flight: what its `CHECK` says, in other words.
pub(crate) fn is_taken(flight: &Flight) -> bool {
    flight.origin != flight.dest
}

const LAST_SEQ: &str = "SELECT last_seq FROM carriers WHERE carrier = ?1";

// Every right-hand side sees the row as it was. The scalar max() of a NULL is NULL, hence the two
// coalesces.
const ADD_TO_CARRIER: &str = "
INSERT INTO carriers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT(carrier) DO UPDATE SET
    flights = flights + excluded.flights,
    arr_delay_sum = arr_delay_sum + excluded.arr_delay_sum,
    arr_delay_max = max(coalesce(arr_delay_max, excluded.arr_delay_max),
                        coalesce(excluded.arr_delay_max, arr_delay_max)),
    miles = miles + excluded.miles,
    last_seq = max(last_seq, excluded.last_seq),
    last_origin = iif(excluded.last_seq > last_seq, excluded.last_origin, last_origin),
    last_dest = iif(excluded.last_seq > last_seq, excluded.last_dest, last_dest)";

const ADD_TO_AIRCRAFT: &str = "
INSERT INTO aircraft VALUES (?1, ?2, ?3, ?4)
ON CONFLICT(tailnum) DO UPDATE SET
    flights = flights + excluded.flights,
    arr_delay_sum = arr_delay_sum + excluded.arr_delay_sum,
    miles = miles + excluded.miles";

/// Writes flights, carriers and aircraft; one for each shard.
#[derive(Debug)]
pub(crate) struct FlightWriter {
    names: Arc<Names>,
    ledger: Arc<Ledger>,
    /// The sums of the batch at hand.
    carrier: Option<CarrierSums>,
    aircraft: HashMap<Name, Sums>,
    out_of_order: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    flights: u32,
    arr_delay: i64,
    miles: u64,
}

impl Sums {
    fn add(&mut self, flight: &Flight) {
        self.flights += 1;
        self.arr_delay += i64::from(flight.arr_delay.unwrap_or(0));
        self.miles += u64::from(flight.distance);
    }

    fn miles(self) -> i64 {
        i64::try_from(self.miles).expect("a batch has fewer miles than that")
    }
}

#[derive(Clone, Copy, Debug)]
struct CarrierSums {
    carrier: Name,
    /// The highest seq so far: of the table at first, then of the batch too.
    last_seq: i64,
    sums: Sums,
    arr_delay_max: Option<i32>,
    last: Option<Flight>,
}

impl FlightWriter {
    /// A writer that reports to `ledger`.
    pub(crate) fn new(names: Arc<Names>, ledger: Arc<Ledger>) -> Self {
        Self { names, ledger, carrier: None, aircraft: HashMap::new(), out_of_order: 0 }
    }

    fn carrier_of(
        &mut self,
        db: &Connection,
        flight: &Flight,
    ) -> rusqlite::Result<&mut CarrierSums> {
        if self.carrier.is_none() {
            let last_seq = db
                .prepare_cached(LAST_SEQ)?
                .query_row([self.names.text(flight.carrier)], |row| row.get(0))
                .optional()?;
            self.carrier = Some(CarrierSums {
                carrier: flight.carrier,
                last_seq: last_seq.unwrap_or(0),
                sums: Sums::default(),
                arr_delay_max: None,
                last: None,
            });
        }
        let sums = self.carrier.as_mut().expect("it was set just now");
        assert_eq!(sums.carrier, flight.carrier, "a batch has one key");
        Ok(sums)
    }
}

impl Writer for FlightWriter {
    type Item = Flight;
    type Reply = ();
    /// Only the flight's own row is written at once; the rest waits for the end of the batch.
    const ONE_STATEMENT: bool = true;

    fn prepare(&mut self, db: &Connection) -> rusqlite::Result<()> {
        db.execute_batch(SCHEMA)
    }

    fn begin(&mut self) {
        self.carrier = None;
        self.aircraft.clear();
        self.out_of_order = 0;
    }

    fn write(&mut self, db: &Connection, flight: &Flight) -> Result<(), WriteError> {
        let last_seq = self.carrier_of(db, flight)?.last_seq;
        let text = |name| self.names.text(name);
        db.prepare_cached(INSERT_FLIGHT)?.execute(params![
            flight.seq,
            flight.month,
            flight.day,
            flight.sched_dep_time,
            flight.dep_delay,
            flight.arr_delay,
            text(flight.carrier),
            flight.flight,
            flight.tailnum.map(text),
            text(flight.origin),
            text(flight.dest),
            flight.distance,
        ])?;
        // From here on the row counts.
        if flight.seq < last_seq {
            self.out_of_order += 1;
        }
        let carrier = self.carrier_of(db, flight)?;
        carrier.sums.add(flight);
        carrier.arr_delay_max = carrier.arr_delay_max.max(flight.arr_delay);
        if carrier.last.is_none_or(|last| flight.seq > last.seq) {
            carrier.last = Some(*flight);
        }
        carrier.last_seq = carrier.last_seq.max(flight.seq);
        if let Some(tailnum) = flight.tailnum {
            self.aircraft.entry(tailnum).or_default().add(flight);
        }
        Ok(())
    }

    fn finish(&mut self, db: &Connection) -> Result<(), WriteError> {
        let text = |name| self.names.text(name);
        if let Some(CarrierSums { carrier, sums, arr_delay_max, last: Some(last), .. }) =
            self.carrier
        {
            db.prepare_cached(ADD_TO_CARRIER)?.execute(params![
                text(carrier),
                sums.flights,
                sums.arr_delay,
                arr_delay_max,
                sums.miles(),
                last.seq,
                text(last.origin),
                text(last.dest),
            ])?;
        }
        let mut add = db.prepare_cached(ADD_TO_AIRCRAFT)?;
        for (&tailnum, sums) in &self.aircraft {
            add.execute(params![text(tailnum), sums.flights, sums.arr_delay, sums.miles()])?;
        }
        Ok(())
    }

    fn committed(&mut self) {
        self.ledger.committed(self.out_of_order);
    }

    fn not_stored(&mut self, row: NotStored<'_, Flight>) {
        self.ledger.not_stored(row);
    }
}

/// How many rows the three tables have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Of `flights`.
    pub flights: u64,
    /// Of `carriers`.
    pub carriers: u64,
    /// Of `aircraft`.
    pub aircraft: u64,
}

impl Counts {
    /// Counts.
    pub(crate) fn read(db: &Connection) -> rusqlite::Result<Self> {
        let count = |table: &str| {
            db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))
                .map(i64::unsigned_abs)
        };
        Ok(Self {
            flights: count("flights")?,
            carriers: count("carriers")?,
            aircraft: count("aircraft")?,
        })
    }
}

#[cfg(test)]
mod tests;
