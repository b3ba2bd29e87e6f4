//! Records into log files, one for each stream, safe on the disk before they count as done.
//!
//! Making a record safe takes an `fdatasync`, which costs the same for one record and for two hundred.
//! So a batch is one write and one `fdatasync`.
//!
//! ```text
//! cargo run --example log_writer                  records of its own, into a temporary folder
//! cargo run --example log_writer FOLDER < LINES   lines "STREAM TEXT" into FOLDER/STREAM.log
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::{Batch, Engine, Handler, Item, Settled, Verdict};

struct Record {
    stream: String,
    text: String,
}

impl Item for Record {
    /// Borrowed from the record: nothing is cloned.
    type Key<'a> = &'a str;

    fn key(&self) -> &str {
        &self.stream
    }
}

/// A stream's file, and how many of its bytes are known to be on the disk.
struct Log {
    file: File,
    safe: u64,
}

impl Log {
    fn open(folder: &Path, stream: &str) -> io::Result<Self> {
        let path = folder.join(format!("{stream}.log"));
        let file = File::options().append(true).create(true).open(path)?;
        // A new file's name must be on the disk too.
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        let safe = file.metadata()?.len();
        Ok(Self { file, safe })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        match &written {
            Ok(()) => self.safe += bytes.len() as u64,
            // Half a batch must not stay: its records are about to be refused.
            Err(_) => self.file.set_len(self.safe)?,
        }
        written
    }
}

struct LogWriter {
    folder: PathBuf,
    logs: HashMap<String, Log>,
    /// The batch at hand, as it goes to the file.
    bytes: Vec<u8>,
}

impl LogWriter {
    fn write(&mut self, stream: &str) -> io::Result<()> {
        if !self.logs.contains_key(stream) {
            let log = Log::open(&self.folder, stream)?;
            self.logs.insert(stream.to_owned(), log);
        }
        self.logs.get_mut(stream).map_or(Ok(()), |log| log.append(&self.bytes))
    }
}

impl Handler for LogWriter {
    type Item = Record;
    type Reply = ();
    type Error = io::ErrorKind;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_bulk(|stream, records, verdicts| {
            self.bytes.clear();
            for (at, record) in records.iter().enumerate() {
                if record.text.contains('\n') {
                    // It would look like two. It fails alone; the rest of its batch is written.
                    verdicts.set(at, Verdict::Failed(io::ErrorKind::InvalidData));
                } else {
                    self.bytes.extend_from_slice(record.text.as_bytes());
                    self.bytes.push(b'\n');
                }
            }
            match self.write(stream) {
                Ok(()) => verdicts.set_rest(|_| Verdict::Done(())),
                Err(error) => verdicts.set_rest(|_| Verdict::Failed(error.kind())),
            }
        })
    }
}

/// "STREAM TEXT", where a stream is a plain name: it becomes a file's.
fn parse(line: &str) -> Option<Record> {
    let (stream, text) = line.split_once(' ')?;
    let plain = stream.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    (plain && !stream.is_empty())
        .then(|| Record { stream: stream.to_owned(), text: text.to_owned() })
}

fn made_up(n: u64) -> Record {
    let stream = ["orders", "payments", "shipping"][n as usize % 3].to_owned();
    // One in a thousand can't be written as one line.
    let text = if n % 1_000 == 999 { format!("{n}\nand") } else { format!("record {n}") };
    Record { stream, text }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let temporary = std::env::temp_dir().join(format!("log-writer-{}", std::process::id()));
    let folder = given.clone().unwrap_or_else(|| temporary.clone());
    fs::create_dir_all(&folder)?;

    let logs = folder.clone();
    let engine = Engine::builder(move |_shard| LogWriter {
        folder: logs.clone(),
        logs: HashMap::new(),
        bytes: Vec::new(),
    })
    .flush_after(Duration::from_millis(10)) // a record waits for company no longer than this
    .start()?;

    let begun = Instant::now();
    let mut producer = engine.producer()?;
    if given.is_some() {
        for (number, line) in io::stdin().lock().lines().enumerate() {
            let record = parse(&line?).ok_or_else(|| {
                format!("line {}: expected \"STREAM TEXT\", with a plain name first", number + 1)
            })?;
            producer.push(record)?;
        }
    } else {
        producer.push_run(&mut (0..10_000).map(made_up))?;
    }
    let last = engine.shutdown(Duration::from_secs(60))?;

    println!("{} records written, {} refused, in {:.0?}", last.done, last.failed, begun.elapsed());
    println!("{} times fdatasync, for {:.1} records each", last.batches, last.mean_batch());
    println!("{last}");
    if given.is_none() {
        fs::remove_dir_all(temporary)?;
    }
    Ok(())
}
