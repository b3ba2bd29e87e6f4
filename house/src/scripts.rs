//! Scripts are strict and executable.

use std::path::Path;

use crate::breach::Breach;

/// Whether the file system lets anybody run the file. Always true where files have no such mark.
#[must_use]
pub fn is_executable(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        path.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    {
        path.exists()
    }
}

/// Finds what is wrong with a script of this text. What lies under `lib/` is sourced by others: it needs
/// neither a first line for the kernel nor the right to be run.
#[must_use]
pub fn check(path: &str, text: &str, executable: bool) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let sourced = path.contains("/lib/");
    if !text.lines().any(|line| line == "set -euo pipefail") {
        let what = "has no line `set -euo pipefail`: without it a failed command goes unnoticed";
        breaches.push(Breach::new(path, 0, what));
    }
    if !sourced && text.lines().next() != Some("#!/usr/bin/env bash") {
        breaches.push(Breach::new(path, 1, "should begin with `#!/usr/bin/env bash`"));
    }
    if !sourced && !executable {
        breaches.push(Breach::new(path, 0, "is not executable: chmod +x"));
    }
    if !text.lines().any(|line| line.starts_with("# ")) {
        breaches.push(Breach::new(path, 0, "does not say what it is for: begin with a comment"));
    }
    breaches
}
