//! S-PROTO: two tasks are alike when their classes lie alike. Also the running class means that
//! group inference at test rests on.

use super::{Samples, cosine};

/// Sums of rows by class, from which class means (prototypes) follow. Classes without samples have
/// none.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassMeans {
    width: usize,
    /// Row-major `[classes, width]`.
    sums: Vec<f32>,
    counts: Vec<f32>,
}

impl ClassMeans {
    pub fn new(classes: usize, width: usize) -> Self {
        ClassMeans { width, sums: vec![0.0; classes * width], counts: vec![0.0; classes] }
    }

    /// The means of some samples, over as many classes as their labels need.
    pub fn of(samples: &Samples) -> Self {
        let classes = samples.labels.iter().max().map_or(0, |&label| label as usize + 1);
        let mut means = ClassMeans::new(classes, samples.width);
        means.add(&samples.values, &samples.labels);
        means
    }

    /// From its parts, as [`parts`](Self::parts) gives them; `None` if they do not fit together.
    pub fn from_parts(width: usize, sums: Vec<f32>, counts: Vec<f32>) -> Option<Self> {
        (sums.len() == counts.len() * width).then_some(ClassMeans { width, sums, counts })
    }

    /// Sums `[classes, width]` and counts `[classes]`, to be saved.
    pub fn parts(&self) -> (&[f32], &[f32]) {
        (&self.sums, &self.counts)
    }

    /// Counts in row-major rows. Panics when a label has no class.
    pub fn add(&mut self, values: &[f32], labels: &[u32]) {
        for (row, &label) in values.chunks_exact(self.width).zip(labels) {
            self.counts[label as usize] += 1.0;
            let sum = &mut self.sums[label as usize * self.width..][..self.width];
            sum.iter_mut().zip(row).for_each(|(s, x)| *s += x);
        }
    }

    /// Counts in what another has counted.
    pub fn merge(&mut self, other: &ClassMeans) {
        self.sums.iter_mut().zip(&other.sums).for_each(|(s, o)| *s += o);
        self.counts.iter_mut().zip(&other.counts).for_each(|(s, o)| *s += o);
    }

    /// Samples counted in.
    pub fn count(&self) -> f32 {
        self.counts.iter().sum()
    }

    /// Means of the classes that have samples, row-major.
    pub fn means(&self) -> Vec<f32> {
        let classes = self.counts.iter().zip(self.sums.chunks_exact(self.width.max(1)));
        let held = classes.filter(|(count, _)| **count > 0.0);
        held.flat_map(|(count, sum)| sum.iter().map(move |s| s / count)).collect()
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn bytes(&self) -> u64 {
        ((self.sums.len() + self.counts.len()) * size_of::<f32>()) as u64
    }
}

/// `½ [mean_i max_j cos(μ_i, ν_j) + mean_j max_i cos(μ_i, ν_j)]` over the class prototypes μ of one
/// set and ν of the other, each set centred on its own mean. In [−1, 1], symmetric. 0 for an empty
/// side; NaN where a side has one class only: one prototype says nothing about how classes lie.
pub fn prototype_similarity(a: &Samples, b: &Samples) -> f32 {
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let width = a.width;
    let prototypes = |samples| super::centred(&ClassMeans::of(samples).means(), width);
    let (a, b) = (prototypes(a), prototypes(b));
    let (a_rows, b_rows) = (a.len() / width, b.len() / width);
    let cosines: Vec<f32> = (a.chunks_exact(width))
        .flat_map(|mu| b.chunks_exact(width).map(move |nu| cosine(mu, nu)))
        .collect();
    if cosines.iter().any(|c| c.is_nan()) {
        return f32::NAN;
    }
    let best = |row: &mut dyn Iterator<Item = f32>| row.fold(f32::NEG_INFINITY, f32::max);
    let of_a = (0..a_rows).map(|i| best(&mut (0..b_rows).map(|j| cosines[i * b_rows + j])));
    let of_b = (0..b_rows).map(|j| best(&mut (0..a_rows).map(|i| cosines[i * b_rows + j])));
    (of_a.sum::<f32>() / a_rows as f32 + of_b.sum::<f32>() / b_rows as f32) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::testing::task;

    fn samples(rows: &[([f32; 2], u32)]) -> Samples {
        let values = rows.iter().flat_map(|(row, _)| *row).collect();
        Samples { values, width: 2, labels: rows.iter().map(|(_, label)| *label).collect() }
    }

    /// a: prototypes (±1, 0). b: classes 0 and 5 at (3, 2) and (1, 0), centred ±(1, 1): cosines
    /// ±1/√2.
    #[test]
    fn prototypes_by_hand() {
        let a = samples(&[([2.0, 0.0], 0), ([0.0, 0.0], 0), ([-1.0, 0.0], 1)]);
        let b = samples(&[([3.0, 2.0], 0), ([1.0, 0.0], 5)]);
        assert!((prototype_similarity(&a, &b) - 0.5f32.sqrt()).abs() < 1e-6);
        assert!((prototype_similarity(&a, &a) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn it_is_symmetric_and_does_not_see_labels_or_scale() {
        let (a, b) = (task(1, 1, 40, 0.5), task(2, 2, 60, 0.5));
        assert_eq!(prototype_similarity(&a, &b), prototype_similarity(&b, &a));
        let mut other = a.clone();
        other.labels.iter_mut().for_each(|label| *label = 17 - *label);
        other.values.iter_mut().for_each(|x| *x = 3.0 * *x + 1.0);
        assert!((prototype_similarity(&a, &other) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn the_same_task_scores_high_and_another_low() {
        let likeness = |a, b| prototype_similarity(&task(a, 1, 80, 0.5), &task(b, 2, 80, 0.5));
        assert!(likeness(1, 1) > 0.95);
        assert!(likeness(1, 2) < 0.5);
    }

    #[test]
    fn nothing_is_like_an_empty_set_and_one_class_tells_nothing() {
        let (some, none) = (task(1, 1, 20, 0.5), Samples { width: 20, ..Samples::default() });
        assert_eq!(prototype_similarity(&some, &none), 0.0);
        assert_eq!(prototype_similarity(&none, &some), 0.0);
        assert!(prototype_similarity(&some, &some.select(&[0, 10])).is_nan());
    }

    #[test]
    fn means_leave_out_classes_without_samples_and_can_be_merged() {
        let mut means = ClassMeans::new(4, 2);
        means.add(&[1.0, 2.0, 3.0, 4.0], &[1, 1]);
        let mut more = ClassMeans::new(4, 2);
        more.add(&[8.0, 0.0], &[3]);
        means.merge(&more);
        assert_eq!((means.means(), means.count()), (vec![2.0, 3.0, 8.0, 0.0], 3.0));
        let (sums, counts) = means.parts();
        let again = ClassMeans::from_parts(2, sums.to_vec(), counts.to_vec());
        assert_eq!(again.as_ref(), Some(&means));
        assert_eq!(ClassMeans::from_parts(2, vec![0.0; 3], vec![0.0; 2]), None);
    }
}
