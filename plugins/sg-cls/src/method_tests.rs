//! Invariants of SG-CLS (algorithms 3.4), on a small network and scripted samples.

use super::*;
use crate::config::{Features, Inference, OpenFrom, SimilarityGiven};
use crate::support::*;
use perdura_sdk::testing::{Driver, Samples as Script, Setting};
use perdura_sdk::{GrowthEvent, serde_json};

fn refused(config: Config) -> String {
    let made = Driver::<SgCls>::new(config, Setting::new(CLASSES, &[WIDTH]));
    made.err().expect("refused").to_string()
}

#[test]
fn an_unlike_experience_opens_a_memory_and_a_like_one_joins() {
    let mut driver = driver(Config { features: Features::Pixels, ..config() });
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
    let mut driver = driver(Config { features: Features::Pixels, alpha: 0.99, ..config() });
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

/// A network that opens as the most similar memory is that of group 0, not the working network.
#[test]
fn a_memory_can_open_as_the_most_similar_one() {
    for (open_from, expected) in
        [(OpenFrom::MostSimilar, "group-0"), (OpenFrom::Working, "working")]
    {
        let config =
            Config { open_from, groups: vec![0, 1, 2], features: Features::Pixels, ..config() };
        let mut driver = driver(config);
        driver.begin_experience(0).unwrap();
        train(&mut driver, 0, 3, 0);
        begin(&mut driver, 1, 1, &[of_group(task(0, 30, 50), 0)]);
        train(&mut driver, 1, 3, 1);
        let held = [of_group(task(0, 30, 50), 0), of_group(task(1, 30, 60), 1)];
        begin(&mut driver, 2, 0, &held);
        let found = parameters(&mut driver, "group-2");
        assert_eq!(found, parameters(&mut driver, expected), "{open_from:?}");
        assert_ne!(parameters(&mut driver, "group-0"), parameters(&mut driver, "working"));
    }
}

/// T3: with s = 0 and r_min = 0 a group that is not learned keeps its weights.
#[test]
fn a_memory_of_similarity_zero_is_frozen() {
    let oracle = Config {
        similarity: SimilarityGiven::Oracle,
        oracle_across: 0.0,
        r_min_share: 0.0,
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
        r_min_share: 0.1 / 0.9,
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
        let config = Config { features: Features::Pixels, groups_max: 2, at_capacity, ..config() };
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
    let mut driver = driver(Config { features: Features::Pixels, ..config() });
    driver.begin_experience(0).unwrap();
    train(&mut driver, 0, 3, 0);
    begin(&mut driver, 1, 0, &[of_group(task(0, 0, 50), 0)]);
    assert_eq!(groups(&driver), [0, 1]);
}

/// A probe of one class has no likeness by prototypes: told, and taken for 0.
#[test]
fn an_undefined_similarity_is_told_and_taken_for_none() {
    let mut driver = driver(Config { features: Features::Pixels, ..config() });
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
        of(Config { r_min_share: 1.5, ..config() }),
        "`r_min_share`: expected a number from 0 to 1"
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
