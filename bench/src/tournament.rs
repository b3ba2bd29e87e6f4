//! All the cells that are asked for, one after the other.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use crate::Failure;
use crate::cell::Cell;
use crate::contest::{Unfinished, runs};
use crate::interrupt::{self, Interrupt};
use crate::machine::Machine;
use crate::options::Contests;
use crate::progress::Progress;
use crate::registry;
use crate::report::{self, Destination, Entry, Failed, Results, Stored, Table};
use crate::selection::select;

/// How long the gap meter runs before the first cell.
const METERED: Duration = Duration::from_millis(200);

/// Of fewer, a quartile is hardly more than the fastest or the slowest pair.
const FEW_PAIRS: u32 = 5;

/// Runs the cells of the workloads that are named, beside the ratios of an earlier run if its file is
/// given, and reports.
///
/// # Errors
///
/// When nothing can be run or a report can't be written. Cells that fail are part of the results, and
/// of the exit code: 1 if there is one, 130 after an interrupt.
pub(crate) fn run(
    workloads: &[&str],
    options: &Contests,
    stored: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let cells = select(registry::cells(workloads), options)?;
    let table = Table::for_cells(&cells);
    // Not locked: a contender's thread that prints would wait forever.
    let mut out = std::io::stdout();
    if options.list {
        cells.iter().try_for_each(|cell| out.write_all(report::listed(cell).as_bytes()))?;
        return Ok(ExitCode::SUCCESS);
    }
    if options.json.is_some() && options.json == options.html {
        return Err("--json and --html name the same file".into());
    }
    let stored = stored.map(Stored::read).transpose()?;
    let json = options.json.as_deref().map(Destination::new).transpose()?;
    let html = options.html.as_deref().map(Destination::new).transpose()?;
    let interrupt = Interrupt::by_signal()?;
    let mut results = Results {
        date: SystemTime::now(),
        machine: Machine::look(METERED)?,
        command: std::env::args().skip(1).collect(),
        entries: Vec::new(),
    };
    write!(out, "{}", report::origin(&results.machine))?;
    if let Some(stored) = &stored {
        writeln!(out, "stored: {}", stored.origin())?;
    }
    if options.pairs() < FEW_PAIRS {
        writeln!(out, "with fewer than {FEW_PAIRS} pairs the quartiles say little")?;
    }
    let tournament = Tournament {
        cells: &cells,
        pairs: options.pairs(),
        interrupt: &interrupt,
        progress: Progress::new(cells.len() as u64 * runs(options.pairs())),
        table,
        stored: stored.as_ref(),
        json: json.as_ref(),
    };
    let played = tournament.play(&mut results, &mut out);
    // What is finished is kept, whatever ended it.
    if let Some(html) = &html {
        html.write(&report::html(&results)?)?;
    }
    let ending = played?;
    write!(out, "{}\n{}\n", report::claims(&results), report::counts(&results))?;
    out.flush()?;
    for failed in results.failed() {
        eprintln!("bench: {} {}: {}", failed.workload, failed.cell, failed.why);
    }
    Ok(ending.exit_code(&results))
}

/// How it came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Played,
    Interrupted,
}

impl Ending {
    fn exit_code(self, results: &Results) -> ExitCode {
        match self {
            Self::Interrupted => ExitCode::from(interrupt::EXIT_CODE),
            Self::Played if results.failed().next().is_some() => ExitCode::FAILURE,
            Self::Played => ExitCode::SUCCESS,
        }
    }
}

struct Tournament<'t> {
    cells: &'t [Cell],
    pairs: u32,
    interrupt: &'t Interrupt,
    progress: Progress,
    table: Table,
    stored: Option<&'t Stored>,
    json: Option<&'t Destination>,
}

impl Tournament<'_> {
    /// Runs all cells, or those before an interrupt; one that fails does not keep the others from
    /// running. Each is printed and written to the JSON file when it is done.
    fn play(&self, results: &mut Results, out: &mut dyn Write) -> Result<Ending, Failure> {
        let mut ending = Ending::Played;
        let mut workload = "";
        for (place, cell) in self.cells.iter().enumerate() {
            if cell.workload != workload {
                workload = cell.workload;
                self.progress.beside(|| write!(out, "{}", self.table.head(workload)))?;
            }
            self.progress.begin(place, self.cells.len(), cell.line());
            let (entry, line) =
                match cell.contest(self.pairs, self.interrupt, &|| self.progress.step()) {
                    Ok(outcome) => {
                        let line = self.table.row(&outcome, self.stored);
                        (Entry::Finished(outcome), line)
                    }
                    Err(Unfinished::Failed(why)) => {
                        let failed = Failed {
                            workload: cell.workload,
                            cell: cell.cell.clone(),
                            subject: cell.subject,
                            peer: cell.peer,
                            pairs: self.pairs,
                            why: why.to_string(),
                        };
                        let line = self.table.failed(&failed);
                        (Entry::Failed(failed), line)
                    }
                    Err(Unfinished::Interrupted) => {
                        ending = Ending::Interrupted;
                        break;
                    }
                };
            results.entries.push(entry);
            self.progress.done((place as u64 + 1) * runs(self.pairs));
            if let Some(json) = self.json {
                json.write(&report::json(results)?)?;
            }
            self.progress.beside(|| write!(out, "{line}").and_then(|()| out.flush()))?;
        }
        if let Some(json) = self.json {
            json.write(&report::json(results)?)?;
        }
        self.progress.end();
        Ok(ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Target;
    use crate::checksum::Digest;
    use crate::machine;
    use crate::run::{Handled, Run};
    use serde_json::Value;
    use std::cell::Cell as Counter;
    use std::rc::Rc;

    const ITEMS: u64 = 1_000;

    /// A run of 1000 items in batches of 10.
    pub(crate) fn run_of(ns: f64, hash: u64) -> Run {
        let handled = Handled { digest: Digest::of(ITEMS, hash), batches: ITEMS / 10 };
        Run::of_throughput(Duration::ZERO, handled).at(ns)
    }

    /// A cell whose runs take made-up times.
    fn cell(
        name: &str,
        subject_ns: f64,
        peer: impl Fn() -> Result<Run, Failure> + 'static,
    ) -> Cell {
        Cell {
            workload: "made-up",
            cell: name.to_owned(),
            subject: "tidegate",
            peer: "other",
            target: None,
            claim: None,
            unit: "ns",
            expected: Box::new(|| Digest::of(ITEMS, 7)),
            run_subject: Box::new(move || Ok(run_of(subject_ns, 7))),
            run_peer: Box::new(peer),
        }
    }

    struct Played {
        ending: Ending,
        results: Results,
        printed: String,
    }

    fn play(cells: &[Cell], interrupt: &Interrupt, json: Option<&Destination>) -> Played {
        let mut results = Results {
            machine: machine::tests::made_up(),
            command: Vec::new(),
            date: SystemTime::UNIX_EPOCH,
            entries: Vec::new(),
        };
        let mut printed = Vec::new();
        let tournament = Tournament {
            cells,
            pairs: 3,
            interrupt,
            progress: Progress::hidden(),
            table: Table::for_cells(cells),
            stored: None,
            json,
        };
        let ending = tournament.play(&mut results, &mut printed).expect("memory has room");
        Played { ending, results, printed: String::from_utf8(printed).expect("text") }
    }

    #[test]
    fn subject_and_peer_take_turns_and_the_first_pair_does_not_count() {
        let turns = Rc::new(Counter::new(0_u32));
        let noted = Rc::clone(&turns);
        // The warm-up takes 1000 times as long, which no quartile shows.
        let peer = move || {
            noted.set(noted.get() + 1);
            Ok(run_of(if noted.get() == 1 { 30_000.0 } else { 30.0 }, 7))
        };
        let played = play(&[cell("keys=1", 10.0, peer)], &Interrupt::default(), None);
        assert_eq!(turns.get(), 4);
        let outcome = played.results.finished().next().expect("it is finished");
        assert_eq!((outcome.ratio.lower, outcome.ratio.upper), (3.0, 3.0));
        assert_eq!((outcome.pairs, outcome.mean_batch), (3, 10.0));
        assert_eq!((outcome.subject_ns, outcome.peer_ns), (10.0, 30.0));
        assert_eq!(played.ending, Ending::Played);
    }

    #[test]
    fn a_line_says_faster_par_or_loss_and_whether_the_target_is_met() {
        let with = |target, cell: Cell| Cell { target: Some(target), ..cell };
        let cells = [
            with(Target::AtLeast(1.3), cell("keys=1", 10.0, || Ok(run_of(15.0, 7)))),
            with(Target::AtLeast(2.0), cell("keys=2", 10.0, || Ok(run_of(15.0, 7)))),
            cell("keys=3", 10.0, || Ok(run_of(10.0, 7))),
            cell("keys=4", 10.0, || Ok(run_of(5.0, 7))),
        ];
        let played = play(&cells, &Interrupt::default(), None);
        let lines: Vec<&str> = played.printed.lines().skip(2).collect();
        assert!(lines[0].contains("10.0 ns") && lines[0].contains("15.0 ns"), "{}", lines[0]);
        assert!(lines[0].ends_with("1.50 [1.50, 1.50]    faster  target >= 1.30: met"));
        assert!(lines[1].ends_with("faster  target >= 2.00: missed"));
        assert!(lines[2].ends_with("par"));
        assert!(lines[3].ends_with("0.50 [0.50, 0.50]    LOSS"));
        let counts = report::counts(&played.results);
        assert_eq!(counts, "2 faster, 1 on a par, 1 lost; targets: 1 met, 1 missed");
    }

    /// Runs a good cell, one whose peer does this, and another good one.
    fn between_good_ones(
        peer: impl Fn() -> Result<Run, Failure> + 'static,
    ) -> (Played, Vec<Value>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("results.json");
        let json = Destination::new(&path).expect("it can be written");
        let good = || cell("good=1", 10.0, || Ok(run_of(20.0, 7)));
        let cells = [good(), cell("bad=1", 10.0, peer), good()];
        let played = play(&cells, &Interrupt::default(), Some(&json));
        let text = std::fs::read_to_string(path).expect("it was written");
        (played, serde_json::from_str(&text).expect("it is JSON"))
    }

    #[test]
    fn a_wrong_checksum_fails_the_run_and_the_other_cells_are_kept() {
        let (played, json) = between_good_ones(|| Ok(run_of(20.0, 8)));
        assert_eq!(played.ending.exit_code(&played.results), ExitCode::FAILURE);
        assert_eq!(played.results.finished().count(), 2);
        let failed = played.results.failed().next().expect("it failed");
        assert!(failed.why.starts_with("other: the checksum is"), "{}", failed.why);
        assert!(played.printed.lines().nth(3).expect("a line").contains("FAILED: other: "));
        let right: Vec<bool> =
            json[1..].iter().map(|cell| cell["checksum_ok"].as_bool().expect("there")).collect();
        assert_eq!(right, [true, false, true]);
    }

    #[test]
    fn a_peer_that_cannot_run_panics_or_has_no_figure_fails_its_cell_alone() {
        let failing: [fn() -> Result<Run, Failure>; 4] = [
            || Err("it could not be built".into()),
            || panic!("out of luck {}", 13),
            || Ok(run_of(f64::NAN, 7)),
            || Ok(run_of(-1.0, 7)),
        ];
        for (peer, word) in failing.into_iter().zip(["built", "luck 13", "NaN", "-1"]) {
            let (played, json) = between_good_ones(peer);
            assert_eq!(played.ending.exit_code(&played.results), ExitCode::FAILURE);
            assert_eq!(played.results.finished().count(), 2);
            let error = json[2]["error"].as_str().expect("a reason");
            assert!(error.starts_with("other: ") && error.contains(word), "{error}");
        }
    }

    #[test]
    fn an_interrupt_keeps_the_finished_cells_and_drops_the_one_in_hand() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("results.json");
        let json = Destination::new(&path).expect("it can be written");
        let interrupt = Interrupt::default();
        let raised = interrupt.clone();
        let never = || -> Result<Run, Failure> { panic!("nothing runs after an interrupt") };
        let cells = [
            cell("keys=1", 10.0, || Ok(run_of(20.0, 7))),
            cell("keys=2", 10.0, move || {
                assert!(!raised.raise(), "nothing runs after an interrupt");
                Ok(run_of(20.0, 7))
            }),
            cell("keys=3", 10.0, never),
        ];
        let played = play(&cells, &interrupt, Some(&json));
        assert_eq!(played.ending, Ending::Interrupted);
        assert_eq!(played.ending.exit_code(&played.results), ExitCode::from(130));
        assert_eq!(played.printed.lines().count(), 3, "{}", played.printed);
        let text = std::fs::read_to_string(path).expect("it was written");
        let json: Vec<Value> = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(json.len(), 2);
        assert_eq!(json[1]["cell"], "keys=1");
    }

    #[test]
    fn an_interrupt_before_the_first_cell_leaves_a_file_with_the_machine_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("results.json");
        let json = Destination::new(&path).expect("it can be written");
        let interrupt = Interrupt::default();
        interrupt.raise();
        play(&[cell("keys=1", 1.0, || Ok(run_of(1.0, 7)))], &interrupt, Some(&json));
        let text = std::fs::read_to_string(path).expect("it was written");
        assert_eq!(serde_json::from_str::<Vec<Value>>(&text).expect("it is JSON").len(), 1);
    }

    #[test]
    fn a_figure_of_nothing_still_has_a_ratio() {
        let cells = [cell("rest=1", 0.0, || Ok(run_of(0.5, 7)))];
        let played = play(&cells, &Interrupt::default(), None);
        let outcome = played.results.finished().next().expect("it is finished");
        assert_eq!(outcome.ratio.median, 500.0);
    }
}
