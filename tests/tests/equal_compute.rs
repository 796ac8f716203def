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

const PLAN: &str = r#"
benchmark = "split-digits"
memory = 40
seeds = "0..2"
epochs = 4
equal_compute = "cls-er"
[[method]]
id = "sgd"
[[method]]
id = "cls-er"
set = { hidden = [300, 300], replay = 64 }
[[method]]
id = "joint"
"#;

#[test]
fn a_cheap_method_gets_the_epochs_that_bring_its_compute_nearest() {
    let sandbox = Sandbox::new();
    // CPU time is measured in hundredths, beside whatever else runs: a method that takes several
    // times as much leaves room for that.
    std::fs::write(sandbox.path("work/plan.toml"), PLAN).expect("written");
    let line = "compare plan.toml --jobs 1 --out out --format json";
    let answer = sandbox.line(line).expect(0);
    let said = answer.err.lines().find(|line| line.starts_with("equal compute: sgd: "));
    let said = said.unwrap_or_else(|| panic!("{}", answer.err));
    assert!(!answer.err.contains("equal compute: joint"), "an upper bound has no such arm");
    let document = answer.json();
    let [own, wanted, equal] =
        ["perdura/sgd", "perdura/cls-er", "sgd, equal compute"].map(|arm| compute(&document, arm));
    println!("{said}; sgd {own}, cls-er {wanted}, sgd with equal compute {equal}");
    assert!(own < wanted && (equal - wanted).abs() < (own - wanted).abs());
    assert_eq!(document["warnings"], serde_json::json!([]), "epochs differ on purpose");
    let runs = RunResult::all_below(&sandbox.path("work/out"));
    let further: Vec<&RunResult> =
        runs.iter().filter(|run| run.plan.arm.as_deref() == Some("sgd, equal compute")).collect();
    assert_eq!((runs.len(), further.len()), (8, 2));
    for run in further {
        assert_eq!(run.plan.equal_compute.as_deref(), Some("perdura/cls-er"));
        assert!(run.plan.stream.epochs > 4 && said.contains(&run.plan.stream.epochs.to_string()));
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
