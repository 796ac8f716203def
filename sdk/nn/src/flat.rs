//! One number for each parameter of a network, as one vector: the parameters themselves, a
//! gradient, an importance. For methods that weigh, project or add up whole gradients (EWC, SI,
//! A-GEM); a step on a plain loss is [`Network::descend`], which copies nothing.
//!
//! The order is that of [`Network::list`], each tensor row-major as it lies in memory. Running
//! statistics are no parameters and are left out.

use burn::tensor::{Gradients, Tensor};
use perdura_sdk::{Result, StateReader, StateWriter};

use crate::network::{Network, TensorMut};
use crate::state;

/// θ, `[parameter_count()]`.
pub fn parameters<N: Network>(network: &N) -> Tensor<1> {
    let mut handles = network.clone();
    let pieces = handles.unnamed_mut().into_iter().filter_map(|tensor| match tensor {
        TensorMut::Vector(t) => Some(t.clone()),
        TensorMut::Linear(t) => Some(t.clone().flatten(0, 1)),
        TensorMut::Kernel(t) => Some(t.clone().flatten(0, 3)),
        TensorMut::Running(_) => None,
    });
    Tensor::cat(pieces.collect(), 0)
}

/// The gradient of a loss that was computed with `tracked`, `[parameter_count()]`; 0 where the loss
/// does not depend on a parameter.
pub fn gradient<N: Network>(tracked: &N, mut gradients: Gradients) -> Tensor<1> {
    let mut leaves = tracked.clone();
    let pieces = leaves.unnamed_mut().into_iter().filter_map(|tensor| match tensor {
        TensorMut::Vector(t) => Some(piece(t, &mut gradients)),
        TensorMut::Linear(t) => Some(piece(t, &mut gradients)),
        TensorMut::Kernel(t) => Some(piece(t, &mut gradients)),
        TensorMut::Running(_) => None,
    });
    Tensor::cat(pieces.collect(), 0)
}

fn piece<const D: usize>(leaf: &Tensor<D>, gradients: &mut Gradients) -> Tensor<1> {
    let gradient = leaf.grad_remove(gradients);
    let gradient = gradient.unwrap_or_else(|| leaf.clone().inner().zeros_like());
    let count = gradient.dims().iter().product::<usize>();
    gradient.reshape([count])
}

/// `θ ← θ − lr·direction`, the direction `[parameter_count()]`. The running statistics become those
/// of `tracked`, as its passes in training mode left them. With the plain gradient as the direction
/// this is [`Network::descend`] to the byte.
pub fn descend<N: Network>(network: &mut N, tracked: &N, direction: Tensor<1>, lr: f64) {
    let mut handles = tracked.clone();
    let buffers = network.unnamed_mut().into_iter().zip(handles.unnamed_mut());
    for pair in buffers {
        if let (TensorMut::Running(mine), TensorMut::Running(theirs)) = pair {
            *mine = theirs.clone();
        }
    }
    let moved = parameters(network) - direction.mul_scalar(lr);
    replace(network, moved);
}

/// Makes `values`, `[parameter_count()]`, the parameters of a network.
///
/// # Panics
/// Another number of values: a mistake of the method.
pub fn replace<N: Network>(network: &mut N, values: Tensor<1>) {
    let count = network.parameter_count();
    assert_eq!(values.dims(), [count], "one number for each parameter");
    let mut from = 0;
    for tensor in network.unnamed_mut() {
        match tensor {
            TensorMut::Vector(t) => take(t, &values, &mut from),
            TensorMut::Linear(t) => take(t, &values, &mut from),
            TensorMut::Kernel(t) => take(t, &values, &mut from),
            TensorMut::Running(_) => {}
        }
    }
}

fn take<const D: usize>(mine: &mut Tensor<D>, values: &Tensor<1>, from: &mut usize) {
    let (shape, count) = (mine.dims(), mine.dims().iter().product());
    *mine = values.clone().narrow(0, *from, count).reshape(shape);
    *from += count;
}

/// Saves `values` as tensors with the names and shapes of the parameters of `network`:
/// `<prefix>fc1.weight` and so on, in PyTorch's orientation.
pub fn save<N: Network>(
    values: &Tensor<1>,
    network: &N,
    prefix: &str,
    out: &mut StateWriter,
) -> Result<()> {
    let mut shaped = network.clone();
    replace(&mut shaped, values.clone());
    state::save_parameters(&shaped, prefix, out)
}

/// Loads what [`save`] wrote with the same prefix and a network of the same shape.
pub fn load<N: Network>(network: &N, prefix: &str, saved: &mut StateReader) -> Result<Tensor<1>> {
    let mut shaped = network.clone();
    state::load_parameters(&mut shaped, prefix, saved)?;
    Ok(parameters(&shaped))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BackboneConfig, BackboneKind, Net, NetShape, losses};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn net(kind: BackboneKind, input: &[usize]) -> Net {
        let backbone = BackboneConfig { kind, hidden: vec![3], width: 2 };
        let shape = NetShape { backbone, input: input.to_vec(), classes: 2 };
        let device = crate::device("flex", 0).unwrap();
        Net::new(&shape, &mut ChaCha8Rng::seed_from_u64(1), &device).unwrap()
    }

    fn bytes(net: &Net) -> Vec<u8> {
        let mut out = StateWriter::new();
        state::save(net, "", &mut out).unwrap();
        out.into_bytes().unwrap()
    }

    fn values(flat: Tensor<1>) -> Vec<f32> {
        flat.into_data().try_to_vec().unwrap()
    }

    /// 4 inputs, 3 hidden units, 2 classes: 12 + 3 + 6 + 2 numbers, and a bias where it belongs.
    #[test]
    fn every_parameter_has_its_place() {
        let mut net = net(BackboneKind::Mlp, &[4]);
        assert_eq!(parameters(&net).dims(), [23]);
        let counting: [f32; 23] = std::array::from_fn(|i| i as f32);
        let counting = Tensor::from_data(counting, net.device());
        replace(&mut net, counting.clone());
        assert_eq!(values(parameters(&net)), values(counting));
        assert_eq!(values(net.head.bias.clone().unwrap()), [21.0, 22.0]);
        assert_eq!(values(net.head.weight.clone().flatten(0, 1))[..2], [15.0, 16.0]);
    }

    #[test]
    fn down_the_gradient_is_descend_to_the_byte() {
        for (kind, input) in [(BackboneKind::Mlp, &[48][..]), (BackboneKind::Resnet18, &[3, 4, 4])]
        {
            let (mut one, mut two) = (net(kind, input), net(kind, input));
            let start = bytes(&one);
            let x: Vec<f32> = (0..4 * 48).map(|i| ((i * 7) % 5) as f32 / 5.0).collect();
            for _ in 0..3 {
                let step = |net: &mut Net| {
                    let mut tracked = net.tracked();
                    let logits = tracked.forward_train(net.rows(&[&x])).unwrap();
                    let loss = losses::cross_entropy(logits, net.labels(&[&[0, 1, 1, 0]]));
                    (tracked, loss.backward())
                };
                let (tracked, gradients) = step(&mut one);
                one.descend(tracked, gradients, 0.1);
                let (tracked, gradients) = step(&mut two);
                let direction = gradient(&tracked, gradients);
                descend(&mut two, &tracked, direction, 0.1);
            }
            assert_ne!(bytes(&one), start, "{kind:?}");
            assert_eq!(bytes(&one), bytes(&two), "{kind:?}");
        }
    }

    #[test]
    fn a_loss_without_a_parameter_has_no_slope_there() {
        let net = net(BackboneKind::Mlp, &[4]);
        let tracked = net.tracked();
        let loss = tracked.head.weight.clone().sum();
        let found = values(gradient(&tracked, loss.backward()));
        assert_eq!(found, [vec![0.0; 15], vec![1.0; 6], vec![0.0; 2]].concat());
    }

    #[test]
    fn what_is_saved_has_pytorchs_names_and_comes_back() {
        let mut net = net(BackboneKind::Resnet18, &[3, 4, 4]);
        let flat = parameters(&net) * 2.0;
        let mut out = StateWriter::new();
        save(&flat, &net, "twice.", &mut out).unwrap();
        let bytes = out.into_bytes().unwrap();
        let mut saved = StateReader::from_bytes(&bytes).unwrap();
        assert!(saved.shape("twice.layer1.0.conv1.weight").is_some());
        assert!(saved.shape("twice.bn1.running_mean").is_none(), "no parameter");
        let found = load(&net, "twice.", &mut saved).unwrap();
        assert_eq!(values(found), values(flat.clone()));
        replace(&mut net, flat);
        let mut again = StateReader::from_bytes(&bytes).unwrap();
        let head = again.tensor("twice.head.bias", &[2]).unwrap();
        assert_eq!(values(net.head.bias.unwrap()), head);
    }

    #[test]
    #[should_panic(expected = "one number for each parameter")]
    fn another_number_of_values_is_refused() {
        let mut net = net(BackboneKind::Mlp, &[4]);
        let values = parameters(&net).narrow(0, 0, 22);
        replace(&mut net, values);
    }
}
