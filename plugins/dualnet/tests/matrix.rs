//! Uses of the correlation matrix (algorithms 3.6) in a small DualNet. What is computed from a
//! matrix is tested by hand in perdura-nn's `matrix_tests.rs`.

mod support;

use perdura_dualnet::{Config, DualNet, SslSource};
use perdura_sdk::testing::{Driver, Setting};
use support::*;

/// An experience of `steps` steps, each with the views and the replay of its number.
fn experience(driver: &mut Driver<DualNet>, index: u32, steps: std::ops::Range<u32>) {
    driver.begin_experience(index).unwrap();
    steps.for_each(|salt| drop(step(driver, salt)));
    driver.script.iterations.push_back(vec![]);
    driver.end_experience(index).unwrap();
}

/// Values that count only with a switch change nothing without one; and a relation has nothing to
/// hold to before the first boundary.
#[test]
fn without_switches_it_is_dualnet_to_the_byte() {
    let trained = |config: Config| {
        let mut driver = driver(config);
        experience(&mut driver, 0, 0..3);
        let first = tensors(&mut driver, &["slow.", "projector.", "fast.", "head."]);
        experience(&mut driver, 1, 3..6);
        (first, driver.save().unwrap())
    };
    let plain = trained(config());
    let off = trained(Config { relation: 0.0, matrix_rho: 0.5, ..config() });
    assert_eq!(off.1, plain.1);
    let on = trained(Config { relation: 0.1, ..config() });
    assert_eq!(on.0, plain.0);
    assert_ne!(on.1, plain.1);
}

/// One step on known views after a boundary, from the same weights: what the relation adds to the
/// displacement is in proportion to μ_C, and it is told before μ_C.
#[test]
fn the_relation_is_a_term_of_the_slow_loss() {
    let moved = |relation| {
        let mut driver = driver(Config { relation, ..ssl_alone() });
        experience(&mut driver, 0, 0..3);
        let before = tensors(&mut driver, &["slow.", "projector."]);
        let report = driver.step(&samples(6, 9), &[("ssl", views(8, 900))]).unwrap();
        let after = tensors(&mut driver, &["slow.", "projector."]);
        (displacement(&before, &after), report.scalar("loss_relation"), report.scalar("loss_ssl"))
    };
    let (plain, one, three) = (moved(0.0), moved(0.5), moved(1.5));
    assert_eq!((plain.1, plain.2), (None, one.2));
    assert!(one.1.unwrap() > 0.0 && one.1 == three.1, "{:?} {:?}", one.1, three.1);
    let (added, thrice) = (plus(&one.0, -1.0, &plain.0), plus(&three.0, -1.0, &plain.0));
    assert!(norm(&added) > 1e-4 * norm(&plain.0), "{} {}", norm(&added), norm(&plain.0));
    let apart = norm(&plus(&thrice, -3.0, &added));
    assert!(apart <= 1e-3 * norm(&thrice), "{apart} of {}", norm(&thrice));
}

/// C* is the matrix of the only step so far (without learning: β = 0), so that the same views are
/// at no distance from it, and others are.
#[test]
fn the_same_matrix_is_at_no_distance() {
    let mut driver = driver(Config { relation: 0.1, beta: 0.0, ..ssl_alone() });
    driver.step(&samples(6, 0), &[("ssl", views(8, 1))]).unwrap();
    driver.script.iterations.push_back(vec![]);
    driver.end_experience(0).unwrap();
    let mut distance = |salt| {
        let report = driver.step(&samples(6, 0), &[("ssl", views(8, salt))]).unwrap();
        report.scalar("loss_relation").unwrap()
    };
    assert_eq!(distance(1), 0.0);
    assert!(distance(2) > 0.01);
}

/// With a weight that counts, the matrix of an earlier boundary is kept better.
#[test]
fn the_relation_keeps_the_matrix() {
    let last = |relation| {
        let mut driver = driver(Config { relation, lambda_bt: 0.5, ..ssl_alone() });
        experience(&mut driver, 0, 0..20);
        let mut learn = |salt: u32| {
            let other = views(8, 500 + salt % 5);
            let report = driver.step(&samples(6, 0), &[("ssl", other)]).unwrap();
            report.scalar("loss_relation").unwrap()
        };
        (0..60).map(&mut learn).skip(50).sum::<f64>() / 10.0
    };
    let (kept, lost) = (last(2.0), last(1e-9));
    assert!(kept < 0.8 * lost, "{kept} {lost}");
}

#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    let config = Config { relation: 0.1, ..config() };
    let mut first = driver(config.clone());
    experience(&mut first, 0, 0..3);
    step(&mut first, 3);
    let saved = first.save().unwrap();
    let mut second = driver(config);
    experience(&mut second, 0, 10..14);
    second.load(&saved).unwrap();
    assert_eq!(second.save().unwrap(), saved);
    for driver in [&mut first, &mut second] {
        step(driver, 4);
        experience(driver, 1, 5..7);
    }
    assert_eq!(first.save().unwrap(), second.save().unwrap());
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |config: Config, hidden: bool, expected: &str| {
        let mut setting = Setting::new(CLASSES, &[WIDTH]);
        setting.context.grants.boundaries = !hidden;
        let error = Driver::<DualNet>::new(config, setting).err().expect("refused").to_string();
        assert!(error.contains(expected), "{error}");
    };
    let out_of_range = [
        (Config { relation: -0.1, ..config() }, "`relation`: expected a number of at least 0"),
        (
            Config { matrix_rho: 1.0, ..config() },
            "`matrix_rho`: expected a number from 0 to below 1, found 1",
        ),
        (Config { matrix_rho: -0.5, ..config() }, "`matrix_rho`"),
    ];
    for (config, expected) in out_of_range {
        refused(config, false, expected);
    }
    let switches = [("relation", Config { relation: 0.1, ..config() })];
    for (name, on) in switches {
        let without = Config { ssl_weight: 0.0, ..on.clone() };
        refused(without, false, &format!("`{name}`: expected off where `ssl_weight` is 0"));
        refused(on, true, &format!("`{name}`: expected off where boundaries are hidden"));
    }
    let ssl_source = SslSource::CurrentAndMemory;
    let mixed = Config { relation: 0.1, ssl_source, ..config() };
    refused(mixed, false, "`relation`: expected 0, or views of the memory alone");
}
