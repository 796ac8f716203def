//! What training one experience does to the others.

use super::{AccuracyMatrix, mean};

/// `(1/(T-1)) sum_{j<T} (R[T][j] - R[j][j])`: negative where later training hurt. Undefined for one
/// experience.
/// Source: Lopez-Paz and Ranzato 2017, "Gradient Episodic Memory", BWT.
pub fn backward_transfer(matrix: &AccuracyMatrix) -> Option<f64> {
    let last = matrix.experiences().checked_sub(1)?;
    mean((0..last).map(|tested| Some(matrix.after(last, tested)? - matrix.after(tested, tested)?)))
}

/// `(1/(T-1)) sum_{j>=2} (R[j-1][j] - b[j])`: what earlier training gave to an experience before
/// its own. Undefined for one experience.
/// Source: Lopez-Paz and Ranzato 2017, "Gradient Episodic Memory", FWT.
pub fn forward_transfer(matrix: &AccuracyMatrix) -> Option<f64> {
    let tested = 1..matrix.experiences();
    mean(tested.map(|tested| Some(matrix.after(tested - 1, tested)? - matrix.before(tested)?)))
}

/// `(1/(T-1)) sum_{j<T} (max_i R[i][j] - R[T][j])`, the maximum over all rows, so that it is at
/// least 0. Undefined for one experience, and where an accuracy on j from its own training on is
/// missing; earlier ones may be.
/// Source: Mammoth and CLS-ER, `utils/metrics.py`, after Chaudhry et al. 2018, "Riemannian Walk".
pub fn forgetting_from_peak(matrix: &AccuracyMatrix) -> Option<f64> {
    let last = matrix.experiences().checked_sub(1)?;
    mean((0..last).map(|tested| Some(peak(matrix, tested)? - matrix.after(last, tested)?)))
}

fn peak(matrix: &AccuracyMatrix, tested: usize) -> Option<f64> {
    let mut peak = f64::NEG_INFINITY;
    for trained in 0..matrix.experiences() {
        match matrix.after(trained, tested) {
            Some(accuracy) => peak = peak.max(accuracy),
            None if trained < tested => {}
            None => return None,
        }
    }
    Some(peak)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::matrix::fixtures;

    #[test]
    fn transfers_are_as_worked_out_by_hand() {
        let matrix = fixtures::three();
        // ((0.5 - 1) + (1 - 0.875)) / 2.
        assert_eq!(backward_transfer(&matrix), Some(-0.1875));
        // ((0.5 - 0.25) + (0.5 - 0.375)) / 2.
        assert_eq!(forward_transfer(&matrix), Some(0.1875));
        // ((1 - 0.5) + (1 - 1)) / 2.
        assert_eq!(forgetting_from_peak(&matrix), Some(0.25));
    }

    #[test]
    fn a_peak_before_its_own_training_counts() {
        let mut matrix = fixtures::three();
        matrix.rows[2][1] = Some(0.75);
        matrix.rows[0][1] = Some(1.0);
        // ((1 - 0.5) + (1 - 0.75)) / 2.
        assert_eq!(forgetting_from_peak(&matrix), Some(0.375));
        matrix.rows[0][1] = None;
        // ((1 - 0.5) + (0.875 - 0.75)) / 2.
        assert_eq!(forgetting_from_peak(&matrix), Some(0.3125));
        matrix.rows[1][1] = None;
        assert_eq!(forgetting_from_peak(&matrix), None);
    }

    #[test]
    fn transfers_are_undefined_for_one_experience_a_union_or_an_unfinished_stream() {
        let unfinished = fixtures::unfinished();
        let none = AccuracyMatrix::default();
        for matrix in [fixtures::one(), fixtures::last_row(), unfinished.clone(), none] {
            assert_eq!(backward_transfer(&matrix), None);
            assert_eq!(forgetting_from_peak(&matrix), None);
        }
        assert_eq!(forward_transfer(&fixtures::one()), None);
        assert_eq!(forward_transfer(&fixtures::last_row()), None);
        // The last row takes no part in forward transfer.
        assert_eq!(forward_transfer(&unfinished), Some(0.1875));
    }

    #[test]
    fn forward_transfer_needs_the_initial_row() {
        let matrix = AccuracyMatrix { initial: vec![None; 3], ..fixtures::three() };
        assert_eq!(forward_transfer(&matrix), None);
        assert_eq!(backward_transfer(&matrix), Some(-0.1875));
    }
}
