//! S-COV: two tasks are alike when their features vary together alike. Needs no labels and no
//! common samples.

use super::{Samples, centred, dot};

/// `⟨Σ_a, Σ_b⟩_F / (‖Σ_a‖_F ‖Σ_b‖_F)` of the covariances of the rows. In [0, 1], symmetric, the
/// same under a common rotation or any scale. 0 for an empty side, NaN where the rows of a side are
/// all equal.
///
/// Computed from inner products of rows, `⟨AᵀA, BᵀB⟩_F = ‖A Bᵀ‖²_F`: the matrices are never made.
pub fn covariance_alignment(a: &Samples, b: &Samples) -> f32 {
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let width = a.width;
    let (a, b) = (centred(&a.values, width), centred(&b.values, width));
    let product = |x: &[f32], y: &[f32]| -> f64 {
        let row = |x: &[f32]| -> f64 {
            y.chunks_exact(width).map(|y| f64::from(dot(x, y)).powi(2)).sum()
        };
        x.chunks_exact(width).map(row).sum()
    };
    (product(&a, &b) / (product(&a, &a).sqrt() * product(&b, &b).sqrt())) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::testing::task;

    fn rows(values: &[[f32; 2]]) -> Samples {
        let labels = vec![0; values.len()];
        Samples { values: values.concat(), width: 2, labels }
    }

    /// Σ_a ∝ diag(1, 0); Σ_b ∝ [[1, 1], [1, 1]]: 1/(1·2). Against diag(0, 1): 0.
    #[test]
    fn alignment_by_hand() {
        let a = rows(&[[1.0, 5.0], [-1.0, 5.0]]);
        let b = rows(&[[1.0, 1.0], [-1.0, -1.0], [0.0, 0.0]]);
        let c = rows(&[[0.0, 2.0], [0.0, 4.0]]);
        assert!((covariance_alignment(&a, &b) - 0.5).abs() < 1e-6);
        assert_eq!(covariance_alignment(&a, &c), 0.0);
        assert!((covariance_alignment(&b, &b) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn it_is_symmetric_label_free_and_scale_free() {
        let (a, b) = (task(1, 1, 60, 0.5), task(2, 2, 40, 0.5));
        assert_eq!(covariance_alignment(&a, &b), covariance_alignment(&b, &a));
        let mut other = a.clone();
        other.values.iter_mut().for_each(|x| *x = -4.0 * *x + 1.0);
        other.labels.fill(0);
        assert!((covariance_alignment(&a, &other) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn the_same_task_scores_higher_than_another() {
        let likeness = |a, b| covariance_alignment(&task(a, 1, 200, 0.3), &task(b, 2, 200, 0.3));
        assert!(likeness(1, 1) > 0.95);
        assert!(likeness(1, 2) < 0.6);
    }

    #[test]
    fn no_rows_are_like_nothing_and_equal_rows_vary_with_nothing() {
        let some = task(1, 1, 8, 0.5);
        assert_eq!(covariance_alignment(&some, &Samples { width: 20, ..Samples::default() }), 0.0);
        assert!(covariance_alignment(&some, &some.select(&[0])).is_nan());
    }
}
