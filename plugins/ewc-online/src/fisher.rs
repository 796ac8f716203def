//! How much each parameter matters to what a network says about some samples. One gradient for each
//! sample, because squares do not add up: a loop does that for any network; for an MLP the gradient
//! of a sample is an outer product, whose squares are two matrix products for all samples at once.

use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor};
use perdura_nn::{Backbone, Mlp, Net, Network, TensorMut, flat, losses};

/// `Σ_i p_i · (∇ log p_i)²` with `p_i = softmax(f(x_i))[y_i]`, for each parameter:
/// `[parameter_count()]`. Inputs `[n, inputs]`, one label for each. With batch normalisation the
/// running statistics normalise and do not move.
pub fn weighted_squares(network: &Net, x: Tensor<2>, labels: &[u32]) -> Tensor<1> {
    match &network.backbone {
        Backbone::Mlp(mlp) => all_at_once(network, mlp, x, network.labels(&[labels])),
        Backbone::ResNet18 { .. } => one_by_one(network, x, labels),
    }
}

/// The same with a backward pass for each sample, for any network.
pub fn one_by_one(network: &Net, x: Tensor<2>, labels: &[u32]) -> Tensor<1> {
    let mut sum = flat::parameters(network).zeros_like();
    for (row, &label) in labels.iter().enumerate() {
        let tracked = network.tracked();
        let logits = tracked.forward(x.clone().narrow(0, row, 1));
        let log_p = losses::label_log_probability(logits, network.labels(&[&[label]]));
        let p = log_p.clone().inner().exp();
        let gradient = flat::gradient(&tracked, log_p.backward());
        sum = sum + gradient.clone() * gradient * p;
    }
    sum
}

/// A linear layer computes `h·W + b`; with δ the gradient of log p with respect to its outputs, the
/// gradient of a sample is `hᵀδ` for W and δ for b. So the sums of the weighted squares are
/// `(h²)ᵀ(p·δ²)` and the column sums of `p·δ²`. From layer to layer δ goes back as
/// `(δ·Wᵀ) ⊙ [h > 0]`, and starts as `onehot(y) − softmax`.
fn all_at_once(network: &Net, mlp: &Mlp, x: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let (inputs, weights) = (layer_inputs(mlp, x), layer_weights(network));
    let features = inputs.last().expect("the head is a layer").clone();
    let probabilities = softmax(network.head.forward(features), 1);
    let classes = network.head.outputs();
    let chosen: Tensor<2> = labels.one_hot::<2>(classes).float();
    let p = (probabilities.clone() * chosen.clone()).sum_dim(1);
    let mut delta = chosen - probabilities;
    let mut pieces = Vec::new();
    for (layer, (h, w)) in inputs.iter().zip(&weights).enumerate().rev() {
        let squares = delta.clone() * delta.clone() * p.clone();
        pieces.push(squares.clone().sum_dim(0).flatten(0, 1));
        pieces.push((h.clone() * h.clone()).transpose().matmul(squares).flatten(0, 1));
        if layer > 0 {
            delta = delta.matmul(w.clone().transpose()) * h.clone().greater_scalar(0.0).float();
        }
    }
    // The list of a network goes from the first layer to the last, weight before bias.
    pieces.reverse();
    Tensor::cat(pieces, 0)
}

/// What each layer sees, the head's last.
fn layer_inputs(mlp: &Mlp, x: Tensor<2>) -> Vec<Tensor<2>> {
    let stages = mlp.stages(x.clone());
    std::iter::once(x).chain(stages).collect()
}

/// The weights of each layer, `[in, out]`, the head's last.
fn layer_weights(network: &Net) -> Vec<Tensor<2>> {
    let mut handles = network.clone();
    let weights = handles.unnamed_mut().into_iter().filter_map(|tensor| match tensor {
        TensorMut::Linear(weight) => Some(weight.clone()),
        _ => None,
    });
    weights.collect()
}
