//! Places a raw score on a scale that means the same for every estimator: 0 is what chance gives, 1
//! is how much a task is like itself.

use rand::Rng;

use super::Samples;

/// What a null destroys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Null {
    /// Which row has which label; for estimators that use labels.
    Labels,
    /// How columns go together; for those that do not.
    Columns,
}

/// A calibrated similarity.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    pub raw: f32,
    /// `(raw − lo)/(hi − lo)`, for comparing: clipped scores tie at 1.
    pub unclipped: f32,
    /// The estimator had no answer; `unclipped` is 0.
    pub undefined: bool,
}

impl Score {
    /// In [0, 1].
    pub fn clipped(&self) -> f32 {
        self.unclipped.clamp(0.0, 1.0)
    }
}

/// Repetitions of the null and of the split, of which the median is taken.
const REPEATS: usize = 5;
/// A task less like itself than this above the null cannot be told from chance.
const RANGE_MIN: f32 = 1e-6;

/// `s = (raw − lo)/(hi − lo)`: `raw = estimate(probe, reference)`; `lo` the median of the score
/// against the shuffled reference, so that the probe keeps its own geometry; `hi` the median
/// likeness of two disjoint halves of the probe, the second cut to as many samples as the reference
/// has, so that a small reference is not taken for an unlike one.
///
/// An empty side scores 0. Where raw, lo or hi is not finite, or hi is not above lo, the score is 0
/// and [`Score::undefined`].
pub fn calibrated(
    probe: &Samples,
    reference: &Samples,
    null: Null,
    rng: &mut impl Rng,
    mut estimate: impl FnMut(&Samples, &Samples) -> f32,
) -> Score {
    if probe.is_empty() || reference.is_empty() {
        return Score::default();
    }
    let raw = estimate(probe, reference);
    let lo = median((0..REPEATS).map(|_| {
        let shuffled = match null {
            Null::Labels => reference.with_shuffled_labels(rng),
            Null::Columns => reference.with_shuffled_columns(rng),
        };
        estimate(probe, &shuffled)
    }));
    let hi = median((0..REPEATS).map(|_| {
        let (first, second) = probe.halves(rng);
        let kept: Vec<usize> = (0..second.len().min(reference.len())).collect();
        estimate(&first, &second.select(&kept))
    }));
    let unclipped = (raw - lo) / (hi - lo);
    match unclipped.is_finite() && hi - lo > RANGE_MIN {
        true => Score { raw, unclipped, undefined: false },
        false => Score { raw, unclipped: 0.0, undefined: true },
    }
}

/// NaN if one of them is NaN.
fn median(values: impl Iterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.collect();
    if values.iter().any(|v| v.is_nan()) {
        return f32::NAN;
    }
    values.sort_by(f32::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::testing::{rng, task};
    use crate::similarity::{covariance_alignment, prototype_similarity};

    type Estimator = fn(&Samples, &Samples) -> f32;
    const BOTH: [(Null, Estimator); 2] =
        [(Null::Labels, prototype_similarity), (Null::Columns, covariance_alignment)];

    #[test]
    fn a_task_is_like_itself_and_not_like_its_shuffled_self() {
        for (null, estimate) in BOTH {
            let t = task(1, 1, 200, 0.5);
            let own = calibrated(&t, &t, null, &mut rng(1), estimate).clipped();
            assert!((0.9..=1.0).contains(&own), "{null:?}: {own}");
            let again = calibrated(&t, &task(1, 2, 200, 0.5), null, &mut rng(1), estimate);
            assert!((0.9..=1.0).contains(&again.clipped()), "{null:?}: {again:?}");
            // One shuffle is one draw from the null, half of which lie above its median.
            let shuffles = (0..9).map(|seed| {
                let shuffled = match null {
                    Null::Labels => t.with_shuffled_labels(&mut rng(50 + seed)),
                    Null::Columns => t.with_shuffled_columns(&mut rng(50 + seed)),
                };
                calibrated(&t, &shuffled, null, &mut rng(seed), estimate).clipped()
            });
            let found = median(shuffles);
            assert!(found <= 0.1, "{null:?}: {found}");
        }
    }

    #[test]
    fn a_small_reference_of_the_same_task_still_scores_high() {
        let (t, few) = (task(1, 1, 200, 1.5), task(1, 2, 20, 1.5));
        let raw = prototype_similarity(&t, &few);
        let score = calibrated(&t, &few, Null::Labels, &mut rng(1), prototype_similarity);
        assert!(raw < 0.8 && score.unclipped > 0.8, "raw {raw}, {score:?}");
    }

    #[test]
    fn an_empty_side_scores_nothing() {
        let (some, none) = (task(1, 1, 20, 0.5), Samples { width: 20, ..Samples::default() });
        for (null, estimate) in BOTH {
            for (a, b) in [(&some, &none), (&none, &some), (&none, &none)] {
                assert_eq!(calibrated(a, b, null, &mut rng(1), estimate), Score::default());
            }
        }
    }

    #[test]
    fn what_cannot_be_computed_is_zero_and_says_so() {
        let t = task(1, 1, 20, 0.5);
        let score = calibrated(&t, &t, Null::Labels, &mut rng(1), |_, _| f32::NAN);
        assert!(score.undefined && score.clipped() == 0.0 && score.raw.is_nan());
        // Constant: a task is no more like itself than like chance.
        let score = calibrated(&t, &t, Null::Labels, &mut rng(1), |_, _| 0.5);
        assert!(score.undefined && score.clipped() == 0.0);
    }

    /// raw 0.8 between null 0.2 and self 0.6: (0.8 − 0.2)/(0.6 − 0.2) = 1.5.
    #[test]
    fn the_scale_by_hand() {
        let t = task(1, 1, 20, 0.5);
        let mut calls = 0;
        let score = calibrated(&t, &t, Null::Labels, &mut rng(1), |_, _| {
            calls += 1;
            if calls == 1 {
                0.8
            } else if calls <= 6 {
                0.2
            } else {
                0.6
            }
        });
        assert!((score.unclipped - 1.5).abs() < 1e-6);
        assert_eq!((score.clipped(), calls), (1.0, 11));
    }
}
