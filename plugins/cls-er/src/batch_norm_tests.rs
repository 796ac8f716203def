//! CLS-ER on a network with batch normalisation (algorithm specification 1.2 and 1.4): whose
//! statistics move when, and what that leaves of the invariants.

use super::*;
use perdura_nn::teaching::EmaBn;
use perdura_nn::{BackboneKind, TensorMut};

const IMAGE: [usize; 3] = [1, 8, 8];

fn config() -> Config {
    let backbone = BackboneKind::Resnet18;
    Config { lr: 0.05, replay: 4, backbone, width: 2, ..Config::default() }
}

/// Teachers that are never updated.
fn at_rest() -> Config {
    Config { r_plastic: 0.0, r_stable: 0.0, ..config() }
}

fn driver(config: Config) -> Driver<ClsEr> {
    Driver::new(config, Setting::new(CLASSES, &IMAGE).seed(3)).unwrap()
}

/// `count` images, different for every `salt`.
fn pictures(count: usize, salt: u32) -> Samples {
    let number = |i: u32| (i.wrapping_mul(2654435761).wrapping_add(salt * 40503) >> 8) % 256;
    let pixels: Vec<f32> = (0..64 * count as u32).map(|i| number(i) as f32 / 255.0).collect();
    let labels: Vec<u32> = (0..count as u32).map(|i| (i + salt) % CLASSES as u32).collect();
    Samples::new(&pixels, &labels)
}

fn step(driver: &mut Driver<ClsEr>, step: u32) -> f64 {
    let replay = pictures(4, 1000 + step);
    let report = driver.step(&pictures(3, step), &[("replay", replay)]).unwrap();
    report.scalar("loss_cons").unwrap()
}

/// One of the learner's networks.
fn network(driver: &mut Driver<ClsEr>, name: &str) -> Net {
    let mut net = fresh(&config(), &IMAGE);
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    state::load(&mut net, &format!("{name}."), &mut saved).unwrap();
    net
}

fn statistics(net: &Net) -> Vec<f32> {
    let mut net = net.clone();
    let tensors = net.tensors_mut().into_iter();
    let running = tensors.filter_map(|(_, tensor)| match tensor {
        TensorMut::Running(t) => Some(t.to_data().try_to_vec::<f32>().unwrap()),
        _ => None,
    });
    running.flatten().collect()
}

/// Parameters and statistics, as saved.
fn bytes(net: &Net) -> Vec<u8> {
    let mut state = StateWriter::new();
    state::save(net, "", &mut state).unwrap();
    state.into_bytes().unwrap()
}

/// 1.10.2: λ = 0 and both rates 0 is ER with one more move of the running statistics, by X_m alone.
#[test]
fn without_consistency_it_is_er_with_a_second_pass() {
    let mut driver = driver(Config { reg_weight: 0.0, ..at_rest() });
    let mut er = network(&mut driver, "working");
    for n in 0..5 {
        step(&mut driver, n);
        let (current, replay) = (pictures(3, n), pictures(4, 1000 + n));
        let x = er.rows(&[&current.views[0], &replay.views[0]]);
        let y = er.labels(&[&current.labels, &replay.labels]);
        let mut tracked = er.tracked();
        tracked.forward_train(x.clone().narrow(0, 3, 4)).unwrap();
        let loss = losses::cross_entropy(tracked.forward_train(x).unwrap(), y);
        er.descend(&tracked, loss.backward(), 0.05);
    }
    assert_eq!(bytes(&network(&mut driver, "working")), bytes(&er));
}

/// 1.4: a teacher's statistics are those of the replayed batches, whatever the working network
/// does.
#[test]
fn teachers_keep_statistics_of_the_replayed_batches_alone() {
    let mut driver = driver(at_rest());
    let mut expected = network(&mut driver, "stable");
    for n in 0..5 {
        step(&mut driver, n);
        expected.forward_train(expected.rows(&[&pictures(4, 1000 + n).views[0]])).unwrap();
    }
    assert_eq!(bytes(&network(&mut driver, "stable")), bytes(&expected));
    assert_eq!(bytes(&network(&mut driver, "plastic")), bytes(&expected));
}

/// 1.10.3: with α = 0 and r = 1 the teachers are the working network, which X_m alone normalises
/// alike.
#[test]
fn with_no_memory_the_consistency_loss_is_zero() {
    let alphas = Config { alpha_plastic: 0.0, alpha_stable: 0.0, r_stable: 1.0, ..config() };
    let mut driver = driver(alphas);
    for n in 0..4 {
        assert!(step(&mut driver, n) < 1e-12, "step {n}");
    }
}

/// `ema_bn = "average"`: the first update halves the way, for statistics too; without updates
/// nothing moves.
#[test]
fn statistics_are_averaged_on_request() {
    let average = |config| Config { ema_bn: EmaBn::Average, ..config };
    let mut resting = driver(average(at_rest()));
    let start = network(&mut resting, "stable");
    step(&mut resting, 0);
    assert_eq!(bytes(&network(&mut resting, "stable")), bytes(&start));

    let mut moving = driver(average(Config { r_stable: 1.0, ..config() }));
    step(&mut moving, 0);
    let working = statistics(&network(&mut moving, "working"));
    let half = statistics(&start).into_iter().zip(working).map(|(a, b)| 0.5 * a + 0.5 * b);
    assert_eq!(statistics(&network(&mut moving, "stable")), half.collect::<Vec<_>>());
}

/// Images of 8x8 are one pixel in the last stage: one of them cannot be normalised.
#[test]
fn a_replayed_batch_of_one_is_an_error() {
    let step = driver(config()).step(&pictures(3, 0), &[("replay", pictures(1, 0))]);
    let message = step.expect_err("one pixel has no variance").to_string();
    assert!(message.contains("expected at least 2 values per channel in training"), "{message}");
}
