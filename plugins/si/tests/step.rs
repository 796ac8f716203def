//! The step of SI and its end of an experience: by hand, and as `sgd` where nothing holds the
//! weights; what is saved goes on the same; what is out of range is refused.

use perdura_nn::{BackboneConfig, BackboneKind, Net, NetShape, Network, losses, state};
use perdura_sdk::testing::{Driver, Setting};
use perdura_sdk::{StateReader, StateWriter};
use perdura_si::{Config, Si};

const INPUTS: [f32; 6] = [0.1, 0.9, 0.4, 0.8, 0.2, 0.6];
const LABELS: [u32; 2] = [2, 0];

fn config() -> Config {
    Config { lr: 0.5, hidden: vec![4], ..Config::default() }
}

fn driver(config: Config) -> Driver<Si> {
    Driver::new(config, Setting::new(3, &[3]).seed(9)).unwrap()
}

fn tensor(driver: &mut Driver<Si>, name: &str, shape: &[usize]) -> Vec<f32> {
    StateReader::from_bytes(&driver.save().unwrap()).unwrap().tensor(name, shape).unwrap()
}

/// A learner without hidden layers, two classes and one input, at zero weights; input 0 moves the
/// biases alone.
fn by_hand(config: Config, importance: [f32; 2], anchor: [f32; 2]) -> Driver<Si> {
    let config = Config { lr: 0.1, hidden: vec![], ..config };
    let mut driver = Driver::<Si>::new(config, Setting::new(2, &[1])).unwrap();
    let mut state = StateWriter::new();
    let biases =
        [("", [0.0; 2]), ("path.", [0.0; 2]), ("importance.", importance), ("anchor.", anchor)];
    for (prefix, bias) in biases {
        state.tensor(&format!("{prefix}head.weight"), &[2, 1], &[0.0, 0.0]).unwrap();
        state.tensor(&format!("{prefix}head.bias"), &[2], &bias).unwrap();
    }
    driver.load(&state.into_bytes().unwrap()).unwrap();
    driver
}

#[track_caller]
fn assert_bias(driver: &mut Driver<Si>, name: &str, expected: [f32; 2]) {
    let found = tensor(driver, name, &[2]);
    let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
    assert!(found.iter().zip(&expected).all(near), "{name}: {found:?}, expected {expected:?}");
}

/// Label 0: g = (−1/2, 1/2), θ' = (0.05, −0.05), ω = g·(θ − θ') = (0.025, 0.025). With ξ = 0.0975
/// the end gives Ω = 0.025/(0.05² + ξ) = 0.25, and a second one without a step adds 0/ξ.
#[test]
fn an_experience_by_hand() {
    let mut driver = by_hand(Config { xi: 0.0975, ..Config::default() }, [0.0; 2], [0.0; 2]);
    driver.observe(&[0.0], &[0]).unwrap();
    assert_bias(&mut driver, "head.bias", [0.05, -0.05]);
    assert_bias(&mut driver, "path.head.bias", [0.025, 0.025]);
    assert_bias(&mut driver, "importance.head.bias", [0.0, 0.0]);
    driver.end_experience(0).unwrap();
    for _ in 0..2 {
        assert_bias(&mut driver, "importance.head.bias", [0.25, 0.25]);
        assert_bias(&mut driver, "anchor.head.bias", [0.05, -0.05]);
        assert_bias(&mut driver, "path.head.bias", [0.0, 0.0]);
        driver.end_experience(1).unwrap();
    }
}

/// Ω = (3, 0), θ* = (−1, 0), c = 1/2: penalty 3·1², its gradient 2·c·3·1 = 3. In all (2.5, 0.5), cut
/// off to (1, 0.5): θ' = (−0.1, −0.05). The way counts with the gradient that has no penalty: ω =
/// (−1/2·0.1, 1/2·0.05).
#[test]
fn a_penalised_step_by_hand() {
    let config = Config { c: 0.5, ..Config::default() };
    let mut driver = by_hand(config.clone(), [3.0, 0.0], [-1.0, 0.0]);
    let report = driver.observe(&[0.0], &[0]).unwrap();
    assert_eq!(report.scalar("penalty"), Some(3.0));
    assert!((report.scalar("loss").unwrap() - (2.0f64.ln() + 1.5)).abs() < 1e-6);
    assert_bias(&mut driver, "head.bias", [-0.1, -0.05]);
    assert_bias(&mut driver, "path.head.bias", [-0.05, 0.025]);
    let mut wide = by_hand(Config { clip: 5.0, ..config }, [3.0, 0.0], [-1.0, 0.0]);
    wide.observe(&[0.0], &[0]).unwrap();
    assert_bias(&mut wide, "head.bias", [-0.25, -0.05]);
}

/// Without a penalty it is `sgd`, as long as nothing is cut off.
#[test]
fn without_a_penalty_it_is_sgd_to_the_byte() {
    let (mut first, mut off) = (driver(config()), driver(Config { c: 0.0, ..config() }));
    let device = perdura_nn::device("flex", 0).unwrap();
    let shape = NetShape { backbone: BackboneConfig::mlp(&[4]), input: vec![3], classes: 3 };
    let mut network = Net::new(&shape, &mut perdura_sdk::rand::rng(), &device).unwrap();
    let mut saved = StateReader::from_bytes(&first.save().unwrap()).unwrap();
    state::load(&mut network, "", &mut saved).unwrap();
    for step in 0..10 {
        let mut tracked = network.tracked();
        let (x, y) = (network.rows(&[&INPUTS]), network.labels(&[&LABELS]));
        let loss = losses::cross_entropy(tracked.forward_train(x).unwrap(), y);
        network.descend(&tracked, loss.backward(), 0.5);
        first.observe(&INPUTS, &LABELS).unwrap();
        off.observe(&INPUTS, &LABELS).unwrap();
        if step == 4 {
            off.end_experience(0).unwrap();
        }
    }
    let mut expected = StateWriter::new();
    state::save(&network, "", &mut expected).unwrap();
    let mut expected = StateReader::from_bytes(&expected.into_bytes().unwrap()).unwrap();
    for (name, shape) in [("fc1.weight", vec![4, 3]), ("fc1.bias", vec![4]), ("head.bias", vec![3])]
    {
        let expected = expected.tensor(name, &shape).unwrap();
        assert_eq!(tensor(&mut first, name, &shape), expected, "{name}");
        assert_eq!(tensor(&mut off, name, &shape), expected, "{name}");
    }
}

#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    for backbone in [BackboneKind::Mlp, BackboneKind::Resnet18] {
        let config = Config { backbone, width: 2, lr: 0.05, ..config() };
        let new =
            || Driver::<Si>::new(config.clone(), Setting::new(3, &[1, 8, 8]).seed(9)).unwrap();
        let (mut first, mut second) = (new(), new());
        let inputs: Vec<f32> = (0..128).map(|i| ((i * 13) % 7) as f32 / 7.0).collect();
        let go_on = |driver: &mut Driver<Si>, index| {
            driver.observe(&inputs, &[0, 2]).unwrap();
            driver.end_experience(index).unwrap();
            driver.observe(&inputs, &[1, 2]).unwrap();
        };
        for index in 0..2 {
            go_on(&mut first, index);
            second.load(&first.save().unwrap()).unwrap();
            go_on(&mut first, index + 1);
            go_on(&mut second, index + 1);
            assert_eq!(first.save().unwrap(), second.save().unwrap(), "{backbone:?}");
        }
    }
}

#[test]
fn what_is_out_of_range_is_refused() {
    let refused = |config| {
        let made = Driver::<Si>::new(config, Setting::new(3, &[3]));
        made.err().expect("it is out of range").to_string()
    };
    let message = |key: &str, expected, found| {
        format!("hyper-parameter `{key}`: expected {expected}, found {found}")
    };
    assert_eq!(refused(Config { c: -1.0, ..config() }), message("c", "a number from 0", "-1"));
    let above = "a number above 0";
    assert_eq!(refused(Config { xi: 0.0, ..config() }), message("xi", above, "0"));
    assert_eq!(refused(Config { clip: -0.5, ..config() }), message("clip", above, "-0.5"));
    assert_eq!(refused(Config { clip: 0.0, ..config() }), message("clip", above, "0"));
    assert_eq!(refused(Config { lr: -0.1, ..config() }), message("lr", above, "-0.1"));
    let thin = Config { hidden: vec![4, 0], ..config() };
    assert_eq!(refused(thin), message("hidden", "widths of at least 1", "0"));
    let residual = |width| Config { backbone: BackboneKind::Resnet18, width, ..config() };
    assert_eq!(refused(residual(0)), message("width", "at least 1", "0"));
    let expected = "`mlp`, or inputs of shape [channels, height, width]";
    let found = "a ResNet for inputs of shape [3]";
    assert_eq!(refused(residual(2)), message("backbone", expected, found));
}

#[test]
fn a_stream_without_boundaries_is_refused_at_the_start() {
    let mut hidden = Setting::new(3, &[3]);
    hidden.context.grants.boundaries = false;
    let error = Driver::<Si>::new(config(), hidden).err().expect("it needs boundaries");
    assert!(error.to_string().contains("choose a benchmark with boundaries"), "{error}");
}
