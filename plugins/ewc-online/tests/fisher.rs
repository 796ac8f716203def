//! The importance of parameters: by hand, and all samples at once against one by one.

use burn::tensor::Tensor;
use perdura_ewc_online::{one_by_one, weighted_squares};
use perdura_nn::{BackboneConfig, BackboneKind, Net, NetShape, Network, state};
use perdura_sdk::StateWriter;
use perdura_sdk::rand::{SeedableRng, rngs::StdRng};

fn net(backbone: BackboneConfig, input: &[usize], classes: usize) -> Net {
    let shape = NetShape { backbone, input: input.to_vec(), classes };
    let device = perdura_nn::device("flex", 0).unwrap();
    Net::new(&shape, &mut StdRng::seed_from_u64(3), &device).unwrap()
}

fn values(flat: Tensor<1>) -> Vec<f32> {
    flat.into_data().try_to_vec().unwrap()
}

/// One layer with zero weights: p = 1/2, δ = (1/2, −1/2). For x = 2 the weights have gradients ±1,
/// the biases ±1/2; their squares, times p. A second sample x = 0 adds to the biases alone.
#[test]
fn one_layer_by_hand() {
    let mut net = net(BackboneConfig::mlp(&[]), &[1], 2);
    net.head.weight = Tensor::zeros([1, 2], net.device());
    let x = || net.rows(&[&[2.0, 0.0]]);
    let expected = [0.5, 0.5, 0.25, 0.25];
    assert_eq!(values(weighted_squares(&net, x(), &[0, 1])), expected);
    assert_eq!(values(one_by_one(&net, x(), &[0, 1])), expected);
}

/// Two layers of one unit each, w = 1, head (1, −1), no biases, x = 1: logits (1, −1), so with
/// q = 1/(1 + e⁻²) and label 0: p = q, δ = (1 − q)(1, −1), and back through the head 2(1 − q).
#[test]
fn two_layers_by_hand() {
    let mut net = net(BackboneConfig::mlp(&[1]), &[1], 2);
    let mut weights = net.unnamed_mut().into_iter();
    if let Some(perdura_nn::TensorMut::Linear(w)) = weights.next() {
        *w = w.ones_like();
    }
    drop(weights);
    net.head.weight = Tensor::from_data([[1.0, -1.0]], net.device());
    let found = values(weighted_squares(&net, net.rows(&[&[1.0]]), &[0]));
    let q = 1.0 / (1.0 + (-2.0f32).exp());
    let (head, below) = (q * (1.0 - q).powi(2), q * (2.0 * (1.0 - q)).powi(2));
    for (found, expected) in found.iter().zip([below, below, head, head, head, head]) {
        assert!((found - expected).abs() < 1e-7, "{found} {expected}");
    }
    // A unit that is shut off lets nothing through.
    let found = values(weighted_squares(&net, net.rows(&[&[-1.0]]), &[0]));
    assert_eq!(found, [0.0, 0.0, 0.0, 0.0, 0.125, 0.125]);
}

#[test]
fn all_at_once_is_one_by_one() {
    for hidden in [&[][..], &[7], &[9, 5], &[6, 8, 4]] {
        let net = net(BackboneConfig::mlp(hidden), &[11], 4);
        let inputs: Vec<f32> = (0..13 * 11).map(|i| ((i * 29) % 17) as f32 / 8.0 - 1.0).collect();
        let labels: Vec<u32> = (0..13).map(|i| i * i % 4).collect();
        let x = || net.rows(&[&inputs]);
        let (once, one) = (weighted_squares(&net, x(), &labels), one_by_one(&net, x(), &labels));
        let (once, one) = (values(once), values(one));
        assert_eq!(once.len(), net.parameter_count());
        assert!(one.iter().filter(|f| **f > 1e-3).count() > one.len() / 2, "{hidden:?}: {one:?}");
        for (a, b) in once.iter().zip(&one) {
            assert!((a - b).abs() <= 1e-6 + 1e-5 * b, "{hidden:?}: {a}, one by one {b}");
        }
    }
}

/// A ResNet has no such shortcut. Measuring it leaves its running statistics alone.
#[test]
fn a_resnet_is_measured_and_stays_what_it_is() {
    let backbone = BackboneConfig { kind: BackboneKind::Resnet18, hidden: vec![], width: 2 };
    let net = net(backbone, &[1, 8, 8], 3);
    let bytes = |net: &Net| {
        let mut out = StateWriter::new();
        state::save(net, "", &mut out).unwrap();
        out.into_bytes().unwrap()
    };
    let before = bytes(&net);
    let inputs: Vec<f32> = (0..128).map(|i| ((i * 13) % 7) as f32 / 7.0).collect();
    let both = values(weighted_squares(&net, net.rows(&[&inputs]), &[2, 0]));
    let of = |row: usize, label| {
        values(weighted_squares(&net, net.rows(&[&inputs[row * 64..][..64]]), &[label]))
    };
    let (first, second) = (of(0, 2), of(1, 0));
    let sum: Vec<f32> = first.iter().zip(&second).map(|(a, b)| a + b).collect();
    assert_eq!(both, sum);
    assert!(first.iter().any(|f| *f > 0.0) && first != second);
    assert_eq!(bytes(&net), before);
}
