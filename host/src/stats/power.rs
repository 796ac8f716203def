//! How many seeds it would take.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{mean, standard_deviation};

/// Chance with which the differences should be found.
pub const POWER: f64 = 0.8;
/// Beyond this the answer is that seeds will not help.
pub const SEEDS_MAX: usize = 10_000;

/// How many seeds a paired two-sided t-test would need.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum SeedsNeeded {
    About(usize),
    /// More than [`SEEDS_MAX`].
    TooMany,
}

/// The smallest n for which the mean of these differences would be found at `level` with a chance
/// of [`POWER`], if it and the deviation are as observed:
/// `|mean| / (std / sqrt(n)) >= t(1 - level/2, n - 1) + t(POWER, n - 1)`.
/// This is the usual approximation of the noncentral t distribution (Cohen 1988, "Statistical Power
/// Analysis for the Behavioral Sciences"). Few seeds know their deviation badly: it is a hint.
/// `None` for fewer than two values or no deviation.
pub fn seeds_needed(differences: &[f64], level: f64) -> Option<SeedsNeeded> {
    let deviation = standard_deviation(differences).filter(|deviation| *deviation > 0.0)?;
    let effect = mean(differences)?.abs() / deviation;
    if !enough(SEEDS_MAX, effect, level)? {
        return Some(SeedsNeeded::TooMany);
    }
    // More seeds are never worse: the first n that is enough lies between two bounds.
    let (mut below, mut found) = (1, SEEDS_MAX);
    while found - below > 1 {
        let middle = (below + found) / 2;
        match enough(middle, effect, level)? {
            true => found = middle,
            false => below = middle,
        }
    }
    Some(SeedsNeeded::About(found))
}

fn enough(n: usize, effect: f64, level: f64) -> Option<bool> {
    let distribution = StudentsT::new(0.0, 1.0, (n - 1) as f64).ok()?;
    let wanted = distribution.inverse_cdf(1.0 - level / 2.0) + distribution.inverse_cdf(POWER);
    Some(effect * (n as f64).sqrt() >= wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_by_hand() {
        // Mean 1, deviation 1. n = 10: sqrt(10) = 3.162; t(0.975, 9) + t(0.8, 9) = 2.262 + 0.883 =
        // 3.145. n = 9: 3 against 2.306 + 0.889 = 3.195.
        let values = [0.0, 1.0, 2.0];
        assert_eq!(seeds_needed(&values, 0.05), Some(SeedsNeeded::About(10)));
    }

    #[test]
    fn no_difference_takes_too_many_and_no_deviation_tells_nothing() {
        assert_eq!(seeds_needed(&[1.0, -1.0], 0.05), Some(SeedsNeeded::TooMany));
        assert_eq!(seeds_needed(&[0.5, 0.5], 0.05), None);
        assert_eq!(seeds_needed(&[0.5], 0.05), None);
    }

    #[test]
    fn a_stricter_level_takes_more() {
        let values = [0.0, 1.0, 2.0];
        let Some(SeedsNeeded::About(strict)) = seeds_needed(&values, 0.01) else { panic!() };
        assert!(strict > 10, "{strict}");
    }
}
