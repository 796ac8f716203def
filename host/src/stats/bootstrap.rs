//! Percentile bootstrap of a mean. For a paired comparison, apply it to the differences.

use rand::RngExt;

use super::mean;
use crate::rng;

/// Resamples per interval.
pub const DRAWS: usize = 10_000;

/// The resamples do not depend on any run's seed: the same values always give the same interval.
const SEED: u64 = 0;
const LOWER: f64 = 0.025;
const UPPER: f64 = 0.975;

/// 95 % percentile bootstrap interval of the mean (Efron 1979): the 2.5th and 97.5th percentile of
/// the means of [`DRAWS`] resamples with replacement. `None` for fewer than two values.
pub fn mean_interval(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let count = u32::try_from(values.len()).ok()?;
    let mut rng = rng::keyed(SEED, "bootstrap", &[]);
    let mut resample = vec![0.0; values.len()];
    let mut means = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        resample.fill_with(|| values[rng.random_range(0..count) as usize]);
        means.push(mean(&resample)?);
    }
    means.sort_by(f64::total_cmp);
    Some((percentile(&means, LOWER), percentile(&means, UPPER)))
}

/// Percentile of sorted values, linear between neighbours (numpy's default).
fn percentile(sorted: &[f64], fraction: f64) -> f64 {
    let position = fraction * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = position.ceil() as usize;
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

#[cfg(test)]
mod tests {
    use super::super::differences;
    use super::super::tests::{FIRST, SECOND, close};
    use super::*;

    #[test]
    fn percentiles_lie_between_neighbours() {
        // numpy.percentile([0, 10, 20], 2.5) = 0.5; position 0.05 of 0..2.
        close(percentile(&[0.0, 10.0, 20.0], 0.025), 0.5, 1e-12);
        close(percentile(&[0.0, 10.0, 20.0], 0.975), 19.5, 1e-12);
    }

    #[test]
    fn agrees_with_scipy() {
        // scipy.stats.bootstrap((a,), numpy.mean, n_resamples=1_000_000, method="percentile"):
        // 0.8924, 0.9188 for FIRST; 0.0372, 0.0670 for FIRST - SECOND. The tolerance is the
        // noise of 10,000 resamples, whose means lie on a grid of some 2e-4.
        let (low, high) = mean_interval(&FIRST).unwrap();
        close(low, 0.8924, 1e-3);
        close(high, 0.9188, 1e-3);
        let (low, high) = mean_interval(&differences(&FIRST, &SECOND)).unwrap();
        close(low, 0.0372, 1e-3);
        close(high, 0.0670, 1e-3);
    }

    #[test]
    fn the_same_values_give_the_same_interval() {
        assert_eq!(mean_interval(&FIRST), mean_interval(&FIRST));
        assert_eq!(mean_interval(&[0.5, 0.5, 0.5]), Some((0.5, 0.5)));
    }

    #[test]
    fn one_value_has_no_interval() {
        assert_eq!(mean_interval(&[0.5]), None);
        assert_eq!(mean_interval(&[]), None);
    }
}
