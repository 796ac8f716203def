//! S-BT: two tasks are alike when the same features go together in both, by the cross-correlation
//! matrix of Barlow Twins ([`crate::barlow::cross_correlation`]), which needs no labels.

use super::dot;

/// Running means of the cross-correlation matrices of one task or group, over two halves of its
/// batches. The noise of one half is independent of that of the other, so products of both have no
/// bias.
#[derive(Clone, Debug, PartialEq)]
pub struct CorrelationHalves {
    width: usize,
    decay: f32,
    /// Off-diagonal entries, row by row; empty before the first batch of the half.
    halves: [Vec<f32>; 2],
    batches: u64,
}

impl CorrelationHalves {
    /// For matrices `[width, width]`. `C̄ ← ρ C̄ + (1 − ρ) C` with `ρ = decay`; the first batch of
    /// a half is its mean.
    pub fn new(width: usize, decay: f32) -> Self {
        CorrelationHalves { width, decay, halves: Default::default(), batches: 0 }
    }

    /// Takes in the matrix of one batch, row-major. Batches go to the halves in turn. The diagonal
    /// is left out: all tasks share it, and it would make every pair look alike.
    pub fn add(&mut self, correlation: &[f32]) {
        assert_eq!(correlation.len(), self.width * self.width, "a square matrix");
        let off = correlation.iter().enumerate().filter(|(i, _)| i / self.width != i % self.width);
        let off = off.map(|(_, c)| *c);
        let half = &mut self.halves[(self.batches % 2) as usize];
        match half.is_empty() {
            true => half.extend(off),
            false => {
                let decay = self.decay;
                half.iter_mut().zip(off).for_each(|(mean, c)| *mean += (1.0 - decay) * (c - *mean));
            }
        }
        self.batches += 1;
    }
}

/// `⟨C^a_i, C^b_j⟩ / √(⟨C^a_i, C^b_i⟩ ⟨C^a_j, C^b_j⟩)` over the off-diagonal entries, the numerator
/// averaged with that of halves exchanged so that the score is symmetric. 0 where a half is empty,
/// and where a radicand is not above 0: then nothing but noise was found in a task.
pub fn correlation_similarity(i: &CorrelationHalves, j: &CorrelationHalves) -> f32 {
    if [i, j].iter().any(|of| of.halves.iter().any(Vec::is_empty)) {
        return 0.0;
    }
    let own = |of: &CorrelationHalves| dot(&of.halves[0], &of.halves[1]);
    let (of_i, of_j) = (own(i), own(j));
    if of_i <= 0.0 || of_j <= 0.0 {
        return 0.0;
    }
    let between = (dot(&i.halves[0], &j.halves[1]) + dot(&j.halves[0], &i.halves[1])) / 2.0;
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
    fn halves_take_turns_and_forget() {
        let mut halves = CorrelationHalves::new(2, 0.75);
        for c in [1.0, 10.0, 3.0] {
            halves.add(&[0.0, c, c, 0.0]);
        }
        // First half: 1, then 1 + ¼·(3 − 1).
        assert_eq!(halves.halves, [vec![1.5; 2], vec![10.0; 2]]);
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
    #[test]
    fn shared_factors_are_found() {
        let device = crate::device("flex", 0).unwrap();
        let halves = |factors: u64, seed: u64| {
            let (width, rows) = (12, 64);
            let mut of_factors = rng(factors);
            let loadings: Vec<f32> = (0..3 * width).map(|_| normal(&mut of_factors)).collect();
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
        let (first, again, other) = (halves(1, 10), halves(1, 11), halves(2, 12));
        assert!(correlation_similarity(&first, &again) > 0.95);
        assert!((correlation_similarity(&first, &first) - 1.0).abs() < 0.05);
        assert!(correlation_similarity(&first, &other).abs() < 0.4);
        let (there, back) =
            (correlation_similarity(&first, &other), correlation_similarity(&other, &first));
        assert_eq!(there, back);
    }
}
