//! Losses as the papers of the field use them: means, over the batch or over all elements.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

/// Mean over the batch of `−log softmax(logits)[label]`. Logits `[n, C]`, labels `[n]`; a scalar.
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    label_log_probability(logits, labels).mean().neg()
}

/// `log softmax(logits)[label]` of each sample: `[n]`.
pub fn label_log_probability(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let chosen = log_softmax(logits, 1).gather(1, labels.unsqueeze_dim::<2>(1));
    chosen.squeeze_dim(1)
}

/// Mean over all elements of `(a − b)²`; a scalar.
pub fn mean_squared_error(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    let difference = a - b;
    (difference.clone() * difference).mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn flex() -> Device {
        crate::device("flex", 0).unwrap()
    }

    /// Two samples: −log(e¹/(e¹+e⁰)) = log(1+e⁻¹) and log 2.
    #[test]
    fn cross_entropy_by_hand() {
        let logits = Tensor::from_data([[1.0, 0.0], [3.0, 3.0]], &flex());
        let labels = crate::labels(&[&[0, 1]], 2, &flex());
        let expected = ((1.0f32 + (-1.0f32).exp()).ln() + 2.0f32.ln()) / 2.0;
        let found: f32 = cross_entropy(logits, labels).into_scalar();
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    /// The gradient with respect to the logits is (softmax − one-hot)/n.
    #[test]
    fn gradient_of_cross_entropy_by_hand() {
        let logits = Tensor::<2>::from_data([[0.0, 0.0], [0.0, 0.0]], &flex());
        let logits = logits.autodiff().require_grad();
        let labels = crate::labels(&[&[0, 1]], 2, &flex());
        let gradients = cross_entropy(logits.clone(), labels).backward();
        let found = logits.grad(&gradients).unwrap().into_data();
        assert_eq!(found.as_slice::<f32>().unwrap(), &[-0.25, 0.25, 0.25, -0.25]);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let logits = Tensor::from_data([[1000.0, -1000.0]], &flex());
        let labels = crate::labels(&[&[1]], 2, &flex());
        assert_eq!(cross_entropy(logits, labels).into_scalar::<f32>(), 2000.0);
    }

    /// ((1−3)² + 0 + 0 + (2−3)²)/4 = 5/4.
    #[test]
    fn mean_squared_error_by_hand() {
        let a = Tensor::from_data([[1.0, 2.0], [5.0, 2.0]], &flex());
        let b = Tensor::from_data([[3.0, 2.0], [5.0, 3.0]], &flex());
        assert_eq!(mean_squared_error(a, b).into_scalar::<f32>(), 1.25);
    }
}
