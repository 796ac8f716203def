//! Losses and their gradients by hand, and against automatic differentiation of the same formulas.

use super::*;
use burn::tensor::Device;

fn flex() -> Device {
    crate::device("flex", 0).unwrap()
}

fn labels(labels: &[u32], classes: usize) -> Tensor<1, Int> {
    crate::labels(&[labels], classes, &flex())
}

/// Two samples: −log(e¹/(e¹+e⁰)) = log(1+e⁻¹) and log 2.
#[test]
fn cross_entropy_by_hand() {
    let logits = Tensor::from_data([[1.0, 0.0], [3.0, 3.0]], &flex());
    let expected = ((1.0f32 + (-1.0f32).exp()).ln() + 2.0f32.ln()) / 2.0;
    let found: f32 = cross_entropy(logits, labels(&[0, 1], 2)).into_scalar();
    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
}

/// The gradient with respect to the logits is (softmax − one-hot)/n.
#[test]
fn gradient_of_cross_entropy_by_hand() {
    let logits = Tensor::<2>::from_data([[0.0, 0.0], [0.0, 0.0]], &flex());
    let logits = logits.autodiff().require_grad();
    let gradients = cross_entropy(logits.clone(), labels(&[0, 1], 2)).backward();
    let found = logits.grad(&gradients).unwrap().into_data();
    assert_eq!(found.as_slice::<f32>().unwrap(), &[-0.25, 0.25, 0.25, -0.25]);
}

#[test]
fn large_logits_do_not_overflow() {
    let logits = Tensor::from_data([[1000.0, -1000.0]], &flex());
    assert_eq!(cross_entropy(logits, labels(&[1], 2)).into_scalar::<f32>(), 2000.0);
}

/// ((1−3)² + 0 + 0 + (2−3)²)/4 = 5/4.
#[test]
fn mean_squared_error_by_hand() {
    let a = Tensor::from_data([[1.0, 2.0], [5.0, 2.0]], &flex());
    let b = Tensor::from_data([[3.0, 2.0], [5.0, 3.0]], &flex());
    assert_eq!(mean_squared_error(a, b).into_scalar::<f32>(), 1.25);
}

/// Rows differ from the target by (1, 1) and (2, 0): means of squares 1 and 2. Weighted by 0 and 3
/// the mean is 3, and its gradient 2·3·(2, 0)/4 in the second row alone.
#[test]
fn weighted_squares_by_hand() {
    let logits = Tensor::<2>::from_data([[1.0, 1.0], [2.0, 5.0]], &flex());
    let target = [0.0, 0.0, 0.0, 5.0];
    let of = |weights: Option<&[f32]>| {
        let mut terms = Terms::of(&logits);
        let mean = terms.squared_error(0..2, &target, weights, 1.0);
        assert_eq!(terms.value(), mean);
        (mean, terms.gradient)
    };
    assert_eq!(of(None), (1.5, vec![0.5, 0.5, 1.0, 0.0]));
    assert_eq!(of(Some(&[1.0, 1.0])), of(None));
    assert_eq!(of(Some(&[0.0, 3.0])), (3.0, vec![0.0, 0.0, 3.0, 0.0]));
}

/// The formulas as operations on tensors, of which automatic differentiation makes the gradient.
fn by_tensors(logits: Tensor<2>, target: Tensor<2>, y: &[u32]) -> Tensor<1> {
    let chosen = label_log_probability(logits.clone(), labels(y, 3));
    let difference = logits.narrow(0, 1, 2) - target;
    let squares = (difference.clone() * difference).mean();
    chosen.mean().neg() + squares * 0.7
}

#[test]
fn value_and_gradient_are_those_of_automatic_differentiation() {
    let numbers = [[0.3, -1.2, 2.0], [4.0, 0.1, -0.5], [-3.0, 0.7, 0.8]];
    let target = [1.0, 0.0, -1.0, 0.5, 0.25, 2.0];
    let leaf = || Tensor::<2>::from_data(numbers, &flex()).autodiff().require_grad();
    let gradient = |leaf: &Tensor<2>, loss: Tensor<1>| {
        let value: f32 = loss.clone().into_scalar();
        (value, values(leaf.grad(&loss.backward()).unwrap()))
    };
    let (a, b) = (leaf(), leaf());
    let fixed = Tensor::<1>::from_data(target, &flex()).reshape([2, 3]);
    let expected = gradient(&a, by_tensors(a.clone(), fixed, &[2, 0, 1]));
    let mut terms = Terms::of(&b);
    terms.cross_entropy(0..3, &[2, 0, 1], 1.0);
    terms.squared_error(1..3, &target, None, 0.7);
    let found = gradient(&b, terms.into_loss(b.clone()));
    assert!((found.0 - expected.0).abs() < 1e-6, "{} {}", found.0, expected.0);
    for (found, expected) in found.1.iter().zip(expected.1) {
        assert!((found - expected).abs() < 1e-7, "{found} {expected}");
    }
}

/// Logits with gradients take the way by tensors, others the one row by row.
#[test]
fn log_probabilities_with_and_without_gradients_agree() {
    let logits = Tensor::<2>::from_data([[0.3, -1.2, 2.0], [400.0, 0.1, -500.0]], &flex());
    let of = |logits: Tensor<2>| {
        let found = label_log_probability(logits, labels(&[1, 2], 3)).into_data();
        found.iter::<f32>().collect::<Vec<_>>()
    };
    let (plain, tracked) = (of(logits.clone()), of(logits.autodiff().require_grad()));
    // −1.2 − log(e^0.3 + e^−1.2 + e^2).
    assert!((plain[0] + 3.401671).abs() < 1e-5, "{plain:?}");
    assert!(plain.iter().zip(&tracked).all(|(a, b)| (a - b).abs() < 1e-4), "{plain:?} {tracked:?}");
}

/// To the byte: methods with a weight of 0 are the methods without the term.
#[test]
fn a_weight_of_nothing_adds_nothing() {
    let logits = Tensor::<2>::from_data([[0.3, -0.2], [0.1, 0.9]], &flex());
    let mut plain = Terms::of(&logits);
    plain.cross_entropy(0..2, &[0, 1], 1.0);
    let mut more = Terms::of(&logits);
    more.cross_entropy(0..2, &[0, 1], 1.0);
    assert_eq!(more.squared_error(1..2, &[0.1, 1.9], None, 0.0), 0.5);
    more.cross_entropy(0..1, &[1], 0.0);
    assert_eq!((more.value, more.gradient), (plain.value, plain.gradient));
}

#[test]
#[should_panic(expected = "one label for each row")]
fn labels_of_other_rows_are_refused() {
    let logits = Tensor::<2>::from_data([[0.3, -0.2], [0.1, 0.9]], &flex());
    Terms::of(&logits).cross_entropy(0..2, &[0], 1.0);
}

#[test]
#[should_panic(expected = "a target for each logit")]
fn targets_of_another_size_are_refused() {
    let logits = Tensor::<2>::from_data([[0.3, -0.2], [0.1, 0.9]], &flex());
    Terms::of(&logits).squared_error(0..2, &[0.0, 1.0], None, 1.0);
}
