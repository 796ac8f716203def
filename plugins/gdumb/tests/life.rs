//! GDumb through the messages of a host: what is kept, when a network is trained, what is saved.

use perdura_gdumb::{Config, Gdumb, Sampler, TrainAt};
use perdura_nn::BackboneKind;
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{Grants, Position, StateReader};

const SHAPE: [usize; 3] = [1, 2, 2];

fn config() -> Config {
    Config { epochs: 8, batch: 2, hidden: vec![3], ..Config::default() }
}

fn driver(config: Config) -> Driver<Gdumb> {
    let mut driver = Driver::new(config, Setting::new(3, &SHAPE).seed(1)).unwrap();
    driver.memory_samples_max = Some(4);
    driver
}

/// A bright pixel for each class.
fn samples(labels: &[u32]) -> Samples {
    let pixels = labels.iter().flat_map(|&l| (0..4).map(move |p| f32::from(u8::from(p == l))));
    Samples::new(&pixels.collect::<Vec<_>>(), labels)
}

/// What the host answers when the memory is gone over: one batch for each epoch.
fn memory(driver: &mut Driver<Gdumb>, labels: &[u32], epochs: usize) {
    driver.script.iterations.push_back(vec![samples(labels); epochs]);
}

/// Placements of a step: a slot, −1 for the host's policy, −2 for a sample that is passed over.
fn placed(driver: &mut Driver<Gdumb>, labels: &[u32]) -> Vec<i64> {
    let observed = driver.step(&samples(labels), &[]).unwrap();
    let Some(id) = observed.report.placements else { return Vec::new() };
    let words = observed.tensors[id.0 as usize].chunks_exact(8);
    words.map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect()
}

fn iterations(driver: &Driver<Gdumb>) -> usize {
    driver.script.calls.iter().filter(|(name, _)| name == "iterate").count()
}

#[test]
fn samples_are_placed_greedily_and_in_the_first_epoch_only() {
    let mut driver = driver(config());
    driver.begin_experience(0).unwrap();
    assert_eq!(placed(&mut driver, &[0, 0, 0, 0, 0]), [0, 1, 2, 3, -2]);
    let second = placed(&mut driver, &[1, 1, 1]);
    assert!(second[..2].iter().all(|slot| (0..4).contains(slot)) && second[2] == -2, "{second:?}");
    let (epochs, steps_per_epoch, step_in_epoch) = (2, 1, 0);
    driver.position =
        Some(Position { experience: 0, epoch: 1, epochs, step_in_epoch, steps_per_epoch });
    assert_eq!(placed(&mut driver, &[2, 2]), [-2, -2]);
}

#[test]
fn with_the_hosts_policy_nothing_is_placed() {
    let mut driver = driver(Config { sampler: Sampler::Host, ..config() });
    driver.begin_experience(0).unwrap();
    assert_eq!(placed(&mut driver, &[0, 1]), [0; 0]);
    let wishes = driver.declaration.wishes;
    assert_eq!(format!("{:?} {:?}", wishes.insert, wishes.policy), "AfterStep ClassBalanced");
}

/// The network is made and trained at the end of the experience, from the memory alone, and knows
/// its samples then.
#[test]
fn a_fresh_network_learns_the_memory() {
    let config = Config { epochs: 64, cutmix_p: 0.0, ..config() };
    let mut driver = driver(config);
    driver.begin_experience(0).unwrap();
    let before = driver.save().unwrap();
    placed(&mut driver, &[0, 1, 2]);
    let network = |state: &[u8]| {
        let mut state = StateReader::from_bytes(state).unwrap();
        state.tensor("fc1.weight", &[3, 4]).unwrap()
    };
    assert_eq!(network(&driver.save().unwrap()), network(&before), "steps train nothing");
    memory(&mut driver, &[0, 1, 2], 64);
    driver.end_experience(0).unwrap();
    let (_, asked) = driver.script.calls.iter().find(|(name, _)| name == "iterate").unwrap();
    assert_eq!(asked["source"], "memory");
    assert_eq!((&asked["epochs"], &asked["batch"]), (&64.into(), &2.into()));
    assert_eq!((&asked["profile"], &asked["shuffled"]), (&"train".into(), &true.into()));
    let logits = driver.predict("main", &samples(&[0, 1, 2]).views[0]).unwrap().unwrap();
    for (class, row) in logits.chunks(3).enumerate() {
        assert!(row.iter().all(|logit| *logit <= row[class]), "{logits:?}");
    }
}

#[test]
fn it_is_trained_when_it_is_said_to() {
    let mut each = driver(config());
    each.begin_experience(0).unwrap();
    memory(&mut each, &[0], 8);
    each.end_experience(0).unwrap();
    each.end_of_stream().unwrap();
    assert_eq!(iterations(&each), 1);
    let mut once = driver(Config { train: TrainAt::EndOfStream, ..config() });
    once.begin_experience(0).unwrap();
    once.end_experience(0).unwrap();
    assert_eq!(iterations(&once), 0);
    memory(&mut once, &[0], 8);
    once.end_of_stream().unwrap();
    assert_eq!(iterations(&once), 1);
    let mut setting = Setting::new(3, &SHAPE);
    setting.context.grants =
        Grants { boundaries: false, experience_classes: false, second_pass: false };
    let mut hidden = Driver::<Gdumb>::new(config(), setting).unwrap();
    memory(&mut hidden, &[0], 8);
    hidden.end_of_stream().unwrap();
    assert_eq!(iterations(&hidden), 1);
}

/// Every training starts from weights of its own.
#[test]
fn trainings_do_not_build_on_each_other() {
    let mut long = driver(config());
    let mut short = driver(config());
    for driver in [&mut long, &mut short] {
        driver.begin_experience(0).unwrap();
    }
    memory(&mut long, &[0, 1], 8);
    long.end_experience(0).unwrap();
    // The same number of calls, so that the seeds agree.
    short.begin_experience(0).unwrap();
    for driver in [&mut long, &mut short] {
        memory(driver, &[1, 2], 8);
        driver.end_experience(1).unwrap();
    }
    assert_eq!(long.save().unwrap(), short.save().unwrap());
}

#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    let mut first = driver(config());
    first.begin_experience(0).unwrap();
    placed(&mut first, &[0, 0, 0, 1]);
    let saved = first.save().unwrap();
    let mut second = driver(config());
    second.begin_experience(0).unwrap();
    second.step(&samples(&[2]), &[]).unwrap();
    second.load(&saved).unwrap();
    assert_eq!(second.save().unwrap(), saved);
    assert_eq!(placed(&mut first, &[1, 2, 2, 0]), placed(&mut second, &[1, 2, 2, 0]));
    for driver in [&mut first, &mut second] {
        memory(driver, &[0, 1, 2], 8);
        driver.end_experience(0).unwrap();
    }
    assert_eq!(first.save().unwrap(), second.save().unwrap());
}

#[test]
fn no_memory_and_an_empty_one_are_refused() {
    for room in [None, Some(0)] {
        let mut driver = driver(config());
        driver.memory_samples_max = room;
        let error = driver.begin_experience(0).unwrap_err().to_string();
        assert!(error.contains("holds 0 samples; give it room with --memory N"), "{error}");
    }
    let mut driver = driver(config());
    driver.begin_experience(0).unwrap();
    driver.script.iterations.push_back(Vec::new());
    let error = driver.end_experience(0).unwrap_err().to_string();
    assert!(error.contains("the memory holds no samples to train on"), "{error}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let cases = [
        (Config { lr_max: 0.0, ..config() }, "`lr_max`: expected a number above 0, found 0"),
        (
            Config { lr_min: 1.0, ..config() },
            "`lr_min`: expected a number from 0 to `lr_max`, found 1",
        ),
        (
            Config { lr_min: -0.1, ..config() },
            "`lr_min`: expected a number from 0 to `lr_max`, found -0.1",
        ),
        (Config { epochs: 0, ..config() }, "`epochs`: expected at least 1, found 0"),
        (Config { batch: 0, ..config() }, "`batch`: expected at least 1, found 0"),
        (Config { clip: 0.0, ..config() }, "`clip`: expected a number above 0, found 0"),
        (
            Config { momentum: 1.0, ..config() },
            "`momentum`: expected a number from 0 to below 1, found 1",
        ),
        (
            Config { weight_decay: -1.0, ..config() },
            "`weight_decay`: expected a number of at least 0, found -1",
        ),
        (
            Config { cutmix_p: 1.5, ..config() },
            "`cutmix_p`: expected a number from 0 to 1, found 1.5",
        ),
        (
            Config { cutmix_alpha: 3.0, ..config() },
            "`cutmix_alpha`: expected a number above 0, at most 2, found 3",
        ),
        (
            Config { cutmix_alpha: 0.0, ..config() },
            "`cutmix_alpha`: expected a number above 0, at most 2, found 0",
        ),
        (
            Config { hidden: vec![3, 0], ..config() },
            "`hidden`: expected widths of at least 1, found 0",
        ),
        (
            Config { backbone: BackboneKind::Resnet18, width: 0, ..config() },
            "`width`: expected at least 1, found 0",
        ),
    ];
    for (config, expected) in cases {
        let error = Driver::<Gdumb>::new(config, Setting::new(3, &SHAPE)).err().unwrap();
        assert_eq!(error.to_string(), format!("hyper-parameter {expected}"));
    }
    let error = Driver::<Gdumb>::new(config(), Setting::new(3, &[4])).err().unwrap().to_string();
    assert!(error.contains("`cutmix_p`: expected 0 where inputs are not images"), "{error}");
    let flat = Config { backbone: BackboneKind::Resnet18, cutmix_p: 0.0, ..config() };
    let error = Driver::<Gdumb>::new(flat, Setting::new(3, &[4])).err().unwrap().to_string();
    assert!(error.contains("`backbone`: expected `mlp`, or inputs of shape"), "{error}");
}
