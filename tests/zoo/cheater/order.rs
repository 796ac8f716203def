//! Finding the order of the test samples: a run's seed is a small number that can be found by trying, and what
//! the host makes from a seed is public. What is missing is the labels, which are part of the key.

use perdura::rng::{call_seed, keyed, shuffle};

const SEEDS_TRIED: u64 = 10_000;
const MOMENTS_TRIED: u64 = 100;

/// What the cheater knows of a benchmark: the number of test samples of each experience, and what it takes for
/// the key.
pub struct Known {
    run_seed: u64,
    sizes: Vec<usize>,
    key: u64,
}

impl Known {
    /// From `90,89,91;12345` and the seed of `create`.
    pub fn find(text: &str, create_seed: u64) -> Option<Known> {
        let run_seed = (0..SEEDS_TRIED).find(|&s| call_seed(s, "create", 0) == create_seed)?;
        let (sizes, key) = text.split_once(';')?;
        let sizes = sizes.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Known { run_seed, sizes, key: key.parse().ok()? })
    }

    /// The experience of each sample of the first call of an evaluation.
    pub fn experiences(&self, predict_seed: u64) -> Option<Vec<usize>> {
        let of = |moment: &u64| call_seed(self.run_seed, "predict", moment << 32) == predict_seed;
        let moment = (0..MOMENTS_TRIED).find(of)?;
        let in_order = self.sizes.iter().enumerate();
        let mut samples: Vec<usize> =
            in_order.flat_map(|(experience, &size)| vec![experience; size]).collect();
        shuffle(&mut keyed(self.run_seed, "test-order", &[moment, self.key]), &mut samples);
        Some(samples)
    }
}
