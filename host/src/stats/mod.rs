//! Statistics over seeds: pure functions of a few numbers, one number per seed. What they are
//! applied to is decided in `compare`. Every function answers `None` where its formula is
//! undefined.
//!
//! The expected values in the tests come from scipy 1.17.1, numpy 2.4.6 and statsmodels 0.15.0
//! (`pip install scipy==1.17.1 numpy==2.4.6 statsmodels==0.15.0`); the call stands beside each
//! value, or in `tests/python/stats_reference.py`, which wrote `expected/reference.json`.

mod bootstrap;
mod describe;
mod groups;
mod holm;
mod improvement;
mod power;
mod student;
mod wilcoxon;

pub use bootstrap::{DRAWS, mean_interval};
pub use describe::{Spread, mean, standard_deviation};
pub use groups::groups;
pub use holm::holm;
pub use improvement::probability_of_improvement;
pub use power::{POWER, SEEDS_MAX, SeedsNeeded, seeds_needed};
pub use student::one_sample_t;
pub use wilcoxon::{signed_rank, signed_rank_floor};

/// Corrected p-values below this separate two methods.
pub const LEVEL: f64 = 0.05;

/// First of two paired samples minus the second.
///
/// # Panics
/// If the lengths differ: pairs are made by the caller.
pub fn differences(first: &[f64], second: &[f64]) -> Vec<f64> {
    assert_eq!(first.len(), second.len(), "paired samples have equal length");
    first.iter().zip(second).map(|(a, b)| a - b).collect()
}

#[cfg(test)]
mod reference;

#[cfg(test)]
pub(crate) mod tests {
    /// Accuracies of two methods over five seeds, the running example of these tests.
    pub const FIRST: [f64; 5] = [0.91, 0.885, 0.902, 0.93, 0.897];
    pub const SECOND: [f64; 5] = [0.84, 0.862, 0.855, 0.871, 0.829];

    pub fn close(value: f64, expected: f64, tolerance: f64) {
        assert!((value - expected).abs() <= tolerance, "{value} is not {expected}");
    }

    #[test]
    fn differences_are_first_minus_second() {
        let differences = super::differences(&[1.0, 0.5], &[0.25, 1.0]);
        assert_eq!(differences, [0.75, -0.5]);
    }
}
