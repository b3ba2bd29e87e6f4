//! The whole input, read and checked before anything is written.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::csv::{Broken, Found, Line, Lines, Malformed};
use crate::flight::{Flight, Names};

/// The columns, in their order.
pub(crate) const COLUMNS: [&str; 11] = [
    "month",
    "day",
    "sched_dep_time",
    "dep_delay",
    "arr_delay",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "distance",
];

/// Malformed lines that are kept to be shown; the rest is counted.
const SHOWN: usize = 20;

/// The flights of 2013 from New York: the input where none is named.
const BUILT_IN: &[u8] = include_bytes!("../data/flights.csv.gz");
const BUILT_IN_NAME: &str = "flights/data/flights.csv.gz";

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Is told of each line that is skipped: its place, what was expected, what was found.
pub(crate) type Skipped<'s> = &'s mut dyn FnMut(&str);

/// A checked input.
#[derive(Debug)]
pub(crate) struct Input {
    /// The file's name, for messages.
    pub name: String,
    /// The rows, in their order.
    pub flights: Vec<Flight>,
    /// Their words.
    pub names: Names,
    /// What was skipped.
    pub bad: Bad,
}

/// Malformed lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bad {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Malformed>,
}

impl Bad {
    fn add(&mut self, malformed: Malformed) {
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(malformed);
        }
    }

    /// One line for each of the first, and one for the rest. `name` is the file's.
    pub(crate) fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        let more = self.count - self.first.len() as u64;
        let rest = (more > 0).then(|| format!("… and {more} more"));
        self.first.iter().map(move |malformed| At(name, malformed).to_string()).chain(rest)
    }
}

/// A malformed place with the name of its file.
struct At<'a>(&'a str, &'a Malformed);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(file, Malformed { line, column, expected, found }) = self;
        write!(f, "{file}:{line}:")?;
        match COLUMNS.get(column - 1) {
            Some(name) => write!(f, "{name} (column {column})")?,
            None => write!(f, "(column {column})")?,
        }
        write!(f, ": expected {expected}, found {found}")
    }
}

/// Why there is no input.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// It can't be opened.
    #[error("{}: {error}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Some of its lines are no flights. With `--skip-bad` the others are taken.
    #[error("{}", .bad.lines(.name).collect::<Vec<_>>().join("\n"))]
    Malformed {
        /// The file's name.
        name: String,
        /// The lines.
        bad: Bad,
    },
    /// Its header is another one, or it breaks off: nothing can be made of the rest.
    #[error("{}", At(.name, .place))]
    Fatal {
        /// The file's name.
        name: String,
        /// Where.
        place: Malformed,
    },
}

impl Input {
    /// Reads and checks the whole of `path`, or of the built-in copy. Gzip is recognised by its first
    /// bytes; blank lines at the end are no rows.
    ///
    /// With `skipped`, malformed lines are told to it, each when it is met, and counted; without it
    /// they are an error.
    ///
    /// # Errors
    ///
    /// If it can't be read, has another header, or breaks off; and, without `skipped`, for a malformed
    /// line.
    pub(crate) fn read(
        path: Option<&Path>,
        skipped: Option<Skipped<'_>>,
    ) -> Result<Self, InputError> {
        let (name, source): (_, Box<dyn BufRead>) = match path {
            None => (BUILT_IN_NAME.to_owned(), Box::new(BUILT_IN)),
            Some(path) => {
                let open = |error| InputError::Open { path: path.to_owned(), error };
                let file = File::open(path).map_err(open)?;
                let mut reader = BufReader::with_capacity(1 << 16, file);
                reader.fill_buf().map_err(open)?;
                (path.display().to_string(), Box::new(reader))
            }
        };
        Self::parse(name, source, skipped)
    }

    fn parse(
        name: String,
        mut source: Box<dyn BufRead + '_>,
        mut skipped: Option<Skipped<'_>>,
    ) -> Result<Self, InputError> {
        let packed = source.fill_buf().is_ok_and(|start| start.starts_with(&GZIP_MAGIC));
        let reader: Box<dyn BufRead> = match packed {
            true => Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(source))),
            false => source,
        };
        let mut input =
            Self { name, flights: Vec::new(), names: Names::default(), bad: Bad::default() };
        let mut lines = Lines::new(reader);
        if let Err(place) = input.take_all(&mut lines, &mut skipped) {
            return Err(InputError::Fatal { name: input.name, place });
        }
        if input.bad.count > 0 && skipped.is_none() {
            return Err(InputError::Malformed { name: input.name, bad: input.bad });
        }
        Ok(input)
    }

    fn take_all<R: BufRead>(
        &mut self,
        lines: &mut Lines<R>,
        skipped: &mut Option<Skipped<'_>>,
    ) -> Result<(), Malformed> {
        match lines.next().map_err(breaks_off)? {
            Line::Fields => check_header(lines)?,
            Line::Malformed(place) => return Err(place),
            Line::End => {
                let expected = format!("the header {:?}", COLUMNS.join(","));
                return Err(Malformed { line: 1, column: 1, expected, found: Found::EndOfFile });
            }
        }
        // Blank lines are malformed rows only once another line follows.
        let mut blank_from = None;
        for seq in 1.. {
            let flight = match lines.next().map_err(breaks_off)? {
                Line::End => break,
                Line::Fields if lines.is_blank() => {
                    blank_from.get_or_insert(lines.line());
                    continue;
                }
                Line::Fields => flight(seq, lines, &mut self.names),
                Line::Malformed(place) => Err(place),
            };
            if let Some(first) = blank_from.take() {
                for line in first..lines.line() {
                    self.skip(too_short(line, 1), skipped);
                }
            }
            match flight {
                Ok(flight) => self.flights.push(flight),
                Err(place) => self.skip(place, skipped),
            }
        }
        Ok(())
    }

    fn skip(&mut self, malformed: Malformed, skipped: &mut Option<Skipped<'_>>) {
        if let Some(tell) = skipped {
            tell(&At(&self.name, &malformed).to_string());
        }
        self.bad.add(malformed);
    }
}

/// A line of `fields` fields, which is not enough.
fn too_short(line: u64, fields: usize) -> Malformed {
    let expected = format!("{} fields", COLUMNS.len());
    Malformed { line, column: fields + 1, expected, found: Found::EndOfLine }
}

fn breaks_off(Broken { line, column, error }: Broken) -> Malformed {
    let expected = "more of the input".to_owned();
    Malformed { line, column, expected, found: Found::Broken(error.to_string()) }
}

fn check_header<R: BufRead>(lines: &Lines<R>) -> Result<(), Malformed> {
    let line = lines.line();
    for (at, name) in COLUMNS.into_iter().enumerate() {
        let found = match lines.field(at) {
            Some(field) if field == name.as_bytes() => continue,
            Some(field) => Found::text(field),
            None => Found::EndOfLine,
        };
        let expected = format!("the header {name:?}");
        return Err(Malformed { line, column: at + 1, expected, found });
    }
    check_end(lines)
}

fn check_end<R: BufRead>(lines: &Lines<R>) -> Result<(), Malformed> {
    match lines.field(COLUMNS.len()) {
        None => Ok(()),
        Some(field) => Err(Malformed {
            line: lines.line(),
            column: COLUMNS.len() + 1,
            expected: format!("the end of the line after {} fields", COLUMNS.len()),
            found: Found::text(field),
        }),
    }
}

/// The line at hand as a flight.
fn flight<R: BufRead>(seq: i64, lines: &Lines<R>, names: &mut Names) -> Result<Flight, Malformed> {
    if lines.len() < COLUMNS.len() {
        return Err(too_short(lines.line(), lines.len()));
    }
    check_end(lines)?;
    let row = Row { lines };
    let month = row.number(0, 1, 12, "a month, 1 to 12")?;
    let days = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][usize::from(month as u8) - 1];
    let flight = Flight {
        seq,
        month: month as u8,
        day: row.number(1, 1, days, &format!("a day of month {month}, 1 to {days}"))? as u8,
        sched_dep_time: row.time_of_day(2)?,
        dep_delay: row.delay(3)?,
        arr_delay: row.delay(4)?,
        carrier: names.intern(row.word(5, "a carrier")?),
        flight: row.number(6, 0, 99_999, "a flight number, 0 to 99999")? as u32,
        tailnum: row
            .word_or_nothing(7, "a tail number, or nothing")?
            .map(|text| names.intern(text)),
        origin: names.intern(row.word(8, "an airport")?),
        dest: names.intern(row.word(9, "an airport")?),
        distance: row.number(10, 1, 99_999, "miles, 1 to 99999")? as u32,
    };
    Ok(flight)
}

struct Row<'l, R> {
    lines: &'l Lines<R>,
}

impl<'l, R: BufRead> Row<'l, R> {
    fn malformed(&self, at: usize, expected: &str) -> Malformed {
        Malformed {
            line: self.lines.line(),
            column: at + 1,
            expected: expected.to_owned(),
            found: self.lines.field(at).map_or(Found::EndOfLine, Found::text),
        }
    }

    fn text(&self, at: usize) -> Result<&'l str, Malformed> {
        let field = self.lines.field(at).unwrap_or_default();
        std::str::from_utf8(field).map_err(|_| self.malformed(at, "text in UTF-8"))
    }

    fn word(&self, at: usize, expected: &str) -> Result<&'l str, Malformed> {
        let text = self.text(at)?;
        if text.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(self.malformed(at, expected));
        }
        Ok(text)
    }

    fn word_or_nothing(&self, at: usize, expected: &str) -> Result<Option<&'l str>, Malformed> {
        match self.lines.field(at) {
            Some([]) => Ok(None),
            _ => self.word(at, expected).map(Some),
        }
    }

    fn number(&self, at: usize, least: i32, most: i32, expected: &str) -> Result<i32, Malformed> {
        let field = self.lines.field(at).unwrap_or_default();
        std::str::from_utf8(field)
            .ok()
            .filter(|text| !text.starts_with('+'))
            .and_then(|text| text.parse().ok())
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| self.malformed(at, expected))
    }

    fn time_of_day(&self, at: usize) -> Result<u16, Malformed> {
        let expected = "a time of day as hours and minutes, 0 to 2400";
        let time = self.number(at, 0, 2400, expected)?;
        if time % 100 > 59 { Err(self.malformed(at, expected)) } else { Ok(time as u16) }
    }

    fn delay(&self, at: usize) -> Result<Option<i32>, Malformed> {
        if self.lines.field(at).is_some_and(<[u8]>::is_empty) {
            return Ok(None);
        }
        self.number(at, -99_999, 99_999, "whole minutes, -99999 to 99999, or nothing").map(Some)
    }
}

#[cfg(test)]
mod tests;
