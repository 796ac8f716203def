//! The DER loss by hand and by identities, and the logits it hands over.

use perdura_der::{Config, Der};
use perdura_nn::{BackboneConfig, Net, NetShape, Network, losses, state};
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{StateReader, StateWriter};

const INPUTS: [f32; 6] = [0.1, 0.9, 0.4, 0.8, 0.2, 0.6];
const LABELS: [u32; 2] = [2, 0];

fn config() -> Config {
    Config { lr: 0.5, replay: 2, alpha: 0.5, hidden: vec![4], ..Config::default() }
}

fn driver(config: Config) -> Driver<Der> {
    Driver::new(config, Setting::new(3, &[3]).seed(9)).unwrap()
}

fn dark() -> Samples {
    Samples::new(&INPUTS, &LABELS).column("logits", &[1.0, -1.0, 0.5, 0.0, 2.0, -2.0])
}

/// A linear network with zero weights gives its biases, b = (1, 2), for every input. With X
/// labelled 0 and stored logits (3, 2) and (1, 0): CE = log(1 + e), and the mean square is
/// ((1−3)² + 0 + 0 + (2−0)²)/4 = 2. With α = 0.5 and σ = e/(1 + e) the gradient of b₁ is −σ plus
/// 0.5·2/4·((1−3) + (1−1)) = −0.5, that of b₂ is σ plus 0.5·2/4·((2−2) + (2−0)) = 0.5.
#[test]
fn a_step_by_hand() {
    let config = Config { lr: 0.1, replay: 2, alpha: 0.5, hidden: vec![], ..Config::default() };
    let mut driver = Driver::<Der>::new(config, Setting::new(2, &[1])).unwrap();
    let mut start = StateWriter::new();
    start.tensor("head.weight", &[2, 1], &[0.0, 0.0]).unwrap();
    start.tensor("head.bias", &[2], &[1.0, 2.0]).unwrap();
    driver.load(&start.into_bytes().unwrap()).unwrap();

    let dark = Samples::new(&[0.0, 0.0], &[1, 1]).column("logits", &[3.0, 2.0, 1.0, 0.0]);
    let report = driver.step(&Samples::new(&[0.0], &[0]), &[("dark", dark)]).unwrap();
    let ce = (1.0 + 1f64.exp()).ln();
    for (name, expected) in [("loss_ce", ce), ("loss_mse", 2.0), ("loss", ce + 0.5 * 2.0)] {
        let found = report.scalar(name).unwrap();
        assert!((found - expected).abs() < 1e-6, "{name}: {found}, expected {expected}");
    }
    assert_eq!(report.column("logits").unwrap(), [1.0, 2.0]);
    let sigma = 1f32.exp() / (1.0 + 1f32.exp());
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    let bias = saved.tensor("head.bias", &[2]).unwrap();
    let expected = [1.0 + 0.1 * (sigma + 0.5), 2.0 - 0.1 * (sigma + 0.5)];
    assert!(bias.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{bias:?} {expected:?}");
}

#[test]
fn without_replay_or_weight_it_is_sgd_to_the_byte() {
    let (mut empty, mut off) = (driver(config()), driver(Config { alpha: 0.0, ..config() }));
    let device = perdura_nn::device("flex", 0).unwrap();
    let backbone = BackboneConfig { hidden: vec![4], ..BackboneConfig::default() };
    let shape = NetShape { backbone, input: vec![3], classes: 3 };
    let mut network = Net::new(&shape, &mut perdura_sdk::rand::rng(), &device).unwrap();
    let mut saved = StateReader::from_bytes(&empty.save().unwrap()).unwrap();
    state::load(&mut network, "", &mut saved).unwrap();
    let current = Samples::new(&INPUTS, &LABELS);
    for _ in 0..10 {
        let mut tracked = network.tracked();
        let (x, y) = (network.rows(&[&INPUTS]), network.labels(&[&LABELS]));
        let loss = losses::cross_entropy(tracked.forward_train(x).unwrap(), y);
        network.descend(tracked, loss.backward(), 0.5);
        empty.step(&current, &[("dark", Samples::default())]).unwrap();
        off.step(&current, &[("dark", dark())]).unwrap();
    }
    let mut expected = StateWriter::new();
    state::save(&network, "", &mut expected).unwrap();
    let expected = expected.into_bytes().unwrap();
    assert!(empty.save().unwrap() == expected && off.save().unwrap() == expected);
}

/// What is stored is what the network answered before the update, and its labels are not learned.
#[test]
fn logits_are_those_of_before_the_update_and_labels_are_not_used() {
    let (mut one, mut other) = (driver(config()), driver(config()));
    let before = one.predict("main", &INPUTS).unwrap().unwrap();
    let current = Samples::new(&INPUTS, &LABELS);
    let report = one.step(&current, &[("dark", dark())]).unwrap();
    assert_eq!(report.column("logits").unwrap(), before);
    assert_ne!(one.predict("main", &INPUTS).unwrap().unwrap(), before);
    other.predict("main", &INPUTS).unwrap();
    let relabelled = Samples { labels: vec![1, 1], ..dark() };
    other.step(&current, &[("dark", relabelled)]).unwrap();
    assert_eq!(one.save().unwrap(), other.save().unwrap());
}

#[test]
fn a_weight_below_zero_is_refused() {
    let error = Driver::<Der>::new(Config { alpha: -0.1, ..config() }, Setting::new(3, &[3]));
    let message = error.err().expect("the weight is out of range").to_string();
    assert_eq!(message, "hyper-parameter `alpha`: expected a number from 0, found -0.1");
}
