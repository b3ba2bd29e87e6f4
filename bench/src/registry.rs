//! All workloads.

use crate::cell::Cell;

/// A workload's name, as in its command and its cells, and its cells in the order to run.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) cells: fn() -> Vec<Cell>,
}

/// In the order in which `all` runs them.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload { name: "ring", cells: crate::ring::cells },
    Workload { name: "group", cells: crate::group::cells },
    Workload { name: "wheel", cells: crate::wheel::cells },
    Workload { name: "engine", cells: crate::engine::cells },
    Workload { name: "entities", cells: crate::entities::cells },
    Workload { name: "formation", cells: crate::formation::cells },
    Workload { name: "claims", cells: crate::claims::cells },
    Workload { name: "load", cells: crate::load::cells },
];

/// Their names.
pub(crate) fn names() -> Vec<&'static str> {
    WORKLOADS.iter().map(|workload| workload.name).collect()
}

/// The cells of the workloads that are named.
pub(crate) fn cells(names: &[&str]) -> Vec<Cell> {
    WORKLOADS
        .iter()
        .filter(|workload| names.contains(&workload.name))
        .flat_map(|workload| (workload.cells)())
        .collect()
}
