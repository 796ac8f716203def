//! Learners that try to score by peeking score at chance. Every way is also shown to work where it is not
//! prevented, or the tests would prove nothing: what works in which tier is what `THREATS.md` says.

use perdura::score::order_key;
use perdura::stream::{StreamOptions, build};
use perdura_tests::{RunResult, Sandbox, built};
use std::io::Write;
use std::path::PathBuf;

/// One of ten classes on 450 test samples: 10 % with a standard deviation of 1.4; this is four of them away.
const CHANCE_MAX: f64 = 0.16;
/// Nearest-mean on the digits has 0.86 at its end, and 0.9 averaged over its rows.
const CHEATED_MIN: f64 = 0.6;

const TIERS: [&str; 3] = ["in-process", "process", "sandbox"];

/// A run of the cheater: its last accuracy over all classes, without and with the experience told.
fn scores(tier: &str, how: &str, with: &str) -> (f64, f64) {
    let sandbox = Sandbox::new();
    let cheater = built().zoo("cheater");
    let (plugin, how) = (cheater.display().to_string(), format!("how=\"{how}\""));
    let with = format!("with={}", serde_json::to_string(with).expect("a string"));
    let words = ["run", "zoo/cheater", "--plugin", &plugin, "--set", &how, "--set", &with];
    let rest = ["--epochs", "1", "--isolation", tier, "--out", "out", "--seed", "2"];
    sandbox.perdura(&[&words[..], &rest[..]].concat()).expect(0);
    let run = RunResult::only_below(&sandbox.path("work/out"));
    let scenarios = &run.summary.views[0].scenarios;
    let last = |name: &str| {
        let scores = scenarios.iter().find(|s| s.scenario == name).expect("the scenario is scored");
        scores.metrics.average_accuracy.expect("all experiences were scored")
    };
    (last("class-il"), last("task-il"))
}

/// Asserts in which tiers a way of cheating works; in all others it scores at chance.
#[track_caller]
fn works_only_in(tiers: &[&str], how: &str, with: &str) {
    for tier in TIERS {
        let (class_il, task_il) = scores(tier, how, with);
        println!("{how} in {tier}: {class_il:.3}, {task_il:.3}");
        match tiers.contains(&tier) {
            true => assert!(class_il > CHEATED_MIN, "{how} in {tier} does not work: {class_il}"),
            false => {
                assert!(class_il < CHANCE_MAX, "{how} in {tier}: {class_il}");
                // A choice of two.
                assert!((task_il - 0.5).abs() < 0.15, "{how} in {tier}: {task_il}");
            }
        }
    }
}

/// Whether a process may look into another one of its user at all on this machine.
fn tracing_is_restricted() -> bool {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    let restricted = scope.is_ok_and(|scope| scope.trim() != "0");
    if restricted {
        eprintln!("note: this system keeps processes from tracing their parents, in every tier");
    }
    restricted
}

/// The digits as they are compiled into the host: a data file like any other.
fn digits() -> PathBuf {
    let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    workspace.join("host/src/data/digits/digits.csv.gz")
}

#[test]
fn without_cheating_it_guesses() {
    works_only_in(&[], "none", "");
}

#[test]
fn own_memory_holds_no_labels() {
    // The host's program has the digits in it, and a worker is the same program.
    works_only_in(&["in-process"], "own-memory", "");
}

#[test]
fn data_files_cannot_be_opened_in_the_sandbox() {
    works_only_in(&["in-process", "process"], "file", digits().to_str().expect("UTF-8"));
    let host = built().perdura();
    works_only_in(&["in-process", "process"], "file", host.to_str().expect("UTF-8"));
    works_only_in(&["in-process", "process"], "own-program", "");
}

#[test]
fn the_host_cannot_be_looked_into_from_the_sandbox() {
    // In process the parent is the command itself, which has the digits too.
    let tiers: &[&str] = if tracing_is_restricted() { &[] } else { &["in-process", "process"] };
    works_only_in(tiers, "memory-of-host", "");
    works_only_in(tiers, "trace-host", "");
}

#[test]
fn the_network_cannot_be_asked_from_the_sandbox() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let file = std::fs::read(digits()).expect("the digits");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // One that hangs up early has what it wanted.
            let _ = { stream }.write_all(&file);
        }
    });
    works_only_in(&["in-process", "process"], "network", &address);
}

#[test]
fn no_other_program_can_be_asked_from_the_sandbox() {
    works_only_in(&["in-process", "process"], "other-program", digits().to_str().expect("UTF-8"));
}

#[test]
fn the_order_of_test_samples_tells_nothing() {
    let benchmark = build("split-digits", None, &StreamOptions::default(), 2).expect("bundled");
    let of_experience = benchmark.experiences.iter().flat_map(|e| e.test.iter());
    let labels: String = of_experience.map(|&id| benchmark.label(false, id).to_string()).collect();
    assert_eq!(labels.len(), 450);
    works_only_in(&[], "order", &labels);
    // Nor does the order of the file.
    let in_file: String = (0..450).map(|id| benchmark.label(false, id).to_string()).collect();
    assert_ne!(in_file, labels);
    works_only_in(&[], "order", &in_file);
}

#[test]
fn a_seed_found_by_trying_does_not_tell_the_order() {
    let benchmark = build("split-digits", None, &StreamOptions::default(), 2).expect("bundled");
    let sizes: Vec<_> = benchmark.experiences.iter().map(|e| e.test.len().to_string()).collect();
    let ids = benchmark.experiences.iter().flat_map(|e| e.test.iter());
    let key = order_key(ids.map(|&id| benchmark.label(false, id)));
    works_only_in(&[], "seed", &format!("{};0", sizes.join(",")));
    // With the key, which takes the labels to make, it works: half of the time it guesses one of two right.
    let (class_il, _) = scores("process", "seed", &format!("{};{key}", sizes.join(",")));
    assert!(class_il > 0.4, "{class_il}");
}

#[test]
fn time_tells_nothing() {
    works_only_in(&[], "timing", "");
}

#[test]
fn what_predict_saw_does_not_reach_training() {
    works_only_in(&["in-process"], "remember-variable", "");
    // In process the output is a pipe, which has no size to look at.
    works_only_in(&["process"], "remember-log", "");
    // A file of its own for every tier, or the second would find that of the first.
    let folder = tempfile::tempdir().expect("a folder");
    for (tier, works) in [("process", true), ("sandbox", false)] {
        let file = folder.path().join(tier);
        let (class_il, _) = scores(tier, "remember-file", file.to_str().expect("UTF-8"));
        println!("remember-file in {tier}: {class_il}");
        assert_eq!(class_il > CHEATED_MIN, works, "{class_il}");
        assert_eq!(class_il < CHANCE_MAX, !works, "{class_il}");
    }
}
