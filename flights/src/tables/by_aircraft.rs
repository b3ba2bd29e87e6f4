//! The tables where the order is that of aircraft: a batch is of one table.
//!
//! A row says which leg of its aircraft it is, by what its aircraft's row says then; the aircraft's row is
//! changed only where the flight's row is stored. So both depend on what went before, and a change that
//! overtook another of its aircraft shows in what is stored.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use sinks::sqlite::{NotStored, WriteError, Writer};

use super::{ADD_TO_CARRIER, SCHEMA, Sums};
use crate::change::{Change, Table};
use crate::flight::{Flight, Name, Names};
use crate::ledger::Ledger;

const MORE_COLUMNS: &str = "
ALTER TABLE flights ADD COLUMN leg INTEGER;
ALTER TABLE aircraft ADD COLUMN last_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE aircraft ADD COLUMN last_dest TEXT;";

const HAS_COLUMNS: &str = "SELECT count(*) FROM pragma_table_info('flights') WHERE name = 'leg'";

const INSERT_FLIGHT: &str =
    "INSERT INTO flights VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

const LEGS: &str = "SELECT flights FROM aircraft WHERE tailnum = ?1";
const IS_STORED: &str = "SELECT 1 FROM flights WHERE seq = ?1";
const LAST_SEQ: &str = "SELECT last_seq FROM aircraft WHERE tailnum = ?1";

// The last to come is the last: an update that comes too early or too late shows.
const ADD_TO_AIRCRAFT: &str = "
INSERT INTO aircraft VALUES (?1, 1, ?2, ?3, ?4, ?5)
ON CONFLICT(tailnum) DO UPDATE SET
    flights = flights + 1,
    arr_delay_sum = arr_delay_sum + excluded.arr_delay_sum,
    miles = miles + excluded.miles,
    last_seq = excluded.last_seq,
    last_dest = excluded.last_dest";

/// Writes changes, table by table; one for each shard.
#[derive(Debug)]
pub(crate) struct ChangeWriter {
    names: Arc<Names>,
    ledger: Arc<Ledger>,
    /// The sums of the batch at hand.
    carriers: HashMap<Name, CarrierSums>,
    out_of_order: u64,
}

#[derive(Clone, Copy, Debug)]
struct CarrierSums {
    sums: Sums,
    arr_delay_max: Option<i32>,
    last: Flight,
}

impl ChangeWriter {
    /// A writer that reports to `ledger`.
    pub(crate) fn new(names: Arc<Names>, ledger: Arc<Ledger>) -> Self {
        Self { names, ledger, carriers: HashMap::new(), out_of_order: 0 }
    }

    fn write_row(&mut self, db: &Connection, flight: &Flight) -> Result<(), WriteError> {
        let text = |name| self.names.text(name);
        let leg: Option<i64> = match flight.tailnum {
            None => None,
            Some(tailnum) => {
                let mut legs = db.prepare_cached(LEGS)?;
                let before: Option<i64> =
                    legs.query_row([text(tailnum)], |row| row.get(0)).optional()?;
                Some(before.unwrap_or(0) + 1)
            }
        };
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
            leg,
        ])?;
        // From here on the row counts.
        let carrier = self.carriers.entry(flight.carrier).or_insert(CarrierSums {
            sums: Sums::default(),
            arr_delay_max: None,
            last: *flight,
        });
        carrier.sums.add(flight);
        carrier.arr_delay_max = carrier.arr_delay_max.max(flight.arr_delay);
        if flight.seq > carrier.last.seq {
            carrier.last = *flight;
        }
        Ok(())
    }

    fn update_aircraft(&mut self, db: &Connection, flight: &Flight) -> Result<(), WriteError> {
        let Some(tailnum) = flight.tailnum else {
            return Err(WriteError::Refused("it names no aircraft"));
        };
        if !db.prepare_cached(IS_STORED)?.exists([flight.seq])? {
            return Err(WriteError::Refused("its flight is not stored"));
        }
        let tailnum = self.names.text(tailnum);
        let mut last_seq = db.prepare_cached(LAST_SEQ)?;
        let before: Option<i64> = last_seq.query_row([tailnum], |row| row.get(0)).optional()?;
        db.prepare_cached(ADD_TO_AIRCRAFT)?.execute(params![
            tailnum,
            flight.arr_delay.unwrap_or(0),
            flight.distance,
            flight.seq,
            self.names.text(flight.dest),
        ])?;
        self.out_of_order += u64::from(before.is_some_and(|before| before > flight.seq));
        Ok(())
    }
}

impl Writer for ChangeWriter {
    type Item = Change;
    type Reply = ();
    /// Only the change itself is written at once; what it looks up changes nothing.
    const ONE_STATEMENT: bool = true;

    fn prepare(&mut self, db: &Connection) -> rusqlite::Result<()> {
        db.execute_batch(SCHEMA)?;
        match db.query_row(HAS_COLUMNS, [], |row| row.get::<_, i64>(0))? {
            0 => db.execute_batch(MORE_COLUMNS),
            _ => Ok(()),
        }
    }

    fn begin(&mut self) {
        self.carriers.clear();
        self.out_of_order = 0;
    }

    fn write(&mut self, db: &Connection, change: &Change) -> Result<(), WriteError> {
        match change.table {
            Table::Flights => self.write_row(db, &change.flight),
            Table::Aircraft => self.update_aircraft(db, &change.flight),
        }
    }

    fn finish(&mut self, db: &Connection) -> Result<(), WriteError> {
        let text = |name| self.names.text(name);
        let mut add = db.prepare_cached(ADD_TO_CARRIER)?;
        for (&carrier, CarrierSums { sums, arr_delay_max, last }) in &self.carriers {
            add.execute(params![
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
        Ok(())
    }

    fn committed(&mut self) {
        self.ledger.committed(self.out_of_order);
    }

    fn not_stored(&mut self, row: NotStored<'_, Change>) {
        self.ledger.not_stored(row);
    }
}
