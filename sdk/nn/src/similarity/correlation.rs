//! S-BT: two tasks are alike when the same features go together in both, by the cross-correlation
//! matrix of Barlow Twins ([`crate::barlow::cross_correlation`]), which needs no labels.

use super::dot;
use crate::matrix::RunningMean;

/// Running means of the cross-correlation matrices of one task or group, over two halves of its
/// batches. The noise of one half is independent of that of the other, so products of both have no
/// bias; for that the samples of the two must be different ones too.
#[derive(Clone, Debug, PartialEq)]
pub struct CorrelationHalves {
    width: usize,
    /// Over off-diagonal entries, row by row.
    halves: [RunningMean; 2],
    batches: u64,
}

impl CorrelationHalves {
    /// For matrices `[width, width]`; the means are [`RunningMean`]s with `ρ = decay`.
    pub fn new(width: usize, decay: f32) -> Self {
        let mean = RunningMean::new(decay);
        CorrelationHalves { width, halves: [mean.clone(), mean], batches: 0 }
    }

    /// Of the matrices.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Takes in the matrix of one batch, row-major. Batches go to the halves in turn. The diagonal
    /// is left out: all tasks share it, and it would make every pair look alike.
    pub fn add(&mut self, correlation: &[f32]) {
        assert_eq!(correlation.len(), self.width * self.width, "a square matrix");
        let off = correlation.iter().enumerate().filter(|(i, _)| i / self.width != i % self.width);
        self.halves[(self.batches % 2) as usize].add(off.map(|(_, c)| *c));
        self.batches += 1;
    }
}

/// `⟨C^a_i, C^b_j⟩ / √(⟨C^a_i, C^b_i⟩ ⟨C^a_j, C^b_j⟩)` over the off-diagonal entries, the numerator
/// averaged with that of halves exchanged so that the score is symmetric. 0 where a half is empty,
/// and where a radicand is not above 0: then nothing but noise was found in a task.
pub fn correlation_similarity(i: &CorrelationHalves, j: &CorrelationHalves) -> f32 {
    if [i, j].iter().any(|of| of.halves.iter().any(RunningMean::is_empty)) {
        return 0.0;
    }
    let across = |a: &CorrelationHalves, b: &CorrelationHalves| {
        dot(a.halves[0].values(), b.halves[1].values())
    };
    let own = |of: &CorrelationHalves| across(of, of);
    let (of_i, of_j) = (own(i), own(j));
    if of_i <= 0.0 || of_j <= 0.0 {
        return 0.0;
    }
    let between = (across(i, j) + across(j, i)) / 2.0;
    between / (of_i.sqrt() * of_j.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barlow::{EPS_STD, cross_correlation};
    use crate::similarity::testing::{normal, rng};

    /// Off the diagonal: i has (1, 2) in both halves, j (2, −1) in both.
    #[test]
    fn similarity_by_hand() {
        let of = |upper: f32, lower: f32| {
            let mut halves = CorrelationHalves::new(2, 0.99);
            (0..2).for_each(|_| halves.add(&[0.9, upper, lower, 0.9]));
            halves
        };
        let (i, j) = (of(1.0, 2.0), of(2.0, -1.0));
        assert_eq!(correlation_similarity(&i, &j), 0.0);
        assert!((correlation_similarity(&i, &i) - 1.0).abs() < 1e-6);
        let k = of(1.0, 0.0);
        assert!((correlation_similarity(&i, &k) - 0.2f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn halves_take_turns() {
        let mut halves = CorrelationHalves::new(2, 0.75);
        for c in [1.0, 10.0, 3.0] {
            halves.add(&[0.0, c, c, 0.0]);
        }
        // First half: the mean of 1 and 3; the second has had one batch.
        assert_eq!(halves.halves.each_ref().map(RunningMean::values), [&[2.0; 2], &[10.0; 2]]);
    }

    #[test]
    fn too_little_and_noise_are_like_nothing() {
        let mut one = CorrelationHalves::new(2, 0.99);
        one.add(&[1.0, 0.5, 0.5, 1.0]);
        assert_eq!(correlation_similarity(&one, &one), 0.0);
        one.add(&[1.0, -0.5, -0.5, 1.0]);
        assert_eq!(correlation_similarity(&one, &one), 0.0, "the halves contradict each other");
    }

    /// Features driven by factors that two tasks share, or do not.
    /// Each half has seen 80 batches of 64 samples: noise like that of 5,120.
    #[test]
    fn shared_factors_are_found() {
        let device = crate::device("flex", 0).unwrap();
        let (width, rows) = (12, 64);
        let halves_of = |loadings: Vec<f32>, seed: u64| {
            let mut rng = rng(seed);
            let mut halves = CorrelationHalves::new(width, 0.99);
            for _ in 0..160 {
                let mut view = [Vec::new(), Vec::new()];
                for _ in 0..rows {
                    let z: Vec<f32> = (0..3).map(|_| normal(&mut rng)).collect();
                    for values in &mut view {
                        for column in 0..width {
                            let signal: f32 =
                                (0..3).map(|k| z[k] * loadings[k * width + column]).sum();
                            values.push(signal + normal(&mut rng));
                        }
                    }
                }
                let [a, b] = view.map(|values| crate::rows(&[&values], width, &device));
                let c = cross_correlation(a, b, EPS_STD).unwrap().into_data();
                halves.add(c.as_slice::<f32>().unwrap());
            }
            halves
        };
        let drawn = |factors: u64| -> Vec<f32> {
            let mut rng = rng(factors);
            (0..3 * width).map(|_| normal(&mut rng)).collect()
        };
        let halves = |factors: u64, seed: u64| halves_of(drawn(factors), seed);
        // Factors that move the first six units, or the last six.
        let moving = |units: std::ops::Range<usize>, seed: u64| {
            let loadings = drawn(3).into_iter().enumerate();
            let of = |(i, l)| if units.contains(&(i % width)) { l } else { 0.0 };
            halves_of(loadings.map(of).collect(), seed)
        };
        let (low, high) = (moving(0..6, 13), moving(6..12, 14));
        assert!((correlation_similarity(&low, &low) - 1.0).abs() < 0.02);
        let none = correlation_similarity(&low, &high);
        assert!(none.abs() < 0.02, "no unit in common: {none}");
        let (first, again, other) = (halves(1, 10), halves(1, 11), halves(2, 12));
        assert!(correlation_similarity(&first, &again) > 0.95);
        assert!((correlation_similarity(&first, &first) - 1.0).abs() < 0.05);
        assert!(correlation_similarity(&first, &other).abs() < 0.4);
        let (there, back) =
            (correlation_similarity(&first, &other), correlation_similarity(&other, &first));
        assert_eq!(there, back);
    }
}
