//! An author's journey, outside this repository and without a change to it: a new crate, a short
//! method, one command to build and install it, and a comparison with the shipped method of the
//! same equations.

use perdura_tests::{Answer, Sandbox, answer_of, built};
use std::path::{Path, PathBuf};

/// Lines of configuration, learner and trait; not of comments, imports, export and tests.
fn method_lines(source: &str) -> usize {
    let method = source.split("#[cfg(feature = \"export\")]").next().expect("a split has a part");
    let counts = |line: &&str| {
        let line = line.trim();
        !line.is_empty() && !["//", "#![", "use "].iter().any(|start| line.starts_with(start))
    };
    method.lines().filter(counts).count()
}

/// `perdura plugins build`. Burn and the other dependencies come from the folder these tests were
/// built into; what the crate itself makes stays out of it, because plugins are looked for there.
pub fn build(sandbox: &Sandbox, folder: &Path) -> Answer {
    let mut command = sandbox.command(built().perdura());
    command.args(["plugins".as_ref(), "build".as_ref(), folder]);
    command.env("CARGO_BUILD_BUILD_DIR", built().target());
    command.env("CARGO_TARGET_DIR", sandbox.path("target"));
    command.env("CARGO_NET_OFFLINE", "true");
    // The sandbox has a home of its own, but not its own toolchain and downloads.
    for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let in_home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(folder));
        if let Some(path) = std::env::var_os(name).map(PathBuf::from).or_else(in_home) {
            command.env(name, path);
        }
    }
    // What cargo sets for a test program must not look like settings of the build.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    answer_of(command)
}

/// Why a crate cannot be built on this machine, where that is no fault of it.
pub fn no_way_to_build(answer: &Answer) -> Option<&str> {
    let reasons = ["cargo cannot be started", "offline", "failed to download"];
    answer.err.lines().find(|line| reasons.iter().any(|reason| line.contains(reason)))
}

/// From a template to a comparison of `journey/<name>` with `perdura/<name>`.
fn journey(name: &str, lines_max: usize) {
    let sandbox = Sandbox::new();
    sandbox.line(&format!("plugins new journey/{name} --like {name} --path crate")).expect(0);
    let folder = sandbox.path("work/crate");
    let source = std::fs::read_to_string(folder.join("src/lib.rs")).expect("it was written");
    let lines = method_lines(&source);
    assert!(lines <= lines_max, "{name}: {lines} lines of method code");

    let answer = build(&sandbox, &folder);
    if let Some(reason) = no_way_to_build(&answer).filter(|_| answer.code != Some(0)) {
        eprintln!("SKIPPED building journey/{name}: {reason}");
        return;
    }
    assert!(!answer.err.contains("Compiling burn"), "built again:\n{}", answer.err);
    let answer = answer.expect(0);
    assert!(answer.out.contains(&format!("journey/{name} 0.1.0 installed")), "{}", answer.out);

    let settings = "--preset none --memory 100 --seeds 0..2 --epochs 1 --format json --out out";
    let methods = format!("journey/{name},perdura/{name}");
    let compared = sandbox.line(&format!("compare --methods {methods} {settings}")).expect(0);
    let document = compared.json();
    let rows = document["rows"].as_array().expect("rows");
    let accuracies: Vec<f64> = rows
        .iter()
        .filter(|row| row["scenario"] == "task-il" && row["n"] == 2)
        .map(|row| row["average_accuracy"]["mean"].as_f64().expect("both runs finished"))
        .collect();
    // The same equations on the same batches and draws.
    assert_eq!(accuracies.len(), 2, "{document:#}");
    assert!((accuracies[0] - accuracies[1]).abs() < 0.005, "{accuracies:?}");
    assert!(accuracies[0] > 0.6, "{accuracies:?}");
}

#[test]
fn from_er_to_a_comparison() {
    journey("er", 45);
}

#[test]
fn from_derpp_to_a_comparison() {
    journey("derpp", 60);
}
