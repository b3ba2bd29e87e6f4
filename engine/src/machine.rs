//! What the machine allows this process: cores and memory.

/// The cores and the memory that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    /// The cores that this process may use, ascending; at least one.
    pub(crate) cores: Vec<usize>,
    /// Bytes of memory: the machine's, or the process's limit where that is lower; `None` where it
    /// can't be known.
    pub(crate) memory: Option<u64>,
}

impl Machine {
    /// This machine.
    pub(crate) fn here() -> Self {
        let mut cores: Vec<usize> = core_affinity::get_core_ids()
            .unwrap_or_default()
            .into_iter()
            .map(|core| core.id)
            .collect();
        cores.sort_unstable();
        if cores.is_empty() {
            cores.push(0);
        }
        Self { cores, memory: memory() }
    }
}

/// Linux tells its memory, and a container's limit, in files; elsewhere nothing is assumed.
fn memory() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let limit = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok());
    machine.into_iter().chain(limit).min()
}

/// `MemTotal` in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_memory_is_read_in_bytes() {
        assert_eq!(total("MemTotal:       24602396 kB\nMemFree: 1 kB\n"), Some(24_602_396 * 1_024));
        assert_eq!(total("nothing of the kind"), None);
    }

    #[test]
    fn this_machine_has_a_core() {
        assert!(!Machine::here().cores.is_empty());
    }
}
