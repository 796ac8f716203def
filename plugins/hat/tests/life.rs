//! HAT as a host meets it: the step, what a closed task keeps, held-out samples, saved states, and
//! what is refused.

use perdura_hat::{Config, Hat};
use perdura_nn::{BackboneConfig, BackboneKind, Net, NetShape, Network, losses, state};
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{Position, StateReader, StateWriter};

const WIDTH: usize = 6;
const CLASSES: usize = 4;
const STEPS: u64 = 12;

/// The masks of a large s_max are hard wherever an embedding is not almost 0.
fn config() -> Config {
    Config { lr: 0.2, s_max: 1e6, hidden: vec![10, 8], ..Config::default() }
}

fn driver(config: Config) -> Driver<Hat> {
    Driver::new(config, Setting::new(CLASSES, &[WIDTH]).seed(3)).unwrap()
}

/// `count` samples of a task's two classes.
fn samples(task: u32, count: usize, width: usize, salt: u32) -> Samples {
    let number = |i: u32| (i.wrapping_mul(2654435761).wrapping_add(salt * 40503) >> 8) % 256;
    let inputs: Vec<f32> = (0..(count * width) as u32).map(|i| number(i) as f32 / 255.0).collect();
    let labels: Vec<u32> = (0..count as u32).map(|i| 2 * task + (i + salt) % 2).collect();
    Samples::new(&inputs, &labels)
}

fn begin(driver: &mut Driver<Hat>, task: u32) {
    driver.begin_experience_of(task, &[2 * task, 2 * task + 1]).unwrap();
}

fn epoch(driver: &mut Driver<Hat>, task: u32, epoch: u32, width: usize) {
    for step_in_epoch in 0..STEPS {
        let steps_per_epoch = STEPS;
        let at = Position { experience: task, epoch, epochs: 3, step_in_epoch, steps_per_epoch };
        driver.position = Some(at);
        let salt = 100 * epoch + step_in_epoch as u32;
        driver.step(&samples(task, 4, width, salt), &[]).unwrap();
    }
}

fn answers(driver: &mut Driver<Hat>, task: u32, width: usize) -> Vec<f32> {
    let probe = samples(0, 5, width, 999);
    driver.predict_told("main", &probe.views[0], &[task; 5]).unwrap().unwrap()
}

/// The two classes of a task out of all logits.
fn own(logits: &[f32], task: usize) -> Vec<f32> {
    logits.chunks_exact(CLASSES).flat_map(|row| row[2 * task..][..2].to_vec()).collect()
}

#[test]
fn a_closed_task_answers_as_before() {
    for (backbone, input) in
        [(BackboneKind::Mlp, &[WIDTH][..]), (BackboneKind::Resnet18, &[1, 8, 8])]
    {
        let width = input.iter().product();
        let config = Config { backbone, width: 4, lr: 0.1, ..config() };
        let mut driver = Driver::<Hat>::new(config, Setting::new(CLASSES, input).seed(3)).unwrap();
        begin(&mut driver, 0);
        epoch(&mut driver, 0, 0, width);
        driver.end_experience(0).unwrap();
        let (before, saved) = (answers(&mut driver, 0, width), driver.save().unwrap());
        begin(&mut driver, 1);
        epoch(&mut driver, 1, 0, width);
        epoch(&mut driver, 1, 1, width);
        driver.end_experience(1).unwrap();
        assert_ne!(driver.save().unwrap(), saved);
        let after = answers(&mut driver, 0, width);
        for (a, b) in own(&before, 0).into_iter().zip(own(&after, 0)) {
            assert!((a - b).abs() <= 1e-5, "{backbone:?}: {a} became {b}");
        }
        let other = answers(&mut driver, 1, width);
        assert_ne!(own(&other, 1), own(&after, 1));
        assert!(own(&after, 1).iter().all(|logit| *logit == -1e9), "not of its head");
    }
}

/// Embeddings of 1e9 are masks of exactly 1 at every scale, and without λ_c they have no gradient:
/// the first step is gradient descent on the logits of the task's classes.
#[test]
fn open_masks_make_a_plain_step() {
    let config = Config { mask_mean: 1e9, lambda_c: 0.0, ..config() };
    let mut driver = driver(config);
    begin(&mut driver, 1);
    let device = perdura_nn::device("flex", 0).unwrap();
    let backbone = BackboneConfig { hidden: vec![10, 8], ..BackboneConfig::default() };
    let shape = NetShape { backbone, input: vec![WIDTH], classes: CLASSES };
    let mut net = Net::new(&shape, &mut perdura_sdk::rand::rng(), &device).unwrap();
    load(&mut driver, &mut net);
    let (experience, epoch, step_in_epoch) = (1, 0, 0);
    let at = Position { experience, epoch, epochs: 1, step_in_epoch, steps_per_epoch: STEPS };
    driver.position = Some(at);
    let batch = samples(1, 4, WIDTH, 1);
    let report = driver.step(&batch, &[]).unwrap();
    assert_eq!(report.scalar("loss"), report.scalar("loss_ce"));
    assert_eq!(report.scalar("loss_sparsity"), Some(1.0), "every unit is taken");

    let mut tracked = net.tracked();
    let logits = tracked.forward_train(net.rows(&[&batch.views[0]])).unwrap();
    let elsewhere = net.logits(&[&[-1e9, -1e9, 0.0, 0.0]]);
    let logits = logits * net.logits(&[&[0.0, 0.0, 1.0, 1.0]]) + elsewhere;
    let loss = losses::cross_entropy(logits, net.labels(&[&batch.labels]));
    net.descend(&tracked, loss.backward(), 0.2);
    let mut after = net.clone();
    load(&mut driver, &mut after);
    assert_eq!(bytes(&after), bytes(&net));
}

/// The network of a learner.
fn load(driver: &mut Driver<Hat>, net: &mut Net) {
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    state::load(net, "", &mut saved).unwrap();
}

fn bytes(net: &Net) -> Vec<u8> {
    let mut out = StateWriter::new();
    state::save(net, "", &mut out).unwrap();
    out.into_bytes().unwrap()
}

/// Held-out samples score 0.9 after the first epoch and less afterwards: the task ends with the
/// weights of the first, and its rate has fallen to a third.
#[test]
fn the_best_epoch_comes_back_and_the_rate_falls() {
    let config = Config { restore_best: true, patience: 1, ..config() };
    let mut driver = driver(config);
    begin(&mut driver, 0);
    epoch(&mut driver, 0, 0, WIDTH);
    let best = answers(&mut driver, 0, WIDTH);
    for (number, accuracy) in [(1, 0.9), (2, 0.5)] {
        driver.script.validation = Some(accuracy);
        driver.script.iterations.push_back(vec![samples(0, 3, WIDTH, 7)]);
        epoch(&mut driver, 0, number, WIDTH);
    }
    assert_ne!(answers(&mut driver, 0, WIDTH), best);
    let middle = driver.save().unwrap();
    driver.script.iterations.push_back(vec![samples(0, 3, WIDTH, 7)]);
    driver.end_experience(0).unwrap();
    assert_eq!(answers(&mut driver, 0, WIDTH), best);
    let scored = driver.script.calls.iter().filter(|(name, _)| name == "validation_score");
    assert_eq!(scored.count(), 3);

    // A learner made from the state in the middle ends alike.
    let ended = driver.save().unwrap();
    driver.load(&middle).unwrap();
    assert_eq!(driver.save().unwrap(), middle);
    driver.script.iterations.push_back(vec![samples(0, 3, WIDTH, 7)]);
    driver.end_experience(0).unwrap();
    assert_eq!(driver.save().unwrap(), ended);
}

/// From 0.2 by thirds below 0.1: after the first epoch that is no better the task is finished, and
/// further steps change nothing.
#[test]
fn a_rate_below_its_minimum_ends_the_task() {
    let config = Config { patience: 1, lr_min: 0.1, ..config() };
    let mut driver = driver(config);
    begin(&mut driver, 0);
    driver.script.validation = Some(0.5);
    for number in 0..2 {
        driver.script.iterations.push_back(vec![samples(0, 3, WIDTH, 7)]);
        epoch(&mut driver, 0, number, WIDTH);
    }
    let before = answers(&mut driver, 0, WIDTH);
    epoch(&mut driver, 0, 2, WIDTH);
    assert_eq!(answers(&mut driver, 0, WIDTH), before);
}

#[test]
fn without_held_out_samples_patience_is_an_error() {
    for (config, key) in [
        (Config { patience: 5, ..config() }, "patience"),
        (Config { restore_best: true, ..config() }, "restore_best"),
    ] {
        let mut driver = driver(config);
        begin(&mut driver, 0);
        epoch(&mut driver, 0, 0, WIDTH);
        driver.script.iterations.push_back(vec![]);
        let error = driver.end_experience(0).unwrap_err().to_string();
        let expected = format!(
            "hyper-parameter `{key}`: expected samples that are held out (`--validation 0.1`), or \
             `patience` 0 and `restore_best` false, found a run that holds out none"
        );
        assert_eq!(error, expected);
    }
}

#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    let mut first = driver(config());
    begin(&mut first, 0);
    epoch(&mut first, 0, 0, WIDTH);
    first.end_experience(0).unwrap();
    begin(&mut first, 1);
    epoch(&mut first, 1, 0, WIDTH);
    let saved = first.save().unwrap();
    let mut second = driver(Config { ..config() });
    second.load(&saved).unwrap();
    assert_eq!(second.save().unwrap(), saved);
    for driver in [&mut first, &mut second] {
        epoch(driver, 1, 1, WIDTH);
        driver.end_experience(1).unwrap();
    }
    assert_eq!(first.save().unwrap(), second.save().unwrap());
    assert_eq!(answers(&mut first, 0, WIDTH), answers(&mut second, 0, WIDTH));
}

/// Rows of several tasks in one question are answered as if they were asked one by one.
#[test]
fn tasks_are_answered_each_in_its_own_way() {
    let mut driver = driver(config());
    for task in [0, 1] {
        begin(&mut driver, task);
        epoch(&mut driver, task, 0, WIDTH);
        driver.end_experience(task).unwrap();
    }
    let probe = samples(0, 5, WIDTH, 999);
    let mixed = driver.predict_told("main", &probe.views[0], &[1, 0, 5, 1, 0]).unwrap().unwrap();
    let alone = [0, 1, 5].map(|task| answers(&mut driver, task, WIDTH));
    for (row, place) in [1, 0, 2, 1, 0].into_iter().enumerate() {
        let at = row * CLASSES..(row + 1) * CLASSES;
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
        assert!(mixed[at.clone()].iter().zip(&alone[place][at]).all(near), "row {row}");
    }
    assert!(alone[2].iter().all(|logit| logit.abs() < 100.0), "a task that has not begun");
    let untold = driver.predict("main", &probe.views[0]).unwrap_err().to_string();
    assert!(untold.contains("the tasks were not told"), "{untold}");
}

#[test]
fn values_out_of_range_are_refused() {
    let of = |config: Config| {
        let made = Driver::<Hat>::new(config, Setting::new(CLASSES, &[WIDTH]));
        made.err().expect("it is refused").to_string()
    };
    let refused = |key: &str, expected: &str, found: &str, config| {
        let message = format!("hyper-parameter `{key}`: expected {expected}, found {found}");
        assert_eq!(of(config), message);
    };
    let above = "a number above 0";
    refused("lr", above, "0", Config { lr: 0.0, ..config() });
    refused("s_max", above, "0", Config { s_max: 0.0, ..config() });
    refused("s_max", above, "-400", Config { s_max: -400.0, ..config() });
    refused("grad_norm_max", above, "0", Config { grad_norm_max: 0.0, ..config() });
    refused("lambda_c", "a number of at least 0", "-1", Config { lambda_c: -1.0, ..config() });
    refused("lr_min", "a number of at least 0", "-1", Config { lr_min: -1.0, ..config() });
    refused("lr_factor", "a number above 1", "1", Config { lr_factor: 1.0, ..config() });
    let thin = Config { hidden: vec![4, 0], ..config() };
    refused("hidden", "widths of at least 1", "0", thin);
    let residual = |width| Config { backbone: BackboneKind::Resnet18, width, ..config() };
    refused("width", "at least 1", "0", residual(0));
    let expected = "`mlp`, or inputs of shape [channels, height, width]";
    refused("backbone", expected, "a ResNet for inputs of shape [6]", residual(2));
    let none = Config { hidden: vec![], ..config() };
    refused("hidden", "at least one hidden layer: masks are over its units", "[]", none);
}

#[test]
fn a_stream_that_hides_its_tasks_is_refused() {
    let mut setting = Setting::new(CLASSES, &[WIDTH]);
    setting.context.grants.boundaries = false;
    let error = Driver::<Hat>::new(config(), setting).err().expect("no tasks").to_string();
    assert!(
        error.contains("expected a stream that tells experiences and their classes"),
        "{error}"
    );
    let error = driver(config()).observe(&[0.0; WIDTH], &[0]).unwrap_err().to_string();
    assert!(error.contains("a step without its position"), "{error}");
}
