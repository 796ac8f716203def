//! The step of A-GEM by hand; without a conflict it is `sgd` on the current batch, and a bent step
//! does not go uphill on the reference; what it asks the memory for; what is out of range.

use perdura_agem::{AGem, Config, Memory};
use perdura_nn::{BackboneConfig, BackboneKind, Net, NetShape, Network, losses, state};
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{Filter, InsertEpochs, InsertionPolicy, StateReader, StateWriter};

const INPUTS: [f32; 6] = [0.1, 0.9, 0.4, 0.8, 0.2, 0.6];
const LABELS: [u32; 2] = [2, 0];

fn config() -> Config {
    Config { lr: 0.5, replay: 2, hidden: vec![4], ..Config::default() }
}

fn driver(config: Config) -> Driver<AGem> {
    Driver::new(config, Setting::new(3, &[3]).seed(9)).unwrap()
}

fn step(driver: &mut Driver<AGem>, reference: Samples) -> Option<f64> {
    let current = Samples::new(&INPUTS, &LABELS);
    let report = driver.step(&current, &[("reference", reference)]).unwrap();
    report.scalar("projected")
}

/// The bytes after some steps of `sgd` on the current batch.
fn after_sgd(driver: &mut Driver<AGem>, steps: usize) -> Vec<u8> {
    let device = perdura_nn::device("flex", 0).unwrap();
    let shape = NetShape { backbone: BackboneConfig::mlp(&[4]), input: vec![3], classes: 3 };
    let mut network = Net::new(&shape, &mut perdura_sdk::rand::rng(), &device).unwrap();
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    state::load(&mut network, "", &mut saved).unwrap();
    for _ in 0..steps {
        let mut tracked = network.tracked();
        let (x, y) = (network.rows(&[&INPUTS]), network.labels(&[&LABELS]));
        let loss = losses::cross_entropy(tracked.forward_train(x).unwrap(), y);
        network.descend(&tracked, loss.backward(), 0.5);
    }
    let mut state = StateWriter::new();
    state::save(&network, "", &mut state).unwrap();
    state.into_bytes().unwrap()
}

#[test]
fn without_a_conflict_it_is_sgd_to_the_byte() {
    let (mut empty, mut agreeing) = (driver(config()), driver(config()));
    let expected = after_sgd(&mut empty, 10);
    for _ in 0..10 {
        assert_eq!(step(&mut empty, Samples::default()), None, "nothing was compared");
        // The reference is the current batch itself: g·g > 0.
        assert_eq!(step(&mut agreeing, Samples::new(&INPUTS, &LABELS)), Some(0.0));
    }
    assert!(empty.save().unwrap() == expected && agreeing.save().unwrap() == expected);
}

/// No hidden layer, two classes, zero weights. Current: x = 1, label 0: g = (−1/2, 1/2 | −1/2, 1/2),
/// weights then biases. Reference: x = 0, label 1: g_ref = (0, 0 | 1/2, −1/2). g·g_ref = −1/2,
/// g_ref² = 1/2: what is left of g is (−1/2, 1/2 | 0, 0).
#[test]
fn a_bent_step_by_hand() {
    let config = Config { lr: 0.1, hidden: vec![], ..config() };
    let mut driver = Driver::<AGem>::new(config, Setting::new(2, &[1])).unwrap();
    let mut state = StateWriter::new();
    state.tensor("head.weight", &[2, 1], &[0.0, 0.0]).unwrap();
    state.tensor("head.bias", &[2], &[0.0, 0.0]).unwrap();
    driver.load(&state.into_bytes().unwrap()).unwrap();
    let (current, reference) = (Samples::new(&[1.0], &[0]), Samples::new(&[0.0], &[1]));
    let report = driver.step(&current, &[("reference", reference)]).unwrap();
    let found = ["dot", "ref_sq", "projected"].map(|name| report.scalar(name).unwrap());
    assert_eq!(found, [-0.5, 0.5, 1.0]);
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    let weight = saved.tensor("head.weight", &[2, 1]).unwrap();
    assert!((weight[0] - 0.05).abs() < 1e-7 && (weight[1] + 0.05).abs() < 1e-7, "{weight:?}");
    assert_eq!(saved.tensor("head.bias", &[2]).unwrap(), [0.0, 0.0]);
}

/// The current batch with its labels exchanged conflicts. A bent step is level on the reference: for
/// a small step its loss does not change to first order, where `sgd` raises it.
#[test]
fn a_bent_step_does_not_go_uphill_on_the_reference() {
    let conflicting = || Samples::new(&INPUTS, &[0, 2]);
    let small = Config { lr: 1e-3, ..config() };
    let (mut bent, mut plain) = (driver(small.clone()), driver(small));
    let loss = |driver: &mut Driver<AGem>| {
        let logits = driver.predict("main", &INPUTS).unwrap().unwrap();
        let of = |row: &[f32], label: usize| {
            row.iter().map(|z| f64::from(z - row[label]).exp()).sum::<f64>().ln()
        };
        (of(&logits[..3], 0) + of(&logits[3..], 2)) / 2.0
    };
    let before = loss(&mut bent);
    assert_eq!(step(&mut bent, conflicting()), Some(1.0));
    step(&mut plain, Samples::default());
    let (bent, plain) = (loss(&mut bent) - before, loss(&mut plain) - before);
    assert!(plain > 1e-5, "it does conflict: {plain}");
    assert!(bent.abs() < plain / 50.0, "bent {bent}, plain {plain}");
}

#[test]
fn the_memory_is_a_ring_of_the_past_or_a_reservoir() {
    let ring = driver(config()).declaration;
    assert_eq!((ring.requests[0].filter, ring.requests[0].count), (Filter::Past, 2));
    let wishes = (ring.wishes.policy, ring.wishes.insert_epochs);
    assert_eq!(wishes, (InsertionPolicy::Ring, InsertEpochs::First));
    // Nothing is past where boundaries are hidden; the host refuses the ring there.
    let mut hidden = Setting::new(3, &[3]);
    hidden.context.grants.boundaries = false;
    let hidden = Driver::<AGem>::new(config(), hidden).unwrap().declaration;
    assert_eq!(hidden.requests[0].filter, Filter::All);
    assert_eq!(hidden.wishes.policy, InsertionPolicy::Ring);
    let reservoir = driver(Config { memory: Memory::Reservoir, ..config() }).declaration;
    assert_eq!(reservoir.requests[0].filter, Filter::All);
    let wishes = (reservoir.wishes.policy, reservoir.wishes.insert_epochs);
    assert_eq!(wishes, (InsertionPolicy::Reservoir, InsertEpochs::All));
}

/// Both passes move the running statistics, and all of it is saved.
#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    let config = Config { backbone: BackboneKind::Resnet18, width: 2, lr: 0.05, ..config() };
    let new = || Driver::<AGem>::new(config.clone(), Setting::new(3, &[1, 8, 8]).seed(9)).unwrap();
    let (mut first, mut second) = (new(), new());
    let inputs: Vec<f32> = (0..128).map(|i| ((i * 13) % 7) as f32 / 7.0).collect();
    let go_on = |driver: &mut Driver<AGem>| {
        let (current, other) = (Samples::new(&inputs, &[0, 2]), Samples::new(&inputs, &[1, 1]));
        driver.step(&current, &[("reference", other)]).unwrap();
    };
    go_on(&mut first);
    second.load(&first.save().unwrap()).unwrap();
    go_on(&mut first);
    go_on(&mut second);
    assert_eq!(first.save().unwrap(), second.save().unwrap());
}

#[test]
fn what_is_out_of_range_is_refused() {
    let refused = |config| {
        let made = Driver::<AGem>::new(config, Setting::new(3, &[3]));
        made.err().expect("it is out of range").to_string()
    };
    let residual = |width| Config { backbone: BackboneKind::Resnet18, width, ..config() };
    let cases = [
        (Config { replay: 0, ..config() }, "`replay`: expected at least 1, found 0"),
        (Config { lr: -0.1, ..config() }, "`lr`: expected a number above 0, found -0.1"),
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
