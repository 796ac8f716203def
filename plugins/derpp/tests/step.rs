//! The terms of the DER++ loss, each by an identity: without both it is `sgd`, without logits it is
//! `er` at twice the rate, and the two draws are two.

use perdura_derpp::{Config, DerPp};
use perdura_nn::{BackboneConfig, Net, NetShape, Network, losses, state};
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{StateReader, StateWriter};

const INPUTS: [f32; 6] = [0.1, 0.9, 0.4, 0.8, 0.2, 0.6];
const LABELS: [u32; 2] = [2, 0];
const REPLAYED: [f32; 6] = [0.7, 0.3, 0.5, 0.2, 0.6, 0.1];
const REPLAYED_LABELS: [u32; 2] = [1, 1];

fn config() -> Config {
    Config { lr: 0.5, replay: 2, alpha: 0.5, beta: 1.0, hidden: vec![4], ..Config::default() }
}

fn driver(config: Config) -> Driver<DerPp> {
    Driver::new(config, Setting::new(3, &[3]).seed(9)).unwrap()
}

/// The network the driver starts with.
fn network(driver: &mut Driver<DerPp>) -> Net {
    let device = perdura_nn::device("flex", 0).unwrap();
    let backbone = BackboneConfig { hidden: vec![4], ..BackboneConfig::default() };
    let shape = NetShape { backbone, input: vec![3], classes: 3 };
    let mut network = Net::new(&shape, &mut perdura_sdk::rand::rng(), &device).unwrap();
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    state::load(&mut network, "", &mut saved).unwrap();
    network
}

fn bytes(network: &Net) -> Vec<u8> {
    let mut state = StateWriter::new();
    state::save(network, "", &mut state).unwrap();
    state.into_bytes().unwrap()
}

/// One step on the mean cross-entropy of these rows.
fn descend(network: &mut Net, inputs: &[&[f32]], targets: &[&[u32]], lr: f64) {
    let mut tracked = network.tracked();
    let logits = tracked.forward_train(network.rows(inputs)).unwrap();
    let loss = losses::cross_entropy(logits, network.labels(targets));
    network.descend(tracked, loss.backward(), lr);
}

fn dark() -> Samples {
    Samples::new(&REPLAYED, &REPLAYED_LABELS).column("logits", &[1.0, -1.0, 0.5, 0.0, 2.0, -2.0])
}

fn step(driver: &mut Driver<DerPp>, dark: Samples, labelled: Samples) {
    let current = Samples::new(&INPUTS, &LABELS);
    driver.step(&current, &[("dark", dark), ("labelled", labelled)]).unwrap();
}

#[test]
fn without_replay_or_weights_it_is_sgd_to_the_byte() {
    let off = Config { alpha: 0.0, beta: 0.0, ..config() };
    let (mut empty, mut off) = (driver(config()), driver(off));
    let mut network = network(&mut empty);
    for _ in 0..10 {
        descend(&mut network, &[&INPUTS], &[&LABELS], 0.5);
        step(&mut empty, Samples::default(), Samples::default());
        step(&mut off, dark(), Samples::new(&REPLAYED, &REPLAYED_LABELS));
    }
    assert_eq!(empty.save().unwrap(), bytes(&network));
    assert_eq!(off.save().unwrap(), bytes(&network));
}

/// CE(X) + CE(X'') with equally many samples is twice the mean over both, which is the loss of
/// `er`.
#[test]
fn without_logits_it_is_er_at_twice_the_rate() {
    let mut driver = driver(Config { alpha: 0.0, ..config() });
    let mut network = network(&mut driver);
    let start = network.clone();
    for _ in 0..3 {
        descend(&mut network, &[&INPUTS, &REPLAYED], &[&LABELS, &REPLAYED_LABELS], 1.0);
        step(&mut driver, dark(), Samples::new(&REPLAYED, &REPLAYED_LABELS));
    }
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    let mut expected = StateReader::from_bytes(&bytes(&network)).unwrap();
    let (found, expected) = (
        saved.tensor("fc1.weight", &[4, 3]).unwrap(),
        expected.tensor("fc1.weight", &[4, 3]).unwrap(),
    );
    assert_ne!(bytes(&start), bytes(&network));
    assert!(
        found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6),
        "{found:?} {expected:?}"
    );
}

#[test]
fn labels_come_from_the_second_draw_and_logits_from_the_first() {
    let (mut one, mut other, mut swapped) = (driver(config()), driver(config()), driver(config()));
    let relabelled = Samples { labels: vec![2, 2], ..dark() };
    step(&mut one, dark(), Samples::new(&INPUTS, &[1, 1]));
    step(&mut other, relabelled, Samples::new(&INPUTS, &[1, 1]));
    step(&mut swapped, dark(), Samples::new(&INPUTS, &[2, 1]));
    let saved = one.save().unwrap();
    assert_eq!(saved, other.save().unwrap());
    assert_ne!(saved, swapped.save().unwrap());
}

#[test]
fn a_weight_below_zero_is_refused() {
    let error = Driver::<DerPp>::new(Config { beta: -1.0, ..config() }, Setting::new(3, &[3]));
    let message = error.err().expect("the weight is out of range").to_string();
    assert_eq!(message, "hyper-parameter `beta`: expected a number from 0, found -1");
}
