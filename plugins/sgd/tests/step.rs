//! The step of `sgd`, and that a saved learner goes on where it was.

use perdura_nn::{BackboneConfig, BackboneKind, Net, NetShape, Network, losses, state};
use perdura_sdk::testing::{Driver, Setting};
use perdura_sdk::{StateReader, StateWriter};
use perdura_sgd::{Config, Sgd};

const INPUTS: [f32; 6] = [0.1, 0.9, 0.4, 0.8, 0.2, 0.6];
const LABELS: [u32; 2] = [2, 0];

fn driver() -> Driver<Sgd> {
    let config = Config { lr: 0.5, hidden: vec![4], ..Config::default() };
    Driver::new(config, Setting::new(3, &[3]).seed(9)).unwrap()
}

#[test]
fn a_step_is_gradient_descent_on_the_cross_entropy() {
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
        let report = driver.observe(&INPUTS, &LABELS).unwrap();
        assert_eq!(report.scalar("loss"), Some(f64::from(loss.clone().into_scalar::<f32>())));
        network.descend(tracked, loss.backward(), 0.5);
    }
    let mut expected = StateWriter::new();
    state::save(&network, "", &mut expected).unwrap();
    assert_eq!(driver.save().unwrap(), expected.into_bytes().unwrap());
}

#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    let (mut first, mut second) = (driver(), driver());
    first.observe(&INPUTS, &LABELS).unwrap();
    second.load(&first.save().unwrap()).unwrap();
    first.observe(&INPUTS, &LABELS).unwrap();
    second.observe(&INPUTS, &LABELS).unwrap();
    assert_eq!(first.save().unwrap(), second.save().unwrap());
}

#[test]
fn a_learning_rate_of_zero_is_refused() {
    let config = Config { lr: 0.0, ..Config::default() };
    let error = Driver::<Sgd>::new(config, Setting::new(3, &[3])).err().expect("0 is refused");
    assert_eq!(error.to_string(), "hyper-parameter `lr`: expected a number above 0, found 0");
}

/// Images of 8x8 are one pixel in the last stage of a ResNet: one of them cannot be normalised.
#[test]
fn a_batch_of_one_that_cannot_be_normalised_is_an_error() {
    let config = Config { backbone: BackboneKind::Resnet18, width: 2, ..Config::default() };
    let mut driver = Driver::<Sgd>::new(config, Setting::new(3, &[1, 8, 8])).unwrap();
    let error = driver.observe(&[0.5; 64], &[1]).unwrap_err().to_string();
    assert!(error.contains("expected at least 2 values per channel in training"), "{error}");
    driver.observe(&[0.5; 128], &[1, 2]).unwrap();
}
