//! Shares of right answers, over samples and never over batches.

use super::Prediction;

/// Class-IL (and Domain-IL): share of samples whose class is their label. Undefined without
/// samples.
///
/// # Panics
/// When there are not as many labels as predictions.
pub fn accuracy(predictions: &[Prediction], labels: &[u32]) -> Option<f64> {
    share(predictions, labels, |prediction| prediction.class)
}

/// Task-IL: the same, with the other experiences' outputs masked.
///
/// # Panics
/// When there are not as many labels as predictions.
pub fn task_accuracy(predictions: &[Prediction], labels: &[u32]) -> Option<f64> {
    share(predictions, labels, |prediction| prediction.task_class)
}

fn share(
    predictions: &[Prediction],
    labels: &[u32],
    class: impl Fn(&Prediction) -> u32,
) -> Option<f64> {
    assert_eq!(predictions.len(), labels.len(), "one label per prediction");
    let right = predictions.iter().zip(labels).filter(|&(p, &label)| class(p) == label).count();
    (!labels.is_empty()).then(|| right as f64 / labels.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_answers_are_counted() {
        let prediction = |class, task_class| Prediction {
            class,
            task_class,
            top_probability: 1.0,
            true_log_probability: 0.0,
        };
        let predictions = [prediction(0, 0), prediction(4, 1), prediction(4, 0), prediction(1, 1)];
        let labels = [0, 1, 1, 1];
        assert_eq!(accuracy(&predictions, &labels), Some(0.5));
        assert_eq!(task_accuracy(&predictions, &labels), Some(0.75));
        assert_eq!(accuracy(&[], &[]), None);
    }
}
