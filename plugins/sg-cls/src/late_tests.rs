//! Streams without a second pass: who is counted in for which group, what is relabelled, and when.

use perdura_sdk::testing::{Driver, Samples as Script, Setting};
use perdura_sdk::{Grants, GrowthEvent};

use crate::support::*;
use crate::{Config, Features, SgCls};

/// Windows of two batches of six samples.
fn late(boundaries: bool, confirm: usize) -> Driver<SgCls> {
    let config =
        Config { features: Features::Pixels, window: 2, confirm, tau_join: 0.6, ..config() };
    let mut setting = Setting::new(CLASSES, &[WIDTH]).seed(3);
    setting.context.grants =
        Grants { boundaries, experience_classes: boundaries, second_pass: false };
    let mut driver = Driver::new(config, setting).unwrap();
    driver.begin_experience(0).unwrap();
    driver
}

/// The i-th batch of a task; its identities begin at 100 i.
fn batch(of: u32, i: u32) -> Script {
    let uids = Some((0..6).map(|k| u64::from(100 * i + k)).collect());
    Script { uids, ..task(of, 6, i) }
}

/// Learns a batch; what is the group that its samples get?
fn learn(driver: &mut Driver<SgCls>, samples: &Script) -> u32 {
    let replayed = of_group(task(0, 8, 900), 0);
    driver.step(samples, &[("replay", replayed)]).unwrap().report.group.unwrap()
}

/// What the memory holds of a group, with identities that no window has.
fn held(group: u32) -> Script {
    let uids = Some((0..30).map(|k| 9000 + k).collect());
    Script { uids, ..of_group(task(group, 30, 50), group) }
}

/// The whole memory when a window is relabelled: some of the samples of batches, between others.
fn memory(uids: &[u64]) -> Vec<Script> {
    let uids: Vec<u64> = [&[9000], uids, &[9001]].concat();
    vec![Script { uids: Some(uids.clone()), ..task(0, uids.len(), 0) }]
}

fn opened(driver: &Driver<SgCls>) -> usize {
    let opened = |event: &GrowthEvent| matches!(event, GrowthEvent::Opened { .. });
    growth(driver).iter().filter(|event| opened(event)).count()
}

/// Boundaries are known, the experience cannot be looked through: its first window is counted in
/// for the group that it turns out to belong to, once, and not for the one that was learned before.
#[test]
fn a_window_is_counted_in_for_its_own_group() {
    let mut driver = late(true, 2);
    let first = [batch(0, 1), batch(0, 2), batch(0, 3)];
    first.iter().for_each(|b| assert_eq!(learn(&mut driver, b), 0));
    driver.end_experience(0).unwrap();
    let of_first = sums(&first.iter().collect::<Vec<_>>());
    assert_eq!(counted(&mut driver, 0), Some(of_first.clone()));
    driver.begin_experience(1).unwrap();
    let second = [batch(1, 4), batch(1, 5), batch(1, 6)];
    assert_eq!(learn(&mut driver, &second[0]), 0, "learned as the group before");
    assert_eq!(counted(&mut driver, 0), Some(of_first.clone()), "and not counted in for it");
    driver.script.draws.push_back(held(0));
    driver.script.iterations.push_back(memory(&[300, 401, 505]));
    assert_eq!(learn(&mut driver, &second[1]), 1);
    assert_eq!(driver.script.relabelled, [[(401, 1), (505, 1)]]);
    assert_eq!(counted(&mut driver, 0), Some(of_first));
    assert_eq!(counted(&mut driver, 1), Some(sums(&[&second[0], &second[1]])));
    assert_eq!(learn(&mut driver, &second[2]), 1);
    assert_eq!(counted(&mut driver, 1), Some(sums(&second.iter().collect::<Vec<_>>())));
    assert_eq!(groups(&driver), [0, 1]);
}

/// The group learned before holds samples of the window, under its own name: they are not compared
/// with.
#[test]
fn a_window_is_not_compared_with_itself() {
    let mut driver = late(true, 2);
    learn(&mut driver, &batch(0, 1));
    driver.end_experience(0).unwrap();
    driver.begin_experience(1).unwrap();
    let window = [batch(1, 4), batch(1, 5)];
    learn(&mut driver, &window[0]);
    let uids = window.iter().flat_map(|b| b.uids.clone().unwrap()).collect();
    let own = Script { uids: Some(uids), ..of_group(task(1, 12, 4), 0) };
    driver.script.draws.push_back(own);
    driver.script.iterations.push_back(memory(&[]));
    assert_eq!(learn(&mut driver, &window[1]), 1);
    assert_eq!(similarities(&driver), [(0, 0.0)]);
}

/// An experience of one batch is decided at its end.
#[test]
fn an_experience_shorter_than_a_window_is_decided_too() {
    let mut driver = late(true, 2);
    let first = batch(0, 1);
    learn(&mut driver, &first);
    driver.end_experience(0).unwrap();
    driver.begin_experience(1).unwrap();
    let second = batch(1, 2);
    learn(&mut driver, &second);
    driver.script.draws.push_back(held(0));
    driver.script.iterations.push_back(memory(&[200, 201]));
    driver.end_experience(1).unwrap();
    assert_eq!(driver.script.relabelled, [[(200, 1), (201, 1)]]);
    assert_eq!(counted(&mut driver, 0), Some(sums(&[&first])));
    assert_eq!(counted(&mut driver, 1), Some(sums(&[&second])));
}

/// Boundaries are hidden and two windows must agree: both are relabelled and counted in together.
#[test]
fn windows_wait_until_a_change_is_confirmed() {
    let mut driver = late(false, 2);
    let batches: Vec<Script> = (1..=6).map(|i| batch(u32::from(i > 2), i)).collect();
    let of_first = sums(&[&batches[0], &batches[1]]);
    // There is nothing to compare the first window with: the script has no answer to a draw.
    batches[..2].iter().for_each(|b| assert_eq!(learn(&mut driver, b), 0));
    assert_eq!(counted(&mut driver, 0), Some(of_first.clone()));
    driver.script.draws.push_back(held(0));
    batches[2..4].iter().for_each(|b| assert_eq!(learn(&mut driver, b), 0));
    assert_eq!((counted(&mut driver, 0), opened(&driver)), (Some(of_first.clone()), 1), "in doubt");
    assert!(driver.script.relabelled.is_empty());
    assert_eq!(learn(&mut driver, &batches[4]), 0);
    driver.script.draws.push_back(held(0));
    driver.script.iterations.push_back(memory(&[100, 300, 405, 500, 600]));
    assert_eq!((learn(&mut driver, &batches[5]), opened(&driver)), (1, 2));
    assert_eq!(driver.script.relabelled, [[(300, 1), (405, 1), (500, 1), (600, 1)]]);
    assert_eq!(counted(&mut driver, 0), Some(of_first));
    assert_eq!(counted(&mut driver, 1), Some(sums(&batches[2..].iter().collect::<Vec<_>>())));
}

/// A doubt that the next window ends: all stays with the group that was learned. The next window is
/// looked at without the one before, which was of another task.
#[test]
fn a_doubt_that_ends_moves_nothing() {
    let mut driver = late(false, 2);
    let batches: Vec<Script> =
        [(0, 1), (0, 2), (1, 3), (1, 4), (0, 5), (0, 6), (0, 7)].map(|(t, i)| batch(t, i)).into();
    for (number, batch) in batches.iter().enumerate() {
        if number % 2 == 1 && number > 1 {
            driver.script.draws.push_back(held(0));
        }
        assert_eq!(learn(&mut driver, batch), 0);
    }
    assert_eq!((opened(&driver), driver.script.relabelled.len()), (1, 0));
    assert_eq!(counted(&mut driver, 0), Some(sums(&batches[..6].iter().collect::<Vec<_>>())));
    // The last batch is of no full window; at the end of the stream it is counted in all the same.
    driver.end_of_stream().unwrap();
    assert_eq!(counted(&mut driver, 0), Some(sums(&batches.iter().collect::<Vec<_>>())));
}

/// One window says back to group 0, the next something else: the first stays where it was learned,
/// and the change that is confirmed takes along the two windows that asked for it.
#[test]
fn a_change_of_mind_begins_a_new_count() {
    let mut driver = late(false, 2);
    let tasks = [0, 0, 1, 1, 1, 1, 0, 0, 2, 2, 2, 2];
    let batches: Vec<Script> = (1..).zip(tasks).map(|(i, task)| batch(task, i)).collect();
    for (number, batch) in batches.iter().enumerate() {
        match number {
            3 => driver.script.draws.push_back(held(0)),
            5 => {
                driver.script.draws.push_back(held(0));
                driver.script.iterations.push_back(memory(&[]));
            }
            7 | 9 => driver.script.draws.extend([held(0), held(1)]),
            11 => {
                driver.script.draws.extend([held(0), held(1)]);
                driver.script.iterations.push_back(memory(&[700, 900, 1200]));
            }
            _ => {}
        }
        learn(&mut driver, batch);
    }
    assert_eq!(driver.script.relabelled[1], [(900, 2), (1200, 2)]);
    let of = |range: std::ops::Range<usize>| Some(sums(&batches[range].iter().collect::<Vec<_>>()));
    assert_eq!(counted(&mut driver, 0), of(0..2));
    assert_eq!(counted(&mut driver, 1), of(2..8));
    assert_eq!(counted(&mut driver, 2), of(8..12));
}

/// A learner that is saved in doubt goes on in doubt.
#[test]
fn what_waits_is_saved() {
    let go_on = |driver: &mut Driver<SgCls>| {
        driver.script.draws.push_back(held(0));
        driver.script.iterations.push_back(memory(&[300]));
        assert_eq!(learn(driver, &batch(1, 6)), 1);
        driver.save().unwrap()
    };
    let mut first = late(false, 2);
    for i in 1..=5 {
        if i == 4 {
            first.script.draws.push_back(held(0));
        }
        learn(&mut first, &batch(u32::from(i > 2), i));
    }
    let saved = first.save().unwrap();
    let mut second = late(false, 2);
    (1..=5).for_each(|i| {
        if i == 4 {
            second.script.draws.push_back(held(0));
        }
        learn(&mut second, &batch(0, i + 20));
    });
    second.load(&saved).unwrap();
    assert_eq!(second.save().unwrap(), saved);
    assert_eq!(go_on(&mut first), go_on(&mut second));
    assert_eq!(first.script.relabelled, second.script.relabelled);
}
