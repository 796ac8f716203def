//! LibTorch beside flex: what it computes by its own kernels and its own rules of differentiation
//! is what burn's operations give on flex, and bf16 stays near it.
#![cfg(feature = "libtorch")]

use burn::tensor::{DType, Tensor, TensorData};
use perdura_nn::{
    BackboneConfig, BackboneKind, BatchNorm, Conv, ConvShape, Listing, Mode, Net, NetShape,
    Network, Precision, TensorMut, device_and_precision, losses,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

const IMAGES: usize = 6;
/// Height and width: large enough for smooth statistics in the last stage.
const SIDE: usize = 32;

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * i + 7 * i) % 97) as f32 / 48.0 - 1.0).collect()
}

/// A ResNet-18 of width 4 with one set of parameters on every device.
fn net(kind: BackboneKind, device: &str) -> Net {
    let backbone = BackboneConfig { kind, width: 4, ..BackboneConfig::default() };
    let shape = NetShape { backbone, input: vec![3, SIDE, SIDE], classes: 3 };
    let (device, precision) = device_and_precision(device, 0).unwrap();
    let mut net = Net::new(&shape, &mut ChaCha8Rng::seed_from_u64(3), &device).unwrap();
    net.backbone.compute_in(precision).unwrap();
    net
}

/// Loss of a step of gradient descent.
fn step(net: &mut Net) -> f32 {
    let x = numbers(IMAGES * 3 * SIDE * SIDE);
    let mut tracked = net.tracked();
    let logits = tracked.forward_train(net.rows(&[&x])).unwrap();
    let loss = losses::cross_entropy(logits, net.labels(&[&[0, 1, 2, 0, 1, 2]]));
    let value = loss.clone().into_scalar();
    net.descend(&tracked, loss.backward(), 0.01);
    value
}

/// Every tensor with its name; all are f32.
fn values(network: &impl Network) -> Vec<(String, Vec<f32>)> {
    let mut copy = network.clone();
    let read = |(name, tensor)| {
        let data = match tensor {
            TensorMut::Vector(t) | TensorMut::Running(t) => t.clone().into_data(),
            TensorMut::Linear(t) => t.clone().into_data(),
            TensorMut::Kernel(t) => t.clone().into_data(),
        };
        assert_eq!(data.dtype(), DType::F32, "{name}");
        (name, data.try_to_vec().unwrap())
    };
    copy.tensors_mut().into_iter().map(read).collect()
}

/// The largest distance, relative where values are above 1.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / a.abs().max(1.0)).fold(0.0, f32::max)
}

#[track_caller]
fn near(a: &impl Network, b: &impl Network, limit: f32) {
    for ((name, a), (_, b)) in values(a).iter().zip(values(b)) {
        assert!(distance(a, &b) <= limit, "{name}: {} apart", distance(a, &b));
    }
}

#[test]
fn steps_of_a_resnet_are_those_of_flex() {
    for kind in [BackboneKind::Resnet18, BackboneKind::Resnet18Pool] {
        let (mut ours, mut theirs) = (net(kind, "flex"), net(kind, "libtorch"));
        let fresh = theirs.clone();
        for number in 0..3 {
            let (a, b) = (step(&mut ours), step(&mut theirs));
            assert!((a - b).abs() < 2e-5, "{kind:?}, step {number}: {a} and {b}");
            near(&ours, &theirs, 5e-5);
        }
        // A network that shared all memory with the trained one is what it was.
        near(&fresh, &net(kind, "libtorch"), 0.0);
        let x = numbers(2 * 3 * SIDE * SIDE);
        let logits = |net: &Net| net.forward(net.rows(&[&x])).into_data().try_to_vec().unwrap();
        let (a, b): (Vec<f32>, Vec<f32>) = (logits(&ours), logits(&theirs));
        assert!(distance(&a, &b) < 5e-5, "{a:?}, {b:?}");
    }
}

/// A teacher is not tracked: its statistics move, and what it gives carries no gradients.
#[test]
fn a_teacher_moves_its_own_statistics_alone() {
    let kind = BackboneKind::Resnet18;
    let (mut ours, mut theirs) = (net(kind, "flex"), net(kind, "libtorch"));
    let x = numbers(IMAGES * 3 * SIDE * SIDE);
    let fresh = theirs.clone();
    for net in [&mut ours, &mut theirs] {
        let logits = net.forward_train(net.rows(&[&x])).unwrap();
        assert!(!logits.is_autodiff());
    }
    near(&ours, &theirs, 2e-5);
    let moved = values(&theirs).into_iter().zip(values(&fresh)).filter(|(a, b)| a != b);
    assert_eq!(moved.count(), 40, "mean and variance of 20 normalisations");
}

/// Passes of one tracked copy meet in one loss, and stages are changed by others before the way back.
#[test]
fn what_is_recorded_is_safe_from_later_operations() {
    let kind = BackboneKind::Resnet18;
    let gradients_of = |device: &str| {
        let mut net = net(kind, device);
        let mut tracked = net.tracked();
        let x = net.rows(&[&numbers(IMAGES * 3 * SIDE * SIDE)]);
        let stages = tracked.backbone.stages(x.clone(), Mode::Train).unwrap();
        let sums = stages.into_iter().map(|stage| (stage * 2.0 + 1.0).powi_scalar(2).mean());
        let sum = sums.reduce(|a, b| a + b).unwrap();
        let again = tracked.forward_train(x).unwrap().powi_scalar(2).mean();
        net.descend(&tracked, (sum + again).backward(), 0.05);
        net
    };
    near(&gradients_of("flex"), &gradients_of("libtorch"), 5e-5);
}

/// bf16 has 8 bits: near, but not the same. Parameters, statistics and logits are f32.
#[test]
fn bf16_is_near_and_keeps_parameters_in_f32() {
    for kind in [BackboneKind::Resnet18, BackboneKind::Resnet18Pool] {
        let (mut exact, mut coarse) = (net(kind, "libtorch"), net(kind, "libtorch+bf16"));
        let x = numbers(2 * 3 * SIDE * SIDE);
        let logits = |net: &Net| net.forward(net.rows(&[&x])).into_data();
        let (a, b) = (logits(&exact), logits(&coarse));
        assert_eq!(b.dtype(), DType::F32);
        let far = distance(&a.try_to_vec().unwrap(), &b.try_to_vec().unwrap());
        assert!(far > 0.0 && far < 0.02, "{kind:?}: {far}");
        let before = values(&coarse);
        let (a, b) = (step(&mut exact), step(&mut coarse));
        assert!(a != b && (a - b).abs() < 0.02, "{kind:?}: {a} and {b}");
        // Every parameter moves, and all together nearly to where f32 takes them.
        let (mut apart, mut moved) = (0.0, 0.0);
        for (((name, exact), (_, coarse)), (_, old)) in
            values(&exact).iter().zip(values(&coarse)).zip(before)
        {
            assert_ne!(coarse, old, "{name}");
            apart += squares(exact, &coarse);
            moved += squares(exact, &old);
        }
        assert!(apart > 0.0 && apart < 0.01 * moved, "{kind:?}: {apart} of {moved}");
    }
}

/// Sum of squared differences.
fn squares(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

#[test]
fn an_mlp_refuses_bf16() {
    let shape = NetShape { backbone: BackboneConfig::default(), input: vec![4], classes: 2 };
    let (device, _) = device_and_precision("libtorch", 0).unwrap();
    let mut net = Net::new(&shape, &mut ChaCha8Rng::seed_from_u64(3), &device).unwrap();
    let error = net.backbone.compute_in(Precision::Bf16).unwrap_err().to_string();
    assert!(error.contains("without `+bf16` for the backbone `mlp`"), "{error}");
    net.backbone.compute_in(Precision::F32).unwrap();
}

/// A convolution with a bias and a normalisation, by themselves.
#[derive(Clone)]
struct Pair {
    conv: Conv,
    norm: BatchNorm,
}

impl Network for Pair {
    fn list<'a>(&'a mut self, tensors: &mut Listing<'a>) {
        tensors.part("conv", &mut self.conv);
        tensors.part("norm", &mut self.norm);
    }
}

#[test]
fn layers_by_themselves_are_those_of_flex() {
    let stepped = |name: &str| {
        let (device, _) = device_and_precision(name, 0).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let shape = ConvShape { inputs: 2, outputs: 3, kernel: 3, stride: 2 };
        let conv = Conv::new(shape, &mut rng, &device).with_bias(&mut rng);
        let mut pair = Pair { conv, norm: BatchNorm::new(3, &device) };
        let x = TensorData::new(numbers(4 * 2 * 5 * 5), [4, 2, 5, 5]);
        let x = Tensor::<4>::from_data(x, &device).autodiff().require_grad();
        let mut tracked = pair.tracked();
        let out = tracked.norm.forward(tracked.conv.forward(x.clone()), Mode::Train).unwrap();
        let mut gradients = (out.clone() * out.clone().powi_scalar(2)).mean().backward();
        let to_x = x.grad_remove(&mut gradients).unwrap().into_data().try_to_vec::<f32>().unwrap();
        pair.descend(&tracked, gradients, 1.0);
        (pair, to_x)
    };
    let ((ours, a), (theirs, b)) = (stepped("flex"), stepped("libtorch"));
    near(&ours, &theirs, 1e-5);
    assert!(distance(&a, &b) < 1e-5 && a.iter().any(|g| g.abs() > 1e-4), "{a:?}, {b:?}");
}

#[test]
fn a_batch_that_cannot_be_normalised_is_refused_in_training_only() {
    let mut net = net(BackboneKind::Resnet18, "libtorch");
    let one = net.rows(&[&numbers(3 * SIDE * SIDE)]);
    // The last stage has 4x4 pixels: one image will do. Images of 8x8 leave one pixel.
    assert!(net.forward_train(one).is_ok());
    let backbone = BackboneConfig { kind: BackboneKind::Resnet18, width: 2, ..Default::default() };
    let shape = NetShape { backbone, input: vec![3, 8, 8], classes: 2 };
    let mut small = Net::new(&shape, &mut ChaCha8Rng::seed_from_u64(3), net.device()).unwrap();
    let one = small.rows(&[&numbers(3 * 8 * 8)]);
    let error = small.forward_train(one.clone()).unwrap_err().to_string();
    assert!(error.contains("found 1 in an input of shape [1, 16, 1, 1]"), "{error}");
    assert_eq!(small.forward(one).dims(), [1, 2]);
}
