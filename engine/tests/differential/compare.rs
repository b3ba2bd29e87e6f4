//! What must hold of a stream that went through an engine.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Failure, Sizing};

use crate::agent::brain::Style;
use crate::agent::instruction::Halt;
use crate::agent::place::{ByAgent, ByKey, Merging, Place};
use crate::agent::signal::CAUSED_MAX;
use crate::drive::{Driven, drive};
use crate::stream::{Places, Stream};
use crate::twin::{self, Came};

/// Sends a stream through batches of one and through its own sizing.
///
/// # Errors
///
/// What did not hold.
pub(crate) fn check(stream: &Stream) -> Result<(), String> {
    match stream.settings.places {
        Places::ByAgent => check_places::<ByAgent>(stream),
        Places::ByKey => check_places::<ByKey>(stream),
        Places::Merging => check_places::<Merging>(stream),
    }
}

fn check_places<P: Place>(stream: &Stream) -> Result<(), String> {
    let twin = twin::came::<P>(stream);
    for (sizing, shards) in [(Sizing::Single, 1), (stream.settings.sizing, stream.settings.shards)]
    {
        let driven = drive::<P>(stream, sizing, shards);
        let held = check_one::<P>(stream, &twin, &driven);
        held.map_err(|broken| format!("under {sizing} on {shards} shards: {broken}"))?;
    }
    Ok(())
}

fn check_one<P: Place>(stream: &Stream, twin: &Came, driven: &Driven) -> Result<(), String> {
    if let Some(broken) = &driven.broken {
        return Err(broken.clone());
    }
    let last = &driven.last;
    let sent = stream.sent().count() as u64;
    same("accepted and settled", &last.accepted, &(last.done + last.failed + last.dead))?;
    same("accepted and sent", &last.accepted, &(sent + last.follow_ups))?;
    same("left at the end", &(last.held, last.in_flight, last.open), &(0, 0, 0))?;
    let came = &driven.came;
    let answered: Vec<&u64> = came.answers.keys().collect();
    let called = stream.sent().filter(|sent| sent.call).map(|sent| &sent.serial);
    same("answered calls", &answered, &called.collect())?;
    for (serial, answer) in &came.answers {
        match answer {
            Ok(reply) if stream.settings.style != Style::All => {
                same("whose reply it is", &reply.serial, serial)?;
            }
            Err(Failure::WouldDeadlock | Failure::Stopped) => {
                return Err(format!("#{serial} has no answer: {answer:?}"));
            }
            _ => {}
        }
    }
    if stream.tells_effects() {
        let effects = came.effects.values().flatten();
        let done = effects.filter(|effect| effect.came.is_ok()).count() as u64;
        // What a bulk call has done before it crashed failed all the same.
        if stream.crashes_neighbours() {
            same("more done than by effects", &(came.done > done), &false)?;
        } else {
            same("done, by effects", &came.done, &done)?;
        }
    }
    if !stream.is_certain() {
        check_order(stream, came)?;
        if !stream.commutes() {
            return Ok(());
        }
    }
    same("states", &came.states, &twin.states)?;
    same(
        "done, failed, dead",
        &(came.done, came.failed, came.dead),
        &(twin.done, twin.failed, twin.dead),
    )?;
    let kinds = |came: &Came| {
        let kind = |(serial, answer): (&u64, &Result<_, _>)| (*serial, answer.is_ok());
        came.answers.iter().map(kind).collect::<BTreeMap<u64, bool>>()
    };
    same("answers", &kinds(came), &kinds(twin))?;
    if stream.is_certain() && stream.tells_effects() {
        same("effects", &came.effects, &twin.effects)?;
        same("answers", &came.answers, &twin.answers)?;
    }
    Ok(())
}

fn same<A: PartialEq + std::fmt::Debug>(what: &str, is: &A, should: &A) -> Result<(), String> {
    if is == should {
        return Ok(());
    }
    Err(format!("{what}:\n    is     {is:?}\n    should {should:?}"))
}

/// What holds of effects though some were refused or cut short: each signal is settled once, in its
/// turn, and after its cause.
fn check_order(stream: &Stream, came: &Came) -> Result<(), String> {
    if !stream.tells_effects() {
        return Ok(());
    }
    let roots: BTreeSet<u64> = stream.sent().map(|sent| sent.serial).collect();
    check_causes(&roots, came)?;
    for effects in came.effects.values() {
        let mut ended = BTreeSet::new();
        let mut last_root = 0;
        let mut again: Option<u64> = None;
        for effect in effects {
            let serial = effect.serial;
            let is_root = roots.contains(&serial);
            // What another key causes here goes before all that waits, also before what is tried again.
            let goes_before = stream.settings.abroad && !is_root;
            if let Some(again) = again.filter(|again| *again != serial && !goes_before) {
                if !stream.settings.ends_midway && !stream.crashes_neighbours() {
                    return Err(format!("#{serial} has overtaken #{again}, which is tried again"));
                }
                // The shutdown has cut its attempts, or it went with a neighbour: it must not come again.
                ended.insert(again);
            }
            if ended.contains(&serial) {
                return Err(format!("#{serial} was settled twice"));
            }
            if is_root {
                if serial < last_root {
                    return Err(format!("#{last_root} has overtaken #{serial}"));
                }
                last_root = serial;
            }
            let tried_again = matches!(effect.came, Err(Halt::Retry(_)))
                && effect.attempt < stream.settings.attempts;
            if !goes_before {
                again = tried_again.then_some(serial);
            }
            if !tried_again {
                ended.insert(serial);
            }
        }
    }
    Ok(())
}

/// What a signal causes is handled after it was done, wherever.
fn check_causes(roots: &BTreeSet<u64>, came: &Came) -> Result<(), String> {
    let mut done = BTreeSet::new();
    for (serial, is_done) in &came.attempts {
        if !roots.contains(serial) && !done.contains(&((serial - 1) / CAUSED_MAX)) {
            return Err(format!("#{serial} came before its cause"));
        }
        if *is_done {
            done.insert(*serial);
        }
    }
    Ok(())
}
