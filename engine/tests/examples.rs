//! The examples do what they say.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// An example, where `cargo test` has put it: beside the folder of this test's own binary.
fn example(name: &str) -> Command {
    let mut path = std::env::current_exe().expect("this test is a file");
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is missing: `cargo test` builds it, `cargo test --test examples` needs \
         `cargo build --examples` before it",
        path.display()
    );
    Command::new(path)
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("it prints text")
}

#[test]
fn the_ledger_keeps_every_accounts_balance() {
    let output = text(&example("ledger").output().expect("it starts"));
    let mut expected = "16000 transfers made, 4000 refused as overdrawn\n".to_owned();
    for account in 0..8 {
        expected += &format!("account {account}: 2000.00\n");
    }
    assert_eq!(output, expected);
}

#[test]
fn the_log_writer_writes_records_of_its_own_with_fewer_syncs_than_records() {
    let output = text(&example("log_writer").output().expect("it starts"));
    assert!(output.starts_with("9990 records written, 10 refused, "), "{output}");
    let syncs = output.lines().nth(1).and_then(|line| line.split(' ').next()?.parse().ok());
    assert!(syncs.is_some_and(|syncs: u32| (50..5_000).contains(&syncs)), "{output}");
}

/// A folder of this test's own, gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tidegate-{name}-{}", std::process::id()));
        // One may be left of a process that had the same number.
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn log_into(folder: &Folder, lines: &str) -> Output {
    let mut writer = example("log_writer");
    writer.arg(&folder.0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut writer = writer.spawn().expect("it starts");
    let mut input = writer.stdin.take().expect("it is piped");
    input.write_all(lines.as_bytes()).expect("it reads");
    drop(input);
    writer.wait_with_output().expect("it ends")
}

#[test]
fn the_log_writer_keeps_the_order_of_each_stream_and_appends() {
    let folder = Folder::new("log-writer-order");
    let lines = |numbers: std::ops::Range<u32>| -> String {
        numbers.map(|n| format!("{} record {n}\n", ["even", "odd"][n as usize % 2])).collect()
    };
    let output = text(&log_into(&folder, &lines(0..2_000)));
    assert!(output.starts_with("2000 records written, 0 refused, "), "{output}");
    text(&log_into(&folder, &lines(2_000..3_000)));
    for (stream, first) in [("even", 0), ("odd", 1)] {
        let expected: String = (first..3_000).step_by(2).map(|n| format!("record {n}\n")).collect();
        let log = fs::read_to_string(folder.0.join(format!("{stream}.log"))).expect("written");
        assert!(log == expected, "{stream}.log is not what was pushed, in its order");
    }
}

#[test]
fn the_log_writer_names_the_line_that_it_cannot_read() {
    let folder = Folder::new("log-writer-bad-line");
    for bad in ["no-text", "../up text", " text"] {
        let output = log_into(&folder, &format!("good text\n{bad}\n"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("line 2: expected"), "{bad}: {said}");
        let log = fs::read_to_string(folder.0.join("good.log")).expect("what was accepted");
        assert!(log.ends_with("text\n"), "{log}");
    }
}

#[test]
fn a_newcomer_sees_a_trickle_alone_and_a_burst_in_batches() {
    let output = text(&example("watch").output().expect("it starts"));
    assert!(output.contains("flush after  10ms"), "the plan: {output}");
    let (trickle, burst) = output.split_once("A burst").expect("it has both parts");
    let batches = |part: &str| -> Vec<(usize, String)> {
        let columns = part.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let batches = columns.filter_map(|columns| match columns[..] {
            ["Oslo" | "Lima" | "Kyoto", size, trigger, _age, "ms"] => {
                Some((size.parse().expect("a number"), trigger.to_owned()))
            }
            _ => None,
        });
        batches.collect()
    };
    let (trickle, burst) = (batches(trickle), batches(burst));
    let items = |batches: &[(usize, String)]| batches.iter().map(|(size, _)| size).sum::<usize>();
    assert_eq!((items(&trickle), items(&burst)), (10, 10_000), "{output}");
    assert!(trickle.iter().all(|(_, trigger)| trigger == "shallow"), "{output}");
    // On a busy machine the shard may keep up with the burst for a while, in smaller batches.
    assert!(burst.len() <= 2_000 && burst.iter().any(|(size, _)| *size >= 50), "{output}");
}
