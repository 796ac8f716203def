//! A merge worked out by hand: three samples of one group, one of another.

use perdura_sdk::testing::{Driver, Samples as Script};
use perdura_sdk::{GrowthEvent, Kept, MergeLosses};

use crate::config::GroupUpdate;
use crate::support::*;
use crate::{Config, Features, Inference, SgCls};

fn full() -> Config {
    Config { features: Features::Pixels, groups_max: 2, ..config() }
}

/// Two experiences that open two groups, of three samples and of one, with steps 1 and 2.
fn two_groups(config: Config) -> (Driver<SgCls>, [Script; 2]) {
    let gradient = config.group_update == GroupUpdate::Gradient;
    let mut driver = driver(config);
    let learned = [task(0, 3, 1), task(1, 1, 2)];
    for (index, samples) in learned.iter().enumerate() {
        match index {
            0 => driver.begin_experience(0).unwrap(),
            _ => begin(&mut driver, 1, 1, &[held(0)]),
        }
        let replayed = of_group(task(0, 8, 500), 0);
        match gradient {
            true => {
                driver.script.draws.push_back(replayed);
                driver.step(samples, &[]).unwrap();
            }
            false => drop(driver.step(samples, &[("replay", replayed)]).unwrap()),
        }
    }
    (driver, learned)
}

fn held(group: u32) -> Script {
    let uids = Some((0..30).map(|k| u64::from(1000 * (group + 1)) + k).collect());
    Script { uids, ..of_group(task(group, 30, 50), group) }
}

/// A third experience, unlike both, makes them one: the memory is gone through group by group.
fn merge(driver: &mut Driver<SgCls>, held: [Script; 2]) {
    driver.script.iterations.push_back(vec![task(2, 30, 2)]);
    driver.script.iterations.extend(held.iter().map(|h| vec![h.clone()]));
    driver.script.draws.extend(held);
    driver.begin_experience(2).unwrap();
}

fn told(driver: &Driver<SgCls>) -> (Option<f32>, Option<Kept>, Option<MergeLosses>) {
    let of = |event| match event {
        GrowthEvent::Merged { group: 1, into: 0, networks: 1, similarity, kept, losses } => {
            Some((similarity, kept, losses))
        }
        _ => None,
    };
    growth(driver).into_iter().find_map(of).expect("group 1 was merged into group 0")
}

#[track_caller]
fn near(found: &[f32], expected: impl IntoIterator<Item = f32>) {
    let mut count = 0;
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() < 1e-6, "{f}, expected {e}");
        count += 1;
    }
    assert_eq!(count, found.len());
}

fn weighted(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| 0.75 * a + 0.25 * b).collect()
}

/// θ = ¾ θ_0 + ¼ θ_1, four samples and their sums, opened with the first; the group that is being
/// learned is the one that disappears.
#[test]
fn a_merge_by_hand() {
    let (mut driver, learned) = two_groups(full());
    let before = ["group-0", "group-1"].map(|name| parameters(&mut driver, name));
    assert_ne!(before[0], before[1]);
    let similarity = similarities(&driver)[0].1;
    merge(&mut driver, [held(0), held(1)]);
    near(&parameters(&mut driver, "group-0"), weighted(&before[0], &before[1]));
    assert_eq!(counted(&mut driver, 0), Some(sums(&[&learned[0], &learned[1]])));
    let relabelled: Vec<(u64, u32)> = (2000..2030).map(|uid| (uid, 0)).collect();
    assert_eq!(driver.script.relabelled, [relabelled]);
    let (found, kept, losses) = told(&driver);
    assert_eq!((found, kept), (Some(similarity), Some(Kept::Average)));
    assert!(losses.is_some_and(|of| of.average <= 1.1 * of.into.max(of.group)));
    // Group 1 opened anew, without samples, as the working network.
    assert_eq!(counted(&mut driver, 1), Some((0, vec![0.0; CLASSES * WIDTH])));
    assert_eq!(parameters(&mut driver, "group-1"), parameters(&mut driver, "working"));
    // Opened at 0 and asked after step 3: α = 1 − 1/4, r = 1 only for the group being learned.
    let saved = driver.save().unwrap();
    let standing: perdura_sdk::serde_json::Value =
        perdura_sdk::StateReader::from_bytes(&saved).unwrap().value("standing").unwrap();
    let opened = |place: usize| standing["groups"][place]["opened_at"].as_u64();
    assert_eq!((opened(0), opened(1)), (Some(0), Some(2)));
}

/// One hidden unit at 1 gives class 1 the logit 10 in the first network, another one 12 in the
/// second: the average, ¾·7.5 + ¼·3 = 6.375, is worse than both, and the second is kept. Loss: ln(1
/// + 2 e^(−z)).
#[test]
fn the_better_network_is_kept_where_the_average_is_worse_than_both() {
    let (mut driver, _) = two_groups(full());
    let saved = edited(&driver.save().unwrap(), |name, values| {
        let (unit, logit) = match name.split('.').next() {
            Some("group-0") => (0, 10.0),
            Some("group-1") => (1, 12.0),
            _ => return,
        };
        values.fill(0.0);
        match name.split_once('.').unwrap().1 {
            "fc1.bias" => values[unit] = 1.0,
            "head.weight" => values[5 + unit] = logit,
            _ => {}
        }
    });
    driver.load(&saved).unwrap();
    let second = parameters(&mut driver, "group-1");
    let of_class_1 = |group| {
        let held = held(group);
        Script { labels: vec![1; 30], ..held }
    };
    merge(&mut driver, [of_class_1(0), of_class_1(1)]);
    let (_, kept, losses) = told(&driver);
    assert_eq!(kept, Some(Kept::Group));
    assert_eq!(parameters(&mut driver, "group-0"), second);
    let loss = |z: f32| (2.0 * (-z).exp()).ln_1p();
    let MergeLosses { average, into, group } = losses.unwrap();
    for (found, z) in [(average, 6.375), (into, 10.0), (group, 12.0)] {
        assert!((found / loss(z) - 1.0).abs() < 2e-2, "{found}, expected {}", loss(z));
    }
}

/// Nothing in the memory: the average, and no losses to tell.
#[test]
fn without_samples_the_average_is_kept() {
    let (mut driver, _) = two_groups(full());
    let none = |group| of_group(task(group, 0, 50), group);
    merge(&mut driver, [none(0), none(1)]);
    let (_, kept, losses) = told(&driver);
    assert_eq!((kept, losses), (Some(Kept::Average), None));
}

/// With one trained network per group those are merged like the averages. The working network is
/// that of the group being learned, which is the second; the new group begins as what became of it.
#[test]
fn trained_networks_are_merged_too() {
    let config =
        Config { group_update: GroupUpdate::Gradient, inference: Inference::Mixture, ..full() };
    let (mut driver, _) = two_groups(config);
    let averages = ["group-0", "group-1"].map(|name| parameters(&mut driver, name));
    let trained = ["trained-0", "working"].map(|name| parameters(&mut driver, name));
    assert_ne!(trained[0], trained[1]);
    merge(&mut driver, [held(0), held(1)]);
    near(&parameters(&mut driver, "group-0"), weighted(&averages[0], &averages[1]));
    near(&parameters(&mut driver, "trained-0"), weighted(&trained[0], &trained[1]));
    assert_eq!(parameters(&mut driver, "working"), parameters(&mut driver, "trained-0"));
    assert_eq!(parameters(&mut driver, "group-1"), parameters(&mut driver, "working"));
}

/// Nine groups are nine averages and nine trained networks, one of which is the working one.
#[test]
fn the_group_being_learned_has_no_second_trained_network() {
    let groups = (0..9).collect();
    let config = Config {
        group_update: GroupUpdate::Gradient,
        inference: Inference::Mixture,
        groups_max: 9,
        groups,
        ..config()
    };
    let mut driver = driver(config);
    driver.begin_experience(0).unwrap();
    for index in 1..9 {
        let held: Vec<Script> = (0..index).map(|g| of_group(task(g, 30, 50), g)).collect();
        begin(&mut driver, index, index, &held);
    }
    let saved = driver.save().unwrap();
    let file = safetensors::SafeTensors::deserialize(&saved).unwrap();
    assert_eq!(file.names().iter().filter(|name| name.ends_with("head.bias")).count(), 18);
}
