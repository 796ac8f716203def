//! Whether probabilities mean what they say.

use super::Prediction;

const BINS: usize = 15;

/// `sum_m |B_m|/n |acc(B_m) - conf(B_m)|` over 15 bins of equal width; bin m holds the samples
/// whose top probability lies above (m-1)/15 and up to m/15. Undefined without samples.
/// Source: Guo et al. 2017, "On Calibration of Modern Neural Networks".
///
/// # Panics
/// When there are not as many labels as predictions.
pub fn expected_calibration_error(predictions: &[Prediction], labels: &[u32]) -> Option<f64> {
    assert_eq!(predictions.len(), labels.len(), "one label per prediction");
    // |B| |acc - conf| is the absolute sum of (right - confidence) over the bin.
    let mut gaps = [0.0f64; BINS];
    for (prediction, &label) in predictions.iter().zip(labels) {
        let right = if prediction.class == label { 1.0 } else { 0.0 };
        gaps[bin(prediction.top_probability)] += right - f64::from(prediction.top_probability);
    }
    let sum: f64 = gaps.iter().map(|gap| gap.abs()).sum();
    (!labels.is_empty()).then(|| sum / labels.len() as f64)
}

/// `-(1/n) sum log p(label)`. Undefined without samples, and where a label took no part.
pub fn negative_log_likelihood(predictions: &[Prediction]) -> Option<f64> {
    let sum: f64 = predictions.iter().map(|p| f64::from(p.true_log_probability)).sum();
    (!predictions.is_empty() && sum.is_finite()).then(|| -sum / predictions.len() as f64)
}

fn bin(probability: f32) -> usize {
    let above = (f64::from(probability) * BINS as f64).ceil() as usize;
    above.clamp(1, BINS) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(class: u32, top_probability: f32) -> Prediction {
        let true_log_probability = top_probability.ln();
        Prediction { class, task_class: class, top_probability, true_log_probability }
    }

    #[test]
    fn the_error_is_as_worked_out_by_hand() {
        // Bin 15: confidences 1 and 0.9375, one right: |1 - 1.9375| = 0.9375.
        // Bin 8 (7/15 to 8/15): confidences 0.5 twice, both right: |2 - 1| = 1.
        let predictions =
            [prediction(0, 1.0), prediction(0, 0.9375), prediction(1, 0.5), prediction(2, 0.5)];
        let labels = [0, 1, 1, 2];
        let error = expected_calibration_error(&predictions, &labels).unwrap();
        assert_eq!(error, (0.9375 + 1.0) / 4.0);
        assert_eq!(expected_calibration_error(&[], &[]), None);
    }

    #[test]
    fn within_a_bin_errors_cancel_and_between_bins_they_do_not() {
        let one = [prediction(0, 0.5), prediction(0, 0.5)];
        assert_eq!(expected_calibration_error(&one, &[0, 1]), Some(0.0));
        let two = [prediction(0, 0.5), prediction(0, 0.75)];
        // |0 - 0.5| + |1 - 0.75|, over 2.
        assert_eq!(expected_calibration_error(&two, &[1, 0]), Some(0.375));
    }

    #[test]
    fn bins_are_cut_at_fifteenths() {
        // 0.2 and 0.6 in f32 lie just above 3/15 and 9/15.
        assert_eq!((bin(0.0), bin(1e-9), bin(1.0)), (0, 0, 14));
        assert_eq!((bin(0.2), bin(0.199), bin(0.21)), (3, 2, 3));
        assert_eq!((bin(0.6), bin(0.59)), (9, 8));
    }

    #[test]
    fn the_likelihood_is_the_mean_logarithm() {
        let predictions = [prediction(0, 1.0), prediction(0, (-2.0f32).exp())];
        let value = negative_log_likelihood(&predictions).unwrap();
        assert!((value - 1.0).abs() < 1e-6, "{value}");
        assert_eq!(negative_log_likelihood(&[]), None);
        assert_eq!(negative_log_likelihood(&[prediction(0, 0.0)]), None);
    }
}
