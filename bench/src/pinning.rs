//! Peers run where the engine's shards would.

use core_affinity::CoreId;

/// The cores that this process may use, the last one first, as the engine takes them for its shards.
fn cores() -> Vec<CoreId> {
    let mut cores = core_affinity::get_core_ids().unwrap_or_default();
    cores.sort_unstable_by_key(|core| std::cmp::Reverse(core.id));
    cores
}

/// Binds the calling thread to the last core that this process may use, if the system lets it.
pub(crate) fn to_last_core() {
    to_core_of_shard(0, 1);
}

/// Binds the calling thread to the core that the engine would give to that one of so many shards, if
/// there are enough cores for all and the system lets it.
pub(crate) fn to_core_of_shard(shard: usize, shards: usize) {
    let cores = cores();
    if let Some(&core) = cores.get(shard)
        && shards <= cores.len()
    {
        core_affinity::set_for_current(core);
    }
}

/// Binds the calling thread, a producer, to the first core, if no shard is there and the system lets
/// it; where shards are on all cores, it may run on any.
pub(crate) fn to_core_of_producers(shards: usize) {
    let cores = cores();
    if shards < cores.len()
        && let Some(&first) = cores.last()
    {
        core_affinity::set_for_current(first);
    }
}

/// Does `work` on a thread of its own, on the last core; fails with what it panicked with.
pub(crate) fn on_last_core<R: Send>(work: impl FnOnce() -> R + Send) -> std::thread::Result<R> {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            to_last_core();
            work()
        });
        worker.join()
    })
}
