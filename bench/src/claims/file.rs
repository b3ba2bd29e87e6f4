//! A handler that appends each batch to a file and syncs it.

use std::fs;
use std::io::{self, Write};

use engine::{Batch, Handler, Settled};
use tempfile::TempDir;

use super::passage::{Place, Refusal};
use super::{bytes, folder};
use crate::Failure;
use crate::checksum::Digest;
use crate::workload::Row;

/// A file that is gone after the run.
pub(crate) struct File {
    keys: u32,
    folder: TempDir,
}

impl File {
    pub(crate) fn new(keys: u32) -> io::Result<Self> {
        Ok(Self { keys, folder: folder::on_disk()? })
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("rows")
    }
}

impl Place for File {
    type Handler = Appending;

    fn handler(&self) -> Result<Appending, Refusal> {
        let file = fs::File::options().create_new(true).append(true).open(self.path())?;
        Ok(Appending { file, bytes: Vec::new() })
    }

    fn read_back(&self) -> Result<Digest, Failure> {
        Ok(bytes::digest(&fs::read(self.path())?, self.keys))
    }
}

/// One write and one `fdatasync` a batch.
pub(crate) struct Appending {
    file: fs::File,
    bytes: Vec<u8>,
}

impl Appending {
    fn append(&mut self, rows: &[Row]) -> io::Result<()> {
        self.bytes.clear();
        bytes::write(rows, &mut self.bytes);
        self.file.write_all(&self.bytes)?;
        self.file.sync_data()
    }
}

impl Handler for Appending {
    type Item = Row;
    type Reply = ();
    type Error = io::ErrorKind;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_all(|_key, rows| self.append(rows).map_err(|error| error.kind()))
    }
}
