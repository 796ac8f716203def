//! Comparisons of made-up runs: the document, its order, and the texts people read.

use std::collections::BTreeMap;

use perdura_abi::message::ViewNeeds;
use serde_json::{Value, json};

use super::*;
use crate::run::tests::plan;
use crate::run::{
    AnytimeSummary, Fault, FaultCode, Metrics, Outcome, Resources, ScenarioSummary, Summary,
    ViewSummary,
};
use crate::worker::FaultTraces;

fn scores(scenario: &str, accuracy: f64) -> ScenarioSummary {
    let metrics = Metrics {
        average_accuracy: Some(accuracy),
        forgetting_from_peak: Some(0.9 - accuracy),
        backward_transfer: Some(accuracy - 0.9),
        learning_accuracy: Some(0.9),
        ..Metrics::default()
    };
    ScenarioSummary { scenario: scenario.into(), initial: vec![], matrix: vec![], metrics }
}

pub fn view(name: &str, accuracy: f64) -> ViewSummary {
    ViewSummary {
        view: name.into(),
        needs: ViewNeeds::Nothing,
        upper_bound: false,
        // Out of order on purpose.
        scenarios: vec![scores("task-il", accuracy + 0.05), scores("class-il", accuracy)],
    }
}

pub fn finished(method: &str, seed: u64, views: Vec<ViewSummary>) -> RunRecord {
    let plan = plan(method, seed);
    let summary = Summary { views, ..Summary::empty(&plan, Outcome::Finished) };
    let resources = Resources {
        format: Resources::FORMAT,
        seconds: 1.5,
        cpu_seconds: 1.25,
        learner_cpu_seconds: Some(1.0),
        peak_pss_bytes: Some(50 << 20),
        tier: "sandbox".into(),
        ledger: BTreeMap::new(),
        ..Resources::default()
    };
    RunRecord { plan, summary: Some(summary), resources: Some(resources) }
}

pub fn failed(method: &str, seed: u64) -> RunRecord {
    let message = "index out of bounds: the len is 3 but the index is 7";
    let fault = Fault {
        step: Some(17),
        location: Some("src/lib.rs:10".into()),
        ..Fault::new(FaultCode::Panic, "observe", "panicked", message)
    };
    let plan = plan(method, seed);
    let summary = Some(Summary::empty(&plan, Outcome::Failed(fault)));
    let traces = FaultTraces { peak_memory_bytes: Some(20 << 20), ..FaultTraces::default() };
    let resources = Resources { fault: Some(traces), ..Resources::default() };
    RunRecord { plan, summary, resources: Some(resources) }
}

/// Two methods over three seeds, the second with two views, the third method failing everywhere.
pub fn example() -> Vec<RunRecord> {
    let mut records = Vec::new();
    for (seed, accuracy) in [(2, 0.25), (0, 0.2), (1, 0.225)] {
        records.push(finished("perdura/sgd", seed, vec![view("main", accuracy)]));
    }
    for (seed, accuracy) in [(0, 0.7), (1, 0.75), (2, 0.72)] {
        let views = vec![view("stable", accuracy), view("working", accuracy - 0.1)];
        records.push(finished("perdura/cls-er", seed, views));
    }
    records.extend([failed("lab/broken", 0), failed("lab/broken", 1)]);
    records
}

fn document(records: &[RunRecord]) -> Value {
    serde_json::from_str(&Comparison::of(records).to_json()).unwrap()
}

#[test]
fn rows_come_by_method_view_and_scenario() {
    let document = document(&example());
    let rows = document["rows"].as_array().unwrap();
    let keys: Vec<Value> = rows
        .iter()
        .map(|r| json!([r["method"], r["view"], r["scenario"], r["n"], r["failed"]]))
        .collect();
    let expected = [
        json!(["perdura/sgd", "main", "class-il", 3, 0]),
        json!(["perdura/sgd", "main", "task-il", 3, 0]),
        json!(["perdura/cls-er", "stable", "class-il", 3, 0]),
        json!(["perdura/cls-er", "stable", "task-il", 3, 0]),
        json!(["perdura/cls-er", "working", "class-il", 3, 0]),
        json!(["perdura/cls-er", "working", "task-il", 3, 0]),
        json!(["lab/broken", null, "class-il", 0, 2]),
    ];
    assert_eq!(keys, expected);
}

#[test]
fn the_document_has_exactly_the_published_form() {
    // One seed: means without spread. 0.5 and 0.375 are exact in binary.
    let records = [
        finished("a/x", 4, vec![view("main", 0.5)]),
        finished("b/y", 4, vec![view("main", 0.375)]),
        failed("b/y", 5),
    ];
    let mut document = document(&records);
    let single = |mean: f64| json!({ "mean": mean, "std": null, "ci95": null });
    let expected = json!({
        "method": "b/y", "view": "main", "scenario": "class-il", "n": 1, "failed": 1,
        "average_accuracy": single(0.375),
        "forgetting_from_peak": single(0.525),
        "backward_transfer": single(-0.525),
        "learning_accuracy": single(0.9),
        "seconds": single(1.5),
        "cpu_seconds": single(1.25),
        "learner_cpu_seconds": single(1.0),
        "anytime": null,
        "peak_pss_bytes": single(52_428_800.0),
        "tier": "sandbox",
        "grouping": null,
        "growth": [],
    });
    assert_eq!(document["rows"][2], expected);
    let expected = json!({
        "metric": "average_accuracy", "scenario": "class-il",
        "a": { "method": "a/x", "view": "main" },
        "b": { "method": "b/y", "view": "main" },
        "n": 1, "difference": { "mean": 0.125, "ci95": null }, "p_holm": null,
        "wilcoxon_holm": null, "probability_a_above_b": 1.0, "seeds_needed": null,
    });
    assert_eq!(document["pairs"][0], expected);
    let rank = |method: &str, accuracy: f64| {
        let mut rank = json!({ "method": method, "view": "main", "groups": "a" });
        rank["average_accuracy"] = accuracy.into();
        rank
    };
    let expected =
        json!({ "scenario": "class-il", "ranks": [rank("a/x", 0.5), rank("b/y", 0.375)] });
    assert_eq!(document["rankings"][0], expected);
    let pairs = document["pairs"].as_array_mut().unwrap();
    assert_eq!(pairs.len(), 4, "two metrics times two scenarios");
    assert_eq!(document["warnings"], json!([]));
    let expected = json!([{
        "method": "b/y", "seeds": [5], "runs": 2,
        "fault": {
            "code": "panic", "signal": null, "exit_code": null, "step": 17, "call": "observe",
            "kind": "panicked", "message": "index out of bounds: the len is 3 but the index is 7",
            "location": "src/lib.rs:10", "last_log": [],
        },
        "traces": { "backtrace": [], "peak_memory_bytes": 20 << 20 },
    }]);
    assert_eq!(document["failures"], expected);
    assert_eq!(document.as_object().unwrap().len(), 5);
}

#[test]
fn a_method_is_marked_with_the_weakest_tier_of_its_runs() {
    let mut records: Vec<RunRecord> =
        (0..3).map(|seed| finished("a/x", seed, vec![view("main", 0.5)])).collect();
    let tier = |records: &[RunRecord]| {
        let comparison = Comparison::of(records);
        let row = &comparison.rows[0];
        (row.tier.clone().unwrap(), row.is_marked(), markdown(&comparison).contains("x †"))
    };
    assert_eq!(tier(&records), ("sandbox".into(), false, false));
    records[1].resources.as_mut().unwrap().tier = "process".into();
    assert_eq!(tier(&records), ("process".into(), true, true));
    records[2].resources.as_mut().unwrap().tier = "in-process".into();
    assert_eq!(tier(&records), ("in-process".into(), true, true));
    records[0].resources.as_mut().unwrap().tier = "unheard of".into();
    assert_eq!(tier(&records), ("unheard of".into(), true, true));
}

#[test]
fn a_method_without_results_has_nulls() {
    let row = &document(&[failed("lab/broken", 0)])["rows"][0];
    let none = json!({ "mean": null, "std": null, "ci95": null });
    for metric in ["average_accuracy", "seconds", "peak_pss_bytes"] {
        assert_eq!(row[metric], none);
    }
}

#[test]
fn a_failed_run_may_know_its_headline() {
    let mut record = failed("lab/broken", 0);
    let oracle = ViewSummary { needs: ViewNeeds::TrueGroup, ..view("routed", 0.5) };
    record.summary.as_mut().unwrap().views = vec![oracle, view("stable", 0.5)];
    let row = &document(&[record])["rows"][0];
    assert_eq!((&row["view"], &row["n"]), (&json!("stable"), &json!(0)));
}

#[test]
fn a_run_without_summary_counts_as_failed() {
    let records = [
        finished("a/x", 0, vec![view("main", 0.5)]),
        RunRecord { plan: plan("a/x", 1), summary: None, resources: None },
    ];
    let comparison = Comparison::of(&records);
    assert_eq!((comparison.rows[0].n, comparison.rows[0].failed), (1, 1));
    assert_eq!(comparison.failures[0].fault.kind, "unfinished");
}

#[test]
fn a_metric_undefined_in_one_run_is_undefined() {
    let mut records = example();
    let summary = records[0].summary.as_mut().unwrap();
    summary.views[0].scenarios[1].metrics.forgetting_from_peak = None;
    records[1].resources = None;
    let comparison = Comparison::of(&records);
    assert_eq!(comparison.rows[0].forgetting_from_peak.mean, None);
    assert_eq!(comparison.rows[0].seconds.mean, None);
    assert!(comparison.rows[0].average_accuracy.mean.is_some());
    // Pairs use the seeds in which it is defined in both.
    let pair = comparison.pairs.iter().find(|pair| pair.metric == "forgetting_from_peak").unwrap();
    assert_eq!(pair.n, 2);
}

#[test]
fn pairs_are_made_by_seed() {
    let comparison = Comparison::of(&example());
    let pair = &comparison.pairs[0];
    assert_eq!((pair.metric, pair.scenario.as_str(), pair.n), ("average_accuracy", "class-il", 3));
    assert_eq!((pair.a.view.as_str(), pair.b.view.as_str()), ("main", "stable"));
    // -0.5, -0.525, -0.47: scipy.stats.ttest_1samp(d, 0).pvalue; one pair, nothing to correct.
    let mean = pair.difference.mean.unwrap();
    assert!((mean + 0.49833333).abs() < 1e-8, "{mean}");
    let p = pair.p_holm.unwrap();
    assert!((p - 0.001016334200879227).abs() < 1e-9, "{p}");
    assert_eq!((pair.wilcoxon_holm, pair.probability_a_above_b), (Some(0.25), Some(0.0)));
    assert_eq!(pair.seeds_needed, None, "they are separated");
}

#[test]
fn seeds_needed_meet_the_corrected_level() {
    let mut records = Vec::new();
    for (seed, noise) in [(0, 0.09), (1, -0.01), (2, 0.04)] {
        records.push(finished("a/a", seed, vec![view("main", 0.5 + noise)]));
        records.push(finished("a/b", seed, vec![view("main", 0.5)]));
        records.push(finished("a/c", seed, vec![view("main", 0.25)]));
    }
    // a - b: 0.09, -0.01, 0.04, that is mean 0.04, deviation 0.05, effect 0.8; three pairs.
    let needed = crate::stats::seeds_needed(&[0.09, -0.01, 0.04], 0.05 / 3.0);
    assert!(needed.is_some());
    let pair = &Comparison::of(&records).pairs[0];
    assert_eq!((pair.seeds_needed, pair.n), (needed, 3));
}

#[test]
fn only_shared_seeds_with_the_same_stream_are_paired() {
    let mut records = example();
    records[0].plan.stream.class_order.reverse();
    let comparison = Comparison::of(&records);
    assert_eq!(comparison.pairs[0].n, 2);
    let one = |method, seed| finished(method, seed, vec![view("main", 0.5)]);
    let comparison = Comparison::of(&[one("a/x", 0), one("b/y", 1)]);
    assert_eq!((comparison.pairs[0].n, comparison.pairs[0].difference.mean), (0, None));
    assert!(
        terminal(&comparison, TerminalStyle::default())
            .contains("no seed finished in both x and y")
    );
}

#[test]
fn holm_corrects_within_a_family() {
    let mut records = Vec::new();
    for (seed, accuracy) in [(0, 0.5), (1, 0.55), (2, 0.52)] {
        for (method, below) in [("a/a", 0.0), ("a/b", 0.1 + accuracy / 10.0), ("a/c", 0.1)] {
            records.push(finished(method, seed, vec![view("main", accuracy - below)]));
        }
    }
    let comparison = Comparison::of(&records);
    let family: Vec<f64> = comparison.pairs[..3].iter().map(|pair| pair.p_holm.unwrap()).collect();
    // Differences a - b: 0.15, 0.155, 0.152; a - c: 0.1 each; c - b: 0.05, 0.055, 0.052.
    // The smallest p is multiplied by three, the next by two, the largest stays.
    // scipy.stats.ttest_1samp(d, 0).pvalue: 9.096240638318669e-05, 0, 0.0007699322385518681
    assert!((family[0] - 2.0 * 9.096240638318669e-05).abs() < 1e-9, "{family:?}");
    assert!(family[1] < 1e-12, "{family:?}");
    assert!((family[2] - 0.0007699322385518681).abs() < 1e-9, "{family:?}");
}

#[test]
fn the_order_of_runs_does_not_matter() {
    let mut records = example();
    records[..3].sort_by_key(|record| record.plan.seed);
    assert_eq!(Comparison::of(&records).to_json(), Comparison::of(&example()).to_json());
}

#[test]
fn different_streams_and_memory_are_told() {
    let mut records = example();
    assert!(Comparison::of(&records).warnings.is_empty());
    for record in &mut records[..3] {
        record.plan.stream.epochs = 1;
        record.plan.memory = None;
    }
    let warnings = Comparison::of(&records).warnings;
    let expected = [
        "perdura/sgd and perdura/cls-er saw different streams: epochs 1 and 10",
        "perdura/sgd and lab/broken saw different streams: epochs 1 and 10",
    ];
    assert_eq!(warnings, expected);
    for record in &mut records[..3] {
        record.plan.stream.epochs = 10;
        record.plan.memory = Some(crate::run::MemorySize::Bytes(4096));
    }
    let warnings = Comparison::of(&records).warnings;
    let expected =
        "perdura/sgd and perdura/cls-er had different memory: 4096 bytes and 200 samples";
    assert_eq!(warnings[0], expected);
}

#[test]
fn mixed_and_repeated_runs_are_told() {
    let mut records = example();
    records[0].plan.config["lr"] = 0.5.into();
    records[1].plan.seed = 1;
    let expected = [
        "perdura/sgd: the runs with seeds 1 and 2 differ in more than the seed, but share a row",
        "perdura/sgd: seed 1 occurs more than once",
    ];
    assert_eq!(Comparison::of(&records).warnings, expected);
}

#[test]
fn arms_of_one_method_have_rows_of_their_own() {
    let mut records =
        [finished("a/x", 4, vec![view("main", 0.5)]), finished("a/x", 4, vec![view("main", 0.25)])];
    records[1].plan.arm = Some("x, slow".into());
    let comparison = Comparison::of(&records);
    let headlines: Vec<&str> = comparison.rows.iter().map(|row| row.method.as_str()).collect();
    assert_eq!(headlines, ["a/x", "a/x", "x, slow", "x, slow"]);
    assert!(comparison.warnings.is_empty(), "{:?}", comparison.warnings);
}

/// A run of two seeds that was scored between boundaries, or not.
fn scored_between(seed: u64, gap: f64, fault: Option<Fault>) -> RunRecord {
    let mut record = finished("a/x", seed, vec![view("main", 0.5)]);
    let summary = record.summary.as_mut().unwrap();
    summary.anytime = Some(AnytimeSummary { every: 10, points: 3, fault });
    for scores in &mut summary.views[0].scenarios {
        scores.metrics.average_anytime_accuracy = Some(0.75);
        scores.metrics.minimum_accuracy = Some(0.25);
        scores.metrics.worst_case_accuracy = Some(0.375);
        scores.metrics.accuracy_after_switch = Some(0.5 - gap);
        scores.metrics.stability_gap = Some(gap);
    }
    record
}

#[test]
fn scores_between_boundaries_have_columns_where_there_are_some() {
    let records = [
        scored_between(0, 0.25, None),
        scored_between(1, 0.125, None),
        finished("b/y", 0, vec![view("main", 0.375)]),
    ];
    let comparison = Comparison::of(&records);
    let anytime = comparison.rows[0].anytime.as_ref().unwrap();
    assert_eq!(anytime.stability_gap.mean, Some(0.1875));
    assert_eq!(anytime.accuracy_after_switch.mean, Some(0.3125));
    assert!(comparison.rows[2].anytime.is_none());
    let text = markdown(&comparison);
    let header = "| learning acc | anytime acc | worst case | stability gap | seconds |";
    assert!(text.contains(header), "{text}");
    assert!(text.contains("| 75.00 ± 0.00 | 37.50 ± 0.00 | 18.75 ± 8.84 | 1.5"), "{text}");
    assert!(text.contains("| 90.00 | - | - | - | 1.5 | 1.00 | 50 MiB |"), "{text}");
    assert!(text.contains("in the first 100 steps after a switch."), "{text}");
    // One side without them: no pair.
    assert!(comparison.pairs.iter().all(|pair| pair.metric != "stability_gap"));
    let other = RunRecord { plan: plan("b/y", 0), ..scored_between(0, 0.0, None) };
    let comparison = Comparison::of(&[records[0].clone(), other]);
    let pair = comparison.pairs.iter().find(|pair| pair.metric == "stability_gap").unwrap();
    assert_eq!(pair.difference.mean, Some(0.25));
}

#[test]
fn a_snapshot_that_could_not_be_scored_is_told() {
    let fault = Fault {
        step: Some(40),
        call: "load".into(),
        kind: "error".into(),
        message: "no\nway".into(),
        ..Fault::default()
    };
    let comparison = Comparison::of(&[scored_between(4, 0.5, Some(fault))]);
    let expected = "a/x: its accuracies between boundaries end before step 40 of seed 4, whose \
                    snapshot could not be scored: error in load: no way";
    assert_eq!(comparison.warnings, [expected]);
}

#[test]
fn a_claim_below_the_saved_state_is_told() {
    let mut record = finished("a/x", 4, vec![view("main", 0.5)]);
    let summary = record.summary.as_mut().unwrap();
    summary.claimed_bytes = [("parameters".to_string(), 100_000)].into();
    summary.state_bytes = 110_000;
    assert!(Comparison::of(&[record.clone()]).warnings.is_empty(), "names and shapes take some");
    record.summary.as_mut().unwrap().state_bytes = 200_000;
    let expected = "a/x: it claims to hold 100000 bytes, but its saved state has 200000";
    assert_eq!(Comparison::of(&[record]).warnings, [expected]);
}

#[test]
fn nothing_compares_to_nothing() {
    let comparison = Comparison::of(&[]);
    assert!(comparison.rows.is_empty() && comparison.pairs.is_empty());
    assert!(terminal(&comparison, TerminalStyle::default()).contains("method"));
}
