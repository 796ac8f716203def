//! The tests of algorithm specification 3.5, on a small network, through the messages of a host.

use super::*;
use perdura_nn::BackboneKind;
use perdura_nn::orthogonal::{BasisKind, Bounds, label_gradient};
use perdura_sdk::testing::{Driver, Samples as Script, Setting};
use perdura_sdk::{Grants, Position, StateReader};

const WIDTH: usize = 6;
const CLASSES: usize = 4;

fn config() -> Config {
    Config { lr: 0.1, samples: 10, hidden: vec![7, 5], ..Config::default() }
}

fn driver(config: Config) -> Driver<Ogd> {
    let mut driver = Driver::new(config, Setting::new(CLASSES, &[WIDTH]).seed(3)).unwrap();
    driver.position = position(0, 0);
    driver
}

fn position(experience: u32, step_in_epoch: u64) -> Option<Position> {
    let (epoch, epochs, steps_per_epoch) = (0, 1, 10);
    Some(Position { experience, epoch, epochs, step_in_epoch, steps_per_epoch })
}

/// `count` samples of classes `2·experience` and the next one, different for every `salt`.
fn samples(count: usize, experience: u32, salt: u32) -> Script {
    let number = |i: u32| (i.wrapping_mul(2654435761).wrapping_add(salt * 40503) >> 8) % 256;
    let inputs: Vec<f32> = (0..(count * WIDTH) as u32).map(|i| number(i) as f32 / 255.0).collect();
    let labels: Vec<u32> = (0..count as u32).map(|i| 2 * experience + (i + salt) % 2).collect();
    let script = Script::new(&inputs, &labels);
    Script { experiences: Some(vec![experience; count]), ..script }
}

/// One experience of ten steps, its end, and what the host is asked then.
fn learn(driver: &mut Driver<Ogd>, experience: u32, replay: usize) {
    driver.begin_experience_of(experience, &[2 * experience, 2 * experience + 1]).unwrap();
    for step in 0..10 {
        driver.position = position(experience, u64::from(step));
        driver.script.draws.push_back(samples(4, 0, 70 + step));
        let draw = samples(replay, 0, 50 + step);
        driver.step(&samples(3, experience, 10 * experience + step), &[("replay", draw)]).unwrap();
    }
    driver.script.iterations.push_back(vec![samples(10, experience, 900 + experience)]);
    driver.end_experience(experience).unwrap();
}

/// All parameters of the trained network.
fn parameters(driver: &mut Driver<Ogd>) -> Vec<u32> {
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    let shapes: [(&str, &[usize]); 6] = [
        ("fc1.weight", &[7, WIDTH]),
        ("fc1.bias", &[7]),
        ("fc2.weight", &[5, 7]),
        ("fc2.bias", &[5]),
        ("head.weight", &[CLASSES, 5]),
        ("head.bias", &[CLASSES]),
    ];
    let tensors = shapes.map(|(name, shape)| saved.tensor(name, shape).unwrap());
    tensors.concat().into_iter().map(f32::to_bits).collect()
}

/// Directions held after each experience, as they were told to the host.
fn held(driver: &Driver<Ogd>) -> Vec<u64> {
    let events = driver.script.calls.iter().filter(|(name, _)| name == "report_event");
    events.map(|(_, event)| event["data"]["held"].as_u64().unwrap()).collect()
}

/// A learner as it is after one experience, without a host.
fn learner(config: Config) -> Ogd {
    let device = perdura_nn::device("flex", 0).unwrap();
    let backbone = config.backbone();
    let shape = perdura_nn::NetShape { backbone, input: vec![WIDTH], classes: CLASSES };
    let mut rng = perdura_sdk::rand::rngs::StdRng::seed_from_u64(5);
    let network = Net::new(&shape, &mut rng, &device).unwrap();
    let tau_rank = config.tau_rank as f32;
    let bounds = Bounds { capacity: config.capacity, tau_rank };
    let protected = Protected::new(&network, config.basis, bounds, |_| true);
    let averages = config.averages().then(|| Averages::new(&network));
    Ogd { config, network, averages, protected, heads: Heads::default(), steps: 0 }
}

use perdura_sdk::rand::SeedableRng;

fn owned(script: &Script) -> Samples {
    Samples { inputs: script.views[0].clone(), labels: script.labels.clone() }
}

/// Without a direction, that is in the first experience, it is plain gradient descent, to the byte.
#[test]
fn the_first_experience_is_gradient_descent() {
    let mut driver = driver(config());
    driver.begin_experience(0).unwrap();
    let mut start = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    let mut network = learner(config()).network;
    perdura_nn::state::load(&mut network, "", &mut start).unwrap();
    for step in 0..10 {
        let batch = samples(3, 0, step);
        driver.step(&batch, &[("replay", samples(0, 0, 0))]).unwrap();
        let mut tracked = network.tracked();
        let logits = tracked.forward_train(network.rows(&[&batch.views[0]])).unwrap();
        let loss = losses::cross_entropy(logits, network.labels(&[&batch.labels]));
        network.descend(&tracked, loss.backward(), 0.1);
    }
    let expected: Vec<u32> = numbers::parameters(&network).into_iter().map(f32::to_bits).collect();
    let mut found = learner(config()).network;
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    perdura_nn::state::load(&mut found, "", &mut saved).unwrap();
    let found: Vec<u32> = numbers::parameters(&found).into_iter().map(f32::to_bits).collect();
    assert_eq!(found, expected);
}

/// With α = 0 and r = 1 all anchors are θ_W: the trajectory is plain OGD's, and chords are zero and
/// refused.
#[test]
fn coinciding_anchors_are_plain_ogd() {
    let together = |anchors| Config {
        anchors,
        alpha_plastic: 0.0,
        alpha_stable: 0.0,
        r_stable: 1.0,
        ..config()
    };
    let mut plain = driver(config());
    (0..2).for_each(|experience| learn(&mut plain, experience, 0));
    for anchors in [Anchors::Segments, Anchors::Chords] {
        let mut other = driver(together(anchors));
        (0..2).for_each(|experience| learn(&mut other, experience, 0));
        assert_eq!(parameters(&mut other), parameters(&mut plain), "{anchors:?}");
        assert_eq!(held(&other), held(&plain), "{anchors:?}");
    }
}

/// Averages that lag give other directions: the option does something.
#[test]
fn anchors_apart_make_a_difference() {
    let of = |anchors| {
        let mut driver = driver(Config { anchors, alpha_stable: 0.9, ..config() });
        (0..2).for_each(|experience| learn(&mut driver, experience, 0));
        (parameters(&mut driver), held(&driver))
    };
    let [plain, segments, chords] = [Anchors::Working, Anchors::Segments, Anchors::Chords].map(of);
    assert_ne!(segments.0, plain.0);
    assert_ne!(chords.0, plain.0);
    assert!(
        chords.1[0] > plain.1[0] && chords.1[0] <= plain.1[0] + 2,
        "two chords are independent"
    );
}

/// 3.5: at the θ where directions were taken the first-order change of a protected logit is 0:
/// halving η quarters it. Without the projection it halves.
#[test]
fn protected_logits_change_in_the_second_order_only() {
    for basis in [BasisKind::Network, BasisKind::Layers] {
        // What is known up to τ is spared up to τ: here all directions are to be taken.
        let mut learner = learner(Config { basis, tau_rank: 1e-3, ..config() });
        let protected = samples(4, 0, 1);
        assert!(learner.protect(&owned(&protected)).unwrap() >= 4);
        let (batch, network) = (samples(8, 1, 2), learner.network.clone());
        let tracked = network.tracked();
        let logits = tracked.forward(network.rows(&[&batch.views[0]]));
        let loss = losses::cross_entropy(logits, network.labels(&[&batch.labels]));
        let free = numbers::gradient(&tracked, loss.backward());
        let mut projected = free.clone();
        learner.protected.project(&mut projected);
        assert!(norm(&projected) > 0.05 * norm(&free), "something is left to learn with");
        assert!(learner.protected.coverage(&projected).unwrap() <= 1e-3);
        let logit = |net: &Net, sample: usize| {
            let mut out = vec![0.0; CLASSES];
            net.predict(&protected.views[0][sample * WIDTH..][..WIDTH], &mut out);
            f64::from(out[protected.labels[sample] as usize])
        };
        let change = |direction: &[f32], eta: f64| -> f64 {
            let mut moved = network.clone();
            numbers::descend(&mut moved, &network, direction, eta);
            (0..4).map(|i| (logit(&moved, i) - logit(&network, i)).abs()).sum()
        };
        let (full, half) = (change(&projected, 0.2), change(&projected, 0.1));
        let unprotected = change(&free, 0.2) / change(&free, 0.1);
        assert!((full / half - 4.0).abs() < 0.8, "{basis:?}: {full} {half}");
        assert!((unprotected - 2.0).abs() < 0.3, "{basis:?}: {unprotected}");
        assert!(change(&free, 0.1) > 5.0 * half, "{basis:?}");
    }
}

/// `‖Qᵀg̃‖ ≤ 1e-4·‖g‖` for the gradient of a loss.
#[test]
fn nothing_is_left_along_the_basis() {
    for basis in [BasisKind::Network, BasisKind::Layers] {
        let mut learner = learner(Config { basis, ..config() });
        learner.protect(&owned(&samples(10, 0, 1))).unwrap();
        let gradient = label_gradient(&learner.network, (&samples(1, 1, 7).views[0], 2), answer);
        let mut once = gradient.clone();
        learner.protected.project(&mut once);
        let mut twice = once.clone();
        learner.protected.project(&mut twice);
        let along: Vec<f32> = once.iter().zip(&twice).map(|(a, b)| a - b).collect();
        assert!(norm(&along) <= 1e-4 * norm(&gradient), "{basis:?}: {}", norm(&along));
        assert!(norm(&once) < 0.99 * norm(&gradient), "{basis:?}");
    }
}

/// Of a gradient that is a direction all is covered, of none nothing.
#[test]
fn coverage_is_one_for_what_was_taken_and_falls_as_the_network_moves() {
    let mut learner = learner(config());
    let old = owned(&samples(5, 0, 1));
    assert_eq!(learner.coverage_of(&Samples { inputs: vec![], labels: vec![] }), None);
    assert_eq!(learner.coverage_of(&old), Some(0.0));
    learner.protect(&old).unwrap();
    let taken = learner.coverage_of(&old).unwrap();
    assert!(taken > 0.99 && taken < 1.0001, "{taken}");
    let step: Vec<f32> =
        (0..learner.network.parameter_count()).map(|i| (i % 5) as f32 - 2.0).collect();
    let network = learner.network.clone();
    numbers::descend(&mut learner.network, &network, &step, 0.1);
    let later = learner.coverage_of(&old).unwrap();
    assert!(later < taken && later > 0.3, "{later}");
}

/// Coverage comes with the last step of an epoch, and not in the first experience, where the memory
/// has nothing of earlier ones.
#[test]
fn coverage_is_reported_at_the_end_of_an_epoch() {
    let mut driver = driver(Config { coverage: 4, ..config() });
    let none = || [("replay", samples(0, 0, 0))];
    driver.begin_experience(0).unwrap();
    driver.position = position(0, 9);
    driver.script.draws.push_back(samples(0, 0, 0));
    assert_eq!(driver.step(&samples(3, 0, 0), &none()).unwrap().scalar("coverage"), None);
    driver.script.iterations.push_back(vec![samples(10, 0, 900)]);
    driver.end_experience(0).unwrap();
    driver.begin_experience(1).unwrap();
    driver.position = position(1, 8);
    assert_eq!(driver.step(&samples(3, 1, 1), &none()).unwrap().scalar("coverage"), None);
    driver.position = position(1, 9);
    driver.script.draws.push_back(samples(4, 0, 5));
    let coverage = driver.step(&samples(3, 1, 2), &none()).unwrap().scalar("coverage").unwrap();
    assert!(coverage > 0.2 && coverage <= 1.0, "{coverage}");
    let asked = driver.script.calls.iter().filter(|(name, _)| name == "draw");
    let filters: Vec<_> = asked.map(|(_, request)| request["filter"].clone()).collect();
    assert_eq!(filters, ["past", "past"]);
}

/// The gradient of both losses is projected.
#[test]
fn replayed_samples_are_learned_and_projected_too() {
    let of = |replay| {
        let mut driver = driver(Config { replay: 4, ..config() });
        learn(&mut driver, 0, replay);
        driver.begin_experience(1).unwrap();
        let batch = samples(3, 1, 40);
        let report = driver.step(&batch, &[("replay", samples(replay, 0, 41))]).unwrap();
        (report.scalar("gradient_kept").unwrap(), parameters(&mut driver))
    };
    let (without, with) = (of(0), of(4));
    assert_ne!(without.1, with.1);
    assert!(without.0 < 0.999 && with.0 < 0.999, "{} {}", without.0, with.0);
}

/// Task-aware heads: the loss is over the own experience's two classes, others' logits get no
/// gradient, and a view that is told experiences answers among their classes.
#[test]
fn heads_of_other_experiences_stay() {
    let config = Config { head: HeadKind::TaskAware, replay: 2, ..config() };
    let mut driver = driver(config);
    learn(&mut driver, 0, 0);
    let head = |driver: &mut Driver<Ogd>| {
        let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
        saved.tensor("head.weight", &[CLASSES, 5]).unwrap()
    };
    let before = head(&mut driver);
    driver.begin_experience_of(1, &[2, 3]).unwrap();
    driver.position = position(1, 0);
    driver.step(&samples(3, 1, 40), &[("replay", samples(0, 0, 41))]).unwrap();
    let after = head(&mut driver);
    assert_eq!(after[..10], before[..10], "rows of classes 0 and 1");
    assert_ne!(after[10..], before[10..]);
    driver.step(&samples(3, 1, 40), &[("replay", samples(2, 0, 41))]).unwrap();
    assert_ne!(head(&mut driver)[..10], before[..10], "replayed samples train their own head");
    let told = driver.predict_told("main", &[0.5; 2 * WIDTH], &[0, 1]).unwrap().unwrap();
    assert!(told[2..4].iter().chain(&told[4..6]).all(|logit| *logit == -1e9), "{told:?}");
    assert!(told[..2].iter().chain(&told[6..]).all(|logit| logit.abs() < 100.0), "{told:?}");
}

/// The capacity holds over a life, and directions do not become fewer.
#[test]
fn a_small_capacity_is_shared_between_experiences() {
    let mut driver = driver(Config { capacity: 12, samples: 8, tau_rank: 0.01, ..config() });
    (0..2).for_each(|experience| learn(&mut driver, experience, 0));
    let held = held(&driver);
    assert!(held.windows(2).all(|pair| pair[0] <= pair[1]) && held[1] == 12, "{held:?}");
}

#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    let settings = [
        config(),
        Config { anchors: Anchors::Segments, alpha_stable: 0.9, ..config() },
        Config { basis: BasisKind::Layers, capacity: 3, ..config() },
        Config { head: HeadKind::TaskAware, replay: 2, ..config() },
    ];
    for config in settings {
        let mut first = driver(config.clone());
        learn(&mut first, 0, 2);
        let saved = first.save().unwrap();
        let mut second = driver(config.clone());
        // Calls carry seeds that count up.
        learn(&mut second, 0, 2);
        second.load(&saved).unwrap();
        assert_eq!(second.save().unwrap(), saved);
        learn(&mut first, 1, 2);
        learn(&mut second, 1, 2);
        assert_eq!(first.save().unwrap(), second.save().unwrap(), "{config:?}");
        assert_ne!(first.save().unwrap(), saved);
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let residual = |width| Config { backbone: BackboneKind::Resnet18, width, ..config() };
    let cases = [
        (Config { capacity: 0, ..config() }, "`capacity`: expected at least 1, found 0"),
        (Config { samples: 0, ..config() }, "`samples`: expected at least 1, found 0"),
        (
            Config { tau_rank: 0.0, ..config() },
            "`tau_rank`: expected a number between 0 and 1, found 0",
        ),
        (
            Config { tau_rank: 1.0, ..config() },
            "`tau_rank`: expected a number between 0 and 1, found 1",
        ),
        (Config { lr: -1.0, ..config() }, "`lr`: expected a number above 0, found -1"),
        (
            Config { alpha_plastic: 1.5, ..config() },
            "`alpha_plastic`: expected a number from 0 to 1, found 1.5",
        ),
        (
            Config { alpha_stable: -0.5, ..config() },
            "`alpha_stable`: expected a number from 0 to 1, found -0.5",
        ),
        (
            Config { r_plastic: 2.0, ..config() },
            "`r_plastic`: expected a number from 0 to 1, found 2",
        ),
        (
            Config { r_stable: -1.0, ..config() },
            "`r_stable`: expected a number from 0 to 1, found -1",
        ),
        (
            Config { hidden: vec![7, 0], ..config() },
            "`hidden`: expected widths of at least 1, found 0",
        ),
        (residual(0), "`width`: expected at least 1, found 0"),
        (
            residual(2),
            "`backbone`: expected `mlp`, or inputs of shape [channels, height, width], found a \
             ResNet for inputs of shape [6]",
        ),
    ];
    for (config, expected) in cases {
        let error = Driver::<Ogd>::new(config, Setting::new(CLASSES, &[WIDTH])).err().unwrap();
        assert_eq!(error.to_string(), format!("hyper-parameter {expected}"));
    }
}

#[test]
fn streams_that_do_not_grant_what_it_needs_are_refused() {
    let refused = |config: Config, grants: Grants| {
        let mut setting = Setting::new(CLASSES, &[WIDTH]);
        setting.context.grants = grants;
        Driver::<Ogd>::new(config, setting).err().expect("it is refused").to_string()
    };
    let all = Grants { boundaries: true, experience_classes: true, second_pass: true };
    for grants in [Grants { second_pass: false, ..all }, Grants { boundaries: false, ..all }] {
        let message = refused(config(), grants);
        assert!(message.contains("leave --online out"), "{message}");
    }
    let aware = Config { head: HeadKind::TaskAware, ..config() };
    let untold = refused(aware, Grants { experience_classes: false, ..all });
    assert!(
        untold.starts_with("hyper-parameter `head`: expected task_free, or a stream"),
        "{untold}"
    );
}
