//! Chance for learners. A learner owns no generator: every call carries a seed, and a named stream is
//! made from it. So nothing about chance has to be saved, and a resumed run draws what it would have drawn.

use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

/// The generator that [`Call::rng`] returns.
pub type Rng = rand_chacha::ChaCha8Rng;

/// The seed of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    seed: u64,
}

impl Call {
    pub(crate) fn new(seed: u64) -> Self {
        Call { seed }
    }

    /// The random stream called `name` of this call. The same name gives the same stream again.
    pub fn rng(&self, name: &str) -> Rng {
        let mut hash = Sha256::new();
        hash.update(b"perdura/1/call");
        hash.update(self.seed.to_le_bytes());
        hash.update(name.as_bytes());
        Rng::from_seed(hash.finalize().into())
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }
}

type Reseed = Box<dyn Fn(u64) + Send + Sync>;

static RESEED: OnceLock<Reseed> = OnceLock::new();

/// Registers what re-seeds a tensor library with a generator of its own. It is called with the call seed
/// when a call begins. `perdura-nn` does this for burn; the first registration stays.
pub fn reseed_with(reseed: impl Fn(u64) + Send + Sync + 'static) {
    let _ = RESEED.set(Box::new(reseed));
}

/// Begins a call: whatever keeps a generator starts from `seed`.
pub(crate) fn begin_call(seed: u64) -> Call {
    if let Some(reseed) = RESEED.get() {
        reseed(seed);
    }
    Call::new(seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng as _;

    #[test]
    fn streams_differ_by_seed_and_name() {
        let first = |seed, name| Call::new(seed).rng(name).next_u64();
        assert_eq!(first(1, "init"), first(1, "init"));
        assert_ne!(first(1, "init"), first(2, "init"));
        assert_ne!(first(1, "init"), first(1, "update"));
    }
}
