//! Peers run where the engine's first shard would.

/// Binds the calling thread to the last core that this process may use, if the system lets it.
pub(crate) fn to_last_core() {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(last) = cores.into_iter().max_by_key(|core| core.id) {
        core_affinity::set_for_current(last);
    }
}
