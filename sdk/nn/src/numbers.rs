//! A network's parameters and gradients as numbers in main memory: as one vector, for methods that
//! do with a gradient what no single tensor can (project it, clip it), or tensor by tensor, for
//! what is computed once in a while. Where each tensor lies in the vector is told by [`blocks`]. As
//! one vector on the device: [`flat`](crate::flat).

use burn::tensor::{Gradients, Tensor, TensorData};
use std::ops::Range;

use crate::network::{Network, TensorMut};

/// One parameter of a network within the vector of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// As in a saved state, such as `fc1.weight`.
    pub name: String,
    pub range: Range<usize>,
    /// Units the parameter leads to. As a matrix `[outputs, inputs]` its gradient has one row for
    /// each; biases and scales are a single row.
    pub outputs: usize,
    /// True where memory holds that matrix as `[inputs, outputs]`: linear layers.
    pub transposed: bool,
}

/// Every parameter, in the order of the vector; running statistics are none.
pub fn blocks<N: Network>(network: &N) -> Vec<Block> {
    let (mut handles, mut from) = (network.clone(), 0);
    let block = |(name, tensor): (String, TensorMut<'_>)| {
        let (length, outputs, transposed) = match tensor {
            TensorMut::Vector(t) => (t.dims()[0], 1, false),
            TensorMut::Linear(t) => (t.dims().iter().product(), t.dims()[1], true),
            TensorMut::Kernel(t) => (t.dims().iter().product(), t.dims()[0], false),
            TensorMut::Running(_) => return None,
        };
        let range = from..from + length;
        from += length;
        Some(Block { name, range, outputs, transposed })
    };
    handles.tensors_mut().into_iter().filter_map(block).collect()
}

/// The parameters, `[parameter_count]`.
pub fn parameters<N: Network>(network: &N) -> Vec<f32> {
    let mut values = Vec::with_capacity(network.parameter_count());
    for tensor in network.clone().unnamed_mut() {
        match tensor {
            TensorMut::Vector(t) => append(t.clone(), &mut values),
            TensorMut::Linear(t) => append(t.clone(), &mut values),
            TensorMut::Kernel(t) => append(t.clone(), &mut values),
            TensorMut::Running(_) => {}
        }
    }
    values
}

/// The gradients of a loss that was computed with `tracked`, `[parameter_count]`; zeros where the
/// loss does not depend on a parameter.
pub fn gradient<N: Network>(tracked: &N, mut gradients: Gradients) -> Vec<f32> {
    let mut values = Vec::with_capacity(tracked.parameter_count());
    for tensor in tracked.clone().unnamed_mut() {
        match tensor {
            TensorMut::Vector(t) => take(t, &mut gradients, &mut values),
            TensorMut::Linear(t) => take(t, &mut gradients, &mut values),
            TensorMut::Kernel(t) => take(t, &mut gradients, &mut values),
            TensorMut::Running(_) => {}
        }
    }
    values
}

/// `θ ← θ − lr·step`; running statistics become those of `tracked`. With the gradient as the step
/// this is [`Network::descend`], to the byte. Panics when `step` has another length.
pub fn descend<N: Network>(network: &mut N, tracked: &N, step: &[f32], lr: f64) {
    let (mut rest, mut tracked) = (step, tracked.clone());
    for (mine, theirs) in network.unnamed_mut().into_iter().zip(tracked.unnamed_mut()) {
        match (mine, theirs) {
            (TensorMut::Vector(t), _) => go(t, &mut rest, lr),
            (TensorMut::Linear(t), _) => go(t, &mut rest, lr),
            (TensorMut::Kernel(t), _) => go(t, &mut rest, lr),
            (TensorMut::Running(mine), TensorMut::Running(theirs)) => *mine = theirs.clone(),
            _ => unreachable!("a network lists its tensors in one order"),
        }
    }
    assert!(rest.is_empty(), "a step has one number for each parameter");
}

/// The numbers of every parameter in memory order, in the network's order; running statistics are
/// left out.
pub(crate) fn by_tensor<N: Network>(network: &N) -> Vec<Vec<f32>> {
    let mut network = network.clone();
    let tensors = network.unnamed_mut().into_iter();
    let values = tensors.filter_map(|tensor| match tensor {
        TensorMut::Vector(t) => Some(t.to_data().iter::<f32>().collect()),
        TensorMut::Linear(t) => Some(t.to_data().iter::<f32>().collect()),
        TensorMut::Kernel(t) => Some(t.to_data().iter::<f32>().collect()),
        TensorMut::Running(_) => None,
    });
    values.collect()
}

/// A network of the same shape with these parameters; its running statistics are those of `like`.
pub(crate) fn filled<N: Network>(like: &N, parameters: Vec<Vec<f32>>) -> N {
    let mut network = like.clone();
    let mut parameters = parameters.into_iter();
    let mut next = || parameters.next().expect("values for every parameter");
    for tensor in network.unnamed_mut() {
        match tensor {
            TensorMut::Vector(t) => *t = made(t, next()),
            TensorMut::Linear(t) => *t = made(t, next()),
            TensorMut::Kernel(t) => *t = made(t, next()),
            TensorMut::Running(_) => {}
        }
    }
    network
}

fn made<const D: usize>(like: &Tensor<D>, values: Vec<f32>) -> Tensor<D> {
    let device = like.device().without_autodiff();
    Tensor::from_data(TensorData::new(values, like.dims()), &device)
}

fn append<const D: usize>(tensor: Tensor<D>, values: &mut Vec<f32>) {
    let data = tensor.into_data();
    values.extend_from_slice(data.as_slice::<f32>().expect("networks compute in f32"));
}

fn take<const D: usize>(leaf: &Tensor<D>, gradients: &mut Gradients, values: &mut Vec<f32>) {
    match leaf.grad_remove(gradients) {
        Some(gradient) => append(gradient, values),
        None => values.resize(values.len() + leaf.dims().iter().product::<usize>(), 0.0),
    }
}

fn go<const D: usize>(mine: &mut Tensor<D>, rest: &mut &[f32], lr: f64) {
    let shape = mine.dims();
    let (step, after) = rest.split_at(shape.iter().product());
    *rest = after;
    let step = Tensor::<D>::from_data(TensorData::new(step.to_vec(), shape), &mine.device());
    *mine = mine.clone() - step.mul_scalar(lr);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BackboneConfig, BackboneKind, Net, NetShape, losses};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn net(kind: BackboneKind, input: &[usize]) -> Net {
        let backbone = BackboneConfig { kind, hidden: vec![4], width: 2 };
        let shape = NetShape { backbone, input: input.to_vec(), classes: 3 };
        let device = crate::device("flex", 0).unwrap();
        Net::new(&shape, &mut ChaCha8Rng::seed_from_u64(1), &device).unwrap()
    }

    #[test]
    fn blocks_lie_one_after_another_in_the_order_of_the_network() {
        let blocks = blocks(&net(BackboneKind::Mlp, &[5]));
        let found: Vec<_> =
            blocks.iter().map(|b| (b.name.as_str(), b.range.clone(), b.outputs)).collect();
        let expected = [
            ("fc1.weight", 0..20, 4),
            ("fc1.bias", 20..24, 1),
            ("head.weight", 24..36, 3),
            ("head.bias", 36..39, 1),
        ];
        assert_eq!(found, expected);
        assert_eq!(
            blocks.iter().map(|b| b.transposed).collect::<Vec<_>>(),
            [true, false, true, false]
        );
    }

    #[test]
    fn a_step_along_the_gradient_is_gradient_descent_to_the_byte() {
        for (kind, input) in [(BackboneKind::Mlp, &[6][..]), (BackboneKind::Resnet18, &[3, 8, 8])] {
            let mut one = net(kind, input);
            let mut two = one.clone();
            let width: usize = input.iter().product();
            let x: Vec<f32> = (0..4 * width).map(|i| (i * 37 % 11) as f32 / 11.0).collect();
            let step = |net: &Net| {
                let mut tracked = net.tracked();
                let logits = tracked.forward_train(net.rows(&[&x])).unwrap();
                let loss = losses::cross_entropy(logits, net.labels(&[&[0, 1, 2, 0]]));
                (tracked, loss.backward())
            };
            for _ in 0..3 {
                let (tracked, gradients) = step(&one);
                one.descend(&tracked, gradients, 0.3);
                let (tracked, gradients) = step(&two);
                let gradient = gradient(&tracked, gradients);
                assert_eq!(gradient.len(), two.parameter_count());
                descend(&mut two, &tracked, &gradient, 0.3);
            }
            let saved = |net: &Net| {
                let mut state = perdura_sdk::StateWriter::new();
                crate::state::save(net, "", &mut state).unwrap();
                state.into_bytes().unwrap()
            };
            assert_eq!(saved(&one), saved(&two), "{kind:?}");
            let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            assert_eq!(bits(parameters(&one)), bits(parameters(&two)));
        }
    }
}
