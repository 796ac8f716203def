//! Rows with labels: what estimators compare. The rows are features, or inputs for those estimators
//! that compute features or gradients themselves.

use rand::{Rng, RngExt};

/// Some samples of one task or group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Row-major `[len, width]`.
    pub values: Vec<f32>,
    pub width: usize,
    /// `[len]`.
    pub labels: Vec<u32>,
}

impl Samples {
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.width..][..self.width]
    }

    /// Some of the samples, in the order of their numbers.
    pub fn select(&self, rows: &[usize]) -> Samples {
        let values = rows.iter().flat_map(|&row| self.row(row)).copied().collect();
        let labels = rows.iter().map(|&row| self.labels[row]).collect();
        Samples { values, width: self.width, labels }
    }

    /// Adds samples of the same width.
    pub fn extend(&mut self, values: &[f32], labels: &[u32]) {
        self.values.extend_from_slice(values);
        self.labels.extend_from_slice(labels);
    }

    /// The same rows with the labels dealt out anew: what is left has nothing to do with classes.
    pub fn with_shuffled_labels(&self, rng: &mut impl Rng) -> Samples {
        let mut shuffled = self.clone();
        shuffle(rng, &mut shuffled.labels);
        shuffled
    }

    /// Every column shuffled on its own: what is left has nothing to do with how columns go
    /// together.
    pub fn with_shuffled_columns(&self, rng: &mut impl Rng) -> Samples {
        let mut shuffled = self.clone();
        for column in 0..self.width {
            for last in (1..self.len()).rev() {
                let other = rng.random_range(0..=last);
                shuffled.values.swap(last * self.width + column, other * self.width + column);
            }
        }
        shuffled
    }

    /// Two halves without a common sample, dealt at random.
    pub fn halves(&self, rng: &mut impl Rng) -> (Samples, Samples) {
        let mut order: Vec<usize> = (0..self.len()).collect();
        shuffle(rng, &mut order);
        let (first, second) = order.split_at(self.len() / 2);
        (self.select(first), self.select(second))
    }
}

/// Fisher-Yates.
fn shuffle<T>(rng: &mut impl Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, rng.random_range(0..=last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::testing::rng;

    fn numbered(count: usize) -> Samples {
        let values = (0..2 * count).map(|i| i as f32).collect();
        Samples { values, width: 2, labels: (0..count as u32).collect() }
    }

    fn sorted(mut values: Vec<f32>) -> Vec<f32> {
        values.sort_by(f32::total_cmp);
        values
    }

    #[test]
    fn shuffling_keeps_what_it_does_not_shuffle() {
        let samples = numbered(50);
        let labels = samples.with_shuffled_labels(&mut rng(1));
        assert_eq!(labels.values, samples.values);
        assert_ne!(labels.labels, samples.labels);
        let columns = samples.with_shuffled_columns(&mut rng(1));
        assert_eq!(columns.labels, samples.labels);
        for column in 0..2 {
            let of = |s: &Samples| (0..50).map(|row| s.row(row)[column]).collect::<Vec<_>>();
            assert_ne!(of(&columns), of(&samples));
            assert_eq!(sorted(of(&columns)), of(&samples));
        }
        assert!((0..50).any(|row| columns.row(row)[1] != columns.row(row)[0] + 1.0));
    }

    #[test]
    fn halves_share_no_sample() {
        let (first, second) = numbered(7).halves(&mut rng(2));
        assert_eq!((first.len(), second.len()), (3, 4));
        let mut labels = [first.labels, second.labels].concat();
        labels.sort_unstable();
        assert_eq!(labels, [0, 1, 2, 3, 4, 5, 6]);
    }
}
