//! A plugin that was really built with `panic = "abort"`: its file says so, its check warns of it, and its panic,
//! which nothing can catch, ends its own worker alone.

use perdura::run::{FaultCode, Resources};
use perdura_tests::{Answer, RunResult, Sandbox};
use serde_json::Value;
use std::path::PathBuf;

use super::journey::{build, no_way_to_build};

/// The blank template, which panics in its fourth step. `None`, said aloud, where nothing can be built.
fn aborting(sandbox: &Sandbox) -> Option<PathBuf> {
    sandbox.line("plugins new zoo/aborts --path crate").expect(0);
    let folder = sandbox.path("work/crate");
    let edit = |name: &str, change: &dyn Fn(String) -> String| {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).expect("it was written");
        std::fs::write(path, change(text)).expect("it can be written");
    };
    // Without optimisation: what it depends on is compiled for this test alone.
    edit("Cargo.toml", &|text| text + "\n[profile.release]\npanic = \"abort\"\nopt-level = 0\n");
    edit("src/lib.rs", &|text| {
        let step = "for &label in step.current.labels() {";
        assert!(text.contains(step), "{text}");
        let panic = "assert!(self.counts.iter().sum::<f32>() < 24.0, \"zoo: panic as asked\");";
        text.replace(step, &format!("{panic}\n        {step}"))
    });
    let answer = build(sandbox, &folder);
    if let Some(reason) = no_way_to_build(&answer).filter(|_| answer.code != Some(0)) {
        eprintln!("SKIPPED building zoo/aborts: {reason}");
        return None;
    }
    answer.expect(0);
    Some(folder)
}

fn entry(answer: &Answer, name: &str) -> Value {
    let report = answer.json();
    let checks = report["checks"].as_array().expect("a list");
    checks.iter().find(|check| check["check"] == name).expect("it was carried out").clone()
}

#[test]
fn a_panic_that_aborts_is_told_and_ends_its_own_worker_alone() {
    let sandbox = Sandbox::new();
    let Some(_) = aborting(&sandbox) else { return };
    let info = sandbox.line("plugins info zoo/aborts").expect(0);
    assert!(info.out.contains("panic abort"), "{}", info.out);

    let answer = sandbox.line("plugins check zoo/aborts --level strict --format json").expect(1);
    let manifest = entry(&answer, "manifest");
    assert_eq!(manifest["kind"], "warning", "{manifest}");
    let cause = manifest["cause"].as_str().expect("a cause");
    assert!(cause.contains("panic = \"abort\""), "{cause}");
    let every_call = entry(&answer, "every-call");
    assert_eq!(every_call["kind"], "crash", "{every_call}");
    assert!(every_call["cause"].as_str().expect("a cause").contains("SIGABRT"), "{every_call}");
    let report = answer.json();
    let broken = |check: &&Value| ["fail", "crash", "timeout"].iter().any(|k| check["kind"] == *k);
    assert_eq!(report["checks"].as_array().expect("a list").iter().filter(broken).count(), 1);

    for tier in ["sandbox", "process"] {
        let methods = "compare --methods nearest-mean,zoo/aborts --seeds 1 --epochs 1";
        let line = format!("{methods} --isolation {tier} --out {tier} --format json");
        sandbox.line(&line).expect(1);
        let runs = RunResult::all_below(&sandbox.path("work").join(tier));
        let of = |method: &str| runs.iter().find(|run| run.plan.method == method).expect("a run");
        let fault = of("zoo/aborts").fault();
        assert_eq!((fault.code, fault.signal), (FaultCode::Signal, Some(6)), "{fault:?}");
        assert_eq!((fault.call.as_str(), fault.step), ("observe", Some(3)));
        let said = fault.last_log.iter().any(|line| line.contains("zoo: panic as asked"));
        assert!(said, "{fault:?}");
        let text = std::fs::read_to_string(of("zoo/aborts").folder.join("resources.json"));
        let resources: Resources = serde_json::from_str(&text.expect("there")).expect("resources");
        let frames = resources.fault.expect("it failed").backtrace;
        assert!(frames.iter().any(|frame| frame.contains("observe")), "{frames:?}");
        let alone = Sandbox::new();
        alone.line("run nearest-mean --seed 1 --epochs 1 --out out").expect(0);
        let alone = RunResult::only_below(&alone.path("work/out"));
        assert_eq!(of("examples/nearest-mean").determined, alone.determined);
        assert_eq!(sandbox.processes(), [""; 0]);
    }
}
