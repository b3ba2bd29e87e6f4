//! The examples do what they say.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

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

#[test]
fn calls_are_answered_one_by_one_and_many_at_once() {
    let output = text(&example("calls").output().expect("it starts"));
    let expected = "3 lamps reserved, 97 left\n98 lamps refused, 97 left\n\
                    100 of 200 chairs reserved\na desk reserved in time: true\n203 calls in ";
    assert!(output.starts_with(expected), "{output}");
}

#[test]
fn retries_keep_the_order_of_each_partner_and_what_is_dead_has_its_letter() {
    let output = text(&example("retries").output().expect("it starts"));
    for partner in ["harbour", "market"] {
        assert!(output.contains(&format!("{partner} got [0, 1, 2], in this order\n")), "{output}");
    }
    let dead: Vec<_> = output.lines().filter(|line| line.starts_with("dead: ")).collect();
    assert_eq!(dead.len(), 3, "{output}");
    for (number, line) in dead.iter().enumerate() {
        assert!(line.starts_with(&format!("dead: archive {number} (")), "{output}");
        assert!(line.contains(", 4 attempts in "), "{output}");
        assert!(line.ends_with(": no route to host"), "{output}");
    }
    assert!(output.ends_with("6 delivered, 3 dead, 11 times tried again\n"), "{output}");
}

#[test]
fn merged_quotes_are_all_accounted_for_and_the_last_price_stands() {
    let output = text(&example("merge").output().expect("it starts"));
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines.len(), 4, "{output}");
    assert!(lines[0].starts_with("100000 quotes, "), "{output}");
    let folded = lines[0].split(' ').nth(2).and_then(|word| word.parse::<u64>().ok());
    assert!(folded.is_some_and(|folded| (50_000..100_000).contains(&folded)), "{output}");
    let drawn =
        [("copper", 33_334, "1049.99"), ("tin", 33_333, "1049.97"), ("zinc", 33_333, "1049.98")];
    for (line, (instrument, quotes, last)) in lines[1..].iter().zip(drawn) {
        assert!(line.starts_with(&format!("{instrument}: {quotes} quotes drawn in ")), "{output}");
        assert!(line.ends_with(&format!(", last {last}")), "{output}");
    }
}

#[test]
fn windows_come_to_the_same_sums_as_batches_that_stand_open() {
    let output = text(&example("windowed").output().expect("it starts"));
    let lines: Vec<_> = output.lines().collect();
    assert!(lines[0].starts_with("hashed: 1000000 readings, "), "{output}");
    assert!(lines[1].starts_with("windowed:65536: 1000000 readings, "), "{output}");
    let expected = ["the sums are the same: true", "in all 499999500000 Wh"];
    assert_eq!(lines[2..], expected, "{output}");
}

#[test]
fn routed_orders_have_a_result_for_each_destination() {
    let output = text(&example("routing").output().expect("it starts"));
    let expected = "order 1:\n  ledger  booked\n  search  indexed\n  mail    sent\n\
                    order 2:\n  ledger  booked\n  mail    not: the handler failed it: no address\n\
                    order 3:\n  ledger  booked\n  fax     not: nobody knows its destination\n\
                    1000 more orders: 3000 deliveries\nin ";
    assert!(output.starts_with(expected), "{output}");
}

#[test]
fn follow_ups_go_before_what_was_pushed_behind_their_order() {
    let output = text(&example("follow_ups").output().expect("it starts"));
    let late = "charged; shipped; address not changed: it is on its way\n";
    let mut expected = String::new();
    for order in 1..=3 {
        let reserved: String = (1..=order).map(|n| format!("piece {n} reserved; ")).collect();
        expected += &format!("order {order}: placed, {order} pieces; {reserved}{late}");
    }
    expected += "6 events were pushed, 12 followed\n";
    assert_eq!(output, expected);
}

#[test]
fn detached_uploads_stay_in_order_and_requests_run_side_by_side() {
    let output = text(&example("detached").output().expect("it starts"));
    for bucket in ["maps", "photos", "plans", "tiles"] {
        assert!(output.contains(&format!("{bucket}: 1000 uploads, in order\n")), "{output}");
    }
    let requests = output.lines().find_map(|line| {
        line.strip_prefix("4000 uploads in ")?.strip_suffix(" requests")?.parse::<u32>().ok()
    });
    assert!(requests.is_some_and(|requests| (80..2_000).contains(&requests)), "{output}");
}

/// What the agent makes of `input`; its own arguments before that.
fn agent(arguments: &[&str], input: impl AsRef<[u8]>) -> (String, String, bool) {
    let mut agent = agent_started(arguments);
    let mut stdin = agent.stdin.take().expect("it is piped");
    // It may have ended before it reads: help is all that was asked for.
    let _ = stdin.write_all(input.as_ref());
    drop(stdin);
    let Output { status, stdout, stderr } = agent.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    (text(stdout), text(stderr), status.success())
}

fn agent_started(arguments: &[&str]) -> Child {
    let mut agent = example("agent");
    agent.args(arguments);
    agent.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    agent.spawn().expect("it starts")
}

const SIGNALS: &str = r#"# Two agents.
agent.set 7 lamp.on=1 lamp.colour="warm white"
agent.set 8 lamp.on=1 lamp.colour=red

agent.add 7 visits=2
agent.add 7 visits=3
{"type": "agent.update", "id": 7, "values": {"lamp": {"on": 0}}}
{"type": "agent.delete", "id": 8, "paths": ["lamp.colour"]}
"#;

const STATES: &str = "agent 7: {lamp: {colour: \"warm white\", on: 0}, visits: 5}\n\
                      agent 8: {lamp: {on: 1}}\n";

#[test]
fn the_agent_comes_to_the_same_state_under_every_sizing() {
    for sizing in ["single", "fixed:2", "fixed:100", "tiers"] {
        let (output, errors, fine) = agent(&["--sizing", sizing], SIGNALS);
        assert!(fine && errors.is_empty(), "{sizing}: {errors}");
        let (batches, states) = output.split_at(output.find("agent 7: ").expect("states"));
        assert_eq!(states, STATES, "{sizing}");
        assert!(batches.contains("6 signals done, 0 failed, in "), "{output}");
        let shown = batches.lines().filter(|line| line.starts_with("batch ")).count();
        assert!(batches.ends_with(&format!("in {shown} batches\n")), "{output}");
        assert!(sizing != "single" || shown == 6, "{output}");
    }
}

#[test]
fn the_agent_reads_a_file_as_it_reads_its_input() {
    let folder = Folder::new("agent-file");
    fs::create_dir_all(&folder.0).expect("made");
    let path = folder.0.join("signals");
    fs::write(&path, SIGNALS).expect("written");
    let (output, errors, fine) = agent(&[path.to_str().expect("a plain path")], "");
    assert!(fine && output.ends_with(STATES), "{output}{errors}");
}

#[test]
fn the_agent_steps_through_its_signals_one_by_one() {
    let (output, errors, fine) = agent(&["--step", "--sizing", "fixed:100"], SIGNALS);
    assert!(fine, "{errors}");
    let batches: Vec<_> = output.lines().filter(|line| line.starts_with("batch ")).collect();
    assert_eq!(batches.len(), 6, "{output}");
    assert!(batches.iter().all(|line| line.starts_with("batch    1  step ")), "{output}");
    assert!(output.contains("      agent 7: {lamp: {colour: \"warm white\", on: 1}, visits: 2}\n"));
    assert!(output.ends_with(STATES), "{output}");
}

#[test]
fn the_agent_names_line_and_column_of_what_it_cannot_read_and_does_the_rest() {
    let input = "agent.set seven a=1\nagent.set 7 good=1 bad\nagent.set 7 x=\"open\n\
                 {\"type\": \"agent.set\", \"id\": 7, \"values\": {\"é\": 0.5}}\nagent.set\n";
    let (output, errors, fine) = agent(&[], input);
    assert!(!fine);
    let places: Vec<_> = errors.lines().filter_map(|line| line.split_once(": ")).collect();
    let columns = [(1, 11), (2, 20), (3, 15), (4, 50), (5, 10)];
    let expected = columns.map(|(line, column)| format!("line {line}, column {column}"));
    assert!(places.iter().map(|(place, _)| place).eq(expected.iter()), "{errors}");
    assert!(output.starts_with("0 signals done"), "{output}");
}

#[test]
fn the_agent_says_what_is_wrong_with_a_line_and_where_and_does_the_others() {
    let range = "is not from -9223372036854775808 to 9223372036854775807";
    let table: &[(&[u8], usize, &str)] = &[
        (b"agent.dance 7 a=1", 1, "unknown type \"agent.dance\"; there are agent.set, "),
        (b"  agent.script 7 a=1", 3, "unknown type \"agent.script\""),
        (br#"{"id": 7, "type": "dance", "paths": ["a"]}"#, 19, "unknown type \"dance\""),
        (b"agent.set 7", 12, "expected path=value"),
        (b"agent.delete 7", 15, "expected a path"),
        (br#"{"type": "agent.set", "id": 7}"#, 30, "expected path=value"),
        (br#"{"type": "agent.reset", "id": 7, "values": {"a": 1}}"#, 52, "\"a\": expected a path"),
        (b"agent.add 7 a=red", 13, "\"a=red\": what is to be added is no number"),
        (br#"{"type": "agent.add", "id": 7, "values": {"a": "x"}}"#, 52, "what is to be added at"),
        (b"agent.set 7 a=99999999999999999999", 13, range),
        (br#"{"type": "agent.set", "id": 7, "values": {"a": 9223372036854775808}}"#, 66, range),
        (br#"{"type": "agent.set", "id": 7, "values": {"a": 99999999999999999999}}"#, 67, range),
        ("agent.set 7 é=\u{e9}".as_bytes(), 0, ""),
        (b"agent.set 7 \xc3\xa9=\xff1", 15, "this byte is not UTF-8: 0xff"),
    ];
    for (line, column, what) in table {
        let input = [b"agent.set 7 good=1\n", *line, b"\nagent.add 7 good=1\n"].concat();
        let (output, errors, fine) = agent(&[], &input);
        assert!(output.contains("good: 2"), "the others are done: {output}");
        if *column == 0 {
            assert!(fine && errors.is_empty(), "{errors}");
            continue;
        }
        assert!(!fine && errors.starts_with(&format!("line 2, column {column}: ")), "{errors}");
        assert!(errors.contains(what), "{errors}");
    }
}

#[test]
fn the_agent_names_the_line_of_a_sum_that_cannot_be() {
    let most = i64::MAX;
    let input = format!("agent.set 7 n={most} s=red\nagent.add 7 n=1\nagent.add 7 s=1\n");
    let (output, errors, fine) = agent(&[], input);
    assert!(!fine);
    assert!(errors.contains("line 2: agent.add n of 7: the sum at \"n\" is not from "), "{errors}");
    assert!(errors.contains("line 3: agent.add s of 7: what is at \"s\" is no number"), "{errors}");
    assert!(output.ends_with(&format!("agent 7: {{n: {most}, s: \"red\"}}\n")), "{output}");
}

#[test]
fn the_agent_passes_over_a_byte_order_mark_and_ends_of_lines_of_every_kind() {
    let (output, errors, fine) = agent(&[], "\u{feff}agent.set 7 a=1\r\nagent.add 7 a=1");
    assert!(fine && errors.is_empty(), "{errors}");
    assert!(output.ends_with("agent 7: {a: 2}\n"), "{output}");
}

#[test]
fn whoever_types_sees_what_comes_of_each_line_before_the_next() {
    for (arguments, shown) in [(&[][..], 1), (&["--step"], 2)] {
        let mut agent = agent_started(arguments);
        let mut stdin = agent.stdin.take().expect("it is piped");
        let mut output = BufReader::new(agent.stdout.take().expect("it is piped")).lines();
        for n in 1..4 {
            writeln!(stdin, "agent.add 7 n=1").expect("it reads");
            let lines: Vec<_> =
                output.by_ref().take(shown).map(|line| line.expect("text")).collect();
            assert!(lines[0].starts_with("batch    1  "), "{lines:?}");
            assert!(shown == 1 || lines[1] == format!("      agent 7: {{n: {n}}}"), "{lines:?}");
        }
        drop(stdin);
        assert_eq!(output.last().expect("states").expect("text"), "agent 7: {n: 3}");
        assert!(agent.wait().expect("it ends").success());
    }
}

#[test]
fn the_lines_of_a_file_meet_in_batches() {
    let folder = Folder::new("agent-batches");
    fs::create_dir_all(&folder.0).expect("made");
    let path = folder.0.join("signals");
    let lines: String = (0..20_000).map(|n| format!("agent.add {} n=1\n", n % 10)).collect();
    fs::write(&path, lines).expect("written");
    let (output, errors, fine) = agent(&[path.to_str().expect("a plain path")], "");
    assert!(fine, "{errors}");
    let batches = output.lines().filter(|line| line.starts_with("batch ")).count();
    assert!(batches < 2_000, "{batches} batches of 20000 signals");
    assert!(output.contains("20000 signals done, 0 failed, in "), "{output}");
    assert!(output.ends_with("agent 9: {n: 2000}\n"), "{output}");
}

#[test]
fn the_agent_is_over_when_nobody_reads_on() {
    let mut agent = agent_started(&["--sizing", "single"]);
    let mut stdin = agent.stdin.take().expect("it is piped");
    drop(agent.stdout.take());
    for _ in 0..10_000 {
        // Until it is gone.
        if stdin.write_all(b"agent.add 7 n=1\n").is_err() {
            break;
        }
    }
    drop(stdin);
    let Output { status, stderr, .. } = agent.wait_with_output().expect("it ends");
    assert!(status.success() && stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
}

#[test]
fn the_agent_says_how_it_is_to_be_called() {
    for wrong in [&["--sizing", "many"][..], &["--sizing"], &["--fast"], &["one", "two"]] {
        let (_, errors, fine) = agent(wrong, "");
        assert!(!fine && errors.contains("usage: agent "), "{wrong:?}: {errors}");
    }
    for help in ["--help", "-h"] {
        let (output, errors, fine) = agent(&["--step", help], "");
        assert!(fine && errors.is_empty() && output.starts_with("usage: agent "), "{errors}");
        assert!(output.contains("agent.add 7 visits=1"), "{output}");
    }
}
