//! Verdicts over summaries made up for the purpose.

use super::*;
use crate::bench::Round;
use std::collections::BTreeMap;

/// Rounds at these minutes with these times of one measurement.
fn summary(minutes: impl IntoIterator<Item = u32>, micros: &[f64]) -> Summary {
    let round = |(minute, micros): (u32, &f64)| Round {
        started: format!("2026-03-01T{:02}:{:02}:00Z", minute / 60, minute % 60),
        micros: BTreeMap::from([("step".to_owned(), *micros)]),
    };
    let rounds = minutes.into_iter().zip(micros).map(round).collect();
    Summary { rounds, ..Summary::here() }
}

fn alternating(a: &[f64], b: &[f64]) -> Comparison {
    let (even, odd) = ((0..100).step_by(2), (1..100).step_by(2));
    compare(&summary(even, a), &summary(odd, b)).unwrap()
}

fn apart(a: &[f64], b: &[f64]) -> Comparison {
    compare(&summary(0..50, a), &summary(50..100, b)).unwrap()
}

fn verdict(comparison: &Comparison) -> Verdict {
    comparison.changes[0].verdict
}

/// numpy.quantile([1, 2, 3, 10], [.25, .5, .75]) = 1.75, 2.5, 4.75.
#[test]
fn quantiles_by_hand() {
    let values = [10.0, 1.0, 3.0, 2.0];
    assert_eq!([0.25, 0.5, 0.75].map(|share| quantile(&values, share)), [1.75, 2.5, 4.75]);
    // 1.57 · 3 / √4 / 2.5.
    assert!((noise(&values) - 0.942).abs() < 1e-12);
}

#[test]
fn a_clear_change_is_one_in_both_directions() {
    let (slow, fast) = ([100.0, 101.0, 99.0, 100.5], [90.0, 91.0, 89.0, 90.0]);
    let gain = alternating(&slow, &fast);
    assert_eq!((verdict(&gain), gain.slower(), gain.interleaved), (Verdict::Faster, false, true));
    let loss = alternating(&fast, &slow);
    assert_eq!((verdict(&loss), loss.slower()), (Verdict::Slower, true));
}

/// The machine becomes twice as slow during the measurement: paired rounds do not care.
#[test]
fn drift_that_hits_both_is_no_change() {
    let drifting = [100.0, 120.0, 150.0, 180.0, 200.0];
    let same = drifting.map(|t| t * 1.002);
    assert_eq!(verdict(&alternating(&drifting, &same)), Verdict::Same);
    let better = drifting.map(|t| t * 0.9);
    assert_eq!(verdict(&alternating(&drifting, &better)), Verdict::Faster);
}

/// The same 6 %, one build after the other: the machine may have changed instead.
#[test]
fn builds_measured_one_after_the_other_need_more() {
    let (a, b) = ([100.0, 100.2, 99.8, 100.1], [106.0, 106.2, 105.8, 106.1]);
    assert_eq!(verdict(&alternating(&a, &b)), Verdict::Slower);
    let apart = apart(&a, &b);
    assert!(!apart.interleaved && apart.tolerance == TOLERANCE_APART);
    assert_eq!(verdict(&apart), Verdict::Same);
}

#[test]
fn noise_makes_a_change_unclear() {
    let (a, b) = ([100.0, 180.0, 90.0, 140.0], [120.0, 100.0, 190.0, 95.0]);
    assert_eq!(verdict(&alternating(&a, &b)), Verdict::Unclear);
    assert_eq!(verdict(&apart(&a, &b)), Verdict::Unclear);
}

#[test]
fn one_outlier_among_many_rounds_changes_nothing() {
    let a = [100.0; 9];
    let b = [100.0, 100.0, 900.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0];
    assert_eq!(verdict(&alternating(&a, &b)), Verdict::Same);
}

#[test]
fn what_one_side_alone_measured_is_named() {
    let mut second = summary(10..20, &[1.0, 1.0, 1.0]);
    for round in &mut second.rounds {
        round.micros.insert("new".into(), 2.0);
    }
    let comparison = compare(&summary(0..10, &[1.0, 1.0, 1.0]), &second).unwrap();
    assert_eq!((comparison.changes.len(), &*comparison.unpaired), (1, &["new".to_owned()][..]));
    assert!(comparison.to_string().contains("measured in one of the two only"));
}

#[test]
fn other_machines_and_too_few_rounds_are_refused() {
    let ours = summary(0..10, &[1.0, 1.0, 1.0]);
    let mut theirs = ours.clone();
    theirs.machine.cores += 1;
    let error = compare(&ours, &theirs).unwrap_err().to_string();
    assert!(error.starts_with("the summaries are of two machines"), "{error}");
    let short = summary(0..10, &[1.0, 1.0]);
    let expected = CompareError::TooFewRounds { side: "the second summary", found: 2 };
    assert_eq!(compare(&ours, &short), Err(expected));
}

#[test]
fn the_page_by_hand() {
    let page = alternating(&[10.0, 10.0, 10.0], &[20.0, 20.0, 20.0]).to_string();
    let line = page.lines().nth(2).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words, ["step", "10.0", "20.0", "2.000", "0.0", "%", "SLOWER"]);
    assert!(page.ends_with("rounds alternate: a change counts above 3 % and above the noise\n"));
}
