//! Random streams by key. A key is (run seed, purpose, indices), never a plugin: two learners that ask for
//! the same thing get the same chance. Nothing has to be saved, because a stream can be made again.

use rand_chacha::rand_core::SeedableRng;
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
    use rand::Rng as _;

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
}
