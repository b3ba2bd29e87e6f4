//! Where shards run, and what they do there while idle.

use super::{Settings, many};
use crate::error::StartError;
use crate::idle::{Idle, IdleTimes};
use crate::limits;
use crate::machine::Machine;
use crate::misfit::{check, check_time};
use crate::pin::Shards;

/// The core of each shard, and why there is none where there is none.
pub(super) fn place_shards(
    settings: &Settings,
    machine: &Machine,
) -> Result<(Vec<Option<usize>>, Option<String>), StartError> {
    let cores = match &settings.shards {
        Shards::Count(count) => {
            check("shards", *count, &limits::SHARDS)?;
            if *count > machine.cores.len() {
                let reason = format!("{count} shards share {}", many(machine.cores.len(), "core"));
                return Ok((vec![None; *count], Some(reason)));
            }
            machine.cores.iter().rev().take(*count).copied().collect()
        }
        Shards::PerCore => machine.cores.clone(),
        Shards::Cores(cores) => {
            check("shards", cores.len(), &limits::SHARDS)?;
            for (at, &core) in cores.iter().enumerate() {
                if !machine.cores.contains(&core) {
                    return Err(StartError::NoSuchCore { core, allowed: machine.cores.clone() });
                }
                if cores[..at].contains(&core) {
                    return Err(StartError::CoreTwice { core });
                }
            }
            cores.clone()
        }
    };
    if settings.pin {
        Ok((cores.into_iter().map(Some).collect(), None))
    } else {
        Ok((vec![None; cores.len()], Some("pinning is switched off".to_owned())))
    }
}

pub(super) fn choose_idle(
    settings: &Settings,
    shards: usize,
    machine: &Machine,
) -> Result<(IdleTimes, String), StartError> {
    let (lanes, cores) = (settings.lanes, machine.cores.len());
    match settings.idle {
        Idle::Auto if shards + lanes <= cores => {
            let reason = format!(
                "{} and {} have a core each of {cores}",
                many(shards, "shard"),
                many(lanes, "producer")
            );
            Ok((IdleTimes::DEDICATED, reason))
        }
        Idle::Auto => {
            let (shards, lanes) = (many(shards, "shard"), many(lanes, "producer"));
            let reason = format!("{shards} and {lanes} share {}", many(cores, "core"));
            Ok((IdleTimes::SHARED, reason))
        }
        Idle::Times { spin, yielding } => {
            let spin = check_time("idle.spin", spin, &limits::IDLE)?;
            let yielding = check_time("idle.yielding", yielding, &limits::IDLE)?;
            Ok((IdleTimes { spin, yielding }, "as configured".to_owned()))
        }
    }
}
