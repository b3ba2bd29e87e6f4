//! Files stay small enough to be read in one go.

use house::sizes::{Longer, check};
use house::{Source, Tree, report};

/// Lines of code (without comments, blanks and tests) that a file may have.
const SOFT_BUDGET: usize = 400;

/// Files that may be longer, each with its reason.
const LONGER: &[Longer] = &[];

#[test]
fn files_stay_within_the_budget() {
    report("sizes", &check(SOFT_BUDGET, LONGER, &Tree::open().sources("")));
}

fn of_lines(lines: usize) -> Source {
    let mut text = "// comment\n\n".repeat(500) + &"fn f() {}\n".repeat(lines);
    text += "#[cfg(test)]\nmod tests {\n";
    text += &"fn t() {}\n".repeat(500);
    text += "}\n";
    Source::parse("a/src/b.rs", &text).unwrap()
}

#[test]
fn a_file_over_the_budget_is_found_and_comments_and_tests_do_not_count() {
    assert!(check(SOFT_BUDGET, &[], &[of_lines(400)]).is_empty());
    assert_eq!(check(SOFT_BUDGET, &[], &[of_lines(401)]).len(), 1);
}

#[test]
fn a_row_of_the_table_has_a_limit_and_goes_when_it_is_not_needed() {
    let table = [Longer { path: "a/src/b.rs", lines: 450, reason: "a table" }];
    assert!(check(SOFT_BUDGET, &table, &[of_lines(450)]).is_empty());
    assert_eq!(check(SOFT_BUDGET, &table, &[of_lines(451)]).len(), 1);
    assert_eq!(check(SOFT_BUDGET, &table, &[of_lines(300)]).len(), 1);
    assert_eq!(check(SOFT_BUDGET, &table, &[]).len(), 1);
}
