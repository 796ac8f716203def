//! The step of oEWC and its end of an experience: by hand, and as `sgd` where nothing holds the
//! weights; what is saved goes on the same; what is out of range is refused.

use perdura_ewc_online::{Config, EwcOnline};
use perdura_nn::{BackboneConfig, BackboneKind, Net, NetShape, Network, losses, state};
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{StateReader, StateWriter};

const INPUTS: [f32; 6] = [0.1, 0.9, 0.4, 0.8, 0.2, 0.6];
const LABELS: [u32; 2] = [2, 0];

fn config() -> Config {
    Config { lr: 0.5, e_lambda: 3.0, gamma: 0.5, hidden: vec![4], ..Config::default() }
}

fn driver(config: Config) -> Driver<EwcOnline> {
    Driver::new(config, Setting::new(3, &[3]).seed(9)).unwrap()
}

/// The end of an experience that has the samples of the steps.
fn end(driver: &mut Driver<EwcOnline>, index: u32) {
    driver.script.iterations.push_back(vec![Samples::new(&INPUTS, &LABELS)]);
    driver.end_experience(index).unwrap();
}

fn tensor(driver: &mut Driver<EwcOnline>, name: &str, shape: &[usize]) -> Vec<f32> {
    StateReader::from_bytes(&driver.save().unwrap()).unwrap().tensor(name, shape).unwrap()
}

/// The network of a learner that went through some steps of `sgd`.
fn sgd(driver: &mut Driver<EwcOnline>, steps: usize) -> Net {
    let device = perdura_nn::device("flex", 0).unwrap();
    let backbone = BackboneConfig::mlp(&[4]);
    let shape = NetShape { backbone, input: vec![3], classes: 3 };
    let mut network = Net::new(&shape, &mut perdura_sdk::rand::rng(), &device).unwrap();
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    state::load(&mut network, "", &mut saved).unwrap();
    for _ in 0..steps {
        let mut tracked = network.tracked();
        let (x, y) = (network.rows(&[&INPUTS]), network.labels(&[&LABELS]));
        let loss = losses::cross_entropy(tracked.forward_train(x).unwrap(), y);
        network.descend(&tracked, loss.backward(), 0.5);
    }
    network
}

#[track_caller]
fn assert_network(driver: &mut Driver<EwcOnline>, expected: &Net) {
    let mut state = StateWriter::new();
    state::save(expected, "", &mut state).unwrap();
    let mut expected = StateReader::from_bytes(&state.into_bytes().unwrap()).unwrap();
    for (name, shape) in [("fc1.weight", vec![4, 3]), ("fc1.bias", vec![4]), ("head.bias", vec![3])]
    {
        assert_eq!(tensor(driver, name, &shape), expected.tensor(name, &shape).unwrap(), "{name}");
    }
}

#[test]
fn before_the_first_boundary_and_without_a_weight_it_is_sgd_to_the_byte() {
    let (mut first, mut off) = (driver(config()), driver(Config { e_lambda: 0.0, ..config() }));
    let expected = sgd(&mut first, 10);
    for step in 0..10 {
        first.observe(&INPUTS, &LABELS).unwrap();
        off.observe(&INPUTS, &LABELS).unwrap();
        if step == 4 {
            end(&mut off, 0);
        }
    }
    assert_network(&mut first, &expected);
    assert_network(&mut off, &expected);
}

#[test]
fn weights_are_held_once_an_experience_has_ended() {
    let mut driver = driver(config());
    let expected = sgd(&mut driver, 6);
    for _ in 0..3 {
        driver.observe(&INPUTS, &LABELS).unwrap();
    }
    end(&mut driver, 0);
    let at_anchor = driver.observe(&INPUTS, &LABELS).unwrap();
    assert_eq!(at_anchor.scalar("penalty"), Some(0.0), "θ is θ* still");
    for _ in 0..2 {
        let report = driver.observe(&INPUTS, &LABELS).unwrap();
        let [loss, ce, penalty] = ["loss", "loss_ce", "penalty"].map(|s| report.scalar(s).unwrap());
        assert!(penalty > 0.0 && loss == ce + 3.0 * penalty, "{report:?}");
    }
    let mut state = StateWriter::new();
    state::save(&expected, "", &mut state).unwrap();
    let mut expected = StateReader::from_bytes(&state.into_bytes().unwrap()).unwrap();
    let bias = tensor(&mut driver, "head.bias", &[3]);
    assert_ne!(bias, expected.tensor("head.bias", &[3]).unwrap());
}

/// No hidden layer, input 0: the biases alone move. At θ = 0 with label 0 ∇CE = (−1/2, 1/2). F = (2,
/// 0) and θ* = (−1, 0): penalty 2·1², its gradient 2·λ·2·1 = 2 for λ = 1/2. So θ ← −0.1·(3/2, 1/2).
#[test]
fn a_step_by_hand() {
    let config = Config { lr: 0.1, e_lambda: 0.5, hidden: vec![], ..Config::default() };
    let mut driver = Driver::<EwcOnline>::new(config, Setting::new(2, &[1])).unwrap();
    let mut state = StateWriter::new();
    for (prefix, bias) in [("", [0.0, 0.0]), ("fisher.", [2.0, 0.0]), ("anchor.", [-1.0, 0.0])] {
        state.tensor(&format!("{prefix}head.weight"), &[2, 1], &[0.0, 0.0]).unwrap();
        state.tensor(&format!("{prefix}head.bias"), &[2], &bias).unwrap();
    }
    state.value("anchored", &true).unwrap();
    driver.load(&state.into_bytes().unwrap()).unwrap();
    let report = driver.observe(&[0.0], &[0]).unwrap();
    assert_eq!(report.scalar("penalty"), Some(2.0));
    assert!((report.scalar("loss").unwrap() - (2.0f64.ln() + 1.0)).abs() < 1e-6);
    let bias = tensor(&mut driver, "head.bias", &[2]);
    assert!((bias[0] + 0.15).abs() < 1e-7 && (bias[1] + 0.05).abs() < 1e-7, "{bias:?}");
}

/// The same samples at the same weights twice: F, then γF + F = 3/2 F.
#[test]
fn importance_fades_by_gamma() {
    let mut driver = driver(config());
    end(&mut driver, 0);
    let once = tensor(&mut driver, "fisher.fc1.weight", &[4, 3]);
    let theta = tensor(&mut driver, "fc1.weight", &[4, 3]);
    assert_eq!(tensor(&mut driver, "anchor.fc1.weight", &[4, 3]), theta);
    end(&mut driver, 1);
    let twice = tensor(&mut driver, "fisher.fc1.weight", &[4, 3]);
    assert!(once.iter().any(|f| *f > 0.0));
    assert!(once.iter().zip(&twice).all(|(a, b)| (1.5 * a - b).abs() < 1e-7), "{once:?} {twice:?}");
}

/// A pass over the experience that has just ended, as in training, each sample once.
#[test]
fn the_experience_is_gone_over_once_when_it_ends() {
    let mut driver = driver(config());
    end(&mut driver, 0);
    let (name, plan) = &driver.script.calls[0];
    assert_eq!(name, "iterate");
    for (key, value) in [("source", "current"), ("profile", "train"), ("filter", "all")] {
        assert_eq!(plan[key], value, "{plan}");
    }
    assert!(plan["epochs"] == 1 && plan["shuffled"] == false, "{plan}");
}

/// How the host cuts the experience into batches does not matter beyond rounding.
#[test]
fn importance_is_a_mean_over_samples() {
    let (mut whole, mut cut) = (driver(config()), driver(config()));
    end(&mut whole, 0);
    let pieces = [0, 1].map(|i| Samples::new(&INPUTS[3 * i..][..3], &LABELS[i..][..1]));
    cut.script.iterations.push_back(pieces.to_vec());
    cut.end_experience(0).unwrap();
    let of = |driver: &mut Driver<EwcOnline>| tensor(driver, "fisher.head.weight", &[3, 4]);
    let (whole, cut) = (of(&mut whole), of(&mut cut));
    assert!(whole.iter().zip(&cut).all(|(a, b)| (a - b).abs() < 1e-7), "{whole:?} {cut:?}");
}

#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    for backbone in [BackboneKind::Mlp, BackboneKind::Resnet18] {
        let config = Config { backbone, width: 2, lr: 0.05, ..config() };
        let new = || {
            Driver::<EwcOnline>::new(config.clone(), Setting::new(3, &[1, 8, 8]).seed(9)).unwrap()
        };
        let (mut first, mut second) = (new(), new());
        let inputs: Vec<f32> = (0..128).map(|i| ((i * 13) % 7) as f32 / 7.0).collect();
        let go_on = |driver: &mut Driver<EwcOnline>, index| {
            driver.observe(&inputs, &[0, 2]).unwrap();
            driver.script.iterations.push_back(vec![Samples::new(&inputs, &[0, 2])]);
            driver.end_experience(index).unwrap();
            driver.observe(&inputs, &[1, 2]).unwrap();
        };
        second.load(&first.save().unwrap()).unwrap();
        for index in 0..2 {
            go_on(&mut first, index);
            second.load(&first.save().unwrap()).unwrap();
            go_on(&mut first, index + 1);
            go_on(&mut second, index + 1);
            assert_eq!(first.save().unwrap(), second.save().unwrap(), "{backbone:?}");
        }
        // A fresh state leaves no anchor behind.
        let fresh = new().save().unwrap();
        second.load(&fresh).unwrap();
        assert_eq!(second.save().unwrap(), fresh);
    }
}

#[test]
fn what_is_out_of_range_is_refused() {
    let refused = |config| {
        let made = Driver::<EwcOnline>::new(config, Setting::new(3, &[3]));
        made.err().expect("it is out of range").to_string()
    };
    let residual = |width| Config { backbone: BackboneKind::Resnet18, width, ..config() };
    let cases = [
        (Config { e_lambda: -1.0, ..config() }, "`e_lambda`: expected a number from 0, found -1"),
        (Config { gamma: 1.5, ..config() }, "`gamma`: expected a number from 0 to 1, found 1.5"),
        (Config { gamma: -0.5, ..config() }, "`gamma`: expected a number from 0 to 1, found -0.5"),
        (Config { lr: 0.0, ..config() }, "`lr`: expected a number above 0, found 0"),
        (
            Config { hidden: vec![4, 0], ..config() },
            "`hidden`: expected widths of at least 1, found 0",
        ),
        (residual(0), "`width`: expected at least 1, found 0"),
        (
            residual(2),
            "`backbone`: expected `mlp`, or inputs of shape [channels, height, width], found a \
             ResNet for inputs of shape [3]",
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(refused(config), format!("hyper-parameter {expected}"));
    }
}

#[test]
fn a_stream_that_passes_once_or_hides_its_boundaries_is_refused_at_the_start() {
    let (mut online, mut hidden) = (Setting::new(3, &[3]), Setting::new(3, &[3]));
    online.context.grants.second_pass = false;
    hidden.context.grants.boundaries = false;
    for setting in [online, hidden] {
        let error = Driver::<EwcOnline>::new(config(), setting).err().expect("no second pass");
        assert!(error.to_string().contains("leave out --online"), "{error}");
    }
}
