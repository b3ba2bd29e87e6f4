//! The handler.

use std::marker::PhantomData;

use engine::{Batch, Failure, FollowUps, Handler, Settled, Verdict, Verdicts};

use super::instruction::{Fault, Halt, run};
use super::place::Place;
use super::signal::Signal;
use super::tree::Tree;
use super::world::{Effect, Reply, Shared};

/// How a brain settles its batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    /// Signal by signal.
    #[default]
    Each,
    /// All at once, each with its verdict; from the first that is to be tried again on, none.
    Bulk,
    /// All or none, and undone where one fails.
    All,
}

/// Handles signals. Everything that lasts is in the world.
#[derive(Debug)]
pub(crate) struct Brain<P> {
    world: Shared,
    style: Style,
    place: PhantomData<P>,
}

impl<P: Place> Brain<P> {
    pub(crate) fn new(world: Shared) -> Self {
        Self::with_style(world, Style::Each)
    }

    pub(crate) fn with_style(world: Shared, style: Style) -> Self {
        Self { world, style, place: PhantomData }
    }
}

/// What [`Handler::Reply`] and [`Handler::Error`] are here, for whoever waits.
pub(crate) type Answer = Result<Reply, Failure<Fault>>;

impl<P: Place> Handler for Brain<P> {
    type Item = Signal<P>;
    type Reply = Reply;
    type Error = Fault;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let name = |at: usize| (batch.items()[at].serial, batch.attempt(at));
        let attempts: Vec<(u64, u32)> = (0..batch.len()).map(name).collect();
        self.world.look().calls.push(attempts.iter().map(|(serial, _)| *serial).collect());
        let attempt = |signal: &Signal<P>| {
            let of = attempts.iter().find(|(serial, _)| *serial == signal.serial);
            of.map_or(1, |(_, attempt)| *attempt)
        };
        match self.style {
            Style::Each => batch.settle_each_with(|signal, follow_ups| {
                self.decide(signal, attempt(signal), Some(follow_ups))
            }),
            Style::Bulk => batch.settle_bulk(|_, signals, verdicts: &mut Verdicts<_, _>| {
                for (at, signal) in signals.iter().enumerate() {
                    let verdict = self.decide(signal, attempt(signal), None);
                    let again = matches!(verdict, Verdict::Retry(_));
                    verdicts.set(at, verdict);
                    if again {
                        break;
                    }
                }
            }),
            Style::All => batch.settle_all(|_, signals| self.decide_all(signals)),
        }
    }
}

impl<P: Place> Brain<P> {
    fn decide(
        &self,
        signal: &Signal<P>,
        attempt: u32,
        mut follow_ups: Option<&mut FollowUps<'_, Signal<P>>>,
    ) -> Verdict<Reply, Fault> {
        let home = signal.home();
        let (mut state, initial) = {
            let mut world = self.world.look();
            let tries = world.tries.entry(signal.serial).or_default();
            *tries += 1;
            if *tries != attempt {
                world.miscounted.push((signal.serial, attempt));
            }
            (world.state(&home), world.initial.clone())
        };
        let came = match signal.action {
            None => Err(Halt::Failed(Fault::UnknownSignal(signal.kind.clone()))),
            Some(_) => {
                let mut enqueue = |nth, directive: &_| match &mut follow_ups {
                    Some(follow_ups) => follow_ups
                        .emit(signal.caused(nth, directive))
                        .map_err(|refused| format!("{refused:?}")),
                    None => Err("NotSetUp(..)".to_owned()),
                };
                run(&signal.script, &mut state, &initial, attempt, &mut enqueue)
            }
        };
        let mut world = self.world.look();
        let effect = Effect { serial: signal.serial, attempt, came: came.clone() };
        world.effects.entry(home.clone()).or_default().push(effect);
        world.attempts.push((signal.serial, came.is_ok()));
        let came = came.map(|()| {
            world.states.insert(home, state.clone());
            Reply { serial: signal.serial, attempt, state }
        });
        if let Some(outcomes) = &mut world.outcomes {
            outcomes.insert(signal.serial, came.clone());
        }
        match came {
            Ok(reply) => Verdict::Done(reply),
            Err(Halt::Failed(fault)) => Verdict::Failed(fault),
            Err(Halt::Retry(fault)) => Verdict::Retry(fault),
            Err(Halt::Crash) => {
                drop(world);
                // Without the panic hook: it is meant.
                std::panic::resume_unwind(Box::new("a signal that crashes its handler"))
            }
        }
    }

    /// All signals on copies of the states, which count if none fails.
    fn decide_all(&self, signals: &[Signal<P>]) -> Result<Reply, Fault> {
        let mut changed = self.world.look().states.clone();
        let initial = self.world.look().initial.clone();
        let mut last = Tree::default();
        for signal in signals {
            let state = changed.entry(signal.home()).or_insert_with(|| initial.clone());
            let mut enqueue = |_, _: &_| Err("NotSetUp(..)".to_owned());
            let came = match signal.action {
                None => Err(Halt::Failed(Fault::UnknownSignal(signal.kind.clone()))),
                Some(_) => run(&signal.script, state, &initial, 1, &mut enqueue),
            };
            match came {
                Ok(()) => last = state.clone(),
                Err(Halt::Failed(fault) | Halt::Retry(fault)) => return Err(fault),
                Err(Halt::Crash) => {
                    std::panic::resume_unwind(Box::new("a signal that crashes its handler"))
                }
            }
        }
        let mut world = self.world.look();
        world.states = changed;
        for signal in signals {
            let effect = Effect { serial: signal.serial, attempt: 1, came: Ok(()) };
            world.effects.entry(signal.home()).or_default().push(effect);
        }
        Ok(Reply { serial: 0, attempt: 1, state: last })
    }
}
