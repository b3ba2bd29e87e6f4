//! The `name=value` pairs of a workload's cells: what all have in common is said once.

use std::collections::HashSet;

/// The pairs that all of `cells` have; none, if there is but one situation to be told from others.
pub(super) fn shared<'c>(cells: impl IntoIterator<Item = &'c str>) -> Vec<&'c str> {
    let cells: HashSet<&str> = cells.into_iter().collect();
    if cells.len() < 2 {
        return Vec::new();
    }
    let mut all = cells.iter();
    let first: Vec<&str> = all.next().map(|cell| cell.split(' ').collect()).unwrap_or_default();
    all.fold(first, |shared, cell| {
        let pairs: HashSet<&str> = cell.split(' ').collect();
        shared.into_iter().filter(|pair| pairs.contains(pair)).collect()
    })
}

/// What is left of a cell without those pairs.
pub(super) fn rest(cell: &str, shared: &[&str]) -> String {
    let rest: Vec<&str> = cell.split(' ').filter(|pair| !shared.contains(pair)).collect();
    if rest.is_empty() { "no more than that".to_owned() } else { rest.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_cells_have_is_said_once_and_the_rest_tells_them_apart() {
        let cells = ["keys=8 item=32 shards=1", "keys=1000 item=32 shards=1", "item=32 shards=1"];
        let shared = shared(cells);
        assert_eq!(shared, ["item=32", "shards=1"]);
        let rests = cells.map(|cell| rest(cell, &shared));
        assert_eq!(rests, ["keys=8", "keys=1000", "no more than that"]);
    }

    #[test]
    fn a_situation_without_another_keeps_its_pairs() {
        assert!(shared(["keys=8 item=32", "keys=8 item=32"]).is_empty());
        assert!(shared([]).is_empty());
        assert_eq!(rest("keys=8 item=32", &[]), "keys=8 item=32");
    }
}
