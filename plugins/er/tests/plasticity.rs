//! ER with rates by similarity (algorithms 3.3): plain at a speed of one, slow where an unlike group
//! owns a parameter, and what is refused.

use perdura_er::{Config, Er};
use perdura_nn::plasticity::{Ownership, Plasticity, SpeedCurve};
use perdura_nn::similarity::SimilarityGiven;
use perdura_nn::{BackboneConfig, Net, NetShape, Network, losses, numbers, state};
use perdura_sdk::StateReader;
use perdura_sdk::testing::{Driver, Samples, Setting};

const WIDTH: usize = 6;
const CLASSES: usize = 3;

fn config() -> Config {
    Config { lr: 0.2, replay: 8, hidden: vec![8], probe: 30, ..Config::default() }
}

fn paced(plasticity: Plasticity) -> Config {
    Config { plasticity, groups: vec![0, 1, 0, 2], ..config() }
}

fn driver(config: Config) -> Driver<Er> {
    Driver::new(config, Setting::new(CLASSES, &[WIDTH]).seed(3)).unwrap()
}

/// Samples around class means of the task.
fn samples(task: u32, count: usize, salt: u32) -> Samples {
    let number = |i: u32, salt: u32| {
        f32::from((i.wrapping_mul(2654435761).wrapping_add(salt.wrapping_mul(40503)) >> 16) as u8)
            / 255.0
    };
    let mut inputs = Vec::new();
    let labels: Vec<u32> = (0..count as u32).map(|i| (i + salt) % CLASSES as u32).collect();
    for (i, &label) in labels.iter().enumerate() {
        for j in 0..WIDTH as u32 {
            let mean = number(task * 1000 + label * 10 + j, 7);
            inputs.push(mean + 0.1 * number(i as u32 * 10 + j, 100 + salt));
        }
    }
    Samples::new(&inputs, &labels)
}

fn of_group(samples: Samples, group: u32) -> Samples {
    Samples { groups: Some(vec![group; samples.labels.len()]), ..samples }
}

/// Learns one experience; the memory holds samples of the groups `held`.
fn learn(driver: &mut Driver<Er>, index: u32, task: u32, held: &[u32]) {
    driver.script.iterations.push_back(vec![samples(task, 30, 50)]);
    driver.script.draws.extend(held.iter().map(|&g| of_group(samples(g, 30, 60), g)));
    driver.begin_experience(index).unwrap();
    // The first experience opens a group without a look.
    driver.script.iterations.clear();
    driver.script.draws.clear();
    for step in 0..8 {
        let replayed = of_group(samples(task, 8, 500 + step), 0);
        driver.step(&samples(task, 4, 8 * index + step), &[("replay", replayed)]).unwrap();
    }
    // For those that ask: the memory's samples of the group at hand.
    driver.script.draws.push_back(of_group(samples(task, 5, 70), 0));
    driver.end_experience(index).unwrap();
    driver.script.draws.clear();
}

fn weights(driver: &mut Driver<Er>) -> Vec<f32> {
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    let shapes: [(&str, &[usize]); 4] = [
        ("fc1.weight", &[8, WIDTH]),
        ("fc1.bias", &[8]),
        ("head.weight", &[CLASSES, 8]),
        ("head.bias", &[CLASSES]),
    ];
    shapes.map(|(name, shape)| saved.tensor(name, shape).unwrap()).concat()
}

fn run(config: Config) -> Vec<f32> {
    let mut driver = driver(config);
    learn(&mut driver, 0, 0, &[]);
    learn(&mut driver, 1, 1, &[0]);
    learn(&mut driver, 2, 0, &[0, 1]);
    weights(&mut driver)
}

/// κ = 1: plain ER, bit for bit; below 1 it is not.
#[test]
fn a_speed_of_one_is_plain_replay() {
    let plain = run(config());
    for plasticity in [Plasticity::Mean, Plasticity::Min] {
        assert_eq!(run(Config { kappa_min: 1.0, ..paced(plasticity) }), plain, "{plasticity:?}");
        assert_ne!(run(paced(plasticity)), plain, "{plasticity:?}");
    }
}

/// `ownership = "fisher"` draws the group's samples from the memory at the end of an experience and
/// keeps `Σ (∂ log p(y|x)/∂w)²`, for each parameter; here against a sum over gradients one by one. A
/// later experience of the group replaces it. At a speed of one it is plain replay as ever.
#[test]
fn ownership_by_fisher_is_that_of_the_groups_own_samples() {
    let fisher = Config { ownership: Ownership::Fisher, ..paced(Plasticity::Mean) };
    let mut found = driver(fisher.clone());
    for (index, task, held) in [(0, 0, vec![]), (1, 1, vec![0]), (2, 0, vec![0, 1])] {
        learn(&mut found, index, task, &held);
        let mut saved = StateReader::from_bytes(&found.save().unwrap()).unwrap();
        let shape =
            NetShape { backbone: BackboneConfig::mlp(&[8]), input: vec![WIDTH], classes: CLASSES };
        let device = perdura_nn::device("flex", 0).unwrap();
        let mut net = Net::new(&shape, &mut perdura_sdk::rand::rng(), &device).unwrap();
        state::load(&mut net, "", &mut saved).unwrap();
        let own = samples(task, 5, 70);
        let mut expected = vec![0.0; net.parameter_count()];
        for (x, y) in own.views[0].chunks(WIDTH).zip(own.labels) {
            let tracked = net.tracked();
            let loss = losses::cross_entropy(tracked.forward(net.rows(&[x])), net.labels(&[&[y]]));
            let gradient = numbers::gradient(&tracked, loss.backward());
            expected.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g * g);
        }
        state::load(&mut net, &format!("importance-{task}."), &mut saved).unwrap();
        for (found, expected) in numbers::parameters(&net).into_iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-5 * expected.max(1e-3), "{found} {expected}");
        }
    }
    assert_eq!(run(Config { kappa_min: 1.0, ..fisher.clone() }), run(config()));
    assert_ne!(run(fisher), run(paced(Plasticity::Mean)));
}

/// The more alike the groups are said to be, the further the second experience moves the network;
/// with a neutral budget the way is another, and of about the same length.
#[test]
fn likeness_makes_fast() {
    let moved = |config: Config| {
        let mut driver = driver(config);
        learn(&mut driver, 0, 0, &[]);
        let before = weights(&mut driver);
        learn(&mut driver, 1, 1, &[0]);
        let after = weights(&mut driver);
        let squares = before.iter().zip(&after).map(|(b, a)| f64::from(b - a).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let at = |across: f64| Config {
        similarity: SimilarityGiven::Oracle,
        oracle_across: across,
        ..paced(Plasticity::Mean)
    };
    let distances = [0.0, 0.5, 1.0].map(|across| moved(at(across)));
    assert!(distances[0] < distances[1] && distances[1] < distances[2], "{distances:?}");
    let neutral = moved(Config { budget_neutral: true, ..at(0.0) });
    assert!(neutral > distances[0], "{neutral} {distances:?}");
}

#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    let mut first = driver(paced(Plasticity::Mean));
    learn(&mut first, 0, 0, &[]);
    learn(&mut first, 1, 1, &[0]);
    let saved = first.save().unwrap();
    // The same number of calls, so that the next ones have the same seeds.
    let mut second = driver(paced(Plasticity::Mean));
    learn(&mut second, 0, 1, &[]);
    learn(&mut second, 1, 0, &[0]);
    assert_ne!(second.save().unwrap(), saved);
    second.load(&saved).unwrap();
    assert_eq!(second.save().unwrap(), saved);
    learn(&mut first, 2, 0, &[0, 1]);
    learn(&mut second, 2, 0, &[0, 1]);
    assert_eq!(weights(&mut first), weights(&mut second));
}

#[test]
fn values_out_of_range_and_contradictions_are_refused() {
    let refused = |key: &str, expected: &str, config: Config| {
        let made = Driver::<Er>::new(config, Setting::new(CLASSES, &[WIDTH]));
        let message = made.err().expect("it is refused").to_string();
        let start = format!("hyper-parameter `{key}`: expected {expected}");
        assert!(message.starts_with(&start), "{message}");
    };
    let paced = || paced(Plasticity::Mean);
    refused("kappa_max", "a number above 0", Config { kappa_max: 0.0, ..paced() });
    refused("kappa_min", "a number from 0 to kappa_max", Config { kappa_min: 2.0, ..paced() });
    refused("kappa_min", "a number above 0", Config { kappa_min: 0.0, ..paced() });
    refused("tau", "a number from 0 to 1", Config { tau: 1.1, ..paced() });
    refused("tau_join", "a number from 0 to 1", Config { tau_join: -1.0, ..paced() });
    refused("groups_max", "at least 1", Config { groups_max: 0, groups: vec![], ..paced() });
    refused("groups", "numbers below groups_max", Config { groups: vec![7], ..paced() });
    refused("probe", "at least 2", Config { probe: 0, ..paced() });
    refused("window", "at least 1", Config { window: 0, ..paced() });
    refused("confirm", "at least 1", Config { confirm: 0, ..paced() });
    refused("oracle_across", "a number from 0 to 1", Config { oracle_across: 9.0, ..paced() });
    let hat = Config { plasticity: Plasticity::Hat, speed: SpeedCurve::Step, ..config() };
    refused("plasticity", "`mean` or `min`: `hat` is about units, and needs masks", hat);
    // What is out of range is refused where it has no effect too, and what would change nothing.
    let plain = || Config { groups: vec![], ..config() };
    refused("kappa_min", "a number from 0 to kappa_max", Config { kappa_min: 7.0, ..plain() });
    refused("tau_join", "a number from 0 to 1", Config { tau_join: 9.0, ..plain() });
    let idle = "its default without `plasticity`";
    refused("similarity", idle, Config { similarity: SimilarityGiven::Inverted, ..plain() });
    refused("budget_neutral", idle, Config { budget_neutral: true, ..plain() });
    refused("ownership", idle, Config { ownership: Ownership::Fisher, ..plain() });
    refused("groups", "none without masks", Config { groups: vec![0], ..plain() });
    // The Fisher information is taken at the end of an experience, which must be told.
    let mut setting = Setting::new(CLASSES, &[WIDTH]);
    setting.context.grants.boundaries = false;
    let fisher = Config { ownership: Ownership::Fisher, groups: vec![], ..paced() };
    let hidden = Driver::<Er>::new(fisher, setting).err().expect("hidden").to_string();
    assert!(hidden.contains("`ownership`: expected `path` where boundaries"), "{hidden}");
    let mut setting = Setting::new(CLASSES, &[WIDTH]);
    (setting.context.grants.boundaries, setting.context.grants.second_pass) = (false, false);
    let hidden = Driver::<Er>::new(paced(), setting).err().expect("hidden").to_string();
    assert!(hidden.contains("`groups`: expected none where boundaries are hidden"), "{hidden}");
}
