//! Points, chords, gradients and coverage by hand.

use super::*;
use crate::orthogonal::{BasisKind, Bounds};
use crate::{BackboneConfig, BackboneKind, Net, NetShape};
use perdura_sdk::rand::{SeedableRng, rngs::StdRng};

const BOUNDS: Bounds = Bounds { capacity: 50, tau_rank: 0.1 };

/// Two inputs, two classes.
fn net(hidden: &[usize], seed: u64) -> Net {
    let backbone = BackboneConfig { kind: BackboneKind::Mlp, hidden: hidden.to_vec(), width: 2 };
    let shape = NetShape { backbone, input: vec![2], classes: 2 };
    let device = crate::device("flex", 0).unwrap();
    Net::new(&shape, &mut StdRng::seed_from_u64(seed), &device).unwrap()
}

/// Without hidden layers: weights `[2, 2]`, then two biases, all of one value.
fn constant(value: f32) -> Net {
    let net = net(&[], 1);
    let values = vec![vec![value; 4], vec![value; 2]];
    numbers::filled(&net, values)
}

fn answer(net: &Net, input: &[f32]) -> Tensor<2> {
    net.forward(net.rows(&[input]))
}

fn protected(net: &Net) -> Protected {
    Protected::new(net, BasisKind::Network, BOUNDS, |_| true)
}

/// S = 0, P = 2, W = 6: the way goes over 0, 1, 2, 4 and 6.
#[test]
fn the_way_by_hand() {
    let nets = [0.0, 2.0, 6.0].map(constant);
    let of = |points: Points<Net>| -> Vec<Vec<f32>> {
        points.points.iter().map(numbers::parameters).collect()
    };
    let [s, p, w] = &nets;
    let segments = Points::segments([s, p, w]);
    assert!(segments.chords.is_empty());
    assert_eq!(of(segments), [0.0, 1.0, 2.0, 4.0, 6.0].map(|value| vec![value; 6]));
    let chords = Points::chords([s, p, w]);
    assert_eq!(chords.chords, [4.0, 6.0, 2.0].map(|value| vec![value; 6]));
    assert_eq!(of(chords), [vec![6.0; 6]]);
    assert_eq!(of(Points::one(p)), [vec![2.0; 6]]);
}

/// `f_1(x) = w_1·x + b_1`: the gradient is x in column 1 of the weights and 1 at bias 1.
#[test]
fn the_gradient_of_a_logit_by_hand() {
    let found = label_gradient(&constant(0.3), (&[2.0, 3.0], 1), answer);
    assert_eq!(found, [0.0, 2.0, 0.0, 3.0, 0.0, 1.0]);
}

/// Beside v = (0, 2, 0, 3, 0, 1) the gradient (0, 0, 0, 1, 0, 1) of another input has a share of
/// 4/√28 = 0.755929, one of the other class none.
#[test]
fn coverage_by_hand() {
    let net = constant(0.3);
    let mut protected = protected(&net);
    let taken = Samples { inputs: vec![2.0, 3.0], labels: vec![1] };
    assert_eq!(protected.take_in(&taken, &Points::one(&net), answer).unwrap(), 1);
    let later = Samples { inputs: vec![0.0, 1.0, 0.0, 1.0], labels: vec![1, 0] };
    let found = protected.coverage_over(&net, &later, answer).unwrap();
    assert!((found - 0.755929 / 2.0).abs() < 1e-5, "{found}");
    assert_eq!(protected.coverage_over(&net, &Samples::default(), answer), None);
}

/// Sample k at point k mod 5, a sixth one at the first point again.
#[test]
fn samples_are_dealt_out_to_the_points() {
    let [s, p, w] = [1, 2, 3].map(|seed| net(&[3], seed));
    let inputs: Vec<f32> = (0..12).map(|i| (i * 7 % 5) as f32 + 0.5).collect();
    let samples = Samples { inputs, labels: vec![0, 1, 1, 0, 1, 0] };
    let way = Points::segments([&s, &p, &w]);
    let mut found = protected(&w);
    found.take_in(&samples, &way, answer).unwrap();
    let mut expected = protected(&w);
    expected.open_part();
    for (sample, point) in samples.iter().zip([0, 1, 2, 3, 4, 0]) {
        expected.admit(&label_gradient(&way.points[point], sample, answer)).unwrap();
    }
    expected.close_part();
    let directions = |of: &Protected| {
        let mut saved = perdura_sdk::StateWriter::new();
        of.save(&mut saved).unwrap();
        saved.into_bytes().unwrap()
    };
    assert!(found.directions() > 1);
    assert_eq!(directions(&found), directions(&expected));
}

/// Chords of points that are one are zero, and refused; of points on a line they are one direction.
#[test]
fn chords_that_are_known_are_refused() {
    let nothing = Samples::default();
    let admitted = |values: [f32; 3]| {
        let [s, p, w] = values.map(constant);
        protected(&w).take_in(&nothing, &Points::chords([&s, &p, &w]), answer).unwrap()
    };
    assert_eq!(admitted([6.0, 6.0, 6.0]), 0);
    assert_eq!(admitted([0.0, 2.0, 6.0]), 1);
}
