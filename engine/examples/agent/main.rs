//! An agent on the command line: signals in, state out, and the batches in between to be seen.
//!
//! ```text
//! cargo run -p tidegate-engine --example agent -- [--sizing single|fixed:N|tiers] [--step] [FILE]
//!
//! agent.set 7 lamp.on=1 lamp.colour="warm white"      one signal a line: its type, whom it is for,
//! agent.add 7 visits=1                                and what goes where
//! agent.delete 7 lamp.colour
//! {"type": "agent.update", "id": 7, "values": {"lamp": {"on": 0}}}       or as JSON
//! {"type": "agent.reset", "id": 7, "paths": ["lamp"]}
//! ```
//!
//! Types are `agent.set`, `agent.update` (merges), `agent.delete`, `agent.reset` and `agent.add`; empty
//! lines and those that begin with `#` are passed over. A signal takes effect whole or not at all, and one
//! agent's signals are handled in their order. Signals of one type for the same places are handled together,
//! whomever they are for. With `--step` they are handled one by one, and after each the state is printed.
//!
//! Lines are acted on as they come: those that lie ready together, as a file's do, are pushed together, so that
//! they meet in batches; what somebody types goes line by line.

#[path = "../../tests/agent/mod.rs"]
mod agent;
mod line;
mod options;
mod speech;

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Read};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::{BatchEvent, Engine, EngineProducer, Item};

use agent::brain::Brain;
use agent::instruction::{Fault, Halt};
use agent::place::ByAgent;
use agent::signal::Signal;
use agent::world::{Shared, World};
use options::{Asked, HELP, Options, USAGE};
use speech::{complain, say};

/// What is known of the signals, for whoever reads along.
#[derive(Default)]
struct Names {
    /// Of each key's hash, its name.
    keys: HashMap<u64, String>,
    /// Of those that were not handled yet, by the numbers of their lines.
    signals: HashMap<u64, String>,
    /// One has failed.
    failed: bool,
}

/// Bytes of input that may be pushed together: a lane has room for as many signals.
const TOGETHER: usize = 32 * 1_024;

fn main() -> ExitCode {
    match Options::parse(std::env::args_os().skip(1)) {
        Err(what) => {
            complain(format_args!("{what}\n{USAGE}"));
            ExitCode::from(2)
        }
        Ok(Asked::Help) => {
            say(format_args!("{USAGE}\n\n{HELP}"));
            ExitCode::SUCCESS
        }
        Ok(Asked::Run(options)) => match run(&options) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                complain(format_args!("{error}"));
                ExitCode::FAILURE
            }
        },
    }
}

/// Says whether every line was understood and every signal done.
fn run(options: &Options) -> Result<bool, Box<dyn std::error::Error>> {
    let name = options.file.as_ref().map_or("standard input".into(), |path| path.to_string_lossy());
    let unreadable = |error: io::Error| format!("{name}: {error}");
    let input: Box<dyn Read> = match &options.file {
        Some(path) => Box::new(File::open(path).map_err(unreadable)?),
        None => Box::new(io::stdin()),
    };
    let mut input = BufReader::with_capacity(TOGETHER, input);
    let world = Shared::default();
    let names = Arc::new(Mutex::new(Names::default()));
    let hasher = RandomState::new();
    let (handlers, seen, known) = (world.clone(), world.clone(), Arc::clone(&names));
    let engine = Engine::builder(move |_shard| Brain::<ByAgent>::new(handlers.clone()))
        .hasher(hasher.clone())
        .sizing(options.sizing)
        .queues(true)
        .observer(move |event: &BatchEvent| show(event, &seen, &known))
        .start()?;
    if options.step {
        engine.pause_all()?;
    }
    let mut producer = engine.producer()?;
    let (mut understood, mut number) = (true, 0);
    while let Some(signals) = read(&mut input, &mut number, &mut understood).map_err(unreadable)? {
        push(&mut producer, signals, &hasher, &names)?;
        while options.step && engine.step()? {
            for (home, state) in &world.look().states {
                say(format_args!("      agent {}: {state}", home.agent));
            }
        }
    }
    let last = engine.shutdown(Duration::from_secs(60))?;

    say(format_args!(
        "{} signals done, {} failed, in {} batches",
        last.done, last.failed, last.batches
    ));
    for (home, state) in &world.look().states {
        say(format_args!("agent {}: {state}", home.agent));
    }
    let failed = names.lock().unwrap_or_else(PoisonError::into_inner).failed;
    Ok(understood && !failed)
}

/// The signals of the next line, and of those that lie ready behind it; none at the end. What is not understood
/// is said at once.
fn read(
    input: &mut BufReader<impl Read>,
    number: &mut u64,
    understood: &mut bool,
) -> io::Result<Option<Vec<Signal<ByAgent>>>> {
    let (mut signals, mut text) = (Vec::new(), Vec::new());
    loop {
        text.clear();
        if input.read_until(b'\n', &mut text)? == 0 {
            return Ok(None);
        }
        *number += 1;
        // A byte order mark.
        let text = match *number {
            1 => text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text),
            _ => &text,
        };
        match line::parse(text) {
            Ok(Some(line)) => signals.push(line.signal(*number)),
            Ok(None) => {}
            Err(line::Bad { column, what }) => {
                complain(format_args!("line {number}, column {column}: {what}"));
                *understood = false;
            }
        }
        if !input.buffer().contains(&b'\n') {
            return Ok(Some(signals));
        }
    }
}

/// Pushes signals together, once it is known what they are called.
fn push(
    producer: &mut EngineProducer<Brain<ByAgent>, RandomState>,
    signals: Vec<Signal<ByAgent>>,
    hasher: &RandomState,
    names: &Mutex<Names>,
) -> Result<(), Box<dyn std::error::Error>> {
    {
        let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
        for signal in &signals {
            let name = format!("{} {}", signal.kind, signal.params.get("path").unwrap_or("-"));
            names.signals.insert(signal.serial, format!("{name} of {}", signal.agent));
            names.keys.insert(hasher.hash_one(signal.key()), name);
        }
    }
    producer.push_run(&mut signals.into_iter()).map_err(|refused| refused.cause.to_string())?;
    Ok(())
}

/// A line for each batch, and one for each of its signals that failed.
fn show(event: &BatchEvent, world: &Shared, names: &Mutex<Names>) {
    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
    let key = names.keys.get(&event.key_hash).map_or("?", String::as_str);
    let failed = match event.failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    say(format_args!("batch {:>4}  {:<9} {key}{failed}", event.items, event.trigger));
    for (serial, fault) in came(&mut world.look()) {
        let name = names.signals.remove(&serial).unwrap_or_default();
        if let Some(fault) = fault {
            complain(format_args!("line {serial}: {name}: {fault}"));
            names.failed = true;
        }
    }
}

/// What came of the signals that were handled since this was asked the last time, in the order of their lines.
fn came(world: &mut World) -> Vec<(u64, Option<Fault>)> {
    world.calls.clear();
    let effects = std::mem::take(&mut world.effects);
    let fault = |came| match came {
        Ok(()) => None,
        Err(Halt::Failed(fault) | Halt::Retry(fault)) => Some(fault),
        Err(Halt::Crash) => Some(Fault::Undone),
    };
    let came = effects.into_values().flatten().map(|effect| (effect.serial, fault(effect.came)));
    let mut came: Vec<_> = came.collect();
    came.sort_unstable_by_key(|(serial, _)| *serial);
    came
}
