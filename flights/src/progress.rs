//! What is shown on stderr while the job runs.

use std::io::{IsTerminal, Write, stderr};
use std::path::Path;
use std::time::{Duration, Instant};

use engine::Snapshot;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::change::Order;
use crate::figures::{counted, grouped};
use crate::flight::Flight;

/// A bar on a terminal, a few lines elsewhere, nothing if it shall be quiet.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: Shown,
    /// The word for an item.
    noun: &'static str,
}

#[derive(Debug)]
enum Shown {
    Nothing,
    Lines { total: u64, next_percent: u64, since: Option<Instant> },
    Bar { bar: ProgressBar, since: Option<Instant> },
}

impl Progress {
    /// For stderr as it is.
    pub(crate) fn new(quiet: bool) -> Self {
        let shown = match (quiet, stderr().is_terminal()) {
            (true, _) => Shown::Nothing,
            (false, false) => Shown::Lines { total: 0, next_percent: 25, since: None },
            (false, true) => {
                let bar =
                    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
                bar.set_style(
                    ProgressStyle::with_template("{spinner} {msg}").expect("it is valid"),
                );
                bar.enable_steady_tick(Duration::from_millis(100));
                Shown::Bar { bar, since: None }
            }
        };
        Self { shown, noun: "row" }
    }

    /// Says what is being done.
    pub(crate) fn say(&mut self, what: &str) {
        match &self.shown {
            Shown::Nothing => {}
            Shown::Lines { .. } => line(what),
            Shown::Bar { bar, .. } => bar.set_message(what.to_owned()),
        }
    }

    /// Writes a line that matters, also where no progress is shown.
    pub(crate) fn note(&self, text: &str) {
        match &self.shown {
            Shown::Bar { bar, .. } => bar.suspend(|| line(text)),
            Shown::Nothing | Shown::Lines { .. } => line(text),
        }
    }

    /// The storing of `flights` begins, which are more items than they are rows, in some orders.
    pub(crate) fn begin(&mut self, flights: &[Flight], order: Order, db: &Path) {
        let (rows, items) = (flights.len() as u64, order.items(flights));
        self.noun = order.noun();
        let what = format!("storing {} into {}", counted(rows, "row"), db.display());
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Lines { total, since, .. } => {
                *total = items;
                *since = Some(Instant::now());
                line(&what);
            }
            Shown::Bar { bar, since } => {
                bar.println(what);
                bar.set_length(items);
                let style = ProgressStyle::with_template("{bar:32} {percent:>3} %  {msg}");
                bar.set_style(style.expect("it is valid").progress_chars("█▉▊▋▌▍▎▏ "));
                *since = Some(Instant::now());
            }
        }
    }

    /// So far it has come.
    pub(crate) fn look(&mut self, snapshot: &Snapshot) {
        let settled = snapshot.settled();
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Lines { total, next_percent, since } => {
                let percent = settled * 100 / (*total).max(1);
                if percent >= *next_percent && settled < *total {
                    line(&format!("{percent} %: {}", state(snapshot, *since, self.noun)));
                    *next_percent = (percent / 25 + 1) * 25;
                }
            }
            Shown::Bar { bar, since } => {
                bar.set_position(settled);
                bar.set_message(state(snapshot, *since, self.noun));
            }
        }
    }

    /// The storing is over; what follows has no known length.
    pub(crate) fn stored(&mut self) {
        if let Shown::Bar { bar, .. } = &self.shown {
            bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("it is valid"));
            bar.set_message("");
        }
    }

    /// Nothing more is shown.
    pub(crate) fn end(&mut self) {
        if let Shown::Bar { bar, .. } = &self.shown {
            bar.finish_and_clear();
        }
        self.shown = Shown::Nothing;
    }
}

/// How far it is, how fast, and what is being collected.
fn state(snapshot: &Snapshot, since: Option<Instant>, noun: &str) -> String {
    let settled = snapshot.settled();
    let seconds = since.map_or(0.0, |since| since.elapsed().as_secs_f64());
    let rate = if seconds > 0.0 { settled as f64 / seconds } else { 0.0 };
    let open = match snapshot.open_batches {
        1 => "1 open batch".to_owned(),
        more => format!("{} open batches", grouped(more)),
    };
    format!("{}, {} {noun}s/s, {open}", counted(settled, noun), grouped(rate as u64))
}

/// A line that can't be written is not worth failing for.
fn line(text: &str) {
    let _ = writeln!(stderr().lock(), "{text}");
}
