//! Every estimator, every kind of features and every link in the learner itself: an experience that
//! is like the group's, and one that is not.

use crate::support::*;
use crate::{Config, Estimator, Features, GroupLink};
use perdura_sdk::testing::Samples as Script;

/// Two hidden layers, so that the first is not the last; a memory that is not the average over all
/// groups.
fn small() -> Config {
    Config { hidden: vec![6, 5], alpha: 0.5, probe: 60, ..config() }
}

/// Similarity to group 0, which has learned task 0, of an experience of `task`, and the group it
/// got.
fn measured(config: &Config, of: u32, held: Script) -> (f32, u32) {
    let mut driver = driver(config.clone());
    driver.begin_experience(0).unwrap();
    train(&mut driver, 0, 60, 0);
    driver.script.iterations.push_back(vec![task(of, 60, 1)]);
    driver.script.draws.push_back(held);
    driver.begin_experience(1).unwrap();
    (similarities(&driver)[0].1, groups(&driver)[1])
}

fn held() -> Script {
    of_group(task(0, 60, 50), 0)
}

#[test]
fn every_estimator_but_one_tells_a_like_experience_from_an_unlike_one() {
    for estimator in [
        Estimator::Proto,
        Estimator::Cov,
        Estimator::Gcos,
        Estimator::Tag,
        Estimator::T2v,
        Estimator::Bt,
    ] {
        let config = Config { estimator, ..small() };
        let (like, unlike) = (measured(&config, 0, held()), measured(&config, 1, held()));
        assert!(like.0 > 0.8 && unlike.0 < 0.3, "{estimator:?}: {like:?} {unlike:?}");
        assert_eq!((like.1, unlike.1), (0, 1), "{estimator:?}");
    }
}

/// S-CKA compares networks and not data. One that a pass over the probe leaves where it was, and of
/// which the memory is a copy, is wholly like it, whatever the probe; one that is moved far is not.
#[test]
fn features_of_one_network_are_wholly_alike() {
    let of = |lr, task_of| {
        let config = Config { estimator: Estimator::Cka, lr, ..small() };
        let mut driver = driver(config);
        driver.begin_experience(0).unwrap();
        begin(&mut driver, 1, task_of, &[held()]);
        similarities(&driver)[0].1
    };
    for task in [0, 1] {
        assert!((of(1e-9, task) - 1.0).abs() < 1e-4, "{}", of(1e-9, task));
        assert!(of(3.0, task) < 0.99, "{}", of(3.0, task));
    }
}

/// Each kind tells the two apart, and no two kinds give the same number.
#[test]
fn features_are_those_that_were_asked_for() {
    let kinds = [
        Features::FirstHidden,
        Features::Initial,
        Features::Penultimate,
        Features::Pixels,
        Features::Own,
    ];
    let unlike = kinds.map(|features| {
        let config = Config { features, ..small() };
        let (like, unlike) = (measured(&config, 0, held()).0, measured(&config, 4, held()).0);
        assert!(like > unlike + 0.2, "{features:?}: {like} {unlike}");
        unlike
    });
    for (i, a) in unlike.iter().enumerate() {
        assert!(unlike[i + 1..].iter().all(|b| a != b), "{unlike:?}");
    }
}

/// The group holds an experience like the probe and one unlike it, half and half.
#[test]
fn links_see_the_experiences_of_a_group() {
    let join = |a: Script, b: Script| {
        let of = |f: fn(&Script) -> Vec<u32>| [f(&a), f(&b)].concat();
        let inputs = [&a.views[0][..], &b.views[0]].concat();
        let (labels, experiences) =
            (of(|s| s.labels.clone()), of(|s| s.experiences.clone().unwrap()));
        let groups = Some(vec![0; labels.len()]);
        Script { groups, experiences: Some(experiences), ..Script::new(&inputs, &labels) }
    };
    let both = || join(held(), of_group(task(1, 60, 51), 1));
    let of = |link| measured(&Config { link, features: Features::Pixels, ..small() }, 0, both()).0;
    let (mean, max) = (of(GroupLink::Mean), of(GroupLink::Max));
    assert!(max > 0.9, "{max}");
    assert!((0.3..0.7).contains(&mean), "{mean}");
    assert_ne!(of(GroupLink::Pooled), mean);
}
