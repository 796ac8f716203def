//! S-GCOS: two tasks are alike when their losses pull the parameters the same way.

use burn::tensor::Tensor;

use super::{cosine, dot};
use crate::network::Network;
use crate::numbers;

/// The gradient of a loss with respect to all parameters of a network, one after another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlatGradient {
    pub values: Vec<f32>,
    /// Length of each parameter, in the network's order.
    pub lengths: Vec<usize>,
}

impl FlatGradient {
    /// The gradient of `loss` at the parameters of `network`. Zero where the loss does not depend
    /// on one.
    pub fn of<N: Network>(network: &N, loss: impl FnOnce(&N) -> Tensor<1>) -> Self {
        let tracked = network.tracked();
        let values = numbers::gradient(&tracked, loss(&tracked).backward());
        let lengths = numbers::blocks(network).into_iter().map(|block| block.range.len()).collect();
        FlatGradient { values, lengths }
    }

    /// Adds another gradient of the same network.
    pub fn add(&mut self, other: &FlatGradient) {
        if self.lengths.is_empty() {
            return self.clone_from(other);
        }
        self.values.iter_mut().zip(&other.values).for_each(|(a, b)| *a += b);
    }
}

/// `cos(∇L_t, ∇L_g)`: below 0 the tasks conflict. With `by_layer` the mean of the cosines of the
/// parameters one by one, which keeps a large layer from deciding alone; parameters where a side is
/// zero are left out. NaN where a whole side is zero. Add the gradients of many small batches
/// before comparing: one batch is noise.
pub fn gradient_cosine(a: &FlatGradient, b: &FlatGradient, by_layer: bool) -> f32 {
    if !by_layer {
        return cosine(&a.values, &b.values);
    }
    let (mut from, mut sum, mut layers) = (0, 0.0, 0.0);
    for &length in &a.lengths {
        let (x, y) = (&a.values[from..][..length], &b.values[from..][..length]);
        from += length;
        if dot(x, x) > 0.0 && dot(y, y) > 0.0 {
            (sum, layers) = (sum + cosine(x, y), layers + 1.0);
        }
    }
    sum / layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses;
    use crate::similarity::testing::network;

    fn flat(values: &[f32], lengths: &[usize]) -> FlatGradient {
        FlatGradient { values: values.to_vec(), lengths: lengths.to_vec() }
    }

    #[test]
    fn cosines_by_hand() {
        let a = flat(&[3.0, 4.0, 1.0, 0.0], &[2, 1, 1]);
        let b = flat(&[4.0, -3.0, 2.0, 5.0], &[2, 1, 1]);
        // Whole: (12 − 12 + 2 + 0)/(√26·√54). By layer: 0 and 1; the last is zero on one side.
        let whole = 2.0 / (26.0f32.sqrt() * 54.0f32.sqrt());
        assert!((gradient_cosine(&a, &b, false) - whole).abs() < 1e-6);
        assert!((gradient_cosine(&a, &b, true) - 0.5).abs() < 1e-6);
        assert!(gradient_cosine(&a, &flat(&[0.0; 4], &[2, 1, 1]), true).is_nan());
    }

    /// A linear network: the gradient of the cross-entropy is (softmax − one-hot) ⊗ x, and the two
    /// labels of two classes pull against each other.
    #[test]
    fn a_gradient_is_taken_from_a_network() {
        let mut network = network(vec![]);
        network.head.weight = Tensor::zeros([2, 2], network.device());
        let of = |label: u32| {
            let (x, y) = (network.rows(&[&[1.0, 2.0]]), network.labels(&[&[label]]));
            FlatGradient::of(&network, |n| losses::cross_entropy(n.forward(x), y))
        };
        let (mut first, second) = (of(0), of(1));
        // weight [in, out] then bias.
        assert_eq!(first.values, [-0.5, 0.5, -1.0, 1.0, -0.5, 0.5]);
        assert_eq!(first.lengths, [4, 2]);
        assert!((gradient_cosine(&first, &second, false) + 1.0).abs() < 1e-6);
        first.add(&second);
        assert_eq!(first.values, [0.0; 6]);
    }
}
