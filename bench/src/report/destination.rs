//! A file for the results, which is seen to be writable before the first cell.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::Failure;

/// A file that is replaced as a whole or not at all: whoever reads it never sees half of one.
pub(crate) struct Destination(PathBuf);

impl Destination {
    /// # Errors
    ///
    /// If there is something else than a file, or no file can be made there.
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        // A link stays one, and what it points to is replaced.
        let destination = Self(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()));
        if destination.0.exists() && !destination.0.is_file() {
            return Err(format!("{}: is not a file", path.display()).into());
        }
        // It goes when it is dropped.
        destination.beside()?;
        Ok(destination)
    }

    /// An unnamed file in the same folder, which is on the same file system.
    fn beside(&self) -> Result<NamedTempFile, Failure> {
        let parent = self.0.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        builder.prefix(".bench-");
        // Others may read it, as any file that a program writes.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder
            .tempfile_in(parent.unwrap_or(Path::new(".")))
            .map_err(|error| format!("{}: no file can be made: {error}", self.0.display()).into())
    }

    /// Puts `text` there.
    ///
    /// # Errors
    ///
    /// When that fails: then the file is what it was.
    pub(crate) fn write(&self, text: &str) -> Result<(), Failure> {
        let mut file = self.beside()?;
        let told = |error: std::io::Error| format!("{}: {error}", self.0.display());
        file.write_all(text.as_bytes()).map_err(told)?;
        file.persist(&self.0).map_err(|failed| told(failed.error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_stays_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("results.json");
        let destination = Destination::new(&path).expect("it can be written");
        assert!(!path.exists(), "nothing is written before there is something");
        for text in ["a long first text", "short"] {
            destination.write(text).expect("there is room");
            assert_eq!(fs::read_to_string(&path).expect("it is there"), text);
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Destination::new(folder.path()).is_err());
        assert!(Destination::new(&folder.path().join("none/results.json")).is_err());
        assert!(Destination::new(Path::new("/dev/null")).is_err());
    }

    #[test]
    #[cfg(unix)]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").expect("there is room");
        std::os::unix::fs::symlink(&file, &link).expect("links are allowed");
        Destination::new(&link).expect("writable").write("new").expect("there is room");
        assert_eq!(fs::read_to_string(&file).expect("it is there"), "new");
        assert!(link.is_symlink());
    }
}
