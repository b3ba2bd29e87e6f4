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
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that a person runs")]

#[path = "../../tests/agent/mod.rs"]
mod agent;
mod line;
mod options;

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::{BatchEvent, Engine, Item};

use agent::brain::Brain;
use agent::place::ByAgent;
use agent::router::Router;
use agent::signal::Signal;
use agent::world::Shared;
use options::Options;

/// What is known of the signals, for whoever reads along.
#[derive(Default)]
struct Names {
    /// Of each key's hash, its name.
    keys: HashMap<u64, String>,
    /// The signals, by the numbers of their lines.
    signals: Vec<(u64, String)>,
}

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)) {
        Err(what) => {
            eprintln!("{what}\n{}", options::USAGE);
            ExitCode::from(2)
        }
        Ok(options) => match run(&options) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Says whether every line was understood and every signal done.
fn run(options: &Options) -> Result<bool, Box<dyn std::error::Error>> {
    let (signals, mut fine) = match &options.file {
        Some(path) => read(BufReader::new(
            File::open(path).map_err(|error| format!("{}: {error}", path.display()))?,
        ))?,
        None => read(io::stdin().lock())?,
    };
    let world = Shared::default();
    let names = Arc::new(Mutex::new(Names::default()));
    let hasher = RandomState::new();
    let (handlers, known) = (world.clone(), Arc::clone(&names));
    let engine = Engine::builder(move |_shard| Brain::<ByAgent>::new(handlers.clone()))
        .hasher(hasher.clone())
        .sizing(options.sizing)
        // In step mode nobody makes room while signals are pushed.
        .lane_items(signals.len().max(8_192))
        .queues(true)
        .observer(move |event: &BatchEvent| show(event, &known))
        .start()?;
    if options.step {
        engine.pause_all()?;
    }
    let mut producer = engine.producer()?;
    for signal in signals {
        {
            let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
            let name = format!("{} {}", signal.kind, signal.params.get("path").unwrap_or("-"));
            names.signals.push((signal.serial, format!("{name} of {}", signal.agent)));
            names.keys.insert(hasher.hash_one(signal.key()), name);
        }
        producer.push(signal)?;
    }
    if options.step {
        while engine.step()? {
            for (home, state) in &world.look().states {
                println!("      agent {}: {state}", home.agent);
            }
        }
    }
    let last = engine.shutdown(Duration::from_secs(60))?;

    let (world, names) = (world.look(), names.lock().unwrap_or_else(PoisonError::into_inner));
    for (serial, name) in &names.signals {
        if let Some(Err(fault)) = world.came(*serial) {
            eprintln!("line {serial}: {name}: {fault}");
            fine = false;
        }
    }
    println!("{} signals done, {} failed, in {} batches", last.done, last.failed, last.batches);
    for (home, state) in &world.states {
        println!("agent {}: {state}", home.agent);
    }
    Ok(fine)
}

/// All signals; whether every line was understood. What was not is said at once.
fn read(input: impl BufRead) -> io::Result<(Vec<Signal<ByAgent>>, bool)> {
    let router = Router::standard();
    let (mut signals, mut fine) = (Vec::new(), true);
    for (number, text) in (1..).zip(input.lines()) {
        match line::parse(&text?) {
            Ok(Some(line)) => signals.push(line.signal(number, &router)),
            Ok(None) => {}
            Err(line::Bad { column, what }) => {
                eprintln!("line {number}, column {column}: {what}");
                fine = false;
            }
        }
    }
    Ok((signals, fine))
}

/// A line for each batch.
fn show(event: &BatchEvent, names: &Mutex<Names>) {
    let names = names.lock().unwrap_or_else(PoisonError::into_inner);
    let key = names.keys.get(&event.key_hash).map_or("?", String::as_str);
    let failed = match event.failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    println!("batch {:>4}  {:<9} {key}{failed}", event.items, event.trigger);
}
