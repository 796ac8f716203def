//! A learner in Python, written against the worker protocol alone, is trained, scored and compared like every
//! other, and its tier is told.

use perdura_tests::{Answer, RunResult, Sandbox};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The worker file; `None`, said aloud, where there is no Python.
fn worker_file() -> Option<PathBuf> {
    let version = Command::new("python3").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: there is no python3");
        return None;
    }
    Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("python/nearest_mean.toml"))
}

#[test]
fn python_learns_and_is_scored_as_its_model_in_rust() {
    let Some(file) = worker_file() else { return };
    let sandbox = Sandbox::new();
    let line = format!(
        "compare --methods nearest-mean,python/nearest-mean --plugin {} --epochs 1 --seeds 3 --out out",
        file.display()
    );
    // The short name belongs to two labs here.
    let line = line.replace("--methods nearest-mean", "--methods examples/nearest-mean");
    let answer = sandbox.line(&line).expect(0);
    assert!(answer.out.contains("python/nearest-mean †"), "{}", answer.out);
    assert!(answer.out.contains("†: ran outside the sandbox (tier process)"), "{}", answer.out);
    let runs = RunResult::all_below(&sandbox.path("work/out"));
    let accuracy = |method: &str| {
        let run = runs.iter().find(|run| run.plan.method == method).expect("it has a folder");
        assert_eq!(run.summary.outcome, perdura::run::Outcome::Finished);
        let scenarios = run.summary.views[0].scenarios.iter();
        scenarios.map(|s| s.metrics.average_accuracy.expect("scored")).collect::<Vec<_>>()
    };
    let (rust, python) = (accuracy("examples/nearest-mean"), accuracy("python/nearest-mean"));
    println!("rust {rust:?}, python {python:?}");
    assert!(rust[0] > 0.8 && rust.len() == python.len());
    // One computes with 32 bits and the other with 64: a sample in a hundred may fall to the other side.
    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 0.01;
    assert!(rust.iter().zip(&python).all(near), "{rust:?} {python:?}");
    let plan = &runs.iter().find(|r| r.plan.method.starts_with("python")).expect("found").plan;
    assert_eq!(plan.plugin.abi, "worker protocol 1");
}

#[test]
fn what_it_cannot_do_is_refused_before_anything_is_written() {
    let Some(file) = worker_file() else { return };
    let sandbox = Sandbox::new();
    let line = format!("run python/nearest-mean --plugin {} --out out", file.display());
    let words = ["python/nearest-mean is a program of its own", "--isolation process"];
    sandbox.line(&format!("{line} --require-sandbox")).refused(&words);
    sandbox.line(&format!("{line} --isolation in-process")).refused(&words);
    assert!(!sandbox.path("work/out").exists());
    let info = sandbox.line(&format!("plugins info {}", file.display())).expect(0);
    assert!(info.out.contains("python/nearest-mean 0.1.0: Answers with"), "{}", info.out);
}

/// The learner with one piece of its text replaced.
fn with_a_mistake(sandbox: &Sandbox, file: &Path, right: &str, wrong: &str) -> PathBuf {
    let script =
        std::fs::read_to_string(file.with_file_name("nearest_mean.py")).expect("it is there");
    assert!(script.contains(right), "{right}");
    sandbox.write("nearest_mean.py", script.replace(right, wrong));
    sandbox.write("learner.toml", std::fs::read(file).expect("it is there"))
}

#[test]
fn a_mistake_in_python_is_an_outcome() {
    let Some(file) = worker_file() else { return };
    let sandbox = Sandbox::new();
    let (right, wrong) = ("self.counts[label] += 1", "self.counts[99] += 1");
    let file = with_a_mistake(&sandbox, &file, right, wrong);
    let line = format!("run python/nearest-mean --plugin {} --epochs 1 --out out", file.display());
    sandbox.line(&line).expect(1);
    let run = RunResult::only_below(&sandbox.path("work/out"));
    let fault = run.fault();
    assert_eq!((&*fault.kind, &*fault.call), ("returned an error", "observe"));
    assert_eq!(fault.message, "IndexError: list index out of range");
}

/// Checks that ended so, with their causes.
fn entries(answer: &Answer, kinds: &[&str]) -> Vec<(String, String)> {
    let report = answer.json();
    let checks = report["checks"].as_array().expect("a list").iter();
    let of_kind = checks.filter(|check| kinds.iter().any(|kind| check["kind"] == *kind));
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    of_kind.map(|check| (text(&check["check"]), text(&check["cause"]))).collect()
}

#[test]
fn it_is_held_to_the_same_checks() {
    let Some(file) = worker_file() else { return };
    let sandbox = Sandbox::new();
    let line = format!("plugins check {} --level strict --format json", file.display());
    let answer = sandbox.line(&line).expect(0);
    assert_eq!(answer.json()["tier"], "process");
    assert_eq!(answer.json()["checks"].as_array().map(Vec::len), Some(perdura::check::all().len()));
    assert_eq!(entries(&answer, &["fail", "crash", "timeout", "warning"]), []);
    // What takes a library, and what has no object.
    let skipped = entries(&answer, &["skipped"]);
    let names: Vec<&str> = skipped.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["presets", "empty-draws", "drop"], "{skipped:?}");
    assert_eq!(skipped[2].1, "no process of the host drops the learner of a program");
    let words = ["python/nearest-mean is a program of its own", "--isolation process"];
    sandbox.line(&format!("{line} --require-sandbox")).refused(&words);
    assert_eq!(sandbox.processes(), [""; 0]);
}

#[test]
fn a_mistake_in_python_is_caught_by_its_check_alone() {
    let Some(file) = worker_file() else { return };
    let animals = [
        ("dumps([self.sums, self.counts])", "dumps([self.sums, [0] * self.classes])", "save-load"),
        ("if unknown:", "if False:", "wrong-keys"),
        ("if operation > LOAD:", "if False:", "bad-messages"),
        (
            "self.counts = [0] * self.classes",
            "self.counts = [os.getpid()] * self.classes",
            "same-seed",
        ),
        ("counts[label] += 1", "counts[label] += 1; print(\"x\" * 999)", "quiet"),
    ];
    for (right, wrong, name) in animals {
        let sandbox = Sandbox::new();
        let file = with_a_mistake(&sandbox, &file, right, wrong);
        let line = format!("plugins check {} --level strict --format json", file.display());
        let answer = sandbox.line(&line).expect(1);
        let broken = entries(&answer, &["fail", "crash", "timeout"]);
        let names: Vec<&str> = broken.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [name], "{broken:?}");
        let folder = sandbox.path("work/perdura-checks");
        assert!(folder.is_dir() && sandbox.processes().is_empty());
    }
}
