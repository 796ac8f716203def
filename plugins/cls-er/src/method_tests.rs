//! Invariants of CLS-ER (algorithm specification 1.10), checked on a small network.

use super::*;
use perdura_nn::{BackboneKind, NetShape, Network, state};
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{StateReader, StateWriter};

const WIDTH: usize = 6;
const CLASSES: usize = 4;

fn config() -> Config {
    Config { lr: 0.2, replay: 8, hidden: vec![5], ..Config::default() }
}

fn driver(config: Config) -> Driver<ClsEr> {
    Driver::new(config, Setting::new(CLASSES, &[WIDTH]).seed(3)).unwrap()
}

/// A network of the configuration with weights of its own.
fn fresh(config: &Config, input: &[usize]) -> Net {
    let shape = NetShape { backbone: config.backbone(), input: input.into(), classes: CLASSES };
    let device = perdura_nn::device("flex", 0).unwrap();
    Net::new(&shape, &mut perdura_sdk::rand::rng(), &device).unwrap()
}

/// `count` samples, different for every `salt`.
fn samples(count: usize, salt: u32) -> Samples {
    let number = |i: u32| (i.wrapping_mul(2654435761).wrapping_add(salt * 40503) >> 8) % 256;
    let inputs: Vec<f32> = (0..(count * WIDTH) as u32).map(|i| number(i) as f32 / 255.0).collect();
    let labels: Vec<u32> = (0..count as u32).map(|i| (i + salt) % CLASSES as u32).collect();
    Samples::new(&inputs, &labels)
}

fn train(driver: &mut Driver<ClsEr>, steps: u32) {
    for step in 0..steps {
        driver.step(&samples(3, step), &[("replay", samples(8, 1000 + step))]).unwrap();
    }
}

/// All parameters of one network, in one vector.
fn parameters(driver: &mut Driver<ClsEr>, network: &str) -> Vec<f32> {
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    let shapes: [(&str, &[usize]); 4] = [
        ("fc1.weight", &[5, WIDTH]),
        ("fc1.bias", &[5]),
        ("head.weight", &[CLASSES, 5]),
        ("head.bias", &[CLASSES]),
    ];
    let tensor = |(name, shape): (&str, &[usize])| {
        saved.tensor(&format!("{network}.{name}"), shape).unwrap()
    };
    shapes.map(tensor).concat()
}

/// 1.10.1: with r = 1 and n ≤ α/(1−α) the average is the arithmetic mean of θ_0 … θ_n.
#[test]
fn warm_up_is_the_mean_of_all_steps_so_far() {
    let mut driver = driver(Config { r_stable: 1.0, ..config() });
    let mut history = vec![parameters(&mut driver, "working")];
    for step in 0..30 {
        driver.step(&samples(3, step), &[("replay", samples(8, 1000 + step))]).unwrap();
        history.push(parameters(&mut driver, "working"));
    }
    let stable = parameters(&mut driver, "stable");
    for (i, found) in stable.iter().enumerate() {
        let mean = history.iter().map(|theta| f64::from(theta[i])).sum::<f64>() / 31.0;
        assert!((f64::from(*found) - mean).abs() < 1e-6, "parameter {i}: {found}, mean {mean}");
    }
}

/// 1.10.2: λ = 0 and both rates 0 is plain ER on the working network, to the byte.
#[test]
fn without_consistency_and_updates_it_is_er() {
    let quiet = Config { reg_weight: 0.0, r_plastic: 0.0, r_stable: 0.0, ..config() };
    let mut driver = driver(quiet);
    let mut start = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    let mut er = fresh(&config(), &[WIDTH]);
    state::load(&mut er, "working.", &mut start).unwrap();
    train(&mut driver, 20);
    for step in 0..20 {
        let (current, replay) = (samples(3, step), samples(8, 1000 + step));
        let x = er.rows(&[&current.views[0], &replay.views[0]]);
        let y = er.labels(&[&current.labels, &replay.labels]);
        let mut tracked = er.tracked();
        let loss = losses::cross_entropy(tracked.forward_train(x).unwrap(), y);
        er.descend(&tracked, loss.backward(), 0.2);
    }
    let mut expected = StateWriter::new();
    state::save(&er, "working.", &mut expected).unwrap();
    let mut expected = StateReader::from_bytes(&expected.into_bytes().unwrap()).unwrap();
    let expected = expected.tensor("working.fc1.weight", &[5, WIDTH]).unwrap();
    let found = parameters(&mut driver, "working");
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&found[..expected.len()]), bits(&expected));
}

/// 1.10.3: with α = 0 and r = 1 both memories are the working network, and the next consistency
/// loss, which compares before the gradient step, is 0.
#[test]
fn with_no_memory_the_averages_are_the_working_network() {
    let alphas = Config { alpha_plastic: 0.0, alpha_stable: 0.0, r_stable: 1.0, ..config() };
    let mut driver = driver(alphas);
    for step in 0..5 {
        let report = driver.step(&samples(3, step), &[("replay", samples(8, step))]).unwrap();
        assert!(report.scalar("loss_cons").unwrap() < 1e-12, "step {step}");
        let working = parameters(&mut driver, "working");
        assert_eq!(parameters(&mut driver, "plastic"), working);
        assert_eq!(parameters(&mut driver, "stable"), working);
    }
}

fn matrix(values: [[f32; 2]; 3]) -> Tensor<2> {
    Tensor::from_data(values, &perdura_nn::device("flex", 0).unwrap())
}

/// 1.10.4: row by row the teacher with the higher probability of the label; a tie is the plastic
/// one's.
#[test]
fn the_better_teacher_is_chosen_and_a_tie_is_plastic() {
    let device = perdura_nn::device("flex", 0).unwrap();
    let (z_s, z_p) = (
        matrix([[2.0, 0.0], [2.0, 0.0], [1.0, 1.0]]),
        matrix([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]]),
    );
    let choose = |select| {
        let y = perdura_nn::labels(&[&[0, 1, 0]], 2, &device);
        let chosen = choose_stable(&z_s, &z_p, y, select).int().into_data();
        chosen.iter::<i64>().collect::<Vec<_>>()
    };
    assert_eq!(choose(TeacherSelect::PerSample), [1, 0, 0]);
    // Mean log-probabilities: stable (−0.127 − 2.127 − 0.693)/3, plastic (−0.313 − 1.313 −
    // 0.693)/3.
    assert_eq!(choose(TeacherSelect::PerBatch), [0, 0, 0]);
}

#[test]
fn each_row_of_the_target_is_a_row_of_one_teacher() {
    let mut learner = ClsEr::new(config(), fresh(&config(), &[WIDTH]));
    learner.stable = fresh(&config(), &[WIDTH]);
    let batch = samples(16, 1);
    let x = learner.working.rows(&[&batch.views[0]]);
    let y = learner.working.labels(&[&batch.labels]);
    let values = |t: Tensor<2>| t.into_data().try_to_vec::<f32>().unwrap();
    let z_s = values(learner.stable.forward(x.clone()));
    let z_p = values(learner.plastic.forward(x.clone()));
    let ClsEr { config, stable, plastic, .. } = &mut learner;
    let target = target(config, stable, plastic, (x, y)).unwrap();
    let z = values(target.logits);
    let mut n_select_stable = 0;
    for row in 0..16 {
        let at = row * CLASSES..(row + 1) * CLASSES;
        let log_p =
            |z: &[f32]| z[batch.labels[row] as usize] - z.iter().map(|v| v.exp()).sum::<f32>().ln();
        let stable = log_p(&z_s[at.clone()]) > log_p(&z_p[at.clone()]);
        n_select_stable += i32::from(stable);
        assert_eq!(z[at.clone()], if stable { &z_s } else { &z_p }[at], "row {row}");
    }
    assert_eq!(target.n_select_stable, f64::from(n_select_stable));
}

/// 1.10.5: the teachers change only in the averaging.
#[test]
fn the_gradient_does_not_reach_the_teachers() {
    let mut driver = driver(Config { r_plastic: 0.0, r_stable: 0.0, ..config() });
    let before = (parameters(&mut driver, "plastic"), parameters(&mut driver, "stable"));
    train(&mut driver, 5);
    let after = (parameters(&mut driver, "plastic"), parameters(&mut driver, "stable"));
    assert_eq!(before, after);
    assert_ne!(parameters(&mut driver, "working"), before.0);
}

/// 1.10.6: updates happen at their rates, independently. 400 steps; the bounds are five standard
/// deviations.
#[test]
fn update_rates_are_kept_and_independent() {
    let mut driver = driver(Config { r_plastic: 0.7, r_stable: 0.3, ..config() });
    let (mut plastic, mut stable) =
        (parameters(&mut driver, "plastic"), parameters(&mut driver, "stable"));
    let (mut n_p, mut n_s, mut n_both) = (0, 0, 0);
    for step in 0..400 {
        driver.step(&samples(3, step), &[("replay", samples(8, step))]).unwrap();
        let (p, s) = (parameters(&mut driver, "plastic"), parameters(&mut driver, "stable"));
        n_p += i32::from(p != plastic);
        n_s += i32::from(s != stable);
        n_both += i32::from(p != plastic && s != stable);
        (plastic, stable) = (p, s);
    }
    let near = |found: i32, rate: f64| {
        let deviation = (400.0 * rate * (1.0 - rate)).sqrt();
        assert!((f64::from(found) - 400.0 * rate).abs() < 5.0 * deviation, "{found} of 400");
    };
    near(n_p, 0.7);
    near(n_s, 0.3);
    near(n_both, 0.21);
}

#[test]
fn an_empty_memory_leaves_plain_cross_entropy() {
    let mut driver = driver(config());
    let report = driver.step(&samples(3, 0), &[("replay", samples(0, 0))]).unwrap();
    assert_eq!(report.scalar("loss"), report.scalar("loss_ce"));
    assert_eq!(report.scalar("loss_cons"), Some(0.0));
}

#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    let mut first = driver(config());
    train(&mut first, 7);
    let saved = first.save().unwrap();
    let mut second = driver(config());
    train(&mut second, 7);
    second.load(&saved).unwrap();
    assert_eq!(second.save().unwrap(), saved);
    train(&mut first, 3);
    train(&mut second, 3);
    assert_eq!(first.save().unwrap(), second.save().unwrap());
}

/// Those of masks and plasticity are in `guided_tests.rs`.
#[test]
fn settings_out_of_range_are_refused() {
    let residual = |width| Config { backbone: BackboneKind::Resnet18, width, ..config() };
    let share =
        |key: &str, found: &str| format!("`{key}`: expected a number from 0 to 1, found {found}");
    let cases = [
        (Config { lr: 0.0, ..config() }, "`lr`: expected a number above 0, found 0".into()),
        (
            Config { reg_weight: -1.0, ..config() },
            "`reg_weight`: expected a number of at least 0, found -1".into(),
        ),
        (Config { r_stable: 1.5, ..config() }, share("r_stable", "1.5")),
        (Config { r_plastic: -0.1, ..config() }, share("r_plastic", "-0.1")),
        (Config { alpha_stable: 1.1, ..config() }, share("alpha_stable", "1.1")),
        (Config { alpha_plastic: -1.0, ..config() }, share("alpha_plastic", "-1")),
        (
            Config { hidden: vec![5, 0], ..config() },
            "`hidden`: expected widths of at least 1, found 0".into(),
        ),
        (residual(0), "`width`: expected at least 1, found 0".into()),
        (
            residual(2),
            "`backbone`: expected `mlp`, or inputs of shape [channels, height, width], found a \
             ResNet for inputs of shape [6]"
                .into(),
        ),
    ];
    for (config, expected) in cases {
        let made = Driver::<ClsEr>::new(config, Setting::new(CLASSES, &[WIDTH]));
        let message = made.err().expect("it is out of range").to_string();
        assert_eq!(message, format!("hyper-parameter {expected}"));
    }
}

#[path = "batch_norm_tests.rs"]
mod batch_norm;
