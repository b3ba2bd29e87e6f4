//! Programs that must not compile, with the error that must stop them.
//!
//! A program that does not compile proves nothing unless it fails for the reason meant: a misspelt name
//! fails too. So each case names its error on its first line, and the compiler's own JSON says which it
//! was. Some errors (of lifetimes, mostly) have no code; their text is named instead.
//!
//! ```text
//! //! error: E0382
//! //! error: E0521, lifetime may not live long enough
//! //! compiles
//! ```
//!
//! Cases are built with the same compiler as the crate they use, which cargo builds first.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What the first line of a case asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// These errors and no others, the first of them first: codes or, where there are none, texts.
    Errors(Vec<String>),
    /// No error at all: the positive control, which shows that the others do not fail for want of a crate.
    Compiles,
}

/// Reads the first line of a case; `None` when it says neither.
#[must_use]
pub fn expected(text: &str) -> Option<Expected> {
    let first = text.lines().next()?.strip_prefix("//! ")?.trim();
    match first.strip_prefix("error: ") {
        Some(list) => {
            let errors: Vec<_> = list.split(", ").map(|error| error.trim().to_owned()).collect();
            errors.iter().all(|error| !error.is_empty()).then_some(Expected::Errors(errors))
        }
        None => (first == "compiles").then_some(Expected::Compiles),
    }
}

/// Built crates and where their dependencies lie.
#[derive(Debug, Clone)]
pub struct Built {
    /// What a case may use, by name.
    libraries: BTreeMap<String, PathBuf>,
    dependencies: BTreeSet<PathBuf>,
}

impl Built {
    /// Builds `package` with cargo. Cases may use the libraries of these `names`: its own, and those
    /// that it is built from.
    ///
    /// # Errors
    /// What cargo said, when it failed or built no such library.
    pub fn with_cargo(root: &Path, package: &str, names: &[&str]) -> Result<Self, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let output = Command::new(cargo)
            .current_dir(root)
            .args(["build", "--package", package, "--lib", "--message-format=json", "--quiet"])
            .arg("--locked")
            .output()
            .map_err(|error| format!("cargo does not start: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "cargo build of {package} failed:\n{}{}",
                rendered(&String::from_utf8_lossy(&output.stdout)),
                String::from_utf8_lossy(&output.stderr),
            ));
        }
        let mut dependencies = BTreeSet::new();
        let mut libraries = BTreeMap::new();
        for message in messages(&String::from_utf8_lossy(&output.stdout)) {
            if message["reason"] != "compiler-artifact" {
                continue;
            }
            let files = message["filenames"].as_array().into_iter().flatten();
            for file in files.filter_map(Value::as_str).map(Path::new) {
                // The metadata for the compiler lies in deps/ even where the library itself is linked
                // one folder above.
                let parent = file.parent().unwrap_or(Path::new("."));
                dependencies.insert(parent.to_owned());
                dependencies.insert(parent.join("deps"));
                let name = message["target"]["name"].as_str().unwrap_or_default();
                if names.contains(&name) && file.extension().is_some_and(|e| e == "rlib") {
                    libraries.insert(name.to_owned(), file.to_owned());
                }
            }
        }
        match names.iter().find(|name| !libraries.contains_key(**name)) {
            Some(name) => Err(format!("cargo built no library called {name}")),
            None => Ok(Self { libraries, dependencies }),
        }
    }

    /// Compiles `text` as a library that may use the built crates; answers with its errors, the codes or
    /// else the texts, in the compiler's order.
    ///
    /// # Errors
    /// When the compiler does not start.
    pub fn errors_of(&self, case: &Path, out: &Path) -> Result<Vec<String>, String> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
        let mut command = Command::new(rustc);
        command
            .args(["--edition", "2024", "--crate-type", "lib", "--crate-name", "case"])
            .args(["--emit", "metadata", "--error-format", "json", "--cap-lints", "allow"])
            .arg("--out-dir")
            .arg(out);
        for (name, library) in &self.libraries {
            command.arg("--extern").arg(format!("{name}={}", library.display()));
        }
        for folder in &self.dependencies {
            command.arg("-L").arg(format!("dependency={}", folder.display()));
        }
        let output =
            command.arg(case).output().map_err(|error| format!("rustc does not start: {error}"))?;
        let errors = errors(&String::from_utf8_lossy(&output.stderr));
        if errors.is_empty() && !output.status.success() {
            return Err(format!("rustc failed: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(errors)
    }
}

/// Holds what the compiler found against what was expected.
///
/// # Errors
/// The difference, in words.
pub fn judge(expected: &Expected, errors: &[String]) -> Result<(), String> {
    match expected {
        Expected::Compiles if errors.is_empty() => Ok(()),
        Expected::Compiles => Err(format!("should compile, but fails with {errors:?}")),
        Expected::Errors(wanted) if errors.is_empty() => {
            Err(format!("compiles, but should fail with {wanted:?}"))
        }
        Expected::Errors(wanted) => {
            let meant = errors.first() == wanted.first()
                && errors.iter().all(|error| wanted.contains(error))
                && wanted.iter().all(|error| errors.contains(error));
            meant
                .then_some(())
                .ok_or_else(|| format!("should fail with {wanted:?}, but fails with {errors:?}"))
        }
    }
}

/// The errors in the compiler's JSON: codes, or texts where there is no code.
#[must_use]
pub fn errors(json_lines: &str) -> Vec<String> {
    messages(json_lines)
        .filter(|message| message["level"] == "error")
        .filter(|message| {
            // The count at the end is no error of its own.
            let text = message["message"].as_str().unwrap_or_default();
            !text.starts_with("aborting due to")
        })
        .map(|message| {
            let code = message["code"]["code"].as_str();
            code.or(message["message"].as_str()).unwrap_or("an error without text").to_owned()
        })
        .collect()
}

fn messages(json_lines: &str) -> impl Iterator<Item = Value> {
    json_lines.lines().filter_map(|line| serde_json::from_str(line).ok())
}

fn rendered(json_lines: &str) -> String {
    messages(json_lines)
        .filter_map(|message| message["message"]["rendered"].as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_what_must_happen() {
        let errors = |list: &[&str]| {
            Some(Expected::Errors(list.iter().map(|error| (*error).to_owned()).collect()))
        };
        assert_eq!(expected("//! error: E0382\n"), errors(&["E0382"]));
        assert_eq!(expected("//! error: E0521, a text\n"), errors(&["E0521", "a text"]));
        assert_eq!(expected("//! compiles\nfn f() {}"), Some(Expected::Compiles));
        assert_eq!(expected("fn f() {}"), None);
        assert_eq!(expected("//! error: \n"), None);
    }

    #[test]
    fn warnings_and_the_final_count_are_no_errors() {
        let json = r#"{"level":"warning","message":"unused","code":{"code":"unused"}}
{"level":"error","message":"use of moved value","code":{"code":"E0382"}}
{"level":"error","message":"lifetime may not live long enough","code":null}
{"level":"error","message":"aborting due to 2 previous errors","code":null}"#;
        assert_eq!(errors(json), ["E0382", "lifetime may not live long enough"]);
    }

    #[test]
    fn another_error_beside_the_expected_one_is_a_failure() {
        let wanted = Expected::Errors(vec!["E0382".into()]);
        assert!(judge(&wanted, &["E0382".into(), "E0382".into()]).is_ok());
        assert!(judge(&wanted, &["E0382".into(), "E0425".into()]).is_err());
        assert!(judge(&wanted, &[]).is_err());
        let both = Expected::Errors(vec!["E0521".into(), "text".into()]);
        assert!(judge(&both, &["E0521".into(), "text".into()]).is_ok());
        assert!(judge(&both, &["text".into(), "E0521".into()]).is_err());
        assert!(judge(&both, &["E0521".into()]).is_err());
        assert!(judge(&Expected::Compiles, &["E0382".into()]).is_err());
    }
}
