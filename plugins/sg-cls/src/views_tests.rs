//! Answers of the views.

use crate::support::*;
use crate::{Config, SgCls};
use perdura_sdk::testing::Driver;

/// Two groups with networks of their own.
fn grown() -> Driver<SgCls> {
    let config = Config { oracle_view: true, groups: vec![0, 1], ..config() };
    let mut driver = driver(config);
    driver.begin_experience(0).unwrap();
    train(&mut driver, 0, 5, 0);
    begin(&mut driver, 1, 1, &[of_group(task(0, 30, 50), 0)]);
    train(&mut driver, 1, 5, 0);
    driver
}

fn log_softmax(z: &[f32]) -> Vec<f32> {
    let total: f32 = z.iter().map(|z| z.exp()).sum();
    z.iter().map(|z| z - total.ln()).collect()
}

#[track_caller]
fn same(found: &[f32], expected: &[f32]) {
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() < 1e-5, "{found:?}, expected {expected:?}");
    }
}

/// 3.0.5: told the true group of a sample, the mixture is the network of that group, row by row. A
/// group that is not open leaves the mixture that was inferred.
#[test]
fn with_the_true_groups_a_mixture_is_each_groups_own_network() {
    let mut driver = grown();
    let x = task(0, 4, 9).views[0].clone();
    let found = driver.predict_grouped("oracle-mixture", &x, &[0, 1, 1, 4]).unwrap().unwrap();
    let of = |driver: &mut Driver<SgCls>, view: &str| driver.predict(view, &x).unwrap().unwrap();
    let (first, second) = (of(&mut driver, "group-0"), of(&mut driver, "group-1"));
    assert_ne!(first, second);
    let row = |z: &[f32], row: usize| z[row * CLASSES..][..CLASSES].to_vec();
    same(&row(&found, 0), &log_softmax(&row(&first, 0)));
    same(&row(&found, 1), &log_softmax(&row(&second, 1)));
    same(&row(&found, 2), &log_softmax(&row(&second, 2)));
    same(&row(&found, 3), &row(&of(&mut driver, "mixture"), 3));
}

#[test]
fn true_groups_that_are_not_told_are_missed() {
    let error = grown().predict("oracle-mixture", &[0.5; WIDTH]).unwrap_err().to_string();
    assert!(error.contains("the true groups were not told"), "{error}");
}

/// `mean` has the mean of both probabilities.
#[test]
fn the_mean_of_both_by_hand() {
    let mut driver = grown();
    let x = task(1, 1, 9).views[0].clone();
    let mut of = |view: &str| log_softmax(&driver.predict(view, &x).unwrap().unwrap());
    let (global, mixture, mean) = (of("global"), of("mixture"), of("mean"));
    let expected = global.iter().zip(&mixture).map(|(g, m)| ((g.exp() + m.exp()) / 2.0).ln());
    same(&mean, &expected.collect::<Vec<_>>());
}

/// Networks that several views ask answer once for the same rows, but not beyond a step, a boundary
/// or a load: what is said then is what a learner says that was never asked before.
#[test]
fn answers_are_as_old_as_the_last_question_and_no_older() {
    let mut driver = grown();
    let x = task(0, 4, 9).views[0].clone();
    let views = ["mean", "mixture", "global", "working", "group-0", "group-1"];
    let all = |driver: &mut Driver<SgCls>| -> Vec<Vec<f32>> {
        views.iter().map(|view| driver.predict(view, &x).unwrap().unwrap()).collect()
    };
    let fresh = |driver: &mut Driver<SgCls>| {
        let mut other = self::driver(Config { oracle_view: true, groups: vec![0, 1], ..config() });
        other.load(&driver.save().unwrap()).unwrap();
        all(&mut other)
    };
    let before = all(&mut driver);
    assert_eq!(before, fresh(&mut driver));
    let saved = driver.save().unwrap();
    train(&mut driver, 1, 1, 0);
    let stepped = all(&mut driver);
    assert_ne!(before[0], stepped[0]);
    assert_eq!(stepped, fresh(&mut driver));
    driver.load(&saved).unwrap();
    assert_eq!(all(&mut driver), before);
    // Other rows, and the old ones after them.
    driver.predict("mean", &task(1, 2, 5).views[0]).unwrap();
    assert_eq!(all(&mut driver), before);
}
