//! Judges or records what the gates counted. `scripts/gates` calls it.
//!
//! ```text
//! gates check  RECORDS TOOLCHAIN SUMMARY [DISASSEMBLY]
//! gates record RECORDS TOOLCHAIN SUMMARY [DISASSEMBLY]
//! ```
//!
//! RECORDS is the file of recorded figures, TOOLCHAIN what the counts belong to, SUMMARY what gungraun
//! printed, DISASSEMBLY what objdump says of the program that was counted; without it no fences are counted.
//! Answers 0 if all gates are open, 1 if some are not, 2 if there is no answer.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use gates::{
    Basis, Counted, Figure, Figures, Finding, ITEMS, Listing, Profile, Records, Toolchain, Verdict,
    counted, judge,
};

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let answer = match &arguments[..] {
        [task, records, toolchain, rest @ ..] => run(task, records, toolchain, rest),
        _ => Err("usage: gates check|record RECORDS TOOLCHAIN SUMMARY [DISASSEMBLY]".into()),
    };
    match answer {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Where even that fails there is nobody to tell.
            let _ = writeln!(io::stderr(), "gates: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether all gates are open.
fn run(task: &str, path: &str, toolchain: &str, files: &[String]) -> Result<bool, Failure> {
    let toolchain: Toolchain = toolchain.parse()?;
    let mut records: Records = read(path)?.parse().map_err(|error| format!("{path}: {error}"))?;
    let found = match files {
        [summary] => figures(&counted(&read(summary)?)?, None)?,
        [summary, disassembly] => {
            let listing = Listing::of_x86_64(&read(disassembly)?);
            if listing.fences() == 0 {
                return Err(
                    format!("{disassembly} has no fence at all: not what objdump writes?").into()
                );
            }
            figures(&counted(&read(summary)?)?, Some(&listing))?
        }
        _ => return Err("a summary is needed, and may be followed by a disassembly".into()),
    };
    match task {
        "record" => record(&mut records, &toolchain, found, path),
        "check" => check(&records, &toolchain, found),
        other => Err(format!("check or record, not {other}").into()),
    }
}

fn read(path: &str) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}").into())
}

/// What one item costs at each gate.
fn figures(gates: &[Counted], listing: Option<&Listing>) -> Result<Figures, Failure> {
    let each = |gate: &Counted| {
        let path = &gate.profile;
        let wrong = |error: &dyn Error| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
        let profile = Profile::read(&text, &gate.program).map_err(|error| wrong(&error))?;
        let all = gate.instructions;
        if profile.instructions() != all {
            let sum = profile.instructions();
            return Err(format!("{} comes to {sum} instructions, not {all}", path.display()).into());
        }
        let per_item = |count: u64| count as f64 / ITEMS as f64;
        let fences = listing.map(|listing| per_item(profile.fences(listing)));
        Ok((gate.gate.clone(), Figure { instructions: per_item(all), fences }))
    };
    gates.iter().map(each).collect()
}

/// A push must come without a fence, and no record may say otherwise.
fn must_not_fence(gate: &str) -> bool {
    gate.starts_with("producers ") || gate.starts_with("rings push")
}

/// Whether this process, and so those that were counted here, can push without a fence at all.
fn can_push_without_fence() -> bool {
    drop(ringbuf::ring::<u8>(1));
    ringbuf::pushes_without_fence()
}

fn record(
    records: &mut Records,
    toolchain: &Toolchain,
    found: Figures,
    path: &str,
) -> Result<bool, Failure> {
    if !can_push_without_fence() {
        return Err(
            "this system has no membarrier(2) for us, so pushes have a fence here that they have \
                    not elsewhere: record on another one"
                .into(),
        );
    }
    if let Some((gate, fences)) = fenced(&found).next() {
        return Err(
            format!("{gate}: {fences:.3} fences an item are not to be recorded away").into()
        );
    }
    let old = records.of(toolchain).cloned().unwrap_or_default();
    let findings = judge(&old, &found, Basis::Own);
    let count = found.len();
    records.set(toolchain, found);
    fs::write(path, records.to_string()).map_err(|error| format!("{path}: {error}"))?;
    show(&findings)?;
    writeln!(io::stdout(), "\n{path}: recorded {count} gates for {toolchain}")?;
    Ok(true)
}

fn check(records: &Records, toolchain: &Toolchain, mut found: Figures) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    let (mut basis, recorded) = match records.of(toolchain) {
        Some(own) => (Basis::Own, own),
        None => match records.nearest(toolchain) {
            Some((nearest, its)) => {
                writeln!(out, "There is no record for {toolchain}.")?;
                writeln!(out, "The nearest is that of {nearest}: up to 25 % more pass.")?;
                writeln!(out, "To have one: scripts/gates --record, and commit the file.\n")?;
                (Basis::Other, its)
            }
            None => {
                writeln!(out, "There is no record for {toolchain}, nor one to compare with.")?;
                writeln!(out, "To have one: scripts/gates --record, and commit the file.")?;
                drop(out);
                return Ok(none_fenced(&found)?);
            }
        },
    };
    if !can_push_without_fence() {
        writeln!(
            out,
            "This system has no membarrier(2) for us: pushes have a fence, and no fences are"
        )?;
        writeln!(out, "judged; up to 25 % more instructions pass.\n")?;
        basis = Basis::Other;
        found.values_mut().for_each(|figure| figure.fences = None);
    }
    drop(out);
    let mut findings = judge(recorded, &found, basis);
    for finding in findings.iter_mut().filter(|finding| must_not_fence(&finding.gate)) {
        let fences = finding.found.and_then(|found| found.fences);
        if fences.is_some_and(|fences| fences > 0.0) {
            finding.verdict = Verdict::Fenced;
        }
    }
    show(&findings)?;
    let shut = findings.iter().filter(|finding| finding.verdict.fails()).count();
    let better = findings.iter().filter(|finding| finding.verdict == Verdict::Better).count();
    let mut out = io::stdout().lock();
    if shut > 0 {
        let percent = (basis.at_most() - 1.0) * 100.0;
        let all = findings.len();
        writeln!(
            out,
            "\n{shut} of {all} gates failed: they have no figure, or are more than {percent:.0} %"
        )?;
        writeln!(
            out,
            "above it. If that is meant, run scripts/gates --record, and commit the file that it"
        )?;
        writeln!(out, "changes, with the reason.")?;
    } else {
        writeln!(out, "\nall {} gates passed", findings.len())?;
    }
    if better > 0 {
        writeln!(
            out,
            "{better} are better by more than 3 %; to keep them so: scripts/gates --record"
        )?;
    }
    Ok(shut == 0)
}

/// What can be said without a record: where there must not be a fence, is there none?
fn none_fenced(found: &Figures) -> io::Result<bool> {
    let mut none = true;
    for (gate, fences) in fenced(found).filter(|_| can_push_without_fence()) {
        writeln!(io::stdout(), "{gate}: {fences:.3} fences an item, and there must be none")?;
        none = false;
    }
    Ok(none)
}

/// The gates with fences where there must be none, and how many those are.
fn fenced(found: &Figures) -> impl Iterator<Item = (&String, f64)> {
    let fences = |(gate, figure): (_, &Figure)| Some((gate, figure.fences?));
    let fenced = found.iter().filter_map(fences);
    fenced.filter(|(gate, fences)| must_not_fence(gate) && *fences > 0.0)
}

fn show(findings: &[Finding]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<42} {:>10} {:>10} {:>9} {:>8}",
        "per item", "recorded", "found", "", "fences"
    )?;
    findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))
}
