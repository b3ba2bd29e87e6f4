//! What the machine allows this process: cores and memory.

use std::path::{Path, PathBuf};

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
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| total(&text));
    let limit = |path: PathBuf| read(&path)?.trim().parse().ok();
    let own = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = groups(&own).map(|group| group.join("memory.max")).chain([
        PathBuf::from("/sys/fs/cgroup/memory.max"),
        PathBuf::from("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ]);
    machine.into_iter().chain(limits.filter_map(limit)).min()
}

/// The folders of a process's control group (version 2) and all that are around it: each may limit.
fn groups(own: &str) -> impl Iterator<Item = PathBuf> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let groups: Vec<_> = Path::new(path).ancestors().map(Path::to_path_buf).collect();
    groups.into_iter().map(|group| Path::new("/sys/fs/cgroup").join(group))
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
    fn a_process_is_limited_by_its_control_group_and_all_around_it() {
        let folders: Vec<_> = groups("1:cpu:/x\n0::/user/app\n").collect();
        let paths = ["user/app", "user", ""].map(|group| Path::new("/sys/fs/cgroup").join(group));
        assert_eq!(folders, paths);
    }

    #[test]
    fn this_machine_has_a_core() {
        assert!(!Machine::here().cores.is_empty());
    }
}
