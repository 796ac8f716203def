//! Where predictions fall, whatever is true.

use super::Prediction;

/// Share of the predictions that fall into each experience's classes; with a balanced test set each
/// should be 1/T. Undefined without predictions, and where experiences share classes.
/// Source: Masana et al. 2022, "Class-incremental learning: survey and performance evaluation",
/// task-recency bias.
pub fn task_recency(predictions: &[Prediction], blocks: &[Vec<u32>]) -> Option<Vec<f64>> {
    let mut classes: Vec<u32> = blocks.concat();
    classes.sort_unstable();
    if predictions.is_empty() || classes.windows(2).any(|pair| pair[0] == pair[1]) {
        return None;
    }
    let share = |block: &Vec<u32>| {
        let inside = predictions.iter().filter(|prediction| block.contains(&prediction.class));
        inside.count() as f64 / predictions.len() as f64
    };
    Some(blocks.iter().map(share).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(classes: &[u32]) -> Vec<Prediction> {
        let prediction = |&class: &u32| Prediction {
            class,
            task_class: 0,
            top_probability: 1.0,
            true_log_probability: 0.0,
        };
        classes.iter().map(prediction).collect()
    }

    #[test]
    fn shares_are_counted_per_block() {
        let blocks = [vec![0, 1], vec![2, 3]];
        let shares = task_recency(&predictions(&[0, 3, 2, 3]), &blocks);
        assert_eq!(shares, Some(vec![0.25, 0.75]));
    }

    #[test]
    fn shares_are_undefined_without_predictions_or_blocks_of_their_own() {
        assert_eq!(task_recency(&[], &[vec![0]]), None);
        assert_eq!(task_recency(&predictions(&[0]), &[vec![0, 1], vec![1, 2]]), None);
    }
}
