//! Notes which compiler and which commit the benchmarks are built from: numbers mean nothing without.

use std::path::Path;
use std::process::Command;

/// What is compiled into the benchmarks, seen from the workspace.
const SOURCES: [&str; 7] =
    ["ringbuf", "engine", "sinks", "bench/src", "bench/build.rs", "Cargo.toml", "Cargo.lock"];

fn main() {
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let rustc = said_by(Command::new(compiler).arg("--version"));
    println!("cargo::rustc-env=BENCH_RUSTC={}", rustc.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=BENCH_COMMIT={}", commit().as_deref().unwrap_or("unknown"));
    SOURCES.iter().for_each(|source| watch(&format!("../{source}")));
}

/// The commit in twelve digits, with `-dirty` behind it if a source differs from it.
fn commit() -> Option<String> {
    let commit = said_by(git().args(["rev-parse", "--short=12", "HEAD"]))?;
    // Where HEAD stands, and what it stands for: a new commit changes one of them.
    for file in ["HEAD", "refs/heads", "packed-refs"] {
        if let Some(path) = said_by(git().args(["rev-parse", "--git-path", file])) {
            watch(&path);
        }
    }
    let changes =
        said_by(git().current_dir("..").args(["status", "--porcelain", "--"]).args(SOURCES))?;
    Some(if changes.is_empty() { commit } else { commit + "-dirty" })
}

/// Git, which is not to write while it only looks.
fn git() -> Command {
    let mut git = Command::new("git");
    git.arg("--no-optional-locks");
    git
}

/// What a command prints, if it can be run and succeeds.
fn said_by(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Builds again when this changes. What does not exist would count as changed every time.
fn watch(path: &str) {
    if Path::new(path).exists() {
        println!("cargo::rerun-if-changed={path}");
    }
}
