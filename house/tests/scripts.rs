//! Scripts stop at the first command that fails, say what they are for, and can be run.

use house::scripts::{check, is_executable};
use house::{Tree, report};

fn is_script(path: &str) -> bool {
    (path.starts_with("scripts/") || path.starts_with(".ci/")) && !path.ends_with(".md")
}

#[test]
fn every_script_is_strict_executable_and_says_what_it_is_for() {
    let tree = Tree::open();
    let scripts: Vec<_> = tree.files.iter().filter(|path| is_script(path)).collect();
    assert!(scripts.len() >= 6, "where have the scripts gone? found {scripts:?}");
    let breaches: Vec<_> = scripts
        .iter()
        .flat_map(|path| match tree.text(path) {
            Ok(text) => check(path, &text, is_executable(&tree.root.join(path))),
            Err(breach) => vec![breach],
        })
        .collect();
    report("scripts", &breaches);
}

/// What a piece of shell answers when it can use the functions of scripts/lib/toolchain.sh.
#[cfg(unix)]
fn with_toolchain(shell: &str) -> bool {
    let library = Tree::open().root.join("scripts/lib/toolchain.sh");
    let shell = format!("source '{}'; {shell}", library.display());
    let status = std::process::Command::new("bash").args(["-c", &shell]).status();
    status.expect("bash starts").success()
}

#[cfg(unix)]
#[test]
fn versions_are_compared_number_by_number() {
    for (found, wanted) in
        [("1.89.0", "1.89"), ("1.100.0", "1.89"), ("2.0", "1.89.1"), ("1.96.0-nightly", "1.89")]
    {
        assert!(
            with_toolchain(&format!("toolchain_at_least {found} {wanted}")),
            "{found} {wanted}"
        );
    }
    for (found, wanted) in
        [("1.9.0", "1.89"), ("1.88.9", "1.89"), ("0", "1.89"), ("1.89.0", "1.89.1")]
    {
        assert!(
            !with_toolchain(&format!("toolchain_at_least {found} {wanted}")),
            "{found} {wanted}"
        );
    }
}

#[cfg(unix)]
#[test]
fn the_newest_packaged_rust_is_taken_whatever_its_package_is_called() {
    // Stands in for apt: each name with the version that would be installed.
    let apt = |packages: &str| {
        format!(
            "apt-cache() {{
               local all='{packages}' pair
               for pair in $all; do
                 if [[ $1 == pkgnames ]]; then echo \"${{pair%%=*}}\"; fi
                 if [[ $1 == policy && ${{pair%%=*}} == \"$2\" ]]; then echo \"  Candidate: ${{pair#*=}}\"; fi
               done
             }}"
        )
    };
    for (packages, wanted) in [
        ("rustc=1.63.0+dfsg1-2 rustc-web=1.96.0+dfsg1-1~deb12u2", "1.96.0 rustc-web cargo-web"),
        (
            "rustc=1.75.0ubuntu1 rustc-1.89=1.89.0+dfsg rustc-1.9=1.9.0",
            "1.89.0 rustc-1.89 cargo-1.89",
        ),
        ("rustc=1.97.0-1 rustc-web=1.85.0 rustc-web-doc=1.99.0", "1.97.0 rustc cargo"),
    ] {
        let check = format!("{}; [[ $(toolchain_newest_packaged) == '{wanted}' ]]", apt(packages));
        assert!(with_toolchain(&check), "{packages}");
    }
}

const GOOD: &str = "#!/usr/bin/env bash\n# Does one thing.\nset -euo pipefail\n";

#[test]
fn each_omission_is_found() {
    assert!(check("scripts/x", GOOD, true).is_empty());
    assert_eq!(check("scripts/x", GOOD, false).len(), 1);
    assert_eq!(check("scripts/x", &GOOD.replace("set -euo pipefail", "set -e"), true).len(), 1);
    assert_eq!(check("scripts/x", &GOOD.replace("set -euo", "# set -euo"), true).len(), 1);
    assert_eq!(check("scripts/x", &GOOD.replace("# Does one thing.\n", ""), true).len(), 1);
    assert_eq!(check("scripts/x", &GOOD.replace("#!/usr/bin/env bash\n", ""), true).len(), 1);
}

#[test]
fn what_is_sourced_need_not_be_executable() {
    let sourced = GOOD.replace("#!/usr/bin/env bash\n", "");
    assert!(check("scripts/lib/x.sh", &sourced, false).is_empty());
    assert_eq!(check("scripts/lib/x.sh", "# Does one thing.\n", false).len(), 1);
}
