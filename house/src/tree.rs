//! The files of the tree.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::breach::Breach;
use crate::source::Source;

/// Folders that hold nothing of ours: version control and what builds leave behind.
const NOT_OURS: [&str; 4] = [".git", "target", "corpus", "artifacts"];

/// The folder of this crate. What cargo says when it runs a test comes before what it said when it built
/// the test: a tree that was moved together with its build folder must not look at its old place.
#[must_use]
pub fn house_folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// The files under a root, by their path below it.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The folder that holds the workspace's manifest.
    pub root: PathBuf,
    /// Every file, sorted, with `/` between the parts.
    pub files: Vec<String>,
}

impl Tree {
    /// The tree that this crate stands in.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn open() -> Self {
        let house = house_folder();
        Self::at(house.parent().expect("the crate has a parent")).expect("the tree can be read")
    }

    /// The tree under `root`. Reads every folder once.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn at(root: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(root.join(&folder))? {
                let entry = entry?;
                let below = folder.join(entry.file_name());
                let name = entry.file_name();
                if entry.file_type()?.is_dir() {
                    if !NOT_OURS.iter().any(|not_ours| name == *not_ours) {
                        folders.push(below);
                    }
                } else {
                    files.push(below.to_string_lossy().replace('\\', "/"));
                }
            }
        }
        files.sort();
        Ok(Self { root: root.to_owned(), files })
    }

    /// The text of a file.
    ///
    /// # Errors
    /// A breach when there is no such file, or when it is no text.
    pub fn text(&self, path: &str) -> Result<String, Breach> {
        fs::read_to_string(self.root.join(path))
            .map_err(|error| Breach::new(path, 0, format!("cannot be read: {error}")))
    }

    /// Every Rust file whose path begins with `prefix`, taken apart; modules that are only declared
    /// under `cfg(test)` are marked as tests, with all that is below them.
    ///
    /// # Panics
    /// When a file cannot be read or is no Rust: nothing can be said about the tree then.
    #[must_use]
    pub fn sources(&self, prefix: &str) -> Vec<Source> {
        let rust = |path: &&String| path.starts_with(prefix) && path.ends_with(".rs");
        let mut sources: Vec<Source> = self
            .files
            .iter()
            .filter(rust)
            .map(|path| {
                let text = self.text(path).unwrap_or_else(|breach| panic!("{breach}"));
                Source::parse(path, &text).unwrap_or_else(|breach| panic!("{breach}"))
            })
            .collect();
        mark_test_modules(&mut sources);
        sources
    }

    /// Whether a file or folder of this name exists below the root.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        !path.is_empty() && self.root.join(path).exists()
    }

    /// Whether some file or folder ends with these parts: `arena.rs`, `sizing/tiers.rs`, `src/sizing/`.
    #[must_use]
    pub fn has_somewhere(&self, parts: &str) -> bool {
        let parts = parts.trim_end_matches('/');
        let (inside, behind) = (format!("/{parts}/"), format!("/{parts}"));
        self.files
            .iter()
            .map(|file| format!("/{file}"))
            .any(|file| file.ends_with(&behind) || file.contains(&inside))
    }
}

/// Marks as tests what `cfg(test)` modules bring in from files of their own.
pub fn mark_test_modules(sources: &mut [Source]) {
    let of_tests: Vec<(String, Vec<String>)> = sources
        .iter()
        .flat_map(|source| {
            let home = crate_of(&source.path).to_owned();
            source.test_modules.iter().map(move |module| (home.clone(), module.clone()))
        })
        .collect();
    for source in sources {
        let module = source.module();
        let home = crate_of(&source.path);
        if of_tests.iter().any(|(krate, tests)| krate == home && module.starts_with(tests)) {
            source.mark_as_test();
        }
    }
}

/// The crate's folder in the path of one of its sources: `engine/src/arena.rs` is of `engine`.
#[must_use]
pub fn crate_of(path: &str) -> &str {
    path.split_once("/src/").map_or("", |(home, _)| home)
}
