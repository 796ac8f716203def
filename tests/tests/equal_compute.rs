//! Arms of equal compute: what they are planned with, and that what was measured is shown.

use perdura_tests::{RunResult, Sandbox};
use serde_json::Value;

/// CPU seconds of the learner, mean over the runs, by arm.
fn compute(document: &Value, arm: &str) -> f64 {
    let rows = document["rows"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["method"] == arm);
    let row = row.unwrap_or_else(|| panic!("no row of {arm}"));
    row["learner_cpu_seconds"]["mean"].as_f64().expect("measured")
}

#[test]
fn a_cheap_method_gets_the_epochs_that_bring_its_compute_nearest() {
    let sandbox = Sandbox::new();
    let line = "compare --methods er,cls-er,joint --memory 40 --seeds 0..2 --epochs 16 --jobs 1 \
                --equal-compute cls-er --out out --format json";
    let answer = sandbox.line(line).expect(0);
    let said = answer.err.lines().find(|line| line.starts_with("equal compute: er: "));
    let said = said.unwrap_or_else(|| panic!("{}", answer.err));
    assert!(!answer.err.contains("equal compute: joint"), "an upper bound has no such arm");
    let document = answer.json();
    let [own, wanted, equal] =
        ["perdura/er", "perdura/cls-er", "er, equal compute"].map(|arm| compute(&document, arm));
    println!("{said}; er {own}, cls-er {wanted}, er with equal compute {equal}");
    assert!(own < wanted && (equal - wanted).abs() < (own - wanted).abs());
    assert_eq!(document["warnings"], serde_json::json!([]), "epochs differ on purpose");
    let runs = RunResult::all_below(&sandbox.path("work/out"));
    let further: Vec<&RunResult> =
        runs.iter().filter(|run| run.plan.arm.as_deref() == Some("er, equal compute")).collect();
    assert_eq!((runs.len(), further.len()), (8, 2));
    for run in further {
        assert_eq!(run.plan.equal_compute.as_deref(), Some("perdura/cls-er"));
        assert!(run.plan.stream.epochs > 16 && said.contains(&run.plan.stream.epochs.to_string()));
    }
    // The same measurements give the same plans: nothing is left to run.
    let again = sandbox.line(&format!("{line} --resume")).expect(0);
    assert!(!again.err.contains("done ("), "{}", again.err);
    assert_eq!(again.json()["rows"], document["rows"]);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let refuses = |words: &str, expected: &[&str]| {
        let line = format!("compare --methods er,sgd --memory 40 --equal-compute {words}");
        Sandbox::new().line(&line).refused(expected);
    };
    refuses("cls-er", &["--equal-compute cls-er: expected one arm of this comparison", "er, sgd"]);
    refuses("er --isolation in-process", &["no time of its own to measure"]);
    refuses("er --shard 1/2", &["--shard: arms of equal compute need the measured time"]);
}
