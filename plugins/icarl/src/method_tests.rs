//! iCaRL by hand on a linear network, and through the messages of a host.

use super::*;
use perdura_nn::BackboneKind;
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{Grants, StateReader, StateWriter};

/// Biases of a linear network with zero weights: the logits of every input.
const LOGITS: [f32; 4] = [0.5, -1.0, 2.0, 0.0];

fn config() -> Config {
    Config { lr: 0.1, hidden: vec![], ..Config::default() }
}

fn driver(config: Config) -> Driver<Icarl> {
    let mut driver = Driver::new(config, Setting::new(4, &[1, 1, 2]).seed(1)).unwrap();
    driver.memory_samples_max = Some(6);
    driver
}

fn sigma(z: f32) -> f64 {
    1.0 / (1.0 + f64::from(-z).exp())
}

/// A learner between two experiences of two classes whose logits are [`LOGITS`].
fn between(driver: &mut Driver<Icarl>) {
    let mut state = StateWriter::new();
    state.tensor("head.weight", &[4, 2], &[0.0; 8]).unwrap();
    state.tensor("head.bias", &[4], &LOGITS).unwrap();
    state.value("room", &6).unwrap();
    state.value("past", &[0, 1]).unwrap();
    state.value("new", &[0u32; 0]).unwrap();
    state.value("exemplars", &BTreeMap::<u32, Vec<u64>>::new()).unwrap();
    state.value("means", &[0u32; 0]).unwrap();
    state.value("distils", &false).unwrap();
    driver.load(&state.into_bytes().unwrap()).unwrap();
}

/// Targets: σ of the old network for classes 0 and 1, one-hot for 2 and 3. The loss is the mean
/// over samples and four classes of −t·log σ(z) − (1 − t)·log(1 − σ(z)).
#[test]
fn the_loss_by_hand() {
    let mut driver = driver(config());
    between(&mut driver);
    driver.begin_experience_of(1, &[2, 3]).unwrap();
    let report = driver.step(&Samples::new(&[0.1, 0.2, 0.3, 0.4], &[2, 0]), &[]).unwrap();
    let entropy = |t: f64, z: f32| -t * sigma(z).ln() - (1.0 - t) * (1.0 - sigma(z)).ln();
    let old = entropy(sigma(LOGITS[0]), LOGITS[0]) + entropy(sigma(LOGITS[1]), LOGITS[1]);
    let of_2 = old + entropy(1.0, LOGITS[2]) + entropy(0.0, LOGITS[3]);
    let of_0 = old + entropy(0.0, LOGITS[2]) + entropy(0.0, LOGITS[3]);
    let expected = (of_2 + of_0) / 8.0;
    let found = report.scalar("loss").unwrap();
    assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
    // The gradient of a bias is (σ(z) − t)/4 in the mean of samples: 0 where the target is what the
    // network says, so old classes stay.
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    let bias = saved.tensor("head.bias", &[4]).unwrap();
    let moved = |class: usize, target: f64| {
        let gradient = (sigma(LOGITS[class]) - target) / 4.0;
        assert!((f64::from(LOGITS[class] - bias[class]) - 0.1 * gradient).abs() < 1e-6, "{bias:?}");
    };
    moved(0, sigma(LOGITS[0]));
    moved(1, sigma(LOGITS[1]));
    moved(2, 0.5);
    moved(3, 0.0);
}

/// In the first experience only its classes count; others' logits stay.
#[test]
fn classes_to_come_have_no_part() {
    let mut driver = driver(config());
    driver.begin_experience_of(0, &[0, 1]).unwrap();
    let bias = |driver: &mut Driver<Icarl>| {
        let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
        saved.tensor("head.bias", &[4]).unwrap()
    };
    let before = bias(&mut driver);
    driver.step(&Samples::new(&[0.1, 0.2], &[1]), &[]).unwrap();
    let after = bias(&mut driver);
    assert_eq!(after[2..], before[2..]);
    assert!(after[0] < before[0] && after[1] > before[1]);
}

/// `δ·Σθ²` adds `2·δ·θ` to the gradient: with δ = 1/2 a parameter the loss does not move shrinks by
/// lr·θ.
#[test]
fn weight_decay_by_hand() {
    let mut driver = driver(Config { weight_decay: 0.5, ..config() });
    between(&mut driver);
    driver.begin_experience_of(1, &[2, 3]).unwrap();
    driver.step(&Samples::new(&[0.0, 0.0], &[2]), &[]).unwrap();
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    let bias = saved.tensor("head.bias", &[4]).unwrap();
    assert!((bias[0] - 0.9 * LOGITS[0]).abs() < 1e-6 && (bias[1] - 0.9 * LOGITS[1]).abs() < 1e-6);
}

/// Without hidden layers features are inputs: unit vectors at some angles. Six exemplars for two
/// classes are three each, then, for four classes, one each: the first of every list.
#[test]
fn exemplars_and_means_through_a_host() {
    let at = |degrees: &[f32]| -> Vec<f32> {
        degrees.iter().flat_map(|d| [d.to_radians().cos(), d.to_radians().sin()]).collect()
    };
    let with_uids = |inputs: &[f32], labels: &[u32], first: u64| {
        let uids = (first..first + labels.len() as u64).collect();
        Samples { uids: Some(uids), ..Samples::new(inputs, labels) }
    };
    let mut driver = driver(config());
    driver.begin_experience_of(0, &[0, 1]).unwrap();
    // Class 0 lies around 0 degrees, class 1 around 90.
    let first = with_uids(
        &at(&[0.0, 40.0, -40.0, 10.0, 90.0, 130.0, 50.0, 80.0]),
        &[0, 0, 0, 0, 1, 1, 1, 1],
        100,
    );
    driver.script.iterations.push_back(vec![first]);
    let exemplars = with_uids(&at(&[-2.0, 2.0, 88.0, 92.0]), &[0, 0, 1, 1], 0);
    driver.script.iterations.push_back(vec![exemplars]);
    driver.end_experience(0).unwrap();
    let chosen = driver.script.replaced[0].clone();
    assert_eq!(chosen.len(), 6);
    assert!(chosen[..3].iter().all(|uid| (100..104).contains(uid)), "{chosen:?}");
    assert!(chosen[3..].iter().all(|uid| (104..108).contains(uid)), "{chosen:?}");
    // The mean of the directions lies at 2.5 and 87.5 degrees: 0 and 90 are nearer than 10 and 80.
    assert_eq!((chosen[0], chosen[3]), (100, 104));
    // Means of the exemplars that the host went over lie at 0 and 90 degrees, of length 1.
    let logits = driver.predict("nearest_mean", &at(&[0.0, 60.0])).unwrap().unwrap();
    let near = |found: f32, expected: f32| assert!((found - expected).abs() < 1e-5, "{found}");
    near(logits[0], 0.0);
    near(logits[1], -2.0);
    near(logits[4], -(2.0 - 2.0 * 60.0f32.to_radians().cos()));
    near(logits[5], -(2.0 - 2.0 * 30.0f32.to_radians().cos()));
    assert_eq!(logits[2..4], [NO_MEAN; 2]);
    // The second experience: one exemplar for each class.
    driver.begin_experience_of(1, &[2, 3]).unwrap();
    let second = with_uids(&at(&[180.0, 170.0, 270.0]), &[2, 2, 3], 200);
    driver.script.iterations.push_back(vec![second.clone()]);
    driver.script.iterations.push_back(vec![second]);
    driver.end_experience(1).unwrap();
    assert_eq!(driver.script.replaced[1], [100, 104, 200, 202]);
}

/// A row and its mirror image have the same features, which are the mean of both.
#[test]
fn mirrored_features_are_the_mean_of_both() {
    let mut driver = driver(Config { mirrored: true, ..config() });
    driver.begin_experience_of(0, &[0, 1]).unwrap();
    let samples = Samples::new(&[1.0, 0.0, 0.0, -1.0], &[0, 1]);
    driver.script.iterations.push_back(vec![samples.clone()]);
    driver.script.iterations.push_back(vec![samples]);
    driver.end_experience(0).unwrap();
    let logits = driver.predict("nearest_mean", &[1.0, 0.0, 0.0, 1.0]).unwrap().unwrap();
    assert_eq!(logits[..4], logits[4..]);
    // The mean of (1, 0) and (0, 1) points at 45 degrees, as does class 0's; class 1's is opposite.
    assert!(logits[0].abs() < 1e-6 && (logits[1] + 4.0).abs() < 1e-5, "{logits:?}");
}

#[test]
fn the_head_answers_before_there_are_means() {
    let mut driver = driver(config());
    let x = [0.3, 0.7];
    let nearest = driver.predict("nearest_mean", &x).unwrap();
    assert_eq!(nearest, driver.predict("head", &x).unwrap());
}

#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    let begin = || {
        let mut driver = driver(Config { hidden: vec![3], ..config() });
        driver.begin_experience_of(0, &[0, 1]).unwrap();
        driver.step(&Samples::new(&[0.1, 0.9, 0.8, 0.2], &[0, 1]), &[]).unwrap();
        let samples = Samples::new(&[0.1, 0.9, 0.8, 0.2], &[0, 1]);
        driver.script.iterations.push_back(vec![samples.clone()]);
        driver.script.iterations.push_back(vec![samples]);
        driver.end_experience(0).unwrap();
        driver.begin_experience_of(1, &[2, 3]).unwrap();
        driver
    };
    let go_on = |driver: &mut Driver<Icarl>| {
        driver.step(&Samples::new(&[0.5, 0.5, 0.8, 0.2], &[2, 1]), &[]).unwrap();
        let samples = Samples::new(&[0.5, 0.4, 0.2, 0.2], &[2, 3]);
        driver.script.iterations.push_back(vec![samples.clone()]);
        driver.script.iterations.push_back(vec![samples]);
        driver.end_experience(1).unwrap();
    };
    let (mut first, mut second) = (begin(), begin());
    first.step(&Samples::new(&[0.5, 0.1], &[3]), &[]).unwrap();
    let saved = first.save().unwrap();
    second.step(&Samples::new(&[0.9, 0.1], &[2]), &[]).unwrap();
    second.load(&saved).unwrap();
    assert_eq!(second.save().unwrap(), saved);
    go_on(&mut first);
    go_on(&mut second);
    assert_eq!(first.save().unwrap(), second.save().unwrap());
    let mut state = StateReader::from_bytes(&saved).unwrap();
    assert!(state.value::<bool>("distils").unwrap(), "the old network is part of the state");
}

#[test]
fn a_step_before_any_experience_is_refused() {
    let error = driver(config()).step(&Samples::new(&[0.1, 0.2], &[1]), &[]).unwrap_err();
    assert!(error.to_string().contains("a step before any experience"), "{error}");
}

#[test]
fn too_little_memory_is_refused() {
    for room in [None, Some(0)] {
        let mut driver = driver(config());
        driver.memory_samples_max = room;
        let error = driver.begin_experience_of(0, &[0, 1]).unwrap_err().to_string();
        assert!(error.contains("holds 0 samples; give it room with --memory N"), "{error}");
    }
    let mut driver = driver(config());
    driver.memory_samples_max = Some(1);
    driver.begin_experience_of(0, &[0, 1]).unwrap();
    let error = driver.end_experience(0).unwrap_err().to_string();
    assert!(error.contains("each of the 2 classes seen so far, but the memory holds 1"), "{error}");
}

#[test]
fn settings_and_streams_that_do_not_fit_are_refused() {
    let refused = |config: Config, setting: Setting| {
        Driver::<Icarl>::new(config, setting).err().expect("it is refused").to_string()
    };
    let setting = || Setting::new(4, &[1, 1, 2]);
    let lr = refused(Config { lr: 0.0, ..config() }, setting());
    assert_eq!(lr, "hyper-parameter `lr`: expected a number above 0, found 0");
    let decay = refused(Config { weight_decay: -1.0, ..config() }, setting());
    assert_eq!(decay, "hyper-parameter `weight_decay`: expected a number of at least 0, found -1");
    let thin = refused(Config { hidden: vec![3, 0], ..config() }, setting());
    assert_eq!(thin, "hyper-parameter `hidden`: expected widths of at least 1, found 0");
    let residual = |width| Config { backbone: BackboneKind::Resnet18, width, ..config() };
    let none = refused(residual(0), setting());
    assert_eq!(none, "hyper-parameter `width`: expected at least 1, found 0");
    let rows = refused(residual(2), Setting::new(4, &[2]));
    assert!(rows.contains("`backbone`: expected `mlp`, or inputs of shape"), "{rows}");
    let flat = refused(Config { mirrored: true, ..config() }, Setting::new(4, &[2]));
    assert!(flat.contains("`mirrored`: expected false where inputs are not images"), "{flat}");
    let all = Grants { boundaries: true, experience_classes: true, second_pass: true };
    for grants in [
        Grants { second_pass: false, ..all },
        Grants { boundaries: false, ..all },
        Grants { experience_classes: false, ..all },
    ] {
        let mut setting = setting();
        setting.context.grants = grants;
        let error = refused(config(), setting);
        assert!(error.contains("leave --online out, or choose a Class-IL benchmark"), "{error}");
    }
}
