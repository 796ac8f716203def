//! The statistics against scipy and statsmodels, on samples of the sizes and with the ties that
//! accuracies have. `tests/python/stats_reference.py` wrote the values.

use serde::Deserialize;

use super::tests::close;
use super::*;

#[derive(Deserialize)]
struct Reference {
    paired: Vec<Paired>,
    improvement: Vec<Improvement>,
    holm: Vec<Family>,
}

#[derive(Deserialize)]
struct Paired {
    differences: Vec<f64>,
    wilcoxon: f64,
    t: f64,
    bootstrap: (f64, f64),
    deviation: f64,
    /// By the noncentral t distribution.
    seeds: Option<usize>,
}

#[derive(Deserialize)]
struct Improvement {
    first: Vec<f64>,
    second: Vec<f64>,
    improvement: f64,
}

#[derive(Deserialize)]
struct Family {
    p: Vec<f64>,
    holm: Vec<f64>,
}

fn reference() -> Reference {
    let reference: Reference =
        serde_json::from_str(include_str!("expected/reference.json")).unwrap();
    assert_eq!((reference.paired.len(), reference.holm.len()), (31, 4));
    reference
}

#[test]
fn signed_ranks_agree_with_scipy() {
    for case in reference().paired {
        close(signed_rank(&case.differences).unwrap(), case.wilcoxon, 1e-12);
    }
}

#[test]
fn t_tests_agree_with_scipy() {
    for case in reference().paired {
        close(one_sample_t(&case.differences).unwrap(), case.t, 1e-12);
        close(standard_deviation(&case.differences).unwrap(), case.deviation, 1e-15);
    }
}

#[test]
fn intervals_agree_with_scipy() {
    for case in reference().paired {
        let (low, high) = mean_interval(&case.differences).unwrap();
        // The ends are quantiles of 10,000 draws: their own error is some hundredths of the
        // deviation of the mean. Means of values on a grid lie on a grid, too, and a quantile may
        // fall on the next place of it.
        let n = case.differences.len() as f64;
        let tolerance = 0.1 * case.deviation / n.sqrt() + grid(&case.differences) / n;
        close(low, case.bootstrap.0, tolerance);
        close(high, case.bootstrap.1, tolerance);
    }
}

/// The smallest distance between two values that differ.
fn grid(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let gaps = sorted.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 0.0);
    gaps.fold(f64::INFINITY, f64::min)
}

#[test]
fn needed_seeds_agree_with_statsmodels() {
    let mut checked = 0;
    for case in reference().paired {
        let Some(expected) = case.seeds else { continue };
        let Some(SeedsNeeded::About(found)) = seeds_needed(&case.differences, LEVEL) else {
            panic!("{:?}", case.differences)
        };
        // The approximation may be one or two off where very few are needed, and 2 % elsewhere.
        let most = 2.0_f64.max(0.02 * expected as f64);
        close(found as f64, expected as f64, most);
        checked += 1;
    }
    assert!(checked > 15, "{checked}");
}

#[test]
fn improvements_agree_with_scipy() {
    for case in reference().improvement {
        let found = probability_of_improvement(&case.first, &case.second).unwrap();
        close(found, case.improvement, 1e-15);
    }
}

#[test]
fn corrections_agree_with_statsmodels() {
    for case in reference().holm {
        for (found, expected) in holm(&case.p).into_iter().zip(case.holm) {
            close(found, expected, 1e-12);
        }
    }
}
