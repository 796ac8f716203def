//! `perdura plugins check`: what we ship passes all of it, and every animal of the zoo is caught by the check
//! that is meant for it and by no other.

use perdura_tests::{Answer, RunResult, Sandbox, built, plugin_names};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Checks the animal that misbehaves so, in a call of its own where one is named.
fn check(sandbox: &Sandbox, how: &str, call: &str, words: &[&str], lie: &str) -> Answer {
    let bad = built().zoo("bad").display().to_string();
    let (how, call) = (format!("how={how}"), format!("call={call}"));
    let mut line = vec!["plugins", "check", &bad, "--level", "strict", "--format", "json"];
    if lie.is_empty() {
        line.extend(["--set", &how, "--set", &call]);
    }
    line.extend(words);
    sandbox.perdura_with(&line, &[("ZOO_LIES", OsStr::new(lie))])
}

/// Checks that found something broken, with the kind of finding.
fn broken(answer: &Answer) -> Vec<(String, String)> {
    let report = answer.json();
    let checks = report["checks"].as_array().expect("a list").iter();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let found = checks.map(|check| (text(check, "check"), text(check, "kind")));
    found.filter(|(_, kind)| ["fail", "crash", "timeout"].contains(&kind.as_str())).collect()
}

/// One animal: how it misbehaves, in which call, the check that catches it, and as what.
type Animal = (&'static str, &'static str, &'static str, &'static str);

/// Each is caught by its check alone, which leaves a folder that says what was called; nothing runs on.
#[track_caller]
fn caught(animals: &[Animal], words: &[&str]) {
    let sandbox = Sandbox::new();
    for (how, call, check_name, kind) in animals {
        let answer = check(&sandbox, how, call, words, "").expect(1);
        let expected = [(check_name.to_string(), kind.to_string())];
        assert_eq!(broken(&answer), expected, "{how} in {call}:\n{}", answer.out);
        left_behind(&sandbox, &answer, check_name);
        assert_eq!(sandbox.processes(), [""; 0], "{how} in {call} left a process");
    }
}

#[track_caller]
fn left_behind(sandbox: &Sandbox, answer: &Answer, name: &str) {
    let report = answer.json();
    let checks = report["checks"].as_array().expect("a list");
    let entry = checks.iter().find(|check| check["check"] == name).expect("it was carried out");
    for key in ["cause", "remedy"] {
        assert!(entry[key].as_str().is_some_and(|text| !text.is_empty()), "{entry}");
    }
    let folder = entry["folder"].as_str().expect("a failing check leaves a folder");
    let folder = sandbox.path("work").join(folder);
    assert!(folder.join("log.txt").is_file() && folder.join("calls.jsonl").is_file(), "{entry}");
}

/// Each at the top level, and within half a minute where the machine has nothing else to do.
#[test]
fn every_shipped_plugin_passes() {
    let sandbox = Sandbox::new();
    let names = plugin_names();
    assert!(names.len() >= 9, "{names:?}");
    for name in names.iter().map(String::as_str).chain(["nearest-mean"]) {
        let file = built().plugin(name).display().to_string();
        let line = ["plugins", "check", &file, "--level", "strict", "--format", "json"];
        let answer = sandbox.perdura(&line);
        assert_eq!((answer.code, broken(&answer)), (Some(0), vec![]), "{name}:\n{}", answer.out);
        let report = answer.json();
        println!("{name}: {:.1} s", report["seconds"].as_f64().expect("a number"));
        // Nothing is passed over but what has no object.
        let checks = report["checks"].as_array().expect("a list");
        assert_eq!(checks.len(), perdura::check::all().len());
        for check in checks.iter().filter(|check| check["kind"] == "skipped") {
            // A method all of whose views are told the task has nothing to ask about labels.
            let allowed = ["presets", "empty-draws", "task-labels"].map(Value::from);
            assert!(allowed.contains(&check["check"]), "{name}: {check}");
        }
    }
    assert!(!sandbox.path("work/perdura-checks").exists(), "something was left behind");
}

/// A learner of the zoo that is not told to misbehave is a good one: what is caught below is caught for
/// what it was told.
#[test]
fn a_tame_animal_passes_in_every_tier() {
    for tier in ["sandbox", "process"] {
        let sandbox = Sandbox::new();
        let answer = check(&sandbox, "none", "observe", &["--isolation", tier], "");
        assert_eq!((answer.code, broken(&answer)), (Some(0), vec![]), "{}", answer.out);
        assert_eq!(answer.json()["tier"], tier);
    }
}

/// What a learner could do to the machine it can do to the one that checks it: the workers of the checks are
/// confined like those of a run, and the process that drops a learner too.
#[test]
fn a_plugin_is_checked_in_the_sandbox() {
    let sandbox = Sandbox::new();
    for (call, check_name, kind) in [
        ("observe", "every-call", "crash"),
        ("create", "create", "crash"),
        ("drop", "drop", "fail"),
    ] {
        let found = |words: &[&str]| {
            let answer = check(&sandbox, "opens-files", call, words, "");
            (answer.json()["tier"].clone(), broken(&answer))
        };
        let caught = vec![(check_name.to_owned(), kind.to_owned())];
        assert_eq!(found(&[]), ("sandbox".into(), caught), "{call}");
        assert_eq!(found(&["--allow-read", "/etc/passwd"]), ("sandbox".into(), vec![]), "{call}");
        assert_eq!(found(&["--isolation", "process"]), ("process".into(), vec![]), "{call}");
    }
    let file = built().plugin("nearest-mean").display().to_string();
    let words = ["plugins", "check", &file, "--isolation", "in-process"];
    sandbox.perdura(&words).refused(&["--isolation in-process", "expected sandbox or process"]);
    // Where the system has no sandbox that is said, or refused.
    let perdura = built().perdura();
    let without = |words: &[&str]| {
        let line = [&["plugins", "check", &file, "--only", "create"], words].concat();
        let words = line.into_iter().map(PathBuf::from);
        let words = std::iter::once(perdura.clone()).chain(words);
        sandbox.program(&built().example("without_landlock"), &words.collect::<Vec<_>>())
    };
    let weaker = without(&[]).expect(0);
    assert!(weaker.out.contains("in the tier process"), "{}", weaker.out);
    assert!(weaker.err.contains("this system lacks landlock"), "{}", weaker.err);
    without(&["--require-sandbox"]).refused(&["--require-sandbox: this system lacks landlock"]);
}

/// A file that is not the trusted one of its id is not run, not even to be checked.
#[test]
fn a_plugin_that_is_not_the_trusted_one_is_not_checked() {
    let sandbox = Sandbox::new();
    let good = std::fs::read(built().zoo("twin_a")).expect("built");
    let file = sandbox.write("libmine.so", good).display().to_string();
    sandbox.line(&format!("plugins trust {file} --trust-lock mine.lock")).expect(0);
    let line = format!("plugins check {file} --only create --trust-lock mine.lock");
    sandbox.line(&line).expect(0);
    sandbox.write("libmine.so", std::fs::read(built().zoo("twin_b")).expect("built"));
    sandbox.line(&line).refused(&["plugin zoo/twin is not the file that is trusted"]);
    sandbox.line(&line.replace("mine.lock", "none.lock")).refused(&["none.lock"]);
    // The list of the working folder needs no name.
    std::fs::rename(sandbox.path("work/mine.lock"), sandbox.path("work/trust.lock"))
        .expect("moved");
    let plain = format!("plugins check {file} --only create");
    sandbox.line(&plain).refused(&["plugin zoo/twin is not the file that is trusted"]);
    assert!(!sandbox.path("work/perdura-checks").exists());
}

#[test]
fn whoever_panics_or_errs_in_a_call() {
    let calls = [
        "begin_experience",
        "observe",
        "end_experience",
        "end_of_stream",
        "predict",
        "save",
        "load",
    ];
    let mut animals: Vec<Animal> = Vec::new();
    animals.extend(calls.map(|call| ("panic", call, "every-call", "crash")));
    animals.extend(calls.map(|call| ("error", call, "every-call", "fail")));
    animals.push(("panic", "resources", "every-call", "crash"));
    animals.push(("panic", "create", "create", "crash"));
    animals.push(("error", "create", "create", "fail"));
    animals.push(("panic", "declare", "create", "crash"));
    animals.push(("panic", "drop", "drop", "fail"));
    caught(&animals, &[]);
}

#[test]
fn whoever_ends_its_process() {
    let ways = ["abort", "segfault", "stack-overflow", "exit", "bomb"];
    let mut animals: Vec<Animal> = ways.map(|how| (how, "observe", "every-call", "crash")).into();
    animals.push(("close-descriptors", "observe", "every-call", "crash"));
    for how in ["exit", "segfault"] {
        animals.push((how, "predict", "every-call", "crash"));
        animals.push((how, "load", "every-call", "crash"));
        animals.push((how, "create", "create", "crash"));
        animals.push((how, "drop", "drop", "crash"));
    }
    caught(&animals, &[]);
}

#[test]
fn whoever_does_not_come_back() {
    let animals = [
        ("hang", "observe", "every-call", "timeout"),
        ("deadlock", "observe", "every-call", "timeout"),
        ("deadlock", "save", "every-call", "timeout"),
        ("deadlock", "create", "create", "timeout"),
        ("deadlock", "drop", "drop", "timeout"),
        // Never in one call for long: it keeps asking the host.
        ("asks", "observe", "every-call", "timeout"),
    ];
    caught(&animals, &["--deadline", "1.5"]);
}

#[test]
fn whoever_answers_nonsense() {
    caught(
        &[
            ("nan-loss", "", "reports", "fail"),
            ("undeclared-scalar", "", "reports", "fail"),
            ("nan-logits", "", "logits", "fail"),
            ("wrong-length", "", "logits", "fail"),
            ("accepts-anything", "", "bad-messages", "fail"),
            ("swallows-keys", "", "wrong-keys", "fail"),
            ("call-order", "", "call-order", "crash"),
        ],
        &[],
    );
}

#[test]
fn whoever_cheats_with_chance_or_state() {
    caught(
        &[
            ("own-seed", "", "same-seed", "fail"),
            ("fixed-seed", "", "other-seed", "fail"),
            ("keeps-pointers", "", "borrowed", "fail"),
            ("counts-predictions", "", "predict-pure", "fail"),
            ("batch-mean", "", "batch-split", "fail"),
            ("uses-task-labels", "", "task-labels", "fail"),
            ("forgets", "", "save-load", "fail"),
            ("forgets-steps", "", "resume", "fail"),
            ("takes-any-state", "", "bad-state", "fail"),
        ],
        &[],
    );
}

#[test]
fn whoever_cannot_take_odd_data_or_does_not_learn() {
    caught(
        &[
            ("empty-draw", "", "empty-draws", "crash"),
            ("batch-of-one", "", "batch-of-one", "crash"),
            ("single-class", "", "single-class", "crash"),
            ("unseen-classes", "", "unseen-classes", "fail"),
            ("odd-inputs", "", "odd-inputs", "crash"),
            ("idle", "", "learns", "fail"),
            ("needs-boundaries", "", "scenarios", "fail"),
        ],
        &[],
    );
}

#[test]
fn whoever_takes_what_is_not_its_own() {
    caught(
        &[
            ("threads", "", "threads", "fail"),
            ("leaves-files-open", "", "descriptors", "fail"),
            ("prints", "", "quiet", "fail"),
            ("lies-about-memory", "", "memory-claim", "fail"),
            ("leaks", "", "soak", "fail"),
        ],
        &[],
    );
}

#[test]
fn whoever_lies_in_the_manifest() {
    for (lie, name) in [("id", "manifest"), ("preset", "presets"), ("views", "views")] {
        // What a file says is remembered by its hash.
        let sandbox = Sandbox::new();
        let answer = check(&sandbox, "", "", &[], lie).expect(1);
        let expected = [(name.to_owned(), "fail".to_owned())];
        assert_eq!(broken(&answer), expected, "{lie}:\n{}", answer.out);
        left_behind(&sandbox, &answer, name);
    }
}

/// A hundred megabytes on standard output are as harmless to the suite as four.
#[test]
fn a_loud_one_disturbs_nobody() {
    let sandbox = Sandbox::new();
    let words = ["--set", "amount=100", "--only", "quiet,reports"];
    let answer = check(&sandbox, "prints", "", &words, "").expect(1);
    assert_eq!(broken(&answer), [("quiet".to_owned(), "fail".to_owned())]);
}

/// The good learner beside all of them is as if it were alone.
#[test]
fn the_zoo_harms_no_other_run_in_the_sandbox() {
    the_zoo_harms_no_other_run("sandbox");
}

#[test]
fn the_zoo_harms_no_other_run_in_a_process() {
    the_zoo_harms_no_other_run("process");
}

fn the_zoo_harms_no_other_run(tier: &str) {
    let animals = [
        "panic",
        "error",
        "abort",
        "segfault",
        "stack-overflow",
        "exit",
        "bomb",
        "close-descriptors",
        "hang",
        "deadlock",
        "prints",
        "nan-loss",
        "nan-logits",
        "wrong-length",
        "own-seed",
        "counts-predictions",
        "forgets",
        "keeps-pointers",
        "threads",
        "lies-about-memory",
        "leaks",
        "leaves-files-open",
        "opens-files",
        "undeclared-scalar",
        "takes-any-state",
        "asks",
    ];
    // What can be had in any call, in calls other than `observe`.
    let calls = ["begin_experience", "end_experience", "end_of_stream", "predict", "resources"];
    let elsewhere = calls.iter().chain(&["save", "load", "drop"]);
    let ways = ["panic", "exit", "segfault", "close-descriptors"];
    let elsewhere: Vec<_> = elsewhere.flat_map(|call| ways.map(|how| (how, *call))).collect();
    let animals: Vec<_> =
        animals.map(|how| (how, "observe")).into_iter().chain(elsewhere).collect();
    let sandbox = Sandbox::new();
    let mut plan = "benchmark = \"split-digits\"\nseeds = \"1\"\nepochs = 1\nmemory = 20\n\
                    [[method]]\nid = \"nearest-mean\"\n"
        .to_owned();
    for (how, call) in &animals {
        plan += &format!(
            "[[method]]\nid = \"zoo/bad\"\nname = \"{how} in {call}\"\n\
             set = {{ how = \"{how}\", call = \"{call}\", amount = 100 }}\n"
        );
    }
    sandbox.write("plan.toml", plan);
    let limits = "--step-deadline 2 --boundary-deadline 30 --memory-limit 2GiB --cpu-limit 4";
    let bad = built().zoo("bad").display().to_string();
    let tier = format!("--isolation {tier}");
    let line = format!("compare plan.toml --plugin {bad} --out out --format json {limits} {tier}");
    let answer = sandbox.line(&line);
    assert_eq!(answer.code, Some(1), "{}\n{}", answer.out, answer.err);
    assert_eq!(sandbox.processes(), [""; 0], "left running");
    let runs = RunResult::all_below(&sandbox.path("work/out"));
    assert_eq!(runs.len(), animals.len() + 1);
    let good = runs.iter().find(|run| run.plan.method == "examples/nearest-mean");
    let alone = Sandbox::new();
    alone.line("run nearest-mean --seed 1 --epochs 1 --memory 20 --out out").expect(0);
    let alone = RunResult::only_below(&alone.path("work/out"));
    assert_eq!(good.expect("it has a folder").determined, alone.determined);
}

/// A host that is killed takes a worker in an endless loop with it.
#[test]
fn a_killed_host_leaves_no_endless_loop() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(built().perdura());
    let bad = built().zoo("bad");
    command.args(["plugins".as_ref(), "check".as_ref(), bad.as_os_str()]);
    command.args(["--set", "how=hang", "--only", "every-call", "--deadline", "60"]);
    let null = std::process::Stdio::null;
    let mut host = command.stdout(null()).stderr(null()).spawn().expect("it can be started");
    let workers = || sandbox.processes().len();
    let patience = Instant::now() + Duration::from_secs(20);
    while workers() < 2 {
        assert!(Instant::now() < patience, "no worker was started");
        std::thread::sleep(Duration::from_millis(5));
    }
    // The fourth step is where it hangs; it is there long before this is over.
    std::thread::sleep(Duration::from_millis(500));
    host.kill().expect("it runs");
    host.wait().expect("it was killed");
    let patience = Instant::now() + Duration::from_secs(10);
    while workers() > 0 {
        assert!(Instant::now() < patience, "left running: {:?}", sandbox.processes());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn checks_are_chosen_by_name_and_level() {
    let sandbox = Sandbox::new();
    let file = built().plugin("nearest-mean").display().to_string();
    let names = |answer: &Answer| -> Vec<String> {
        let report = answer.json();
        let checks = report["checks"].as_array().expect("a list").iter();
        checks.map(|check| check["check"].as_str().expect("a name").to_owned()).collect()
    };
    let json = |words: &[&str]| {
        let line = [&["plugins", "check", &file, "--format", "json"], words].concat();
        sandbox.perdura(&line)
    };
    assert_eq!(names(&json(&["--only", "drop,create"]).expect(0)), ["create", "drop"]);
    let basic = names(&json(&["--level", "basic"]).expect(0));
    let standard = names(&json(&[]).expect(0));
    assert!(basic.contains(&"save-load".into()) && !basic.contains(&"soak".into()), "{basic:?}");
    assert!(basic.len() < standard.len() && !standard.contains(&"soak".into()), "{standard:?}");
    let line = ["plugins", "check", &file, "--only", "sok"];
    sandbox.perdura(&line).refused(&["no check `sok`", "did you mean `soak`?"]);
    let line = ["plugins", "check", &file, "--set", "temprature=1"];
    sandbox.perdura(&line).refused(&["temprature", "did you mean `temperature`?"]);
    sandbox.perdura(&["plugins", "check", &file, "--deadline", "0"]).refused(&["--deadline 0"]);
    sandbox.perdura(&["plugins", "check", &file, "--jobs", "0"]).refused(&["--jobs 0"]);
    sandbox.line("plugins check no-such-method").refused(&["no-such-method"]);
    let list = sandbox.line("plugins check --list").expect(0);
    assert_eq!(list.out.lines().count(), perdura::check::all().len());
    let text = sandbox.perdura(&["plugins", "check", &file, "--level", "basic"]).expect(0);
    assert!(text.out.contains("passes at level basic"), "{}", text.out);
}

/// One seed gives one report, but for times and memory.
#[test]
fn a_report_is_reproducible() {
    let sandbox = Sandbox::new();
    let file = built().plugin("nearest-mean").display().to_string();
    let verdicts = |seed: &str| {
        let line = ["plugins", "check", &file, "--seed", seed, "--format", "json"];
        let report = sandbox.perdura(&line).expect(0).json();
        let checks = report["checks"].as_array().expect("a list");
        let part =
            |check: &Value| (check["check"].clone(), check["kind"].clone(), check["cause"].clone());
        (report["seed"].clone(), checks.iter().map(part).collect::<Vec<_>>())
    };
    assert_eq!(verdicts("7"), verdicts("7"));
}

/// The report on a file is named by the results of its runs, and changes none of what a plan determines.
#[test]
fn results_name_the_report() {
    let sandbox = Sandbox::new();
    let file = built().plugin("nearest-mean").display().to_string();
    let run = |out: &str| {
        sandbox.line(&format!("run nearest-mean --seed 1 --epochs 1 --out {out}")).expect(0);
        let run = RunResult::only_below(&sandbox.path("work").join(out));
        let resources = std::fs::read(run.folder.join("resources.json")).expect("it was written");
        let resources: Value = serde_json::from_slice(&resources).expect("it is JSON");
        (run.determined, resources["check"].clone())
    };
    let (unchecked, note) = run("before");
    assert_eq!(note, Value::Null);
    // A part of a level says too little to be kept.
    sandbox.perdura(&["plugins", "check", &file, "--only", "create"]).expect(0);
    assert_eq!(run("part").1, Value::Null);
    sandbox.perdura(&["plugins", "check", &file, "--level", "basic", "--seed", "3"]).expect(0);
    let (checked, note) = run("after");
    assert_eq!(
        (&note["level"], &note["passed"], &note["seed"]),
        (&"basic".into(), &true.into(), &3.into())
    );
    assert_eq!(note["broken"], Value::Array(vec![]));
    assert_eq!(unchecked, checked);
}
