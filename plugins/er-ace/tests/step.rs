//! The asymmetric loss by hand: which classes compete, when, and what is replayed.

use perdura_er_ace::{Config, ErAce};
use perdura_sdk::testing::{Driver, Observed, Samples, Setting};
use perdura_sdk::{StateReader, StateWriter};

/// Biases of a linear network with zero weights: the logits of every input.
const LOGITS: [f64; 5] = [0.5, -1.0, 2.0, 0.0, 1.0];

/// A learner of five classes whose logits are [`LOGITS`], in its first experience.
fn driver() -> Driver<ErAce> {
    let config = Config { lr: 0.1, replay: 2, hidden: vec![], ..Config::default() };
    let mut driver = Driver::<ErAce>::new(config, Setting::new(5, &[1])).unwrap();
    reset(&mut driver, true, 0);
    driver
}

/// Puts the logits back, and the learner to a place in the stream.
fn reset(driver: &mut Driver<ErAce>, first: bool, label_max: u32) {
    let mut state = StateWriter::new();
    state.tensor("head.weight", &[5, 1], &[0.0; 5]).unwrap();
    state.tensor("head.bias", &[5], &LOGITS.map(|z| z as f32)).unwrap();
    state.value("first", &first).unwrap();
    state.value("label_max", &label_max).unwrap();
    driver.load(&state.into_bytes().unwrap()).unwrap();
}

fn step(driver: &mut Driver<ErAce>, labels: &[u32], replayed: &[u32]) -> Observed {
    let samples = |labels: &[u32]| Samples::new(&vec![0.0; labels.len()], labels);
    driver.step(&samples(labels), &[("replay", samples(replayed))]).unwrap()
}

/// Mean −log softmax of the labels among the classes that compete.
fn cross_entropy(labels: &[u32], competing: &[usize]) -> f64 {
    let sum: f64 = competing.iter().map(|&class| LOGITS[class].exp()).sum();
    let each = labels.iter().map(|&label| sum.ln() - LOGITS[label as usize]);
    each.sum::<f64>() / labels.len() as f64
}

#[track_caller]
fn assert_scalar(report: &Observed, name: &str, expected: f64) {
    let found = report.scalar(name).unwrap();
    assert!((found - expected).abs() < 1e-6, "{name}: {found}, expected {expected}");
}

#[test]
fn in_the_first_experience_all_classes_compete_and_nothing_is_replayed() {
    let report = step(&mut driver(), &[0, 1], &[0, 0]);
    assert_scalar(&report, "loss", cross_entropy(&[0, 1], &[0, 1, 2, 3, 4]));
    assert_scalar(&report, "loss_ce_replay", 0.0);
}

#[test]
fn later_the_batch_competes_among_its_own_and_the_newest_classes() {
    let mut driver = driver();
    step(&mut driver, &[0, 1], &[]);
    driver.end_experience(0).unwrap();
    reset(&mut driver, false, 1);
    // Class 2 alone is in the batch, 3 and 4 are to come; 0 and 1 are old and do not compete.
    let report = step(&mut driver, &[2, 2], &[0, 1]);
    assert_scalar(&report, "loss_ce", cross_entropy(&[2, 2], &[2, 3, 4]));
    assert_scalar(&report, "loss_ce_replay", cross_entropy(&[0, 1], &[0, 1, 2, 3, 4]));
    let both = report.scalar("loss_ce").unwrap() + report.scalar("loss_ce_replay").unwrap();
    assert_scalar(&report, "loss", both);
    // The largest label so far, 3, stays in when the batch lacks it; 2 is in it.
    reset(&mut driver, false, 3);
    assert_scalar(&step(&mut driver, &[2], &[]), "loss_ce", cross_entropy(&[2], &[2, 3, 4]));
    // Once the last class was seen, only the batch's own compete.
    reset(&mut driver, false, 3);
    step(&mut driver, &[4], &[]);
    reset(&mut driver, false, 4);
    assert_scalar(&step(&mut driver, &[3], &[]), "loss_ce", cross_entropy(&[3], &[3]));
}

/// An old class loses nothing to the current batch: its bias moves only by what is replayed.
#[test]
fn the_current_batch_does_not_push_old_classes() {
    let mut driver = driver();
    reset(&mut driver, false, 1);
    step(&mut driver, &[2, 3], &[]);
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    let bias = saved.tensor("head.bias", &[5]).unwrap();
    assert_eq!(bias[..2], [0.5, -1.0]);
    // Class 4 is still to come and is pushed: by lr·softmax among 2, 3 and 4.
    let pushed =
        0.1 * (LOGITS[4].exp() / [2, 3, 4].map(|c: usize| LOGITS[c].exp()).iter().sum::<f64>());
    assert!((f64::from(bias[4]) - (1.0 - pushed)).abs() < 1e-6, "{bias:?}");
}

#[test]
fn the_end_of_the_first_experience_is_saved() {
    let mut first = driver();
    step(&mut first, &[0, 1], &[]);
    first.end_experience(0).unwrap();
    let saved = first.save().unwrap();
    let mut second = driver();
    second.load(&saved).unwrap();
    step(&mut first, &[2, 3], &[0, 1]);
    step(&mut second, &[2, 3], &[0, 1]);
    let after = first.save().unwrap();
    assert_eq!(after, second.save().unwrap());
    let mut state = StateReader::from_bytes(&after).unwrap();
    assert_eq!((state.value("first").unwrap(), state.value("label_max").unwrap()), (false, 3));
}

#[test]
fn where_boundaries_are_hidden_it_replays_from_the_start() {
    let mut setting = Setting::new(5, &[1]);
    setting.context.grants.boundaries = false;
    let config = Config { lr: 0.1, replay: 2, hidden: vec![], ..Config::default() };
    let mut driver = Driver::<ErAce>::new(config, setting).unwrap();
    let saved = driver.save().unwrap();
    assert!(!StateReader::from_bytes(&saved).unwrap().value::<bool>("first").unwrap());
    assert!(step(&mut driver, &[0], &[1]).scalar("loss_ce_replay").unwrap() > 0.0);
}

#[test]
fn a_learning_rate_of_zero_is_refused() {
    let config = Config { lr: 0.0, ..Config::default() };
    let error = Driver::<ErAce>::new(config, Setting::new(3, &[3])).err().expect("0 is refused");
    assert_eq!(error.to_string(), "hyper-parameter `lr`: expected a number above 0, found 0");
}
