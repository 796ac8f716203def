//! Whatever a plugin does, it becomes a recorded outcome of its own run: other runs go on and give the same
//! bytes as alone, and nothing of it is left running.

use perdura::run::{Fault, FaultCode, Outcome, Resources};
use perdura_tests::{Answer, RunResult, Sandbox, built};
use std::collections::BTreeMap;

/// A faulty run: which call, how, and which of the calls of that name.
type Case = (&'static str, &'static str, u64);

/// Runs nearest-mean beside faulty learners and checks everything that does not depend on the fault.
/// Returns the faulty runs by (call, how).
struct Comparison {
    sandbox: Sandbox,
    answer: Answer,
}

impl Comparison {
    fn of(cases: &[Case], words: &str) -> Comparison {
        let sandbox = Sandbox::new();
        let mut plan = "benchmark = \"split-digits\"\nseeds = \"1\"\nepochs = 1\n\
                        [[method]]\nid = \"nearest-mean\"\n"
            .to_owned();
        for (call, how, at) in cases {
            plan += &format!(
                "[[method]]\nid = \"zoo/faulty\"\n\
                 set = {{ call = \"{call}\", how = \"{how}\", at = {at} }}\n"
            );
        }
        sandbox.write("plan.toml", plan);
        let faulty = built().zoo("faulty");
        let line = format!(
            "compare plan.toml --plugin {} --out out --format json {words}",
            faulty.display()
        );
        let answer = sandbox.line(&line);
        Comparison { sandbox, answer }
    }

    fn runs(&self) -> (RunResult, BTreeMap<(String, String), RunResult>) {
        let mut runs = RunResult::all_below(&self.sandbox.path("work/out"));
        let good = runs.iter().position(|run| run.plan.method == "examples/nearest-mean");
        let good = runs.remove(good.expect("the good run has a folder"));
        let word =
            |run: &RunResult, key: &str| run.plan.config[key].as_str().expect("a name").to_owned();
        let faulty = runs.into_iter().map(|r| ((word(&r, "call"), word(&r, "how")), r)).collect();
        (good, faulty)
    }

    /// The good run is as if it were alone, and nothing is left running.
    #[track_caller]
    fn spares_the_others(&self) {
        let (good, _) = self.runs();
        assert_eq!(good.summary.outcome, Outcome::Finished);
        let alone = Sandbox::new();
        alone.line("run nearest-mean --seed 1 --epochs 1 --out out").expect(0);
        let alone = RunResult::only_below(&alone.path("work/out"));
        assert_eq!(good.determined, alone.determined);
        assert_eq!(self.sandbox.processes(), [""; 0], "left running");
        let row = &self.answer.json()["rows"][0];
        assert_eq!((&row["n"], &row["failed"]), (&1.into(), &0.into()), "{row}");
    }
}

/// All of `cases` fail as `expected` says.
#[track_caller]
fn all_fail(cases: &[Case], words: &str, expected: impl Fn(&Case, &Fault)) {
    let comparison = Comparison::of(cases, words);
    let answer = &comparison.answer;
    assert_eq!(answer.code, Some(1), "{}\n{}", answer.out, answer.err);
    comparison.spares_the_others();
    let rows = answer.json()["rows"].as_array().expect("rows").clone();
    let faulty = rows.iter().find(|row| row["method"] == "zoo/faulty").expect("a failed row");
    assert_eq!((&faulty["n"], &faulty["failed"]), (&0.into(), &cases.len().into()), "{faulty}");
    let (_, runs) = comparison.runs();
    assert_eq!(runs.len(), cases.len());
    for case in cases {
        let fault = runs[&(case.0.into(), case.1.into())].fault();
        println!("{case:?}: {fault:?}");
        expected(case, fault);
    }
}

/// What a fault of this way looks like in a process of the learner's own.
fn looks_like(how: &str, fault: &Fault) {
    let last_words = || fault.last_log.iter().any(|line| line.contains("zoo: last words"));
    let (code, signal, exit_code) = match how {
        "panic" => (FaultCode::Panic, None, None),
        "error" => (FaultCode::Error, None, None),
        "exit" => (FaultCode::Exit, None, Some(3)),
        "segfault" => (FaultCode::Signal, Some(11), None),
        "abort" | "orphan" => (FaultCode::Signal, Some(6), None),
        "hang" => (FaultCode::Timeout, None, None),
        // Which signal it is, is the system's.
        _ => (FaultCode::Signal, fault.signal, None),
    };
    assert_eq!((fault.code, fault.signal, fault.exit_code), (code, signal, exit_code), "{fault:?}");
    match how {
        "panic" => {
            assert_eq!((&*fault.kind, &*fault.message), ("panicked", "zoo: panic as asked"));
            let location = fault.location.as_deref().unwrap_or_default();
            assert!(location.contains("zoo/faulty.rs:"), "{fault:?}");
        }
        "error" => {
            assert_eq!(
                (&*fault.kind, &*fault.message),
                ("returned an error", "zoo: error as asked")
            )
        }
        "exit" => {
            assert_eq!(fault.kind, "left with exit code 3");
            assert!(last_words(), "{fault:?}");
        }
        "segfault" => {
            assert_eq!(fault.kind, "was ended by SIGSEGV (signal 11)");
            assert!(last_words(), "{fault:?}");
        }
        "abort" | "orphan" => {
            assert_eq!(fault.kind, "was ended by SIGABRT (signal 6)");
            assert!(last_words(), "{fault:?}");
        }
        "stack_overflow" => {
            assert!(fault.kind.starts_with("was ended by SIG"), "{fault:?}");
            assert!(last_words(), "{fault:?}");
        }
        "hang" => assert_eq!(fault.kind, "gave no answer within 2 s"),
        other => panic!("no expectation for {other}"),
    }
}

fn every_way(call: &'static str, at: u64) -> Vec<Case> {
    ["panic", "error", "exit", "segfault"].map(|how| (call, how, at)).into()
}

#[test]
fn in_observe() {
    let mut cases = every_way("observe", 40);
    cases.extend(["abort", "stack_overflow"].map(|how| ("observe", how, 40)));
    let expected = |(call, how, at): &Case, fault: &Fault| {
        looks_like(how, fault);
        assert_eq!((&*fault.call, fault.step), (*call, Some(*at)));
    };
    all_fail(&cases, "--require-sandbox", expected);
    cases.push(("observe", "orphan", 40));
    all_fail(&cases, "--isolation process", expected);
    // In the sandbox there is no process to leave behind.
    all_fail(&[("observe", "orphan", 40)], "--require-sandbox", |_, fault| {
        assert_eq!(fault.kind, "returned an error");
        assert!(fault.message.contains("Operation not permitted"), "{fault:?}");
    });
}

#[test]
fn at_boundaries() {
    let mut cases = every_way("begin_experience", 1);
    cases.extend(every_way("end_experience", 1));
    cases.extend(every_way("end_of_stream", 0));
    all_fail(&cases, "", |(call, how, _), fault| {
        looks_like(how, fault);
        assert_eq!((&*fault.call, fault.step), (*call, None));
    });
}

#[test]
fn in_save_load_and_predict() {
    let mut cases = every_way("save", 2);
    cases.extend(every_way("load", 0));
    cases.extend(every_way("predict", 0));
    all_fail(&cases, "", |(call, how, _), fault| {
        looks_like(how, fault);
        assert_eq!(fault.call, *call);
    });
}

/// What the learner passed in the try-out before the run it may still refuse in the run.
#[test]
fn in_create_of_the_run() {
    let cases = every_way("create", 1);
    all_fail(&cases, "", |(_, how, _), fault| {
        looks_like(how, fault);
        assert_eq!(fault.call, "create");
    });
    // `declare` cannot return an error; the learner is asked for its declaration while it is created.
    let cases = ["panic", "exit", "segfault"].map(|how| ("declare", how, 1));
    all_fail(&cases, "", |(_, how, _), fault| {
        looks_like(how, fault);
        assert_eq!(fault.call, "create");
    });
}

#[test]
fn in_resources() {
    let cases = ["panic", "exit", "segfault"].map(|how| ("resources", how, 0));
    all_fail(&cases, "", |(_, how, _), fault| {
        looks_like(how, fault);
        assert_eq!(fault.call, "resources");
    });
}

/// Waits for all at the same time: each takes its deadline and two seconds of grace.
#[test]
fn hanging_in_any_call() {
    let calls = [
        ("declare", 1),
        ("create", 1),
        ("begin_experience", 1),
        ("observe", 40),
        ("end_experience", 0),
        ("end_of_stream", 0),
        ("save", 1),
        ("load", 0),
        ("predict", 0),
        ("resources", 0),
    ];
    let cases = calls.map(|(call, at)| (call, "hang", at));
    let words = "--jobs 10 --step-deadline 2 --boundary-deadline 2";
    all_fail(&cases, words, |(call, how, _), fault| {
        looks_like(how, fault);
        // The declaration is asked for while the learner is created.
        assert_eq!(fault.call, if *call == "declare" { "create" } else { call });
    });
}

#[test]
fn answers_that_make_no_sense() {
    let cases = [
        ("observe", "nan", 40),
        ("observe", "undeclared_scalar", 40),
        ("observe", "undeclared_column", 40),
        ("observe", "odd_part", 40),
        ("observe", "placements_without_memory", 40),
        ("predict", "nan", 0),
        ("predict", "not_open", 0),
        ("predict", "wrong_length", 0),
    ];
    all_fail(&cases, "", |(call, how, _), fault| {
        assert_eq!(fault.call, *call);
        let (kind, message) = match *how {
            "nan" if *call == "observe" => ("report", "scalar `seen` is not a finite number"),
            "nan" => ("answer", "view `main`: its largest logit is not a finite number"),
            "undeclared_scalar" => ("report", "scalar `loss` was not declared"),
            "odd_part" => ("report", "a part of the step is called `Forward pass`, expected 1 to"),
            "undeclared_column" => ("report", "column `logits` was not declared"),
            "placements_without_memory" => ("report", "memory"),
            "not_open" => ("answer", "view `main`: it is not open"),
            _ => ("panicked", "copy_from_slice"),
        };
        assert_eq!(fault.kind, kind, "{how}");
        let code = match *how {
            "nan" => FaultCode::NotFinite,
            "wrong_length" => FaultCode::Panic,
            _ if *call == "observe" => FaultCode::Report,
            _ => FaultCode::Answer,
        };
        assert_eq!(fault.code, code, "{how}");
        assert!(fault.message.contains(message), "{how}: {fault:?}");
    });
}

/// Where it panicked, what it said before and what it held is kept with the run, and told by a comparison.
#[test]
fn a_fault_leaves_its_traces() {
    let ways = ["panic", "hang", "segfault", "error"];
    for tier in ["sandbox", "process"] {
        let cases = ways.map(|how| ("observe", how, 40));
        let words = format!("--isolation {tier} --step-deadline 1 --jobs 4");
        let comparison = Comparison::of(&cases, &words);
        let (_, runs) = comparison.runs();
        let resources = |how: &str| -> Resources {
            let folder = &runs[&("observe".into(), how.into())].folder;
            let text = std::fs::read_to_string(folder.join("resources.json")).expect("it is there");
            serde_json::from_str(&text).expect("resources")
        };
        for how in ways {
            let traces = resources(how).fault.expect("it failed");
            println!("{tier} {how}: {traces:?}");
            // A process that ends by itself takes this with it, unless it had more than its host.
            if how != "segfault" {
                assert!(traces.peak_memory_bytes.expect("it was alive") > 1 << 20, "{traces:?}");
            }
            let frames = traces.backtrace.iter();
            let in_plugin = frames.filter(|frame| frame.contains("zoo_faulty")).count();
            assert_eq!(in_plugin > 0, how == "panic", "{traces:?}");
        }
        let said = |how: &str| runs[&("observe".into(), how.into())].fault().last_log.clone();
        for how in ways {
            assert_eq!(
                said(how).last().expect("its last words"),
                &format!("zoo: last words before {how}")
            );
        }
        let document = comparison.answer.json();
        let failures = document["failures"].as_array().expect("a list");
        let told = |key: &str| failures.iter().map(|f| f["fault"][key].clone()).collect::<Vec<_>>();
        assert_eq!(told("code"), ["panic", "timeout", "signal", "error"]);
        assert_eq!(told("signal")[2], 11);
        assert!(failures[0]["traces"]["backtrace"].as_array().is_some_and(|f| !f.is_empty()));
    }
}

/// A run that took all the memory it was given says how much that was.
#[test]
fn memory_beyond_the_limit_is_told_with_its_amount() {
    let sandbox = Sandbox::new();
    let faulty = built().zoo("faulty").display().to_string();
    let line = format!(
        "run zoo/faulty --plugin {faulty} --set call=observe --set how=hoard --set at=3 --epochs 1 \
         --memory-limit 1GiB --out out"
    );
    sandbox.line(&line).expect(1);
    let run = RunResult::only_below(&sandbox.path("work/out"));
    assert_eq!((run.fault().code, run.fault().signal), (FaultCode::Signal, Some(6)));
    let text = std::fs::read_to_string(run.folder.join("resources.json")).expect("it is there");
    let resources: Resources = serde_json::from_str(&text).expect("resources");
    let peak = resources.fault.expect("it failed").peak_memory_bytes.expect("more than the host");
    assert!((300 << 20..=1 << 30).contains(&peak), "{peak}");
}

/// What was measured before a fault is kept.
#[test]
fn results_before_the_fault_are_kept() {
    let comparison = Comparison::of(&[("save", "segfault", 3)], "");
    let (_, mut runs) = comparison.runs();
    let run = runs.remove(&("save".into(), "segfault".into())).expect("it has a folder");
    let class_il = &run.summary.views[0].scenarios[0];
    assert_eq!((class_il.initial.len(), class_il.matrix.len()), (5, 2), "{class_il:?}");
    assert!(run.summary.steps > 0);
    let moments: Vec<String> = run.predictions("main").into_keys().collect();
    assert_eq!(moments, ["after-0", "after-1", "after-initial"]);
}

/// A destructor has no part in the outcome, and what a learner prints does not disturb the host.
#[test]
fn harmless_misbehaviour_changes_nothing() {
    let mut cases: Vec<Case> = ["panic", "exit", "segfault"].map(|how| ("drop", how, 0)).into();
    cases.extend(["observe", "predict", "save", "create"].map(|call| (call, "print", 0)));
    cases.push(("none", "none", 0));
    let comparison = Comparison::of(&cases, "");
    assert_eq!(comparison.answer.code, Some(0), "{}", comparison.answer.err);
    comparison.spares_the_others();
    let (_, runs) = comparison.runs();
    let well = runs[&("none".into(), "none".into())].determined.clone();
    assert!(runs.values().all(|run| run.determined == well));
}

/// In the run's own process there is no guard against a crash; the run is lost, the others are not.
#[test]
fn in_process() {
    let calls = ["observe", "begin_experience", "save", "load", "predict", "resources"];
    let mut cases: Vec<Case> = calls.map(|call| (call, "panic", 0)).into();
    cases.extend(["segfault", "exit", "abort"].map(|how| ("observe", how, 40)));
    all_fail(&cases, "--isolation in-process", |(call, how, _), fault| match *how {
        "panic" => {
            looks_like(how, fault);
            assert_eq!(fault.call, *call);
        }
        _ => {
            let (signal, exit_code) = match *how {
                "segfault" => (Some(11), None),
                "abort" => (Some(6), None),
                _ => (None, Some(3)),
            };
            assert_eq!((fault.signal, fault.exit_code), (signal, exit_code), "{fault:?}");
            let how = match *how {
                "segfault" => "was ended by signal 11",
                "abort" => "was ended by signal 6",
                _ => "left with exit code 3",
            };
            assert_eq!(fault.kind, format!("the process of the run {how}"));
            let last_words = fault.last_log.iter().any(|line| line.contains("zoo: last words"));
            assert!(last_words, "{fault:?}");
        }
    });
    let harmless = Comparison::of(&[("observe", "print", 3)], "--isolation in-process");
    assert_eq!(harmless.answer.code, Some(0), "{}", harmless.answer.err);
    harmless.spares_the_others();
}

/// What goes wrong before anything is planned is refused, and nothing is written.
#[test]
fn before_a_run() {
    let sandbox = Sandbox::new();
    let faulty = built().zoo("faulty").display().to_string();
    for (how, word) in [
        ("panic", "zoo: panic as asked"),
        ("error", "zoo: error as asked"),
        ("exit", "left with exit code 3"),
        ("segfault", "SIGSEGV"),
        ("hang", "gave no answer within 2 s"),
    ] {
        let (call, how) = ("call=create", format!("how={how}"));
        let words = ["run", "zoo/faulty", "--plugin", &faulty, "--set", call, "--set", &how];
        let words = [&words[..], &["--boundary-deadline", "2"]].concat();
        let answer = sandbox.perdura(&words).expect(2);
        assert!(answer.err.contains("zoo/faulty cannot be created"), "{}", answer.err);
        assert!(answer.err.contains(word), "{}", answer.err);
    }
    for (how, word) in
        [("panic", "zoo: panic as asked"), ("exit", "exit code 3"), ("segfault", "SIGSEGV")]
    {
        let fresh = Sandbox::new();
        let words = ["run", "zoo/faulty", "--plugin", &faulty];
        let answer = fresh.perdura_with(&words, &[("ZOO_DESCRIBE", how.as_ref())]).expect(2);
        assert!(answer.err.contains("could not describe itself"), "{}", answer.err);
        assert!(answer.err.contains(word) && answer.err.contains(&faulty), "{}", answer.err);
        assert_eq!(fresh.processes(), [""; 0]);
        assert!(!fresh.path("work/perdura-runs").exists());
    }
    assert!(!sandbox.path("work/perdura-runs").exists());
    assert_eq!(sandbox.processes(), [""; 0]);
}

/// Batches of one: DualNet's self-supervised loss needs two samples and says so, in a row of its own; the method
/// beside it learns from them what it learns alone.
#[test]
fn a_method_that_needs_two_samples_fails_alone_on_batches_of_one() {
    let stream = "--benchmark split-digits --memory 100 --epochs 1 --batch 1 --preset none";
    let sandbox = Sandbox::new();
    let answer = sandbox
        .line(&format!("compare --methods sgd,dualnet --seeds 1 {stream} --out out --format json"));
    assert_eq!(answer.code, Some(1), "{}\n{}", answer.out, answer.err);
    let document = answer.json();
    let row = |method: &str| {
        let rows = document["rows"].as_array().expect("rows");
        let row = rows.iter().find(|row| row["method"] == method).expect("a row");
        (row["n"].as_u64(), row["failed"].as_u64())
    };
    assert_eq!(row("perdura/sgd"), (Some(1), Some(0)));
    assert_eq!(row("perdura/dualnet"), (Some(0), Some(1)));
    let runs = RunResult::all_below(&sandbox.path("work/out"));
    let of = |method: &str| runs.iter().find(|run| run.plan.method == method).expect("a folder");
    let fault = of("perdura/dualnet").fault();
    assert_eq!((fault.call.as_str(), fault.step), ("observe", Some(0)));
    assert!(fault.message.contains("expected at least 2 samples, found 1"), "{}", fault.message);
    let alone = Sandbox::new();
    alone.line(&format!("run sgd --seed 1 {stream} --out out")).expect(0);
    let alone = RunResult::only_below(&alone.path("work/out"));
    assert_eq!(of("perdura/sgd").determined, alone.determined);
}
