use super::*;

/// The tables as the plain loop would have them, without the constraints that a test must break.
fn stored(flights: &[Flight], names: &Names) -> Connection {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(
        "CREATE TABLE flights(seq INTEGER PRIMARY KEY, month, day, sched_dep_time, dep_delay,
             arr_delay, carrier, flight, tailnum, origin, dest, distance);
         CREATE TABLE carriers(carrier TEXT PRIMARY KEY, flights, arr_delay_sum, arr_delay_max,
             miles, last_seq, last_origin, last_dest);
         CREATE TABLE aircraft(tailnum TEXT PRIMARY KEY, flights, arr_delay_sum, miles);",
    )
    .unwrap();
    let tables = [
        ("flights", flights.iter().map(|flight| flight_row(flight, names)).collect()),
        ("carriers", carriers(flights, names)),
        ("aircraft", aircraft(flights, names, Order::Carrier)),
    ];
    for (table, rows) in tables {
        for row in rows {
            let marks = vec!["?"; row.len()].join(",");
            db.execute(
                &format!("INSERT INTO {table} VALUES ({marks})"),
                rusqlite::params_from_iter(row),
            )
            .unwrap();
        }
    }
    db
}

fn sample() -> (Vec<Flight>, Names) {
    let mut names = Names::default();
    let flights = (1..=40)
        .map(|seq| Flight {
            seq,
            month: 1,
            day: 1,
            sched_dep_time: 600,
            dep_delay: None,
            arr_delay: (seq % 4 > 0).then_some(seq as i32 - 20),
            carrier: names.intern(["UA", "AA", "B6"][seq as usize % 3]),
            flight: 5,
            tailnum: (seq % 5 > 0).then(|| names.intern(["N2", "N10", "N1"][seq as usize % 3])),
            origin: names.intern("JFK"),
            dest: names.intern("BOS"),
            distance: 187,
        })
        .collect();
    (flights, names)
}

#[test]
fn what_is_as_it_should_be_has_no_differences() {
    let (flights, names) = sample();
    let differences = check(&stored(&flights, &names), &flights, &names, Order::Carrier).unwrap();
    assert_eq!(differences, Differences { compared: 46, ..Differences::default() });
}

#[test]
fn every_planted_difference_is_found() {
    let (flights, names) = sample();
    for (damage, shown) in [
        (
            "UPDATE flights SET dep_delay = 0 WHERE seq = 3",
            "flights: expected (3, 1, 1, 600, NULL,",
        ),
        ("DELETE FROM flights WHERE seq = 40", "found no such row"),
        ("DELETE FROM flights WHERE seq = 1", "found no such row"),
        ("INSERT INTO flights(seq) VALUES (41)", "flights: expected no such row, found (41, NULL"),
        ("INSERT INTO flights(seq) VALUES (-1)", "flights: expected no such row, found (-1, NULL"),
        ("UPDATE flights SET tailnum = '' WHERE tailnum IS NULL AND seq = 5", "found (5,"),
        ("UPDATE flights SET distance = '187' WHERE seq = 5", "\"187\")"),
        (
            "UPDATE carriers SET last_seq = last_seq - 1 WHERE carrier = 'AA'",
            "carriers: expected (\"AA\",",
        ),
        (
            "UPDATE carriers SET arr_delay_max = NULL WHERE carrier = 'AA'",
            "carriers: expected (\"AA\",",
        ),
        ("INSERT INTO carriers(carrier) VALUES ('ZZ')", "carriers: expected no such row"),
        (
            "UPDATE aircraft SET miles = miles + 1 WHERE tailnum = 'N10'",
            "aircraft: expected (\"N10\",",
        ),
        ("DELETE FROM aircraft WHERE tailnum = 'N1'", "aircraft: expected (\"N1\","),
    ] {
        let db = stored(&flights, &names);
        assert_eq!(db.execute(damage, []).unwrap(), 1, "{damage}");
        let differences = check(&db, &flights, &names, Order::Carrier).unwrap();
        assert_eq!(differences.count, 1, "{damage}: {differences:?}");
        assert!(differences.first[0].contains(shown), "{damage}: {differences:?}");
    }
}

#[test]
fn of_many_differences_the_first_are_kept_and_all_are_counted() {
    let (flights, names) = sample();
    let db = stored(&flights, &names);
    db.execute("DELETE FROM flights", []).unwrap();
    let differences = check(&db, &flights, &names, Order::Carrier).unwrap();
    assert_eq!((differences.count, differences.first.len()), (40, SHOWN));
}

#[test]
fn a_flight_that_the_table_must_refuse_is_expected_nowhere() {
    let (mut flights, names) = sample();
    let db = stored(&flights[..39], &names);
    flights[39].dest = flights[39].origin;
    let differences = check(&db, &flights, &names, Order::Carrier).unwrap();
    assert_eq!(differences.count, 0, "{differences:?}");
}

#[test]
fn in_the_order_of_aircraft_each_leg_and_each_last_place_counts() {
    let (flights, names) = sample();
    let whole = || {
        let db = stored(&flights, &names);
        // By another way than the check's own.
        db.execute_batch(
            "ALTER TABLE flights ADD COLUMN leg;
             ALTER TABLE aircraft ADD COLUMN last_seq;
             ALTER TABLE aircraft ADD COLUMN last_dest;
             UPDATE flights SET leg = (SELECT count(*) FROM flights f
                 WHERE f.tailnum = flights.tailnum AND f.seq <= flights.seq)
                 WHERE tailnum IS NOT NULL;
             UPDATE aircraft SET last_dest = 'BOS', last_seq = (SELECT max(seq) FROM flights f
                 WHERE f.tailnum = aircraft.tailnum)",
        )
        .unwrap();
        db
    };
    let differences = |db: &Connection| check(db, &flights, &names, Order::Aircraft).unwrap();
    assert_eq!(differences(&whole()), Differences { compared: 46, ..Differences::default() });
    for damage in [
        "UPDATE flights SET leg = leg + 1 WHERE seq = 7",
        "UPDATE flights SET leg = 1 WHERE seq = 5",
        "UPDATE aircraft SET last_seq = last_seq - 1 WHERE tailnum = 'N1'",
        "UPDATE aircraft SET last_dest = 'JFK' WHERE tailnum = 'N1'",
    ] {
        let db = whole();
        assert_eq!(db.execute(damage, []).unwrap(), 1, "{damage}");
        assert_eq!(differences(&db).count, 1, "{damage}");
    }
}
