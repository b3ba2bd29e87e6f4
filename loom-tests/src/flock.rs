//! All canaries at work: each weakened site against the models that pass through it, each model
//! in a process of its own, as many at a time as there are cores.

#![allow(clippy::print_stdout, reason = "this is a program; its output is its result")]

use loom_tests::{Site, models, sites};
use ringbuf::canary::{WEAKENED, passed};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The least and the most time that one model may take against one canary. A weakened model that
/// has found nothing when its time is up has not caught it.
const TIME_LEAST: Duration = Duration::from_secs(5);
const TIME_MOST: Duration = Duration::from_secs(60);

/// What a model that does not hold prints before the first panic's message.
const PANICKED: &str = "panicked: ";

/// What a panic of loom's says that has run out of what it was given, which is no finding.
const OUT_OF_BOUNDS: &[&str] = &["exceeded", "max_branches", "max_threads", "MAX_THREADS"];

/// The signal of a panic while another unwinds.
const ABORTED: i32 = 6;

pub(crate) fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ringbuf/src");
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["model", name] => explore(name),
        ["list"] => list(&source),
        [] => all(&source),
        _ => {
            eprintln!("usage: canaries | canaries list | canaries model NAME");
            ExitCode::from(2)
        }
    }
}

fn explore(name: &str) -> ExitCode {
    let Some(model) = models().into_iter().find(|model| model.name == name) else {
        eprintln!("no model is called {name}");
        return ExitCode::from(2);
    };
    let first = AtomicBool::new(true);
    std::panic::set_hook(Box::new(move |panic| {
        // The first says what went wrong; whatever is torn down after it may panic too.
        if first.swap(false, Ordering::Relaxed) {
            let payload = panic.payload();
            let what = payload.downcast_ref::<String>().map(String::as_str);
            let what = what.or_else(|| payload.downcast_ref::<&str>().copied());
            let what = what.unwrap_or("a panic without words");
            println!("{PANICKED}{}", what.trim().lines().next().unwrap_or_default());
        }
    }));
    let held = std::panic::catch_unwind(model.run).is_ok();
    for canary in passed() {
        println!("{canary}");
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn found(source: &Path) -> Vec<Site> {
    sites(source).unwrap_or_else(|error| panic!("{}: {error}", source.display()))
}

fn list(source: &Path) -> ExitCode {
    for site in found(source) {
        println!("{}  {}", site.canary, site.name);
    }
    ExitCode::SUCCESS
}

/// What one exploration in a process of its own came to.
struct Explored {
    ended: Ended,
    passed: BTreeSet<String>,
    took: Duration,
}

enum Ended {
    Held,
    /// It does not hold: what the first panic said.
    Failed(String),
    /// Neither: out of time, out of branches, or dead without a word.
    Unclear(String),
}

impl Ended {
    fn of(status: ExitStatus, in_time: bool, said: Option<&str>) -> Self {
        if !in_time {
            return Self::Unclear("out of time".to_owned());
        }
        if status.success() {
            return Self::Held;
        }
        let panicked = status.code() == Some(1) || status.signal() == Some(ABORTED);
        match said {
            Some(what) if OUT_OF_BOUNDS.iter().any(|words| what.contains(words)) => {
                Self::Unclear(what.to_owned())
            }
            Some(what) if panicked => Self::Failed(what.to_owned()),
            _ => Self::Unclear(status.to_string()),
        }
    }
}

fn explore_apart(name: &str, weakened: Option<&str>, most: Duration) -> Explored {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.args(["model", name]).stdin(Stdio::null()).stderr(Stdio::null());
    command.stdout(Stdio::piped()).env_remove(WEAKENED);
    if let Some(canary) = weakened {
        command.env(WEAKENED, canary);
    }
    let started = Instant::now();
    let mut child = command.spawn().expect("this program can be started again");
    let mut in_time = true;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if in_time && started.elapsed() > most {
            in_time = false;
            child.kill().expect("a child can be ended");
        }
        std::thread::park_timeout(Duration::from_millis(2));
    };
    let mut output = String::new();
    let mut pipe = child.stdout.take().expect("it is piped");
    pipe.read_to_string(&mut output).expect("it prints text");
    let said = output.lines().find_map(|line| line.strip_prefix(PANICKED));
    Explored {
        ended: Ended::of(status, in_time, said),
        passed: output.lines().map(str::to_owned).collect(),
        took: started.elapsed(),
    }
}

/// Calls `work` for each of `jobs`, on as many threads as there are cores; answers in order.
fn for_each<J: Sync, R: Send>(jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(i) else {
                        return;
                    };
                    let answer = work(job);
                    answers.lock().expect("no job panics with the lock held").insert(i, answer);
                }
            });
        }
    });
    answers.into_inner().expect("no job panics with the lock held").into_values().collect()
}

/// The table of sites that no model can catch, each with the argument why it stands all the same:
/// name, a colon, and the argument; lines that begin with blanks go on.
fn explained() -> BTreeMap<String, String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("explained.txt");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut table = BTreeMap::new();
    let mut last = None;
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if line.starts_with(' ') {
            let name = last.clone().expect("the first line names a site");
            let argument: &mut String = table.entry(name).or_default();
            argument.push(' ');
            argument.push_str(line.trim());
        } else {
            let (name, argument) = line.split_once(": ").expect("a line is NAME: ARGUMENT");
            table.insert(name.to_owned(), argument.to_owned());
            last = Some(name.to_owned());
        }
    }
    table
}

enum Verdict {
    Caught { by: &'static str, took: Duration, what: String },
    Missed { tried: usize, unclear: Vec<String> },
}

/// As much of a message as fits on a line.
fn brief(message: &str) -> String {
    message.chars().take(90).collect()
}

fn all(source: &Path) -> ExitCode {
    let started = Instant::now();
    let (sites, models, explained) = (found(source), models(), explained());
    let mut wrong = 0;

    let plain = for_each(&models, |model| explore_apart(model.name, None, TIME_MOST));
    for (model, explored) in models.iter().zip(&plain) {
        if let Ended::Failed(what) | Ended::Unclear(what) = &explored.ended {
            println!("MODEL FAILS  {}, with nothing weakened: {what}", model.name);
            wrong += 1;
        }
    }
    let known: BTreeSet<_> = sites.iter().map(|site| site.canary.to_string()).collect();
    for passed in plain.iter().flat_map(|explored| &explored.passed).collect::<BTreeSet<_>>() {
        if passed.starts_with(PANICKED) {
            continue;
        }
        if !known.contains(passed) {
            println!("NOT FOUND    {passed}: a model passes it, and reading the source missed it");
            wrong += 1;
        }
    }

    let verdicts = for_each(&sites, |site| {
        let canary = site.canary.to_string();
        let mut candidates: Vec<_> =
            models.iter().zip(&plain).filter(|(_, plain)| plain.passed.contains(&canary)).collect();
        candidates.sort_by_key(|(_, plain)| plain.took);
        let (mut tried, mut unclear) = (0, Vec::new());
        for (model, plain) in candidates {
            tried += 1;
            let most = (plain.took * 10).clamp(TIME_LEAST, TIME_MOST);
            let explored = explore_apart(model.name, Some(&canary), most);
            match explored.ended {
                Ended::Failed(what) => {
                    return Verdict::Caught { by: model.name, took: explored.took, what };
                }
                Ended::Unclear(what) => unclear.push(format!("{}: {what}", model.name)),
                Ended::Held => {}
            }
        }
        Verdict::Missed { tried, unclear }
    });

    let (mut caught, mut excused) = (0, 0);
    for (site, verdict) in sites.iter().zip(&verdicts) {
        let reason = explained.get(&site.name);
        match (verdict, reason) {
            (Verdict::Caught { by, took, what }, None) => {
                caught += 1;
                let took = took.as_secs_f64();
                println!("caught       {}  by {by} ({took:.1} s): {}", site.name, brief(what));
            }
            (Verdict::Missed { .. }, Some(reason)) => {
                excused += 1;
                println!("explained    {}  {reason}", site.name);
            }
            (Verdict::Caught { by, .. }, Some(_)) => {
                caught += 1;
                wrong += 1;
                println!("CAUGHT, BUT EXPLAINED  {}  by {by}: take the explanation out", site.name);
            }
            (Verdict::Missed { tried, unclear }, None) => {
                wrong += 1;
                println!("MISSED       {} ({}; {tried} models pass it)", site.name, site.canary);
                for what in unclear {
                    println!("             no verdict by {}", brief(what));
                }
            }
        }
    }
    for name in explained.keys() {
        if !sites.iter().any(|site| site.name == *name) {
            println!("NO SUCH SITE {name}: take the explanation out");
            wrong += 1;
        }
    }
    println!("{:.0} s", started.elapsed().as_secs_f64());
    println!("canaries {}, caught {caught}, explained {excused}", sites.len());
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
