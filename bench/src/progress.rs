//! The bar on standard error: how many runs are done, which cell is in hand, how long it will take.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar, where standard error is a terminal; otherwise nothing.
///
/// It is drawn between the runs only: a thread that draws would be measured along.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// `runs` are to come, the warm-ups too.
    pub(crate) fn new(runs: u64) -> Self {
        // Where standard error is no terminal nothing is drawn.
        let bar = ProgressBar::with_draw_target(Some(runs), ProgressDrawTarget::stderr());
        bar.set_style(style());
        Self(bar)
    }

    /// Nothing, whatever standard error is.
    #[cfg(test)]
    pub(crate) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// The cell in hand is the one at `place`, counted from 0, of `cells`.
    pub(crate) fn begin(&self, place: usize, cells: usize, line: String) {
        self.0.set_prefix(format!("cell {} of {cells}", place + 1));
        self.0.set_message(line);
        self.0.tick();
    }

    /// One run more is done.
    pub(crate) fn step(&self) {
        self.0.inc(1);
    }

    /// So many runs are done, or will not take place.
    pub(crate) fn done(&self, runs: u64) {
        self.0.set_position(runs);
    }

    /// Prints something, with the bar out of the way.
    pub(crate) fn beside<R>(&self, print: impl FnOnce() -> R) -> R {
        self.0.suspend(print)
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:24} {prefix}, {eta} left: {wide_msg}")
        .expect("the template is a constant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_counts_runs_also_those_that_will_not_take_place() {
        let progress = Progress(ProgressBar::hidden().with_style(style()));
        progress.0.set_length(48);
        progress.begin(0, 2, "ring item=8".to_owned());
        progress.step();
        assert_eq!(progress.0.position(), 1);
        assert_eq!(progress.0.prefix(), "cell 1 of 2");
        progress.done(24);
        assert_eq!(progress.0.position(), 24);
        assert_eq!(progress.beside(|| 7), 7);
        progress.end();
    }
}
