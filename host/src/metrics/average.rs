//! Averages over the accuracy matrix.

use super::{AccuracyMatrix, mean};

/// `(1/T) sum_j R[T][j]`: accuracy over all experiences at the end.
/// Source: Lopez-Paz and Ranzato 2017, "Gradient Episodic Memory", ACC.
pub fn average_accuracy(matrix: &AccuracyMatrix) -> Option<f64> {
    let experiences = matrix.experiences();
    average_after(matrix, experiences.checked_sub(1)?)
}

/// `(1/T) sum_i (1/i) sum_{j<=i} R[i][j]`: the average accuracy over what has been trained,
/// averaged over time.
/// Source: Rebuffi et al. 2017, "iCaRL", average incremental accuracy; the same as anytime average
/// (AAA).
pub fn average_incremental_accuracy(matrix: &AccuracyMatrix) -> Option<f64> {
    mean((0..matrix.experiences()).map(|trained| average_after(matrix, trained)))
}

/// `(1/T) sum_j R[j][j]`: accuracy on each experience right after it was trained.
/// Source: Riemer et al. 2019, "Learning to Learn without Forgetting", learning accuracy.
pub fn learning_accuracy(matrix: &AccuracyMatrix) -> Option<f64> {
    mean((0..matrix.experiences()).map(|trained| matrix.after(trained, trained)))
}

/// Mean of the last row, for a matrix whose rows are points in time and not experiences: accuracy at
/// the end of a stream without boundaries.
pub fn final_accuracy(matrix: &AccuracyMatrix) -> Option<f64> {
    mean(matrix.rows.last()?.iter().copied())
}

/// Mean over all rows of the mean of each, for the same kind of matrix: accuracy averaged over time.
/// Source: anytime average accuracy (AAA) of online streams, Caccia et al. 2022, "New Insights on
/// Reducing Abrupt Representation Change in Online Continual Learning".
pub fn anytime_accuracy(matrix: &AccuracyMatrix) -> Option<f64> {
    mean(matrix.rows.iter().map(|row| mean(row.iter().copied())))
}

/// Mean over the experiences trained so far.
fn average_after(matrix: &AccuracyMatrix, trained: usize) -> Option<f64> {
    mean((0..=trained).map(|tested| matrix.after(trained, tested)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::matrix::fixtures;

    #[test]
    fn averages_are_as_worked_out_by_hand() {
        let matrix = fixtures::three();
        // (0.5 + 1 + 0.75) / 3.
        assert_eq!(average_accuracy(&matrix), Some(0.75));
        // (1 + (0.75 + 0.875) / 2 + 0.75) / 3 = 2.5625 / 3.
        assert_eq!(average_incremental_accuracy(&matrix), Some(2.5625 / 3.0));
        // (1 + 0.875 + 0.75) / 3.
        assert_eq!(learning_accuracy(&matrix), Some(0.875));
    }

    #[test]
    fn rows_in_time_are_averaged_whole() {
        // Four points in time, two test sets.
        let rows = [[0.5, 0.0], [0.5, 0.5], [1.0, 0.5], [0.75, 1.0]];
        let rows = rows.map(|row| row.map(Some).to_vec()).to_vec();
        let mut matrix = AccuracyMatrix { initial: vec![None; 2], rows };
        assert_eq!(final_accuracy(&matrix), Some(0.875));
        // (0.25 + 0.5 + 0.75 + 0.875) / 4.
        assert_eq!(anytime_accuracy(&matrix), Some(0.59375));
        matrix.rows[0][1] = None;
        assert_eq!((final_accuracy(&matrix), anytime_accuracy(&matrix)), (Some(0.875), None));
        assert_eq!(final_accuracy(&AccuracyMatrix::default()), None);
        assert_eq!(anytime_accuracy(&AccuracyMatrix::default()), None);
    }

    #[test]
    fn one_experience_has_averages() {
        let matrix = fixtures::one();
        assert_eq!(average_accuracy(&matrix), Some(0.75));
        assert_eq!(average_incremental_accuracy(&matrix), Some(0.75));
        assert_eq!(learning_accuracy(&matrix), Some(0.75));
    }

    #[test]
    fn a_union_has_an_average_accuracy_alone() {
        let matrix = fixtures::last_row();
        assert_eq!(average_accuracy(&matrix), Some(0.75));
        assert_eq!(average_incremental_accuracy(&matrix), None);
        assert_eq!(learning_accuracy(&matrix), None);
    }

    #[test]
    fn an_unfinished_stream_has_none() {
        for matrix in [fixtures::unfinished(), AccuracyMatrix::default()] {
            assert_eq!(average_accuracy(&matrix), None);
            assert_eq!(average_incremental_accuracy(&matrix), None);
            assert_eq!(learning_accuracy(&matrix), None);
        }
    }
}
