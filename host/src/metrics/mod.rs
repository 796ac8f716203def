//! Metrics as pure functions of stored predictions and matrices. What is undefined is `None`, never
//! 0. Sources of the formulas are named beside each; R[i][j] is the accuracy on experience j after
//! training experience i, b[j] that of the learner before any training, T the number of
//! experiences, all counted from 1 in formulas.

mod accuracy;
mod anytime;
mod average;
mod calibration;
mod matrix;
mod prediction;
mod rand_index;
mod recency;
mod transfer;

pub use accuracy::{accuracy, task_accuracy};
pub use anytime::{
    AccuracyCurve, CurvePoint, GAP_STEPS, accuracy_after_switch, average_anytime_accuracy,
    minimum_accuracy, stability_gap, worst_case_accuracy,
};
pub use average::{
    anytime_accuracy, average_accuracy, average_incremental_accuracy, final_accuracy,
    learning_accuracy,
};
pub use calibration::{expected_calibration_error, negative_log_likelihood};
pub use matrix::AccuracyMatrix;
pub use prediction::{Prediction, Truth};
pub use rand_index::adjusted_rand_index;
pub use recency::task_recency;
pub use transfer::{backward_transfer, forgetting_from_peak, forward_transfer};

/// Mean of some values; `None` without any or where one is undefined.
fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let mut count = 0u32;
    let mut sum = 0.0;
    for value in values {
        sum += value?;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}
