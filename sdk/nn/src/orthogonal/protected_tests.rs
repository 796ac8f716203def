//! Which parameters are protected, and what a damaged state says.

use super::*;
use crate::orthogonal::label_gradient;
use crate::{BackboneConfig, BackboneKind, Net, NetShape};
use perdura_sdk::rand::{SeedableRng, rngs::StdRng};

const BOUNDS: Bounds = Bounds { capacity: 50, tau_rank: 0.1 };

fn net(kind: BackboneKind, input: &[usize]) -> Net {
    let backbone = BackboneConfig { kind, hidden: vec![5], width: 2 };
    let shape = NetShape { backbone, input: input.to_vec(), classes: 3 };
    let device = crate::device("flex", 0).unwrap();
    Net::new(&shape, &mut StdRng::seed_from_u64(1), &device).unwrap()
}

fn protected(net: &Net, kind: BasisKind, free: Option<&str>) -> Protected {
    let taken = |name: &str| free.is_none_or(|free| !name.starts_with(free));
    let mut protected = Protected::new(net, kind, BOUNDS, taken);
    protected.open_part();
    protected
}

/// `∇_θ f_y(x; θ)`, of a label's logit.
fn gradient_of(net: &Net, input: &[f32], label: u32) -> Vec<f32> {
    label_gradient(net, (input, label), |net, x| net.forward(net.rows(&[x])))
}

/// 6 inputs, 5 units, 3 classes: 35 numbers of the trunk, then 18 of the head, which stay.
#[test]
fn a_free_head_is_left_alone() {
    let net = net(BackboneKind::Mlp, &[6]);
    for kind in [BasisKind::Network, BasisKind::Layers] {
        let mut protected = protected(&net, kind, Some("head."));
        let gradient: Vec<f32> = (0..53).map(|i| i as f32 - 20.0).collect();
        assert!(protected.admit(&gradient).unwrap() > 0);
        let mut left = gradient.clone();
        protected.project(&mut left);
        assert_eq!(left[35..], gradient[35..], "{kind:?}");
        assert!(norm(&left[..35]) < 0.15 * norm(&gradient[..35]), "{kind:?}");
        // The coverage is that of the trunk.
        assert!(protected.coverage(&gradient).unwrap() > 0.98, "{kind:?}");
    }
}

/// A free parameter in the middle: 30 weights before it, 18 numbers of the head after it are one
/// basis, in which what was taken in is known, whatever lies between.
#[test]
fn what_is_free_may_lie_in_the_middle() {
    let net = net(BackboneKind::Mlp, &[6]);
    let mut protected = Protected::new(&net, BasisKind::Network, BOUNDS, |name| name != "fc1.bias");
    assert_eq!(protected.pieces[0].ranges, [0..30, 35..53]);
    assert_eq!(protected.pieces[0].basis.width(), 48);
    protected.open_part();
    let gradient: Vec<f32> = (0..53).map(|i| i as f32 - 20.0).collect();
    assert_eq!(protected.admit(&gradient).unwrap(), 1);
    let mut left = gradient.clone();
    left[32] = 900.0;
    protected.project(&mut left);
    assert_eq!(left[30..35], [10.0, 11.0, 900.0, 13.0, 14.0]);
    assert!(norm(&left[..30]) + norm(&left[35..]) < 1e-4 * norm(&gradient));
    assert!((protected.coverage(&gradient).unwrap() - 1.0).abs() < 1e-5);
    // Across the gap: of (1 at number 0, 1 at number 52) what lies along the direction goes.
    let mut two = vec![0.0; 53];
    (two[0], two[52]) = (1.0, 1.0);
    protected.project(&mut two);
    let square = norm(&gradient[..30]).powi(2) + norm(&gradient[35..]).powi(2);
    let share = (f64::from(gradient[0] + gradient[52]) / square) as f32;
    for at in (0..30).chain(35..53) {
        let was = f32::from(u8::from(at == 0 || at == 52));
        assert!((two[at] - (was - share * gradient[at])).abs() < 1e-5, "{at}: {}", two[at]);
    }
}

/// The gradient of a linear layer for one sample is an input times an output error: one direction
/// for each matrix and each bias.
#[test]
fn layers_of_an_mlp_have_one_direction_each_for_a_sample() {
    let net = net(BackboneKind::Mlp, &[6]);
    let mut protected = protected(&net, BasisKind::Layers, None);
    let gradient = gradient_of(&net, &[0.1, 0.7, 0.2, 0.9, 0.0, 0.4], 1);
    assert_eq!(protected.admit(&gradient).unwrap(), 4);
    let names: Vec<&str> = protected.pieces.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["fc1.weight", "fc1.bias", "head.weight", "head.bias"]);
    let widths: Vec<usize> = protected.pieces.iter().map(|p| p.basis.width()).collect();
    assert_eq!(widths, [6, 5, 5, 3]);
    let mut left = gradient.clone();
    protected.project(&mut left);
    assert!(norm(&left) < 1e-4 * norm(&gradient));
}

/// Kernels `[out, in, 3, 3]` as rows of in·9; what is left of a protected gradient is at most τ of
/// it in every layer, and another gradient keeps a good part.
#[test]
fn a_convolutional_network_has_small_bases() {
    let net = net(BackboneKind::Resnet18, &[1, 8, 8]);
    let mut protected = protected(&net, BasisKind::Layers, None);
    let gradient = |salt: usize| {
        let image: Vec<f32> = (0..64).map(|i| ((i * 37 + salt) % 11) as f32 / 11.0).collect();
        gradient_of(&net, &image, salt as u32)
    };
    let gradients = [0, 1, 2].map(gradient);
    protected.admit(&gradients[0]).unwrap();
    protected.admit(&gradients[1]).unwrap();
    protected.close_part();
    let conv1 = &protected.pieces[0];
    assert_eq!((conv1.name.as_str(), conv1.basis.width()), ("conv1.weight", 9));
    for gradient in &gradients[..2] {
        let mut left = gradient.clone();
        protected.project(&mut left);
        assert!(norm(&left) < 0.11 * norm(gradient));
    }
    let mut left = gradients[2].clone();
    protected.project(&mut left);
    assert!(norm(&left) > 0.05 * norm(&gradients[2]) && norm(&left) < norm(&gradients[2]));
}

#[test]
fn a_gradient_that_is_not_finite_is_refused() {
    let net = net(BackboneKind::Mlp, &[6]);
    let mut protected = protected(&net, BasisKind::Network, None);
    let error = protected.admit(&[f32::NAN; 53]).unwrap_err().to_string();
    assert!(error.contains("not finite") && error.contains("lower `lr`"), "{error}");
    assert_eq!(protected.directions(), 0);
    assert_eq!(protected.coverage(&[0.0; 53]), None);
}

#[test]
fn a_state_of_another_kind_is_refused() {
    let net = net(BackboneKind::Mlp, &[6]);
    let mut saved = StateWriter::new();
    protected(&net, BasisKind::Layers, None).save(&mut saved).unwrap();
    let mut saved = StateReader::from_bytes(&saved.into_bytes().unwrap()).unwrap();
    let error = protected(&net, BasisKind::Network, None).load(&mut saved).unwrap_err();
    let error = error.to_string();
    assert_eq!(error, "value `directions`: expected counts of 1 bases, found 4");
}
