//! `er` with nothing to replay is `sgd`; what it replays counts like the current batch.

use perdura_er::{Config, Er};
use perdura_nn::{BackboneConfig, BackboneKind, Net, NetShape, Network, losses, state};
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{StateReader, StateWriter};

const INPUTS: [f32; 6] = [0.1, 0.9, 0.4, 0.8, 0.2, 0.6];
const LABELS: [u32; 2] = [2, 0];

fn driver() -> Driver<Er> {
    let config = Config { lr: 0.5, replay: 2, hidden: vec![4], ..Config::default() };
    Driver::new(config, Setting::new(3, &[3]).seed(9)).unwrap()
}

#[test]
fn without_replay_it_is_sgd_to_the_byte() {
    let mut driver = driver();
    let device = perdura_nn::device("flex", 0).unwrap();
    let backbone = BackboneConfig { hidden: vec![4], ..BackboneConfig::default() };
    let shape = NetShape { backbone, input: vec![3], classes: 3 };
    let mut network = Net::new(&shape, &mut perdura_sdk::rand::rng(), &device).unwrap();
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    state::load(&mut network, "", &mut saved).unwrap();
    for _ in 0..10 {
        let mut tracked = network.tracked();
        let (x, y) = (network.rows(&[&INPUTS]), network.labels(&[&LABELS]));
        let loss = losses::cross_entropy(tracked.forward_train(x).unwrap(), y);
        network.descend(tracked, loss.backward(), 0.5);
        let nothing = Samples::new(&[], &[]);
        driver.step(&Samples::new(&INPUTS, &LABELS), &[("replay", nothing)]).unwrap();
    }
    let mut expected = StateWriter::new();
    state::save(&network, "", &mut expected).unwrap();
    assert_eq!(driver.save().unwrap(), expected.into_bytes().unwrap());
}

#[test]
fn replayed_samples_count_like_current_ones() {
    let (mut split, mut whole) = (driver(), driver());
    let (current, replayed) =
        (Samples::new(&INPUTS[..3], &LABELS[..1]), Samples::new(&INPUTS[3..], &LABELS[1..]));
    split.step(&current, &[("replay", replayed)]).unwrap();
    let nothing = Samples::new(&[], &[]);
    whole.step(&Samples::new(&INPUTS, &LABELS), &[("replay", nothing)]).unwrap();
    assert_eq!(split.save().unwrap(), whole.save().unwrap());
}

/// Images of 8x8 are one pixel in the last stage of a ResNet: one of them cannot be normalised.
#[test]
fn a_batch_of_one_that_cannot_be_normalised_is_an_error() {
    let config = Config { backbone: BackboneKind::Resnet18, width: 2, ..Config::default() };
    let mut driver = Driver::<Er>::new(config, Setting::new(3, &[1, 8, 8])).unwrap();
    let (one, nothing) = (Samples::new(&[0.5; 64], &[1]), || Samples::new(&[], &[]));
    let error = driver.step(&one, &[("replay", nothing())]).unwrap_err().to_string();
    assert!(error.contains("expected at least 2 values per channel in training"), "{error}");
    driver.step(&one, &[("replay", one.clone())]).unwrap();
}
