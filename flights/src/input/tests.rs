use std::io::Write;

use super::*;

const ROW: &str = "1,31,515,2,-11,UA,1545,N14228,EWR,IAH,1400";

fn parse(bytes: &[u8], skip_bad: bool) -> Result<Input, InputError> {
    let mut ignore = |_: &str| {};
    let skipped: Option<Skipped<'_>> = if skip_bad { Some(&mut ignore) } else { None };
    Input::parse("in.csv".into(), Box::new(bytes), skipped)
}

fn with_header(rows: &[&str]) -> String {
    format!("{}\n{}\n", COLUMNS.join(","), rows.join("\n"))
}

fn error(text: impl AsRef<[u8]>) -> String {
    parse(text.as_ref(), false).unwrap_err().to_string()
}

/// A row with `field` in place of column `column`, counted from 1.
fn row_with(column: usize, field: &str) -> String {
    let mut fields: Vec<_> = ROW.split(',').collect();
    fields[column - 1] = field;
    fields.join(",")
}

#[test]
fn the_copy_in_the_project_is_read_whole() {
    let input = Input::read(None, None).unwrap();
    assert_eq!(input.flights.len(), 336_776);
    assert_eq!(input.bad, Bad::default());
    let last = input.flights.last().unwrap();
    assert_eq!(last.seq, 336_776);
    assert!(input.flights.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
}

#[test]
fn every_field_of_a_row_arrives() {
    let input =
        parse(with_header(&[ROW, "2,1,0,,,\"AA\",1,,JFK,BOS,1"]).as_bytes(), false).unwrap();
    let text = |name| input.names.text(name);
    let first = input.flights[0];
    assert_eq!(
        (first.seq, first.month, first.day, first.sched_dep_time, first.dep_delay, first.arr_delay),
        (1, 1, 31, 515, Some(2), Some(-11))
    );
    assert_eq!((first.flight, first.distance), (1545, 1400));
    assert_eq!((text(first.carrier), text(first.origin), text(first.dest)), ("UA", "EWR", "IAH"));
    assert_eq!(first.tailnum.map(text), Some("N14228"));
    let second = input.flights[1];
    assert_eq!((second.seq, second.dep_delay, second.arr_delay), (2, None, None));
    assert_eq!((text(second.carrier), second.tailnum), ("AA", None));
}

#[test]
fn each_column_says_what_it_expects() {
    for (column, field, expected) in [
        (1, "13", "month (column 1): expected a month, 1 to 12, found \"13\""),
        (1, "", "month (column 1): expected a month, 1 to 12, found \"\""),
        (1, "+1", "month (column 1): expected a month, 1 to 12, found \"+1\""),
        (2, "32", "day (column 2): expected a day of month 1, 1 to 31, found \"32\""),
        (
            3,
            "1260",
            "sched_dep_time (column 3): expected a time of day as hours and minutes, 0 to 2400, found \"1260\"",
        ),
        (
            4,
            "2.5",
            "dep_delay (column 4): expected whole minutes, -99999 to 99999, or nothing, found \"2.5\"",
        ),
        (
            5,
            "NA",
            "arr_delay (column 5): expected whole minutes, -99999 to 99999, or nothing, found \"NA\"",
        ),
        (6, "", "carrier (column 6): expected a carrier, found \"\""),
        (7, "x", "flight (column 7): expected a flight number, 0 to 99999, found \"x\""),
        (8, "N 1", "tailnum (column 8): expected a tail number, or nothing, found \"N 1\""),
        (9, " ", "origin (column 9): expected an airport, found \" \""),
        (10, "", "dest (column 10): expected an airport, found \"\""),
        (11, "0", "distance (column 11): expected miles, 1 to 99999, found \"0\""),
        (
            11,
            "99999999999999999999",
            "distance (column 11): expected miles, 1 to 99999, found \"99999999999999999999\"",
        ),
    ] {
        let text = with_header(&[ROW, &row_with(column, field), ROW]);
        assert_eq!(error(text), format!("in.csv:3:{expected}"));
    }
}

#[test]
fn a_day_must_be_in_its_month() {
    assert!(error(with_header(&["2,30,515,,,UA,1,,A,B,1"])).contains("a day of month 2, 1 to 29"));
    assert!(parse(with_header(&["2,29,2400,,,UA,1,,A,B,1"]).as_bytes(), false).is_ok());
}

#[test]
fn fields_that_are_missing_or_too_many_are_named() {
    assert_eq!(
        error(with_header(&["1,1,515"])),
        "in.csv:2:dep_delay (column 4): expected 11 fields, found the end of the line"
    );
    assert_eq!(
        error(with_header(&[ROW, "", ROW])),
        "in.csv:3:day (column 2): expected 11 fields, found the end of the line"
    );
    assert_eq!(
        error(with_header(&[&format!("{ROW},x")])),
        "in.csv:2:(column 12): expected the end of the line after 11 fields, found \"x\""
    );
    assert_eq!(
        error(with_header(&[ROW, &row_with(9, "\"EWR")])),
        "in.csv:3:origin (column 9): expected a closing quote before the end of the line, \
         found \"\\\"EWR,IAH,1400\""
    );
}

#[test]
fn another_header_is_named_by_its_first_difference() {
    assert_eq!(
        error("month,day,dep\n1,2,3\n"),
        "in.csv:1:sched_dep_time (column 3): expected the header \"sched_dep_time\", found \"dep\""
    );
    assert_eq!(
        error("month,day\n"),
        "in.csv:1:sched_dep_time (column 3): expected the header \"sched_dep_time\", \
         found the end of the line"
    );
    assert_eq!(
        error(format!("{},more\n", COLUMNS.join(","))),
        "in.csv:1:(column 12): expected the end of the line after 11 fields, found \"more\""
    );
    assert_eq!(
        error(""),
        format!(
            "in.csv:1:month (column 1): expected the header {:?}, found the end of the file",
            COLUMNS.join(",")
        )
    );
    // With --skip-bad too: without the header nothing is known of the rest.
    assert!(matches!(parse(b"x\n", true), Err(InputError::Fatal { .. })));
}

#[test]
fn a_header_alone_is_an_input_of_no_rows() {
    assert_eq!(parse(with_header(&[]).trim_end().as_bytes(), false).unwrap().flights.len(), 0);
}

#[test]
fn blank_lines_are_no_rows_at_the_end_and_malformed_ones_before_it() {
    for end in ["\n", "\n\n\n", "\r\n\r\n", "\n\n\r"] {
        let input = parse(format!("{}{end}", with_header(&[ROW])).as_bytes(), false).unwrap();
        assert_eq!(input.flights.len(), 1, "{end:?}");
    }
    let input = parse(with_header(&[ROW, "", "", ROW, ""]).as_bytes(), true).unwrap();
    let lines: Vec<_> = input.bad.first.iter().map(|malformed| malformed.line).collect();
    assert_eq!(lines, [3, 4]);
    assert_eq!(input.flights.last().unwrap().seq, 4);
    // Quotes are something.
    assert!(error(with_header(&[ROW, "\"\""])).starts_with("in.csv:3:"));
}

#[test]
fn bytes_that_are_not_utf8_are_named() {
    let mut bytes = with_header(&[ROW]).into_bytes();
    bytes.extend_from_slice(b"1,1,515,2,11,UA,1545,N\xff,EWR,IAH,1400\n");
    assert_eq!(
        error(bytes),
        "in.csv:3:tailnum (column 8): expected text in UTF-8, found \"N\u{fffd}\""
    );
}

#[test]
fn bad_rows_are_skipped_and_the_others_keep_their_numbers() {
    let bad = row_with(1, "x");
    let text = with_header(&[ROW, &bad, ROW, "", ROW]);
    let input = parse(text.as_bytes(), true).unwrap();
    let seqs: Vec<_> = input.flights.iter().map(|flight| flight.seq).collect();
    assert_eq!(seqs, [1, 3, 5]);
    assert_eq!(input.bad.count, 2);
    let lines: Vec<_> = input.bad.first.iter().map(|malformed| malformed.line).collect();
    assert_eq!(lines, [3, 5]);
}

#[test]
fn of_many_bad_rows_the_first_are_listed_and_the_rest_counted() {
    let bad = row_with(1, "x");
    let text = with_header(&vec![bad.as_str(); 33]);
    let listed = error(&text);
    assert_eq!(listed.lines().count(), 21);
    assert_eq!(listed.lines().last(), Some("… and 13 more"));
}

#[test]
fn each_skipped_row_is_told_when_it_is_met() {
    let bad = row_with(1, "x");
    let text = with_header(&vec![bad.as_str(); 33]);
    let mut told = Vec::new();
    let mut tell = |line: &str| told.push(line.to_owned());
    let input = Input::parse("in.csv".into(), Box::new(text.as_bytes()), Some(&mut tell)).unwrap();
    assert_eq!((input.bad.count, told.len()), (33, 33));
    assert_eq!(told[32], "in.csv:34:month (column 1): expected a month, 1 to 12, found \"x\"");
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_is_recognised_by_its_first_bytes() {
    let bytes = packed(&with_header(&[ROW, ROW]));
    assert_eq!(parse(&bytes, false).unwrap().flights.len(), 2);
    let mut two_members = packed(&with_header(&[ROW]));
    two_members.extend(packed(&format!("{ROW}\n{ROW}\n")));
    assert_eq!(parse(&two_members, false).unwrap().flights.len(), 3);
}

#[test]
fn gzip_that_breaks_off_is_named_where_it_does() {
    let rows: Vec<_> = (1..=28).map(|day| row_with(2, &day.to_string())).collect();
    let text = with_header(&rows.iter().map(String::as_str).collect::<Vec<_>>().repeat(500));
    let bytes = packed(&text);
    for (cut, skip_bad) in [(bytes.len() / 2, false), (bytes.len() - 3, true), (5, true)] {
        let error = parse(&bytes[..cut], skip_bad).unwrap_err();
        assert!(matches!(error, InputError::Fatal { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("expected more of the input, found that the input breaks off"));
    }
    let mut damaged = bytes.clone();
    let end = damaged.len() - 6;
    damaged[end] ^= 0x55;
    assert!(matches!(parse(&damaged, true), Err(InputError::Fatal { .. })));
}
