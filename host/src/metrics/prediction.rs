//! What is kept of a learner's answer to one test sample.

use serde::{Deserialize, Serialize};

/// The answer to one sample. Probabilities are softmax over the outputs that take part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Class-IL: the largest output of those that take part; of equal ones the lowest.
    pub class: u32,
    /// Task-IL: the largest output among the classes of the sample's own experience.
    pub task_class: u32,
    /// Probability of `class`.
    pub top_probability: f32,
    /// Natural logarithm of the probability of the true label; minus infinity where that takes no
    /// part.
    pub true_log_probability: f32,
}

/// What the host knows about the sample.
#[derive(Clone, Copy, Debug)]
pub struct Truth<'a> {
    pub label: u32,
    /// Classes of the sample's experience.
    pub task: &'a [u32],
    /// Outputs that take part in Class-IL, one flag each; `None` for all.
    pub seen: Option<&'a [bool]>,
}

impl Prediction {
    /// Reads a row of logits, one per class. Sums are taken in f64.
    ///
    /// `None` where the answer is undefined: no output takes part, or the largest is not finite.
    /// Minus infinity in other places is a learner's own mask and allowed.
    ///
    /// # Panics
    /// When a label or class lies outside the row, or the mask has another length.
    pub fn from_logits(logits: &[f32], truth: Truth<'_>) -> Option<Prediction> {
        if let Some(seen) = truth.seen {
            assert_eq!(seen.len(), logits.len(), "one flag per output");
        }
        let takes_part = |class: &u32| truth.seen.is_none_or(|seen| seen[*class as usize]);
        let head = || (0..logits.len() as u32).filter(takes_part);
        let class = largest(logits, head())?;
        let task_class = largest(logits, truth.task.iter().copied())?;
        let top = f64::from(logits[class as usize]);
        if !top.is_finite() {
            return None;
        }
        let sum: f64 = head().map(|class| (f64::from(logits[class as usize]) - top).exp()).sum();
        let label_takes_part = takes_part(&truth.label);
        let true_log_probability = match label_takes_part {
            true => f64::from(logits[truth.label as usize]) - top - sum.ln(),
            false => f64::NEG_INFINITY,
        };
        Some(Prediction {
            class,
            task_class,
            top_probability: (1.0 / sum) as f32,
            true_log_probability: true_log_probability as f32,
        })
    }
}

/// The class with the largest logit, the lowest of equals; `None` without classes or with a NaN
/// among them.
fn largest(logits: &[f32], classes: impl Iterator<Item = u32>) -> Option<u32> {
    let mut best: Option<(u32, f32)> = None;
    for class in classes {
        let logit = logits[class as usize];
        if logit.is_nan() {
            return None;
        }
        best = match best {
            Some((lower, top)) if top > logit || (top == logit && lower < class) => best,
            _ => Some((class, logit)),
        };
    }
    best.map(|(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(label: u32, task: &[u32]) -> Truth<'_> {
        Truth { label, task, seen: None }
    }

    /// Logits ln(1), ln(2), ln(3), ln(2): probabilities 1/8, 2/8, 3/8, 2/8.
    fn eighths() -> [f32; 4] {
        [1.0f32, 2.0, 3.0, 2.0].map(f32::ln)
    }

    #[track_caller]
    fn check(prediction: Prediction, class: u32, task_class: u32, top: f64, truth: f64) {
        assert_eq!((prediction.class, prediction.task_class), (class, task_class));
        assert!((f64::from(prediction.top_probability) - top).abs() < 1e-6, "{prediction:?}");
        let log = f64::from(prediction.true_log_probability);
        assert!((log.exp() - truth).abs() < 1e-6, "{prediction:?}");
    }

    #[test]
    fn probabilities_are_as_worked_out_by_hand() {
        let prediction = Prediction::from_logits(&eighths(), truth(1, &[0, 1])).unwrap();
        check(prediction, 2, 1, 3.0 / 8.0, 2.0 / 8.0);
    }

    #[test]
    fn unseen_classes_take_no_part() {
        let seen = [true, true, false, false];
        let of = |label| Truth { label, task: &[2, 3], seen: Some(&seen) };
        // Probabilities 1/3 and 2/3 are left; the own task is not masked.
        let prediction = Prediction::from_logits(&eighths(), of(0)).unwrap();
        check(prediction, 1, 2, 2.0 / 3.0, 1.0 / 3.0);
        let prediction = Prediction::from_logits(&eighths(), of(2)).unwrap();
        assert_eq!(prediction.true_log_probability, f32::NEG_INFINITY);
        let none = Truth { seen: Some(&[false; 4]), ..of(0) };
        assert_eq!(Prediction::from_logits(&eighths(), none), None);
    }

    #[test]
    fn of_equal_outputs_the_lowest_class_wins() {
        let prediction = Prediction::from_logits(&[1.0; 4], truth(0, &[3, 2])).unwrap();
        check(prediction, 0, 2, 0.25, 0.25);
        let prediction = Prediction::from_logits(&[-0.0, 0.0], truth(0, &[1, 0])).unwrap();
        check(prediction, 0, 0, 0.5, 0.5);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let prediction = Prediction::from_logits(&[3e38, -3e38], truth(0, &[0])).unwrap();
        check(prediction, 0, 0, 1.0, 1.0);
    }

    #[test]
    fn a_learner_may_mask_but_not_give_nonsense() {
        let masked = [f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY, 0.0];
        let prediction = Prediction::from_logits(&masked, truth(0, &[0, 2])).unwrap();
        check(prediction, 1, 0, 0.5, 0.0);
        for wrong in [[f32::NAN, 0.0], [f32::INFINITY, 0.0], [f32::NEG_INFINITY; 2]] {
            assert_eq!(Prediction::from_logits(&wrong, truth(0, &[0, 1])), None);
        }
    }
}
