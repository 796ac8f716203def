//! S-T2V: two tasks are alike when the same parameters matter to both (Task2Vec, Achille et al.
//! 2019). One backward pass per sample: slow, for analysis.

use burn::tensor::Tensor;

use super::cosine;
use super::gradient::FlatGradient;
use crate::network::Network;

/// The diagonal of the empirical Fisher information: the mean over samples of the squared gradient
/// of `loss(network, sample)`, the negative log-probability of one sample's label. Compare tasks at
/// the same network. Empty without samples.
pub fn diagonal_fisher<N: Network>(
    network: &N,
    samples: usize,
    loss: impl Fn(&N, usize) -> Tensor<1>,
) -> Vec<f32> {
    let mut fisher = Vec::new();
    for sample in 0..samples {
        let gradient = FlatGradient::of(network, |n| loss(n, sample)).values;
        fisher.resize(gradient.len(), 0.0);
        fisher.iter_mut().zip(gradient).for_each(|(f, g)| *f += g * g / samples as f32);
    }
    fisher
}

/// Cosine of `F_t/(F_t + F_g)` and `F_g/(F_t + F_g)`, parameter by parameter: 1 for proportions
/// that are equal everywhere, 0 where no parameter matters to both. Parameters that matter to
/// neither are left out. 0 for an empty side, NaN where nothing matters to a side.
pub fn task2vec_similarity(f_t: &[f32], f_g: &[f32]) -> f32 {
    if f_t.is_empty() || f_g.is_empty() {
        return 0.0;
    }
    let both = f_t.iter().zip(f_g).filter(|(t, g)| **t + **g > 0.0);
    let (t, g): (Vec<f32>, Vec<f32>) = both.map(|(t, g)| (t / (t + g), g / (t + g))).unzip();
    cosine(&t, &g)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::testing::network;
    use crate::{Net, losses};

    /// Ratios ½, ½ against ½, ½; then (1, ⅓) against (0, ⅔): (2/9)/(√(10/9)·⅔) = 1/√10.
    #[test]
    fn similarity_by_hand() {
        assert!((task2vec_similarity(&[1.0, 3.0, 0.0], &[1.0, 3.0, 0.0]) - 1.0).abs() < 1e-6);
        let found = task2vec_similarity(&[5.0, 1.0], &[0.0, 2.0]);
        assert!((found - 0.1f32.sqrt()).abs() < 1e-6, "{found}");
        assert_eq!(task2vec_similarity(&[1.0, 0.0], &[0.0, 1.0]), 0.0);
        assert_eq!(task2vec_similarity(&[], &[]), 0.0);
        assert!(task2vec_similarity(&[0.0], &[1.0]).is_nan());
    }

    /// One sample: the square of its gradient. Two equal samples: the same.
    #[test]
    fn the_fisher_is_a_mean_of_squared_gradients() {
        let network = network(vec![3]);
        let loss = |network: &Net, _: usize| {
            let x = network.rows(&[&[1.0, 2.0]]);
            losses::cross_entropy(network.forward(x), network.labels(&[&[1]]))
        };
        let gradient = FlatGradient::of(&network, |n| loss(n, 0)).values;
        let square: Vec<f32> = gradient.iter().map(|g| g * g).collect();
        assert_eq!(diagonal_fisher(&network, 1, loss), square);
        assert_eq!(diagonal_fisher(&network, 2, loss), square);
        assert!(diagonal_fisher(&network, 0, loss).is_empty());
    }
}
