//! Invariants of SG-CLS (algorithms 3.4), on a small network and scripted samples.

use super::*;
use crate::config::{Inference, SimilarityGiven};
use perdura_sdk::testing::{Driver, Samples as Script, Setting};
use perdura_sdk::{GrowthEvent, StateReader, serde_json};

const WIDTH: usize = 6;
const CLASSES: usize = 3;

fn config() -> Config {
    Config { lr: 0.2, replay: 8, hidden: vec![5], probe: 30, ..Config::default() }
}

fn driver(config: Config) -> Driver<SgCls> {
    Driver::new(config, Setting::new(CLASSES, &[WIDTH]).seed(3)).unwrap()
}

fn refused(config: Config) -> String {
    let made = Driver::<SgCls>::new(config, Setting::new(CLASSES, &[WIDTH]));
    made.err().expect("refused").to_string()
}

/// Samples of a task: classes around means of its own.
fn task(task: u32, count: usize, salt: u32) -> Script {
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
    Script::new(&inputs, &labels)
}

fn of_group(samples: Script, group: u32) -> Script {
    let groups = Some(vec![group; samples.labels.len()]);
    let experiences = Some(vec![group; samples.labels.len()]);
    Script { groups, experiences, ..samples }
}

/// Begins an experience; the memory holds samples of `held`, group by group.
fn begin(driver: &mut Driver<SgCls>, index: u32, probe: u32, held: &[Script]) {
    driver.script.iterations.push_back(vec![task(probe, 30, index)]);
    driver.script.draws.extend(held.iter().cloned());
    driver.begin_experience(index).unwrap();
}

fn train(driver: &mut Driver<SgCls>, of: u32, steps: u32, replay: u32) {
    for step in 0..steps {
        let replayed = of_group(task(replay, 8, 500 + step), replay);
        driver.step(&task(of, 3, step), &[("replay", replayed)]).unwrap();
    }
}

/// All parameters of one network.
fn parameters(driver: &mut Driver<SgCls>, network: &str) -> Vec<f32> {
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    let shapes: [(&str, &[usize]); 4] = [
        ("fc1.weight", &[5, WIDTH]),
        ("fc1.bias", &[5]),
        ("head.weight", &[CLASSES, 5]),
        ("head.bias", &[CLASSES]),
    ];
    let mut read =
        |(name, shape): (&str, &[usize])| saved.tensor(&format!("{network}.{name}"), shape);
    shapes.map(|of| read(of).unwrap()).concat()
}

fn growth(driver: &Driver<SgCls>) -> Vec<GrowthEvent> {
    let events = driver.script.calls.iter().filter(|(name, _)| name == "report_event");
    events.filter_map(|(_, header)| serde_json::from_value(header.clone()).ok()).collect()
}

/// The groups of the experiences, as they were told.
fn groups(driver: &Driver<SgCls>) -> Vec<u32> {
    let of = |event| match event {
        GrowthEvent::Grouped { group, .. } => Some(group),
        _ => None,
    };
    growth(driver).into_iter().filter_map(of).collect()
}

#[test]
fn an_unlike_experience_opens_a_memory_and_a_like_one_joins() {
    let mut driver = driver(Config { features: crate::Features::Pixels, ..config() });
    driver.begin_experience(0).unwrap();
    train(&mut driver, 0, 3, 0);
    let first = of_group(task(0, 30, 50), 0);
    begin(&mut driver, 1, 1, std::slice::from_ref(&first));
    train(&mut driver, 1, 3, 1);
    let second = of_group(task(1, 30, 60), 1);
    begin(&mut driver, 2, 0, &[first.clone(), second.clone()]);
    assert_eq!(groups(&driver), [0, 1, 0]);
    let opened = growth(&driver).into_iter().filter_map(|event| match event {
        GrowthEvent::Opened { group, networks, .. } => Some((group, networks)),
        _ => None,
    });
    assert_eq!(opened.collect::<Vec<_>>(), [(0, 1), (1, 2)]);
    assert!(driver.predict("group-1", &[0.5; WIDTH]).unwrap().is_some());
    assert_eq!(driver.predict("group-2", &[0.5; WIDTH]).unwrap(), None);
}

/// A memory begins as the working network is when its group opens.
#[test]
fn a_memory_opens_as_a_copy_and_warms_up_from_there() {
    let mut driver = driver(Config { features: crate::Features::Pixels, alpha: 0.99, ..config() });
    driver.begin_experience(0).unwrap();
    train(&mut driver, 0, 5, 0);
    begin(&mut driver, 1, 1, &[of_group(task(0, 30, 50), 0)]);
    let mut history = vec![parameters(&mut driver, "working")];
    assert_eq!(parameters(&mut driver, "group-1"), history[0]);
    for step in 0..4 {
        let replayed = of_group(task(1, 8, 500 + step), 1);
        driver.step(&task(1, 3, step), &[("replay", replayed)]).unwrap();
        history.push(parameters(&mut driver, "working"));
    }
    // r = 1 for the current group, so that the average is the mean of all since the opening.
    for (i, found) in parameters(&mut driver, "group-1").iter().enumerate() {
        let mean = history.iter().map(|theta| theta[i]).sum::<f32>() / 5.0;
        assert!((found - mean).abs() < 1e-5, "{found} {mean}");
    }
}

/// T3: with s = 0 and r_min = 0 a group that is not learned keeps its weights.
#[test]
fn a_memory_of_similarity_zero_is_frozen() {
    let oracle = Config {
        similarity: SimilarityGiven::Oracle,
        oracle_across: 0.0,
        r_min: 0.0,
        groups: vec![0, 1],
        ..config()
    };
    let mut driver = driver(oracle);
    driver.begin_experience(0).unwrap();
    train(&mut driver, 0, 3, 0);
    begin(&mut driver, 1, 1, &[of_group(task(0, 30, 50), 0)]);
    let before = (parameters(&mut driver, "group-0"), parameters(&mut driver, "group-1"));
    train(&mut driver, 1, 20, 0);
    assert_eq!(parameters(&mut driver, "group-0"), before.0);
    assert_ne!(parameters(&mut driver, "group-1"), before.1);
}

/// T5: s = ½, q = 2, r from 0.1 to 0.9: r = 0.1 + 0.8/4 = 0.3. 400 steps, five standard deviations.
#[test]
fn update_rates_follow_similarity() {
    let oracle = Config {
        similarity: SimilarityGiven::Oracle,
        oracle_across: 0.5,
        r_min: 0.1,
        r_max: 0.9,
        groups: vec![0, 1],
        ..config()
    };
    let mut driver = driver(oracle);
    driver.begin_experience(0).unwrap();
    begin(&mut driver, 1, 1, &[of_group(task(0, 30, 50), 0)]);
    let mut last = ["group-0", "group-1"].map(|name| parameters(&mut driver, name));
    let mut moved = [0, 0];
    for step in 0..400 {
        driver.step(&task(1, 3, step), &[("replay", of_group(task(0, 8, step), 0))]).unwrap();
        let now = ["group-0", "group-1"].map(|name| parameters(&mut driver, name));
        (0..2).for_each(|g| moved[g] += i32::from(now[g] != last[g]));
        last = now;
    }
    for (found, rate) in moved.into_iter().zip([0.3f64, 0.9]) {
        let deviation = (400.0 * rate * (1.0 - rate)).sqrt();
        assert!((f64::from(found) - 400.0 * rate).abs() < 5.0 * deviation, "{found} at {rate}");
    }
}

/// T6, and what happens at capacity.
#[test]
fn there_are_never_more_networks_than_allowed() {
    for (at_capacity, expected) in
        [(crate::AtCapacity::Join, vec![1, 2]), (crate::AtCapacity::Merge, vec![1, 2, 1, 2])]
    {
        let config =
            Config { features: crate::Features::Pixels, groups_max: 2, at_capacity, ..config() };
        let mut driver = driver(config);
        driver.begin_experience(0).unwrap();
        train(&mut driver, 0, 3, 0);
        let held = |group| of_group(task(group, 30, 50), group);
        begin(&mut driver, 1, 1, &[held(0)]);
        train(&mut driver, 1, 3, 1);
        // Merging looks through the samples of both groups, after the look at the experience.
        driver.script.iterations.push_back(vec![task(2, 30, 2)]);
        driver.script.iterations.push_back(vec![held(0)]);
        driver.script.iterations.push_back(vec![held(1)]);
        driver.script.draws.extend([held(0), held(1)]);
        driver.begin_experience(2).unwrap();
        train(&mut driver, 2, 2, 0);
        let networks = growth(&driver).into_iter().filter_map(|event| match event {
            GrowthEvent::Opened { networks, .. } | GrowthEvent::Merged { networks, .. } => {
                Some(networks)
            }
            GrowthEvent::Grouped { .. } => None,
        });
        assert_eq!(networks.collect::<Vec<_>>(), expected);
        let relabelled = driver.script.calls.iter().any(|(name, _)| name == "relabel");
        assert_eq!(relabelled, at_capacity == crate::AtCapacity::Merge);
    }
}

/// A group that the reservoir has emptied scores 0 and is not joined.
#[test]
fn a_group_without_samples_is_like_nothing() {
    let mut driver = driver(Config { features: crate::Features::Pixels, ..config() });
    driver.begin_experience(0).unwrap();
    train(&mut driver, 0, 3, 0);
    begin(&mut driver, 1, 0, &[of_group(task(0, 0, 50), 0)]);
    assert_eq!(groups(&driver), [0, 1]);
}

/// A probe of one class has no likeness by prototypes: told, and taken for 0.
#[test]
fn an_undefined_similarity_is_told_and_taken_for_none() {
    let mut driver = driver(Config { features: crate::Features::Pixels, ..config() });
    driver.begin_experience(0).unwrap();
    train(&mut driver, 0, 3, 0);
    let one_class = Script::new(&[0.5; 10 * WIDTH], &[1; 10]);
    driver.script.iterations.push_back(vec![one_class]);
    driver.script.draws.push_back(of_group(task(0, 30, 50), 0));
    driver.begin_experience(1).unwrap();
    assert_eq!(groups(&driver), [0, 1]);
    let told =
        |(_, header): &&(String, serde_json::Value)| header["kind"] == "similarity_undefined";
    let events: Vec<_> = driver.script.calls.iter().filter(told).collect();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].1["data"], serde_json::json!({ "group": 0, "raw": null }));
}

#[test]
fn a_saved_learner_goes_on_as_if_nothing_had_happened() {
    for config in [
        config(),
        Config { group_update: GroupUpdate::Gradient, inference: Inference::Mixture, ..config() },
        Config { prototypes: Prototypes::Initial, ..config() },
    ] {
        let gradient = config.group_update == GroupUpdate::Gradient;
        let make = || {
            let mut driver = driver(config.clone());
            driver.begin_experience(0).unwrap();
            driver
        };
        let steps = |driver: &mut Driver<SgCls>| {
            for step in 0..4 {
                let replayed = of_group(task(0, 8, 500 + step), 0);
                if gradient {
                    driver.script.draws.push_back(replayed);
                    driver.step(&task(0, 3, step), &[]).unwrap();
                } else {
                    driver.step(&task(0, 3, step), &[("replay", replayed)]).unwrap();
                }
            }
        };
        let (mut first, mut second) = (make(), make());
        steps(&mut first);
        steps(&mut second);
        let saved = first.save().unwrap();
        second.load(&saved).unwrap();
        assert_eq!(second.save().unwrap(), saved);
        steps(&mut first);
        steps(&mut second);
        assert_eq!(first.save().unwrap(), second.save().unwrap());
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let start = |config| refused(config).split(", found").next().unwrap().to_string();
    let of = |config| start(config).replace("hyper-parameter ", "");
    assert_eq!(
        of(Config { tau_join: 1.5, ..config() }),
        "`tau_join`: expected a number from 0 to 1"
    );
    assert_eq!(of(Config { groups_max: 0, ..config() }), "`groups_max`: expected at least 1");
    assert_eq!(
        of(Config { r_min: 0.5, r_max: 0.4, ..config() }),
        "`r_min`: expected at most r_max"
    );
    assert_eq!(of(Config { q: 0.0, ..config() }), "`q`: expected a number above 0");
    assert_eq!(of(Config { probe: 1, ..config() }), "`probe`: expected at least 2");
    let groups = Config { groups: vec![0, 5], ..config() };
    assert_eq!(of(groups), "`groups`: expected numbers below groups_max");
    let none = Config { keep_global: false, ..config() };
    assert!(of(none).starts_with("`inference`: expected `mixture`"));
}

#[test]
fn a_list_of_groups_that_is_too_short_says_so() {
    let mut driver = driver(Config { groups: vec![0], ..config() });
    driver.begin_experience(0).unwrap();
    driver.script.iterations.push_back(vec![task(0, 30, 1)]);
    driver.script.draws.push_back(of_group(task(0, 30, 50), 0));
    let error = driver.begin_experience(1).unwrap_err().to_string();
    assert!(error.contains("`groups`: expected a group for every experience"), "{error}");
}
