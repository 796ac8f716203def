//! Streams as users meet them: similar experiences, streams without boundaries, locks.

use perdura_tests::{RunResult, Sandbox, built};
use serde_json::{Value, json};

#[test]
fn a_stream_of_rotations_and_permutations_is_domain_il() {
    let sandbox = Sandbox::new();
    let line = "run nearest-mean --benchmark known-similarity-digits --epochs 1 --out out";
    let answer = sandbox.line(line).expect(0);
    assert!(answer.out.contains("domain-il") && !answer.out.contains("task-il"), "{}", answer.out);
    let run = RunResult::only_below(&sandbox.path("work/out"));
    let scores = &run.summary.views[0].scenarios[0];
    assert_eq!((scores.matrix.len(), scores.matrix[8].len()), (9, 9));
    assert!(scores.metrics.forgetting_from_peak.is_some());
    let inspected = sandbox.line("benchmarks inspect known-similarity-digits").expect(0).out;
    for part in ["rotated by 40.00 degrees", "pixels permuted [", "group 2"] {
        assert!(inspected.contains(part), "{inspected}");
    }
}

#[test]
fn a_stream_without_boundaries_is_scored_at_fixed_steps() {
    let sandbox = Sandbox::new();
    let line = "run nearest-mean --benchmark digits-360 --batch 16 --score-every 30 --out out";
    let answer = sandbox.line(line).expect(0);
    assert!(answer.out.contains("task-free"), "{}", answer.out);
    assert!(answer.err.contains(": step 30/81: task-free "), "{}", answer.err);
    let run = RunResult::only_below(&sandbox.path("work/out"));
    let steps = run.summary.scored_after_steps.clone().expect("scored at steps");
    let (last, before) = steps.split_last().expect("not empty");
    assert_eq!(before, (1..=before.len() as u64).map(|n| 30 * n).collect::<Vec<_>>());
    assert_eq!(*last, run.summary.steps);
    assert!(
        *last > *before.last().expect("more than one") && *last <= before.len() as u64 * 30 + 30
    );
    let scores = &run.summary.views[0].scenarios[0];
    assert_eq!((scores.matrix.len(), scores.matrix[0].len()), (steps.len(), 1));
    assert_eq!(scores.metrics.average_accuracy, scores.matrix[steps.len() - 1][0]);
    assert_eq!(scores.metrics.forgetting_from_peak, None);
    let moments: Vec<String> = run.predictions("main").into_keys().collect();
    assert_eq!(moments.len(), steps.len() + 1);
    assert!(moments.contains(&format!("after-step-{last}")) && moments[0] == "after-initial");
    let events = std::fs::read_to_string(run.folder.join("events.jsonl")).expect("it is there");
    let scored: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|event| event["event"] == "scored")
        .collect();
    assert_eq!((&scored[1]["after"], &scored[1]["step"]), (&Value::Null, &json!(30)));
    assert_eq!(scored[0].get("step"), None);
}

#[test]
fn what_fits_no_such_stream_is_refused() {
    let refuses = |line: &str, words: &[&str]| Sandbox::new().line(line).refused(words);
    refuses("run nearest-mean --score-every 0", &["--score-every is 0"]);
    refuses("run nearest-mean --benchmark digits-360 --score-every 0", &["--score-every is 0"]);
    refuses(
        "run nearest-mean --benchmark digits-360 --validation 0.1",
        &["--validation 0.1", "holds none out"],
    );
}

#[test]
fn an_upper_bound_of_a_stream_without_boundaries_has_its_end_alone() {
    let sandbox = Sandbox::new();
    sandbox.line("run joint --benchmark digits-360 --score-every 10 --out out").expect(0);
    let run = RunResult::only_below(&sandbox.path("work/out"));
    assert_eq!(run.summary.scored_after_steps, Some(vec![run.summary.steps]));
    let scores = &run.summary.views[0].scenarios[0];
    assert_eq!(scores.matrix.len(), 1);
    assert!(scores.metrics.average_accuracy.is_some());
}

#[test]
fn a_lock_is_honoured() {
    let sandbox = Sandbox::new();
    let name = "known-similarity-digits";
    sandbox.line(&format!("benchmarks lock {name} --seeds 0..2 --out lock.json")).expect(0);
    let run = |line: &str| {
        sandbox.line(&format!("{line} --benchmark {name} --epochs 1 --out out --lock lock.json"))
    };
    run("run nearest-mean --seed 1").expect(0);
    let plan = RunResult::only_below(&sandbox.path("work/out")).plan;
    let lock: Value = serde_json::from_str(
        &std::fs::read_to_string(sandbox.path("work/lock.json")).expect("it was written"),
    )
    .expect("JSON");
    assert_eq!(lock["streams"][1]["sha256"], plan.stream.sha256);
    let words =
        ["seed 2 is not locked in lock.json", "training samples", "perdura benchmarks lock"];
    run("run nearest-mean --seed 2").refused(&words);
    run("compare --methods nearest-mean --seeds 1..3").refused(&words);
    let text = format!(
        "benchmark = \"{name}\"\nlock = \"lock.json\"\nseeds = \"2\"\n\
         [[method]]\nid = \"nearest-mean\"\n"
    );
    sandbox.write("plan.toml", text);
    sandbox.line("compare plan.toml --out out").refused(&words);
    assert_eq!(RunResult::all_below(&sandbox.path("work/out")).len(), 1, "a run was started");
    let other = sandbox.line("run nearest-mean --out out --lock lock.json");
    other.refused(&["`split-digits` with seed 0 is not locked", "number of experiences: 9 and 5"]);
    sandbox.write("broken.json", "{}");
    let broken = sandbox.line("run nearest-mean --lock broken.json");
    broken.refused(&["broken.json", "expected a lock", "make it again"]);
    sandbox.line("run nearest-mean --lock no.json").refused(&["cannot read no.json"]);
}

#[test]
fn a_plan_is_not_carried_out_on_another_stream() {
    let sandbox = Sandbox::new();
    sandbox.line("run nearest-mean --epochs 1 --out out").expect(0);
    let run = RunResult::only_below(&sandbox.path("work/out"));
    let mut plan = run.plan;
    plan.stream.sha256 = "0".repeat(64);
    // In a folder whose name does not tell of which plan it was made.
    let folder = sandbox.path("work/other");
    std::fs::create_dir(&folder).expect("it is new");
    std::fs::write(folder.join("plan.json"), plan.to_json()).expect("writable");
    let folder = folder.display().to_string();
    let beside = built().perdura().with_file_name(&plan.plugin.file).display().to_string();
    let words = ["execute", &folder, "--plugin", &beside, "--isolation", "process"];
    // The command wants to be started by the host that waits for it.
    let host = std::process::id().to_string();
    let answer = sandbox.perdura_with(&words, &[("PERDURA_HOST_PID", host.as_ref())]);
    answer.refused(&["not the one that was planned", "plan the run again"]);
}

#[test]
fn differences_between_streams_are_printed() {
    let sandbox = Sandbox::new();
    sandbox.line("benchmarks lock split-digits --out plain.json").expect(0);
    sandbox.line("benchmarks lock split-digits --validation 0.1 --out held.json").expect(0);
    let equal = sandbox.line("benchmarks diff split-digits plain.json").expect(0);
    assert!(equal.out.starts_with("equal: "), "{}", equal.out);
    let differ = sandbox.line("benchmarks diff plain.json held.json").expect(1).out;
    assert!(differ.contains("seed 0: experience 5: held-out samples: 0 ("), "{differ}");
    let differ = sandbox.line("benchmarks diff split-digits digits-360").expect(1).out;
    assert!(differ.contains("number of experiences: 5 and 1"), "{differ}");
    sandbox.line("benchmarks lock digits-360 --seeds 0,3 --out two.json").expect(0);
    sandbox.line("benchmarks diff two.json digits-360").expect(0);
    sandbox.line("benchmarks lock digits-360 --seeds 3,4 --out other.json").expect(0);
    let differ = sandbox.line("benchmarks diff two.json other.json").expect(1).out;
    assert_eq!(differ, "seed 0: only in two.json\nseed 4: only in other.json\n");
    let unknown = sandbox.line("benchmarks diff split-digit plain.json");
    unknown.refused(&["`split-digit`", "did you mean `split-digits`"]);
}
