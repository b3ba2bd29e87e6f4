//! The file of the rows that were not stored: a line of JSON for each.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use engine::ItemId;
use serde::{Deserialize, Serialize};
use sinks::SinkError;

use crate::change::Table;
use crate::database::TargetError;
use crate::flight::{Flight, Names};

/// What a line holds.
#[derive(Serialize)]
struct Letter<'a> {
    /// The item's name, as the engine prints it.
    id: Option<String>,
    attempts: u32,
    error: String,
    table: &'static str,
    row: Row<'a>,
}

/// The flight with the input's columns, and its number in the input.
#[derive(Serialize)]
struct Row<'a> {
    seq: i64,
    month: u8,
    day: u8,
    sched_dep_time: u16,
    dep_delay: Option<i32>,
    arr_delay: Option<i32>,
    carrier: &'a str,
    flight: u32,
    tailnum: Option<&'a str>,
    origin: &'a str,
    dest: &'a str,
    distance: u32,
}

/// As much of a line as tells whether a file is ours.
#[derive(Deserialize)]
#[expect(dead_code, reason = "that they are there is what counts")]
struct Mark {
    id: Option<String>,
    attempts: u32,
    error: String,
    table: String,
    row: serde_json::Map<String, serde_json::Value>,
}

/// Why a row is in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reason<'a> {
    pub(crate) id: Option<ItemId>,
    pub(crate) attempts: u32,
    pub(crate) error: &'a SinkError,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Letters {
    file: File,
}

/// Whether letters may go to `path`: nothing is there, or an empty file, or, with `overwrite`, those of an
/// earlier run. Touches nothing. `db` is where the database goes, which must be another file.
pub(crate) fn look(path: &Path, db: &Path, overwrite: bool) -> Result<(), TargetError> {
    let foreign = |why: &str| TargetError::Letters { path: path.to_owned(), why: why.to_owned() };
    if is_database(path, db) {
        return Err(foreign("is where the database or its log goes"));
    }
    let trouble = |error| TargetError::Io { path: path.to_owned(), error };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(trouble(error)),
        Ok(metadata) if !metadata.is_file() => return Err(foreign("is no file")),
        Ok(metadata) if metadata.len() == 0 => return Ok(()),
        Ok(_) => {}
    }
    if !is_ours(path).map_err(trouble)? {
        return Err(foreign("holds something else than dead letters"));
    }
    if overwrite {
        return Ok(());
    }
    Err(foreign("holds the dead letters of an earlier run, which --overwrite replaces"))
}

fn is_ours(path: &Path) -> io::Result<bool> {
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        if serde_json::from_slice::<Mark>(&line?).is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A file of this name is the database, or stands where SQLite keeps its log.
fn is_database(path: &Path, db: &Path) -> bool {
    let place = |path: &Path| -> Option<PathBuf> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = fs::canonicalize(parent.unwrap_or(Path::new("."))).ok()?;
        Some(folder.join(path.file_name()?))
    };
    let (Some(path), Some(db)) = (place(path), place(db)) else { return false };
    ["", "-wal", "-shm", "-journal"].into_iter().any(|suffix| {
        let mut name = db.clone().into_os_string();
        name.push(suffix);
        path.as_os_str() == name
    })
}

impl Letters {
    /// The file at `path`, made if there is none, where [`look`] found that it may be. `before` is what must
    /// go well before an earlier run's letters are wiped out; if it does not, all is as it was.
    pub(crate) fn create(
        path: &Path,
        before: impl FnOnce() -> Result<(), TargetError>,
    ) -> Result<Self, TargetError> {
        let trouble = |error| TargetError::Io { path: path.to_owned(), error };
        let made = !path.exists();
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(trouble)?;
        if let Err(error) = before() {
            if made {
                // It is empty; that it stays does no harm.
                let _ = fs::remove_file(path);
            }
            return Err(error);
        }
        file.set_len(0).map_err(trouble)?;
        Ok(Self { file })
    }

    /// Writes one line, at once.
    ///
    /// # Errors
    ///
    /// As the write.
    pub(crate) fn write(
        &mut self,
        names: &Names,
        table: Table,
        flight: &Flight,
        reason: Reason<'_>,
    ) -> io::Result<()> {
        let text = |name| names.text(name);
        let letter = Letter {
            id: reason.id.map(|id| id.to_string()),
            attempts: reason.attempts,
            error: reason.error.to_string(),
            table: table.name(),
            row: Row {
                seq: flight.seq,
                month: flight.month,
                day: flight.day,
                sched_dep_time: flight.sched_dep_time,
                dep_delay: flight.dep_delay,
                arr_delay: flight.arr_delay,
                carrier: text(flight.carrier),
                flight: flight.flight,
                tailnum: flight.tailnum.map(text),
                origin: text(flight.origin),
                dest: text(flight.dest),
                distance: flight.distance,
            },
        };
        let mut line = serde_json::to_vec(&letter)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_only_where_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (db, path) = (folder.path().join("x.db"), folder.path().join("dead.jsonl"));
        assert!(look(&path, &db, false).is_ok(), "nothing is there");
        fs::write(&path, "").unwrap();
        assert!(look(&path, &db, false).is_ok(), "nothing is in it");
        let ours = r#"{"id":null,"attempts":1,"error":"e","table":"flights","row":{}}"#;
        fs::write(&path, format!("{ours}\n{ours}\n")).unwrap();
        assert!(look(&path, &db, false).unwrap_err().to_string().contains("--overwrite"));
        assert!(look(&path, &db, true).is_ok());
        for precious in ["Dear diary\n".to_owned(), format!("{ours}\nDear diary\n")] {
            fs::write(&path, precious).unwrap();
            assert!(look(&path, &db, true).is_err());
        }
        assert!(look(folder.path(), &db, true).is_err(), "a folder");
    }

    #[test]
    fn the_database_and_its_log_are_no_place_for_letters() {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("x.db");
        for name in ["x.db", "x.db-wal", "x.db-shm", "x.db-journal"] {
            assert!(look(&folder.path().join(name), &db, true).is_err(), "{name}");
        }
        assert!(look(&folder.path().join("x.db.jsonl"), &db, true).is_ok());
    }
}
