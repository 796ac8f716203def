//! Random streams by key. A key is (run seed, purpose, indices), never a plugin: two learners that
//! ask for the same thing get the same chance. Nothing has to be saved, because a stream can be
//! made again.

use rand_chacha::rand_core::{Rng as _, SeedableRng};
use sha2::{Digest, Sha256};

/// The generator behind every stream of the host.
pub type Rng = rand_chacha::ChaCha8Rng;

/// The stream of `(seed, purpose, indices)`.
pub fn keyed(seed: u64, purpose: &str, indices: &[u64]) -> Rng {
    Rng::from_seed(digest(seed, purpose, indices))
}

/// Seed handed to a learner with its `index`-th call of this purpose.
pub fn call_seed(seed: u64, purpose: &str, index: u64) -> u64 {
    let digest = digest(seed, purpose, &[index]);
    u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

/// A number below `bound`, each equally likely (Lemire 2019, "Fast Random Integer Generation in an
/// Interval").
///
/// Written here, not taken from a library, so that no update of one can move a published result.
pub fn below(rng: &mut Rng, bound: u64) -> u64 {
    assert!(bound > 0, "there is no number below 0");
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        let low = product as u64;
        if low >= bound || low >= bound.wrapping_neg() % bound {
            return (product >> 64) as u64;
        }
    }
}

/// A number drawn uniformly from `[0, 1)`, with 53 bits.
pub fn unit(rng: &mut Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// A number between two bounds, drawn uniformly.
pub fn between(rng: &mut Rng, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * unit(rng)
}

/// Puts the items into an order drawn uniformly (Fisher-Yates).
pub fn shuffle<T>(rng: &mut Rng, items: &mut [T]) {
    shuffle_front(rng, items, items.len());
}

/// Fills the first `count` places with a draw without replacement, in random order.
pub fn shuffle_front<T>(rng: &mut Rng, items: &mut [T], count: usize) {
    let length = items.len();
    for place in 0..count.min(length.saturating_sub(1)) {
        let other = place + below(rng, (length - place) as u64) as usize;
        items.swap(place, other);
    }
}

fn digest(seed: u64, purpose: &str, indices: &[u64]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"perdura/1");
    hash.update(seed.to_le_bytes());
    hash.update((purpose.len() as u64).to_le_bytes());
    hash.update(purpose.as_bytes());
    for index in indices {
        hash.update(index.to_le_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_separate_streams() {
        let first = |seed, purpose, indices: &[u64]| keyed(seed, purpose, indices).next_u64();
        assert_eq!(first(1, "a", &[1, 2]), first(1, "a", &[1, 2]));
        let keys = [
            first(1, "a", &[1, 2]),
            first(2, "a", &[1, 2]),
            first(1, "b", &[1, 2]),
            first(1, "a", &[2, 1]),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert!(keys[i + 1..].iter().all(|b| a != b));
        }
        assert_ne!(call_seed(1, "observe", 0), call_seed(1, "observe", 1));
    }

    #[test]
    fn below_reaches_every_number_equally_often() {
        let mut rng = keyed(0, "below", &[]);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[below(&mut rng, 7) as usize] += 1;
        }
        // Expected 10,000 with standard deviation 93.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 450), "{counts:?}");
        assert_eq!(below(&mut rng, 1), 0);
    }

    #[test]
    fn units_are_spread_evenly_below_one() {
        let mut rng = keyed(0, "unit", &[]);
        let values: Vec<f64> = (0..10_000).map(|_| unit(&mut rng)).collect();
        assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
        for tenth in 0..10 {
            let bounds = f64::from(tenth) / 10.0..f64::from(tenth + 1) / 10.0;
            let count = values.iter().filter(|value| bounds.contains(value)).count();
            // Expected 1,000 with standard deviation 30.
            assert!(count.abs_diff(1_000) < 150, "{count}");
        }
    }

    #[test]
    fn between_spreads_evenly_over_its_range() {
        let mut rng = keyed(0, "between", &[]);
        let mut counts = [0u32; 8];
        for _ in 0..80_000 {
            let number = between(&mut rng, [-2.0, 6.0]);
            counts[(number + 2.0).floor() as usize] += 1;
        }
        // Expected 10,000 with standard deviation 94.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 450), "{counts:?}");
        assert_eq!(between(&mut rng, [1.5, 1.5]), 1.5);
    }

    #[test]
    fn shuffles_are_permutations_and_all_occur() {
        let mut rng = keyed(0, "shuffle", &[]);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..6_000 {
            let mut items = [0, 1, 2];
            shuffle(&mut rng, &mut items);
            *counts.entry(items).or_insert(0u32) += 1;
        }
        // Six orders, 1,000 each expected with standard deviation 29.
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|&count| count.abs_diff(1_000) < 150), "{counts:?}");
    }
}
