//! Skewed keys: the first is drawn twice as often as the second, three times as often as the third, ….

use std::sync::{Arc, Mutex, PoisonError};

use crate::noise::part;

/// Which table it is: keys, draws and seed.
type Which = (u32, u32, u64);

/// Tables that were asked for before: the same ones serve every contender.
static MADE: Mutex<Vec<(Which, Arc<[u32]>)>> = Mutex::new(Vec::new());

/// So many draws from Zipf's distribution with exponent 1 over the keys from 0 to `keys` less one;
/// always the same for the same arguments, and made once.
pub(crate) fn draws(keys: u32, draws: u32, seed: u64) -> Arc<[u32]> {
    let which = (keys, draws, seed);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, table)) = made.iter().find(|(other, _)| *other == which) {
        return Arc::clone(table);
    }
    let table: Arc<[u32]> = make(keys, draws, seed).into();
    made.push((which, Arc::clone(&table)));
    table
}

/// By the inverse of the cumulated distribution.
fn make(keys: u32, draws: u32, seed: u64) -> Vec<u32> {
    let mut below = 0.0;
    let cumulated: Vec<f64> = (1..=keys)
        .map(|rank| {
            below += 1.0 / f64::from(rank);
            below
        })
        .collect();
    let mut state = seed;
    let mut draw = || {
        // 53 bits in [0, 1) of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
        // number generators", 2014).
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        let at = part(bits) * below;
        (cumulated.partition_point(|sum| *sum <= at) as u32).min(keys - 1)
    };
    (0..draws).map(|_| draw()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_drawn_in_proportion_to_one_over_its_rank() {
        let table = draws(10, 100_000, 7);
        let mut drawn = [0_u32; 10];
        table.iter().for_each(|key| drawn[*key as usize] += 1);
        let harmonic: f64 = (1..=10).map(|rank| 1.0 / f64::from(rank)).sum();
        for (rank, drawn) in (1_u32..).zip(drawn) {
            let expected = 100_000.0 / harmonic / f64::from(rank);
            assert!((f64::from(drawn) / expected - 1.0).abs() < 0.05, "{rank}: {drawn}");
        }
    }

    #[test]
    fn a_table_is_made_once() {
        assert!(Arc::ptr_eq(&draws(9, 1_000, 1), &draws(9, 1_000, 1)));
    }
}
