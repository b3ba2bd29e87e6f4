//! Everything once more with a plain loop, and a comparison row by row.

use std::collections::{BTreeMap, HashMap};

use rusqlite::types::Value;
use rusqlite::{Connection, Row};

use crate::change::Order;
use crate::flight::{Flight, Name, Names};
use crate::tables::is_taken;

/// Differences that are kept to be shown.
const SHOWN: usize = 10;

/// What the check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Differences {
    /// Rows that are not as they should be.
    pub count: u64,
    /// The first of them.
    pub first: Vec<String>,
    /// Rows that were compared, of all tables.
    pub compared: u64,
}

impl Differences {
    fn note(&mut self, table: &str, expected: Option<&[Value]>, found: Option<&[Value]>) {
        self.count += 1;
        if self.first.len() < SHOWN {
            let [expected, found] =
                [expected, found].map(|row| row.map_or_else(|| "no such row".to_owned(), shown));
            self.first.push(format!("{table}: expected {expected}, found {found}"));
        }
    }
}

/// Recomputes the three tables from `flights` and compares them with those in `db`. Flights that the tables
/// must refuse are expected nowhere. In the order of aircraft, each row must be the leg that it is of its
/// aircraft, and each aircraft must be where its last flight went, by its own row.
pub(crate) fn check(
    db: &Connection,
    flights: &[Flight],
    names: &Names,
    order: Order,
) -> rusqlite::Result<Differences> {
    let flights: Vec<_> = flights.iter().copied().filter(is_taken).collect();
    let flights = flights.as_slice();
    let by_aircraft = order == Order::Aircraft;
    let mut legs: HashMap<Name, i64> = HashMap::new();
    let mut row = |flight: &Flight| {
        let mut row = flight_row(flight, names);
        if by_aircraft {
            row.push(flight.tailnum.map_or(Value::Null, |tailnum| {
                let leg = legs.entry(tailnum).or_default();
                *leg += 1;
                Value::Integer(*leg)
            }));
        }
        row
    };
    let mut differences = Differences::default();
    compare(db, "flights", "seq", flights.iter().map(&mut row), &mut differences)?;
    compare(db, "carriers", "carrier", carriers(flights, names).into_iter(), &mut differences)?;
    compare(
        db,
        "aircraft",
        "tailnum",
        aircraft(flights, names, order).into_iter(),
        &mut differences,
    )?;
    Ok(differences)
}

/// Walks both sides in the order of their keys; `expected` comes in it.
fn compare(
    db: &Connection,
    table: &str,
    key: &str,
    mut expected: impl Iterator<Item = Vec<Value>>,
    differences: &mut Differences,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare(&format!("SELECT * FROM {table} ORDER BY {key}"))?;
    let mut found = statement.query_map([], values)?;
    let mut want = expected.next();
    let mut have = found.next().transpose()?;
    while want.is_some() || have.is_some() {
        // Which side has the lower key: that row is missing on the other.
        let order = match (&want, &have) {
            (Some(want), Some(have)) => key_of(want).cmp(&key_of(have)),
            (Some(_), None) => std::cmp::Ordering::Less,
            _ => std::cmp::Ordering::Greater,
        };
        let wanted = want.as_deref().filter(|_| order.is_le());
        let had = have.as_deref().filter(|_| order.is_ge());
        if wanted != had {
            differences.note(table, wanted, had);
        }
        differences.compared += 1;
        if order.is_le() {
            want = expected.next();
        }
        if order.is_ge() {
            have = found.next().transpose()?;
        }
    }
    Ok(())
}

/// The first column; whole numbers come before text, as in SQLite.
fn key_of(row: &[Value]) -> (i64, &str) {
    match &row[0] {
        Value::Integer(number) => (*number, ""),
        Value::Text(text) => (i64::MAX, text),
        _ => (i64::MIN, ""),
    }
}

fn values(row: &Row<'_>) -> rusqlite::Result<Vec<Value>> {
    (0..row.as_ref().column_count()).map(|column| row.get(column)).collect()
}

/// A row as text, with its values in the order of the columns.
fn shown(row: &[Value]) -> String {
    let fields: Vec<_> = row
        .iter()
        .map(|value| match value {
            Value::Null => "NULL".to_owned(),
            Value::Integer(number) => number.to_string(),
            Value::Text(text) => format!("{text:?}"),
            other => format!("{other:?}"),
        })
        .collect();
    format!("({})", fields.join(", "))
}

fn flight_row(flight: &Flight, names: &Names) -> Vec<Value> {
    let text = |name| Value::Text(names.text(name).to_owned());
    let or_null =
        |number: Option<i32>| number.map_or(Value::Null, |number| Value::Integer(number.into()));
    vec![
        Value::Integer(flight.seq),
        Value::Integer(flight.month.into()),
        Value::Integer(flight.day.into()),
        Value::Integer(flight.sched_dep_time.into()),
        or_null(flight.dep_delay),
        or_null(flight.arr_delay),
        text(flight.carrier),
        Value::Integer(flight.flight.into()),
        flight.tailnum.map_or(Value::Null, text),
        text(flight.origin),
        text(flight.dest),
        Value::Integer(flight.distance.into()),
    ]
}

fn carriers(flights: &[Flight], names: &Names) -> Vec<Vec<Value>> {
    struct Carrier<'f> {
        flights: i64,
        arr_delay_sum: i64,
        arr_delay_max: Option<i32>,
        miles: i64,
        last: &'f Flight,
    }
    let mut carriers: BTreeMap<&str, Carrier<'_>> = BTreeMap::new();
    for flight in flights {
        let carrier = carriers.entry(names.text(flight.carrier)).or_insert(Carrier {
            flights: 0,
            arr_delay_sum: 0,
            arr_delay_max: None,
            miles: 0,
            last: flight,
        });
        carrier.flights += 1;
        if let Some(delay) = flight.arr_delay {
            carrier.arr_delay_sum += i64::from(delay);
            carrier.arr_delay_max = Some(
                carrier.arr_delay_max.map_or(delay, |most| if delay > most { delay } else { most }),
            );
        }
        carrier.miles += i64::from(flight.distance);
        carrier.last = flight;
    }
    let row = |(name, carrier): (&str, Carrier<'_>)| {
        vec![
            Value::Text(name.to_owned()),
            Value::Integer(carrier.flights),
            Value::Integer(carrier.arr_delay_sum),
            carrier.arr_delay_max.map_or(Value::Null, |most| Value::Integer(most.into())),
            Value::Integer(carrier.miles),
            Value::Integer(carrier.last.seq),
            Value::Text(names.text(carrier.last.origin).to_owned()),
            Value::Text(names.text(carrier.last.dest).to_owned()),
        ]
    };
    carriers.into_iter().map(row).collect()
}

fn aircraft(flights: &[Flight], names: &Names, order: Order) -> Vec<Vec<Value>> {
    #[derive(Default)]
    struct Aircraft<'f> {
        last: Option<&'f Flight>,
        flights: i64,
        arr_delay_sum: i64,
        miles: i64,
    }
    let mut aircraft: BTreeMap<&str, Aircraft<'_>> = BTreeMap::new();
    for flight in flights {
        let Some(tailnum) = flight.tailnum else { continue };
        let aircraft = aircraft.entry(names.text(tailnum)).or_default();
        aircraft.flights += 1;
        if let Some(delay) = flight.arr_delay {
            aircraft.arr_delay_sum += i64::from(delay);
        }
        aircraft.miles += i64::from(flight.distance);
        aircraft.last = Some(flight);
    }
    let row = |(name, aircraft): (&str, Aircraft<'_>)| {
        let mut row = vec![
            Value::Text(name.to_owned()),
            Value::Integer(aircraft.flights),
            Value::Integer(aircraft.arr_delay_sum),
            Value::Integer(aircraft.miles),
        ];
        if let (Order::Aircraft, Some(last)) = (order, aircraft.last) {
            row.push(Value::Integer(last.seq));
            row.push(Value::Text(names.text(last.dest).to_owned()));
        }
        row
    };
    aircraft.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests;
