//! What the types promise: these programs do not compile, each for the reason that its first line names.

use std::fs;

use house::cases::{Built, Expected, expected, judge};
use house::tree::house_folder;

#[test]
fn programs_against_the_rules_fail_for_the_reason_meant() {
    let house = house_folder();
    let root = house.parent().expect("the crate has a parent");
    let built = Built::with_cargo(root, "tidegate-engine", &["engine", "ringbuf"])
        .unwrap_or_else(|e| panic!("{e}"));
    let out = tempfile::tempdir().expect("a folder for what the compiler writes");

    let mut cases: Vec<_> = fs::read_dir(house.join("cases"))
        .expect("house/cases can be read")
        .map(|entry| entry.expect("house/cases can be read").path())
        .collect();
    cases.sort();
    let mut wrong = Vec::new();
    let (mut refused, mut controls) = (0, 0);
    for case in &cases {
        let text = fs::read_to_string(case).expect("a case is text");
        let outcome = match expected(&text) {
            None => Err("its first line says neither `//! error: …` nor `//! compiles`".to_owned()),
            Some(expected) => {
                match expected {
                    Expected::Compiles => controls += 1,
                    Expected::Errors(_) => refused += 1,
                }
                built.errors_of(case, out.path()).and_then(|errors| judge(&expected, &errors))
            }
        };
        if let Err(what) = outcome {
            let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
            wrong.push(format!("{name}: {what}"));
        }
    }
    assert!(wrong.is_empty(), "cases that do not do what they say:\n  {}", wrong.join("\n  "));
    assert!(controls >= 1, "without a case that compiles, the others may fail for want of a crate");
    assert!(refused >= 21, "only {refused} cases");
}

#[test]
fn a_case_that_compiles_or_fails_for_another_reason_is_found() {
    let house = house_folder();
    let root = house.parent().expect("the crate has a parent");
    let built = Built::with_cargo(root, "tidegate-engine", &["engine", "ringbuf"])
        .unwrap_or_else(|e| panic!("{e}"));
    let out = tempfile::tempdir().expect("a folder for what the compiler writes");
    let case = out.path().join("planted.rs");
    let wanted = Expected::Errors(vec!["E0382".to_owned()]);

    fs::write(&case, "pub fn f() {}\n").expect("a case can be written");
    let errors = built.errors_of(&case, out.path()).expect("rustc runs");
    assert!(judge(&wanted, &errors).is_err(), "{errors:?}");

    fs::write(&case, "pub fn f() { misspelt() }\n").expect("a case can be written");
    let errors = built.errors_of(&case, out.path()).expect("rustc runs");
    assert_eq!(errors, ["E0425"]);
    assert!(judge(&wanted, &errors).is_err());
}
