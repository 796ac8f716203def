//! Scores between boundaries (`--score-every`): what they say, that nothing else changes by them,
//! and that they do not depend on when they were taken in.

use perdura::run::{Anytime, Metrics, Outcome, RunFolder};
use perdura_tests::{RunResult, Sandbox, built};
use std::path::Path;

/// Runs once and returns what it left, and its scores between boundaries if there are any.
fn run(words: &str) -> (RunResult, Option<Anytime>) {
    let (_sandbox, run) = run_in_sandbox(words);
    let anytime = anytime_of(&run.folder);
    (run, anytime)
}

/// The same with the folder of the run.
fn run_in_sandbox(words: &str) -> (Sandbox, RunResult) {
    let sandbox = Sandbox::new();
    sandbox.line(&format!("run {words} --epochs 1 --out out")).expect(0);
    let run = RunResult::only_below(&sandbox.path("work/out"));
    (sandbox, run)
}

fn anytime_of(folder: &Path) -> Option<Anytime> {
    RunFolder::open(folder).expect("a run").anytime().expect("a readable file")
}

/// Sets aside what only scores between boundaries bring.
fn without(metrics: &Metrics) -> Metrics {
    Metrics {
        average_anytime_accuracy: None,
        minimum_accuracy: None,
        worst_case_accuracy: None,
        accuracy_after_switch: None,
        stability_gap: None,
        ..metrics.clone()
    }
}

#[test]
fn training_is_the_same_with_and_without() {
    for method in ["cls-er --memory 40", "sg-cls --memory 40", "dualnet --memory 40 --drop-last"] {
        let words = format!("{method} --seed 1");
        let (plain, none) = run(&words);
        let (mut scored, anytime) = run(&format!("{words} --score-every 9"));
        assert_eq!((none, plain.summary.anytime.clone()), (None, None));
        assert!(anytime.expect("it was asked for").steps.len() > 5);
        for (name, bytes) in plain.determined.iter().filter(|(name, _)| *name != "summary.json") {
            assert!(*bytes == scored.determined[name], "{method}: {name} differs");
        }
        assert_eq!(plain.summary.state_sha256, scored.summary.state_sha256, "{method}");
        assert!(scored.summary.anytime.take().is_some_and(|anytime| anytime.fault.is_none()));
        // Further views of sg-cls open late: of those no curve is whole.
        let headline = &scored.summary.views[0].scenarios[0].metrics;
        assert!(headline.worst_case_accuracy.is_some(), "{method}");
        let views = scored.summary.views.iter_mut();
        for scores in views.flat_map(|view| &mut view.scenarios) {
            scores.metrics = without(&scores.metrics);
        }
        assert_eq!(plain.summary, scored.summary, "{method}");
    }
}

#[test]
fn points_lie_between_boundaries_on_what_has_begun() {
    let (_sandbox, run) = run_in_sandbox("sgd --score-every 9");
    let anytime = anytime_of(&run.folder).expect("it was asked for");
    assert_eq!((anytime.ends.len(), anytime.ends.last()), (5, Some(&run.summary.steps)));
    let at_ends = |step: &u64| anytime.ends.contains(step);
    let expected: Vec<u64> =
        (1..run.summary.steps).filter(|step| step % 9 == 0 && !at_ends(step)).collect();
    assert_eq!(anytime.steps, expected);
    let points = run.summary.anytime.as_ref().expect("it is told").points;
    assert_eq!(points, expected.len() as u64);
    for scenario in ["class-il", "task-il"] {
        let curve = anytime.curve("main", scenario).expect("a curve for each");
        for (step, right) in anytime.steps.iter().zip(&curve.right) {
            let begun = 1 + anytime.ends.iter().filter(|end| *end < step).count();
            assert!(right[..begun].iter().all(Option::is_some), "after {step} steps");
            assert!(right[begun..].iter().all(Option::is_none), "after {step} steps");
        }
    }
    // Without replay nothing is left of what came before: the metrics must say so.
    let metrics = &run.summary.views[0].scenarios[0].metrics;
    assert_eq!(metrics.minimum_accuracy, Some(0.0));
    let gap = metrics.stability_gap.expect("defined");
    assert!(gap > 0.2, "{gap}");
    let events = std::fs::read_to_string(run.folder.join("events.jsonl")).expect("it is there");
    let told = events.lines().filter(|line| line.contains("\"scored_anytime\"")).count();
    assert_eq!(told, 2 * expected.len());
}

#[test]
fn the_number_of_lanes_and_the_tier_do_not_show() {
    let sandbox = Sandbox::new();
    let words = "run er --memory 40 --seed 2 --epochs 1 --score-every 4 --out out";
    sandbox.line(words).expect(0);
    let one = RunResult::only_below(&sandbox.path("work/out"));
    let plugin = built().plugin("er").display().to_string();
    let host = std::process::id().to_string();
    for (number, (tier, lanes)) in
        [("sandbox", "4"), ("process", "3"), ("in-process", "2")].into_iter().enumerate()
    {
        let folder = sandbox.path(&format!("work/again-{number}"));
        std::fs::create_dir(&folder).expect("it is new");
        std::fs::copy(one.folder.join("plan.json"), folder.join("plan.json")).expect("a plan");
        let path = folder.display().to_string();
        let words = ["execute", &path, "--plugin", &plugin, "--isolation", tier, "--lanes", lanes];
        // The command wants to be started by the host that waits for it.
        sandbox.perdura_with(&words, &[("PERDURA_HOST_PID", host.as_ref())]).expect(0);
        let again = RunResult::only_below(&folder);
        for (name, bytes) in &one.determined {
            assert!(*bytes == again.determined[name], "{tier}: {name} differs");
        }
    }
    assert_eq!(sandbox.processes(), [""; 0], "left running");
}

/// A learner whose state of 100 samples cannot be scored: the snapshot after step 10.
fn faulty(call: &str, how: &str) -> (RunResult, Anytime, String) {
    let sandbox = Sandbox::new();
    let plugin = built().zoo("faulty").display().to_string();
    let line = format!(
        "compare --methods zoo/faulty --seeds 3 --epochs 1 --score-every 5 --plugin {plugin} \
         --set call={call} --set how={how} --set samples=100 --out out"
    );
    let answer = sandbox.line(&line).expect(0);
    assert_eq!(sandbox.processes(), [""; 0], "left running");
    let run = RunResult::only_below(&sandbox.path("work/out"));
    let anytime = anytime_of(&run.folder).expect("it was asked for");
    (run, anytime, answer.out)
}

#[test]
fn a_snapshot_that_cannot_be_scored_ends_the_points_and_not_the_run() {
    for (call, how, word) in [
        ("load", "error", "zoo: error as asked"),
        ("predict", "nan", "its largest logit is not a finite number"),
        ("predict", "segfault", "SIGSEGV"),
    ] {
        let (run, anytime, said) = faulty(call, how);
        assert_eq!(run.summary.outcome, Outcome::Finished, "{call} {how}");
        assert_eq!(anytime.steps, [5], "{call} {how}");
        let summary = run.summary.anytime.expect("it is told");
        let fault = summary.fault.expect("a fault");
        assert_eq!((summary.points, fault.step), (1, Some(10)), "{call} {how}");
        let text = format!("{} {}", fault.kind, fault.message);
        assert!(text.contains(word), "{call} {how}: {text}");
        let metrics = &run.summary.views[0].scenarios[0].metrics;
        assert_eq!(*metrics, without(metrics), "a part of a curve is none");
        assert!(metrics.average_accuracy.is_some());
        let warning = "its accuracies between boundaries end before step 10 of seed 3";
        assert!(said.contains(warning), "{said}");
    }
}

#[test]
fn a_learner_that_cannot_save_fails_at_its_snapshot() {
    let sandbox = Sandbox::new();
    let plugin = built().zoo("faulty").display().to_string();
    // The first time it saves is for the initial row, the second for the snapshot after step 5.
    let line = format!(
        "run zoo/faulty --epochs 1 --score-every 5 --plugin {plugin} --set call=save \
         --set how=error --set at=1 --checkpoint-every none --out out"
    );
    sandbox.line(&line).expect(1);
    let run = RunResult::only_below(&sandbox.path("work/out"));
    assert_eq!((run.fault().call.as_str(), run.summary.steps), ("save", 5));
}

#[test]
fn metrics_are_computed_again_from_the_points() {
    let sandbox = Sandbox::new();
    sandbox.line("run er --memory 40 --epochs 1 --score-every 6 --out out").expect(0);
    let run = RunResult::only_below(&sandbox.path("work/out"));
    let same = sandbox.line("metrics recompute out").expect(0);
    assert!(same.out.contains("1 runs: 0 changed, 0 not computed"), "{}", same.out);
    let mut old = run.summary.clone();
    for scores in old.views.iter_mut().flat_map(|view| &mut view.scenarios) {
        scores.metrics = without(&scores.metrics);
    }
    let path = run.folder.join("summary.json");
    std::fs::write(&path, serde_json::to_string(&old).expect("JSON")).expect("writable");
    let answer = sandbox.line("metrics recompute out").expect(0);
    assert!(answer.out.contains("main class-il stability_gap: null -> "), "{}", answer.out);
    assert_eq!(RunResult::only_below(&sandbox.path("work/out")).summary, run.summary);
    std::fs::remove_file(run.folder.join("anytime.safetensors")).expect("it is there");
    let answer = sandbox.line("metrics recompute out").expect(1);
    assert!(
        answer.err.contains("anytime.safetensors or summary.json were edited"),
        "{}",
        answer.err
    );
}
