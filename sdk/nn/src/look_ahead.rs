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

/// Parameters whose gate is 0 become what they were `before`, to the bit: an average of a number
/// with itself rounds. `gate` is in the shape of the network.
pub fn hold<N: Network>(network: &mut N, before: &N, gate: &N) {
    let (mut before, mut gate) = (before.clone(), gate.clone());
    let others = before.unnamed_mut().into_iter().zip(gate.unnamed_mut());
    for (mine, others) in network.unnamed_mut().into_iter().zip(others) {
        match (mine, others) {
            (TensorMut::Vector(t), (TensorMut::Vector(b), TensorMut::Vector(g))) => put(t, b, g),
            (TensorMut::Linear(t), (TensorMut::Linear(b), TensorMut::Linear(g))) => put(t, b, g),
            (TensorMut::Kernel(t), (TensorMut::Kernel(b), TensorMut::Kernel(g))) => put(t, b, g),
            _ => {}
        }
    }
}

fn put<const D: usize>(mine: &mut Tensor<D>, before: &Tensor<D>, gate: &Tensor<D>) {
    *mine = mine.clone().mask_where(gate.clone().equal_elem(0.0), before.clone());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Linear, numbers};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    /// Weights 1 to 4 and biases 5 and 6 have gone to 10 times that; gates of 0 take theirs back,
    /// others leave them.
    #[test]
    fn closed_parameters_are_held() {
        let device = crate::device("flex", 0).unwrap();
        let like = Linear::xavier(2, 2, &mut ChaCha8Rng::seed_from_u64(1), &device);
        let of = |weights: [f32; 4], biases: [f32; 2]| {
            numbers::filled(&like, vec![weights.into(), biases.into()])
        };
        let before = of([1.0, 2.0, 3.0, 4.0], [5.0, 6.0]);
        let mut after = of([10.0, 20.0, 30.0, 40.0], [50.0, 60.0]);
        hold(&mut after, &before, &of([0.0, 1.0, 0.5, 0.0], [1.0, 0.0]));
        assert_eq!(numbers::parameters(&after), [1.0, 20.0, 30.0, 4.0, 50.0, 6.0]);
    }
}
