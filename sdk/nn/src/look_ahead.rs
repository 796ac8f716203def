//! Look-ahead (Zhang et al., NeurIPS 2019, arXiv 1907.08610): train a copy for some steps, then go
//! part of the way to it. Also how far a network has moved.

use burn::tensor::Tensor;

use crate::network::{Network, TensorMut};

/// `φ ← φ_0 + β(φ − φ_0)`: of the way that `network` has gone since it was `before`, only the share
/// β stays, running statistics included.
///
/// With β = 1 nothing changes, with β = 0 the network is what it was. After a single step of
/// gradient descent this is a step of β times the size.
pub fn look_ahead<N: Network>(network: &mut N, before: &N, beta: f64) {
    let copy = std::mem::replace(network, before.clone());
    network.average(&copy, 1.0 - beta);
    network.average_buffers(&copy, 1.0 - beta);
}

/// Euclidean distance of the parameters of two networks of one shape. Running statistics do not
/// count.
pub fn distance<N: Network>(a: &N, b: &N) -> f64 {
    let (mut a, mut b) = (a.clone(), b.clone());
    let pairs = a.tensors_mut().into_iter().zip(b.tensors_mut());
    let squares = pairs.filter_map(|((_, a), (_, b))| match (a, b) {
        (TensorMut::Vector(a), TensorMut::Vector(b)) => Some(square(a, b)),
        (TensorMut::Linear(a), TensorMut::Linear(b)) => Some(square(a, b)),
        (TensorMut::Kernel(a), TensorMut::Kernel(b)) => Some(square(a, b)),
        _ => None,
    });
    let sum = squares.reduce(|sum, square| sum + square);
    sum.map_or(0.0, |sum| f64::from(sum.into_scalar::<f32>())).sqrt()
}

fn square<const D: usize>(a: &Tensor<D>, b: &Tensor<D>) -> Tensor<1> {
    let difference = a.clone() - b.clone();
    (difference.clone() * difference).sum()
}
