//! Invariants of DualNet (algorithm specification 2.12), on a small network.

mod support;

use perdura_dualnet::{Between, Config, DualNet, HeadKind, Roles, SlowSchedule};
use perdura_nn::{BackboneConfig, BackboneKind, Net, NetShape, state};
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{Position, StateReader, StateWriter, rand};
use support::*;

const PHI: [&str; 2] = ["slow.", "projector."];

/// Displacement of φ by one step without labels.
fn ssl_displacement(config: Config, draws: u32) -> Vec<f64> {
    let mut driver = driver(config);
    let before = tensors(&mut driver, &PHI);
    let draws: Vec<_> = (0..draws).map(|i| ("ssl", views(8, 100 + i))).collect();
    driver.step(&samples(6, 0), &draws).unwrap();
    let after = tensors(&mut driver, &PHI);
    displacement(&before, &after)
}

/// 2.12.1: `m_l ≡ 1` leaves the plain network. The modulator's output is made 1 in its saved state:
/// weights (of the normalisation, in a convolutional block) 0 and biases 1.
#[test]
fn identity_modulation_is_the_plain_network() {
    let images = Config { backbone: perdura_dualnet::BackboneKind::Resnet18, width: 2, ..config() };
    for (config, input) in [(config(), vec![WIDTH]), (images, vec![3, 16, 16])] {
        let kind = match input.len() {
            1 => BackboneKind::Mlp,
            _ => BackboneKind::Resnet18Pool,
        };
        let backbone = BackboneConfig { kind, hidden: config.hidden.clone(), width: 2 };
        let setting = Setting::new(CLASSES, &input).seed(3);
        let mut driver = Driver::<DualNet>::new(config, setting).unwrap();
        let width: usize = input.iter().product();
        let identity = with_identity_modulation(&driver.save().unwrap());
        driver.load(&identity).unwrap();
        let x = inputs(3, width, 5);
        let found = driver.predict("main", &x).unwrap().unwrap();

        let device = perdura_nn::device("flex", 0).unwrap();
        let shape = NetShape { backbone, input, classes: CLASSES };
        let mut plain = Net::new(&shape, &mut rand::rng(), &device).unwrap();
        let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
        state::load(&mut plain.backbone, "slow.", &mut saved).unwrap();
        state::load(&mut plain.head, "head.", &mut saved).unwrap();
        let mut expected = vec![0.0; 3 * CLASSES];
        plain.predict(&x, &mut expected);
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() <= 1e-5, "{kind:?}: {a}, expected {b}");
        }
    }
}

fn with_identity_modulation(saved: &[u8]) -> Vec<u8> {
    let file = safetensors::SafeTensors::deserialize(saved).unwrap();
    let mut state = StateWriter::new();
    for (name, view) in file.tensors() {
        let word = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let mut values: Vec<f32> = view.data().chunks_exact(4).map(word).collect();
        let modulates = name.starts_with("fast.") && !name.contains(".conv.");
        match name.rsplit('.').next() {
            Some("weight") if modulates => values.fill(0.0),
            Some("bias") if modulates => values.fill(1.0),
            _ => {}
        }
        state.tensor(&name, view.shape(), &values).unwrap();
    }
    state.value("supervised_steps", &0).unwrap();
    state
        .value("classes_of_experiences", &std::collections::BTreeMap::<u32, Vec<u32>>::new())
        .unwrap();
    state.into_bytes().unwrap()
}

/// 2.12.2: one inner step is a step of gradient descent of size βε.
#[test]
fn look_ahead_of_one_step_is_a_smaller_step() {
    let beta = 0.3;
    let looked = ssl_displacement(Config { beta, ..ssl_alone() }, 1);
    let stepped = ssl_displacement(Config { lr_ssl: 0.05 * beta, ..ssl_alone() }, 1);
    let apart = norm(&plus(&looked, -1.0, &stepped));
    assert!(apart <= 1e-5 * norm(&stepped), "{apart} of {}", norm(&stepped));

    let mut driver = driver(ssl_alone());
    let weights = tensors(&mut driver, &PHI);
    let zero = weights.iter().map(|(name, v)| (name.clone(), vec![0.0; v.len()])).collect();
    let size = norm(&displacement(&zero, &weights));
    assert!(
        norm(&stepped) > 0.01 * size,
        "the test would be vacuous: {} of {size}",
        norm(&stepped)
    );
}

/// 2.12.2: β = 0 leaves φ as it was, running statistics included, to the byte.
#[test]
fn look_ahead_without_a_share_moves_nothing() {
    let mut driver = driver(Config { beta: 0.0, k: 2, ..ssl_alone() });
    let before = tensors(&mut driver, &[""]);
    driver.step(&samples(6, 0), &[("ssl", views(8, 1)), ("ssl", views(8, 2))]).unwrap();
    assert_eq!(tensors(&mut driver, &[""]), before);
}

/// 2.12.2: β = 1 is K plain steps; any other β goes that share of the way.
#[test]
fn look_ahead_of_k_steps_goes_a_share_of_the_way() {
    let looked = |beta| ssl_displacement(Config { k: 3, beta, ..ssl_alone() }, 3);
    let mut plain = driver(ssl_alone());
    let before = tensors(&mut plain, &PHI);
    for i in 0..3 {
        plain.step(&samples(6, 0), &[("ssl", views(8, 100 + i))]).unwrap();
    }
    let plain = displacement(&before, &tensors(&mut plain, &PHI));
    assert_eq!(looked(1.0), plain);
    let apart = norm(&plus(&looked(0.25), -0.25, &plain));
    assert!(apart <= 1e-5 * norm(&plain), "{apart} of {}", norm(&plain));
}

/// 2.12.3: in both roles self-supervision moves neither the fast network nor the head, nor the
/// running statistics of the fast one.
#[test]
fn self_supervision_moves_the_slow_network_alone() {
    use perdura_dualnet::BackboneKind::{Mlp, Resnet18};
    for (roles, backbone) in
        [(Roles::Paper, Mlp), (Roles::Blog, Mlp), (Roles::Paper, Resnet18), (Roles::Blog, Resnet18)]
    {
        let input = if backbone == Mlp { vec![WIDTH] } else { vec![3, 16, 16] };
        let width = input.iter().product();
        let config = Config { roles, backbone, width: 2, ..ssl_alone() };
        let mut driver =
            Driver::<DualNet>::new(config, Setting::new(CLASSES, &input).seed(3)).unwrap();
        let (phi, theta) = (tensors(&mut driver, &PHI), tensors(&mut driver, &["fast.", "head."]));
        let normalised = theta.keys().any(|name| name.contains("running"));
        assert_eq!(normalised, backbone == Resnet18);
        let of = |count, salt| Samples::new(&inputs(count, width, salt), &vec![0; count]);
        let views = of(8, 1).view(&inputs(8, width, 7001));
        let report = driver.step(&of(6, 0), &[("ssl", views)]).unwrap();
        assert_eq!(tensors(&mut driver, &["fast.", "head."]), theta, "{roles:?} {backbone:?}");
        let after = tensors(&mut driver, &PHI);
        for (name, values) in after {
            assert_ne!(values, phi[&name], "{roles:?} {backbone:?}: {name} stays");
        }
        assert!(report.scalar("slow_move_ssl").unwrap() > 0.0);
        assert_eq!(report.scalar("slow_move_sup"), Some(0.0));
        assert_eq!(report.scalar("slow_move_ratio"), None);
    }
}

/// 2.12.6: with a task-aware head a step on one experience leaves the outputs of the others alone,
/// to the byte, and a task-free one does not.
#[test]
fn outputs_of_other_experiences_are_left_alone() {
    for (head, others_move) in [(HeadKind::TaskAware, false), (HeadKind::TaskFree, true)] {
        let mut driver = driver(Config { head, ssl_weight: 0.0, ..config() });
        driver.begin_experience_of(0, &[0, 1]).unwrap();
        driver.begin_experience_of(1, &[2, 3]).unwrap();
        let before = tensors(&mut driver, &["head."]);
        let batch = Samples {
            experiences: Some(vec![1; 4]),
            ..Samples::new(&inputs(4, WIDTH, 1), &[2, 3, 3, 2])
        };
        driver.step(&batch, &[]).unwrap();
        let after = tensors(&mut driver, &["head."]);
        let (weights, moved) = (&before["head.weight"], &after["head.weight"]);
        let row = |values: &[f32], class: usize| values[class * 4..][..4].to_vec();
        for class in 0..CLASSES {
            let moves = row(weights, class) != row(moved, class);
            assert_eq!(moves, class >= 2 || others_move, "{head:?}, class {class}");
        }
        assert_eq!(before["head.bias"][..2] != after["head.bias"][..2], others_move);
    }
}

/// 2.12.7: the first experience has cross-entropy alone, whatever is drawn; the second has all
/// three terms.
#[test]
fn the_first_experience_replays_nothing() {
    let mut driver = driver(config());
    let at = |experience| {
        let (epoch, epochs, step_in_epoch, steps_per_epoch) = (0, 1, 0, 9);
        Some(Position { experience, epoch, epochs, step_in_epoch, steps_per_epoch })
    };
    driver.position = at(0);
    let first = step(&mut driver, 1);
    assert_eq!(first.scalar("loss"), first.scalar("loss_ce"));
    assert_eq!((first.scalar("loss_ce_replay"), first.scalar("loss_kd")), (None, None));
    driver.position = at(1);
    let second = step(&mut driver, 2);
    let of = |name| second.scalar(name).unwrap();
    assert!(of("loss_ce_replay") > 0.0 && of("loss_kd") > 0.0);
    let sum = of("loss_ce") + of("loss_ce_replay") + 10.0 * of("loss_kd");
    assert!((of("loss") - sum).abs() < 1e-5, "{} {sum}", of("loss"));
}

/// 2.12.8: who is called slow does not matter where both learn from the same loss at every step.
#[test]
fn roles_are_names_where_both_networks_learn_alike() {
    let trained = |roles| {
        let schedule = SlowSchedule::EveryK;
        let config =
            Config { roles, slow_schedule: schedule, every: 1, ssl_weight: 0.0, ..config() };
        let mut driver = driver(config);
        (0..5).for_each(|i| step_without_ssl(&mut driver, i));
        driver
    };
    let (mut paper, mut blog) = (trained(Roles::Paper), trained(Roles::Blog));
    assert_eq!(tensors(&mut paper, &["head."]), tensors(&mut blog, &["head."]));
    let values = |driver: &mut Driver<DualNet>, name: &str| {
        tensors(driver, &[name]).into_values().collect::<Vec<_>>()
    };
    assert_eq!(values(&mut paper, "slow."), values(&mut blog, "fast."));
    assert_eq!(values(&mut paper, "fast."), values(&mut blog, "slow."));
}

fn step_without_ssl(driver: &mut Driver<DualNet>, salt: u32) {
    driver.step(&samples(6, salt), &[("replay", replay(5, 200 + salt))]).unwrap();
}

/// The slow network rests for a step, then takes one with the last gradient (`drop`) or the sum of
/// both (`accumulate`). The first gradient is the first step of a network that never rests.
#[test]
fn gradients_in_between_are_dropped_or_added_up() {
    let moved = |every, between, steps: u32| {
        let schedule = SlowSchedule::EveryK;
        let config =
            Config { slow_schedule: schedule, every, between, ssl_weight: 0.0, ..config() };
        let mut driver = driver(config);
        let before = tensors(&mut driver, &["slow."]);
        (0..steps).for_each(|i| step_without_ssl(&mut driver, i));
        displacement(&before, &tensors(&mut driver, &["slow."]))
    };
    let first = moved(1, Between::Drop, 1);
    assert!(norm(&first) > 0.0);
    for between in [Between::Drop, Between::Accumulate] {
        assert_eq!(norm(&moved(2, between, 1)), 0.0);
    }
    let (dropped, summed) = (moved(2, Between::Drop, 2), moved(2, Between::Accumulate, 2));
    let apart = norm(&plus(&plus(&summed, -1.0, &dropped), -1.0, &first));
    assert!(norm(&dropped) > 0.0);
    assert!(apart <= 1e-5 * norm(&summed), "{apart} of {}", norm(&summed));
}

/// In the blog's schedule the slow network takes its self-supervised step together with the
/// supervised one.
#[test]
fn self_supervision_waits_for_its_turn() {
    let mut driver = driver(Config {
        roles: Roles::Blog,
        slow_schedule: SlowSchedule::EveryK,
        every: 3,
        sup_updates_slow: false,
        ..config()
    });
    for i in 0..6 {
        let before = tensors(&mut driver, &["slow."]);
        let report = step(&mut driver, i);
        let moves = i % 3 == 2;
        assert_eq!(tensors(&mut driver, &["slow."]) != before, moves, "step {i}");
        assert_eq!(report.scalar("loss_ssl").is_some(), moves, "step {i}");
    }
}

#[test]
fn without_supervision_of_the_slow_network_only_views_move_it() {
    let mut driver = driver(Config { sup_updates_slow: false, ssl_weight: 0.0, ..config() });
    let before = (tensors(&mut driver, &PHI), tensors(&mut driver, &["fast."]));
    (0..3).for_each(|i| step_without_ssl(&mut driver, i));
    assert_eq!(tensors(&mut driver, &PHI), before.0);
    assert_ne!(tensors(&mut driver, &["fast."]), before.1);
}
