//! What the papers point to exists.

use std::fs;
use std::path::Path;

use house::papers::check;
use house::{Breach, Tree, report};

/// The papers that must be there.
const PAPERS: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
/// What looks like a path and is none.
const NO_PATHS: &[&str] = &["rows/s", "items/s"];
/// What only a build or a run makes.
const MADE_LATER: &[&str] = &["target/"];

#[test]
fn everything_that_the_papers_name_exists() {
    let tree = Tree::open();
    let mut breaches: Vec<Breach> = PAPERS
        .iter()
        .filter(|paper| !tree.has(paper))
        .map(|paper| Breach::new(paper, 0, "is missing"))
        .collect();
    for path in tree.files.iter().filter(|path| path.ends_with(".md")) {
        match tree.text(path) {
            Ok(text) => breaches.extend(check(&tree, path, &text, NO_PATHS, MADE_LATER)),
            Err(breach) => breaches.push(breach),
        }
    }
    report("papers", &breaches);
}

/// A tree of a few files in a folder of its own.
fn example() -> (tempfile::TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("README.md", "# Title\n## A part\n");
    write("docs/guide.md", "# Guide\n");
    write("engine/src/sizing/tiers.rs", "");
    write("scripts/run", "");
    write("scripts/weak", "");
    make_executable(&folder.path().join("scripts/run"));
    let tree = Tree::at(folder.path()).unwrap();
    (folder, tree)
}

fn make_executable(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    #[cfg(not(unix))]
    let _ = path;
}

fn found(path: &str, text: &str) -> Vec<String> {
    let (_folder, tree) = example();
    let breaches = check(&tree, path, text, NO_PATHS, MADE_LATER);
    breaches.iter().map(ToString::to_string).collect()
}

#[test]
fn links_and_names_that_exist_pass() {
    for text in [
        "[a](docs/guide.md) [b](./docs/guide.md#guide) [c](https://example.org/x) [d](#title)",
        "`engine/src/sizing/` `tiers.rs` `sizing/tiers.rs` `scripts/run --fast` `rows/s` `target/x`",
        "```sh\nscripts/run; anything/else.rs\n```\n# Title",
        "`Item` `a::b` `/proc/self` `Vec<u8>`",
    ] {
        let text = format!("# Title\n{text}\n");
        assert_eq!(found("README.md", &text), [""; 0], "{text}");
    }
    assert_eq!(found("docs/guide.md", "[up](../README.md#a-part)"), [""; 0]);
}

#[test]
fn each_name_that_leads_nowhere_is_found() {
    for text in [
        "[a](docs/gone.md)",
        "[a](docs/guide.md#gone)",
        "[a](#gone)",
        "[a]: gone.md",
        "see `engine/src/gone.rs`",
        "see `gone.rs`",
        "see `engine/gone/`",
        "run `scripts/gone`",
    ] {
        let found = found("README.md", &format!("# Title\n{text}\n"));
        assert!(!found.is_empty(), "{text}");
        assert!(
            found.iter().all(|breach| breach.starts_with("README.md:2: ")),
            "{text}: {found:?}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_script_in_a_block_of_code_must_exist_and_be_executable() {
    assert_eq!(found("README.md", "```sh\nscripts/gone --x\n```\n").len(), 1);
    let found = found("README.md", "```sh\nscripts/weak\n```\n");
    assert_eq!(found, ["README.md:2: the script `scripts/weak` is not executable"]);
}
