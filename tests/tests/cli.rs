//! The command line: what it refuses and in which words, its exit codes, and its documents for machines.

use perdura_tests::{RunResult, Sandbox, built, files_below};
use serde_json::{Value, json};

/// The input is refused and nothing is written.
#[track_caller]
fn refuses(line: &str, words: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.line(line).refused(words);
    nothing_written(&sandbox);
    assert_eq!(sandbox.processes(), [""; 0], "left running");
}

#[track_caller]
fn nothing_written(sandbox: &Sandbox) {
    let files = files_below(&sandbox.path("work"));
    assert!(files.is_empty(), "something was written: {files:?}");
}

#[test]
fn unknown_names_show_the_nearest() {
    refuses(
        "run nearest-mean --benchmark split-digit",
        &["`split-digit`", "did you mean `split-digits`"],
    );
    refuses(
        "run nearest-men",
        &["\"nearest-men\"", "did you mean examples/nearest-mean?", "found: "],
    );
    refuses("compare --methods nearest-mean,clser", &["\"clser\"", "did you mean perdura/cls-er?"]);
    refuses(
        "run nearest-mean --set temprature=2",
        &["examples/nearest-mean", "`temprature`", "did you mean `temperature`?"],
    );
    refuses(
        "run er --memory 10 --set replya=2",
        &["`replya`", "did you mean `replay`?", "hidden, "],
    );
    refuses(
        "run er --memory 10 --preset split-mnist-20",
        &["no preset", "did you mean `split-mnist-200`?"],
    );
    refuses("plugins info nearest-men", &["did you mean examples/nearest-mean?"]);
    refuses("benchmarks inspect split-mnis", &["did you mean `split-mnist`?"]);
}

/// Whether the plugin looks at the device or, like this one, does not.
#[test]
fn a_device_that_a_plugin_was_not_built_for() {
    for device in ["libtorch", "libtorch:cuda:0", "cuda:0", "gpu"] {
        let device_words = format!("was not built for the device `{device}`");
        let words = ["examples/nearest-mean", &device_words, "has: flex", "--features perdura-nn/"];
        refuses(&format!("run nearest-mean --device {device}"), &words);
    }
}

#[test]
fn wrong_values() {
    refuses("run nearest-mean --set temperature", &["`temperature`", "expected key=value"]);
    refuses(
        "run nearest-mean --set temperature=hot",
        &["cannot be created", "invalid type", "f32"],
    );
    refuses("run er --memory 10 --set lr=-1", &["`lr`", "expected a number above 0", "found -1"]);
    refuses("run ewc-online --set e_lambda=-1", &["`e_lambda`", "a number from 0", "found -1"]);
    refuses("run ewc-online --online", &["goes over each experience once more", "--online"]);
    refuses("run lwf --set temperature=0", &["`temperature`", "a number above 0", "found 0"]);
    refuses("run lwf --benchmark known-similarity-digits", &["domain-il"]);
    for method in ["ewc-online", "si", "lwf"] {
        refuses(&format!("run {method} --benchmark digits-360"), &["task-free"]);
    }
    refuses("run agem --memory 9 --benchmark digits-360", &["`ring`", "boundaries"]);
    refuses("run nearest-mean --memory lots", &["lots"]);
    refuses("run nearest-mean --batch 0", &["batch is 0"]);
    refuses("run nearest-mean --epochs 0", &["epochs is 0"]);
    refuses("run nearest-mean --validation 1.5", &["1.5", "less than 1"]);
    refuses("run nearest-mean --class-order 0,1,2,3,4,5,6,7,8,8", &["class 8", "twice"]);
    refuses("run nearest-mean --class-order natural,seeded", &["natural,seeded"]);
    refuses("run nearest-mean --eval-head some", &["some"]);
    refuses("run nearest-mean --step-deadline 0", &["--step-deadline 0", "above 0"]);
    refuses("run nearest-mean --memory-limit much", &["--memory-limit"]);
    refuses("compare --methods nearest-mean --jobs 0", &["--jobs `0`"]);
    refuses("compare --methods nearest-mean,nearest-mean", &["stands twice"]);
    for seeds in ["3..3", "many", "1,1", "-1..2", ""] {
        let line = ["compare", "--methods", "nearest-mean", &format!("--seeds={seeds}")];
        let sandbox = Sandbox::new();
        sandbox.perdura(&line).refused(&["--seeds", &format!("`{seeds}`")]);
        nothing_written(&sandbox);
    }
}

/// What the parser of the command line itself refuses has the same exit code.
#[test]
fn what_is_no_command() {
    for line in
        ["", "walk", "run", "run nearest-mean --colour red", "run nearest-mean --seed x", "compare"]
    {
        let sandbox = Sandbox::new();
        let answer = sandbox.line(line).expect(2);
        assert!(answer.err.contains("--help"), "{line}: {}", answer.err);
        nothing_written(&sandbox);
    }
    let help = Sandbox::new().line("--help").expect(0);
    assert!(help.out.contains("Exit codes: 0"), "{}", help.out);
    assert!(!help.out.contains("worker"), "{}", help.out);
}

#[test]
fn no_memory_for_replay() {
    for memory in ["--memory 0", ""] {
        let line = format!("run er {memory}");
        refuses(&line, &["perdura/er", "asks for replay (request `replay`", "--memory N"]);
    }
    refuses("run agem", &["perdura/agem", "asks for replay", "--memory N"]);
    refuses("run agem --memory 3", &["3 samples", "5 experiences", "--memory 5"]);
    refuses("run er --memory 4 --policy ring", &["4 samples", "5 experiences", "--memory 5"]);
    refuses("run er --memory 9 --policy rings", &["did you mean `ring`?"]);
    refuses("compare --methods nearest-mean,er --memory 0", &["perdura/er", "asks for replay"]);
    refuses("run er --memory 10B", &["a memory of 10 bytes holds no sample", "72B or more"]);
}

#[test]
fn no_threads() {
    refuses("run nearest-mean --threads 0", &["at least 1 thread", "--threads 1"]);
}

#[test]
fn a_named_plugin_that_is_refused() {
    let sandbox = Sandbox::new();
    let text = sandbox.write("libtext.so", "no library");
    let list = format!("plugins list --plugin {}", text.display());
    let answer = sandbox.line(&list).expect(2);
    assert!(answer.err.contains("refused (not-elf)"), "{}", answer.err);
    sandbox.line(&format!("{list} --format json")).expect(2);
}

#[test]
fn a_reader_that_goes_away() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(built().perdura());
    command.args(["plugins", "info", "nearest-mean", "--format", "json"]);
    // The other end of the pipe is closed before anything is written.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = command.stdout(writer).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn a_batch_larger_than_an_experience() {
    let words = ["a batch of 1000 is larger than experience", "choose --batch"];
    refuses("run nearest-mean --batch 1000", &words);
    refuses("run nearest-mean --batch 1000 --drop-last", &["no step would be left"]);
}

#[test]
fn a_folder_that_holds_a_run() {
    let sandbox = Sandbox::new();
    let line = "run nearest-mean --epochs 1 --out out";
    sandbox.line(line).expect(0);
    let read = || {
        let files = files_below(&sandbox.path("work")).into_iter();
        files.map(|path| (std::fs::read(&path).expect("listed"), path)).collect::<Vec<_>>()
    };
    let before = read();
    sandbox.line(line).refused(&["already holds a run", "out/split-digits", "--out"]);
    let compare = "compare --methods nearest-mean --seeds 0..3 --epochs 1 --out out";
    sandbox.line(compare).refused(&["already holds a run", "seed0-"]);
    assert!(before == read(), "the run was touched");
    // Another seed has another folder.
    sandbox.line("run nearest-mean --epochs 1 --out out --seed 1").expect(0);
    // What is in the way and no run is left alone too.
    let folder = RunResult::all_below(&sandbox.path("work/out")).remove(0).folder;
    std::fs::remove_file(folder.join("plan.json")).expect("it is there");
    sandbox.line(line).refused(&["is in the way", "not part of a run"]);
}

#[test]
fn a_plan_file_with_mistakes() {
    let sandbox = Sandbox::new();
    sandbox.line("compare nothing.toml").refused(&["nothing.toml"]);
    for (text, words) in [
        ("benchmrk = 1", vec!["plan.toml", "benchmrk"]),
        ("benchmark = \"split-digits\"\nmethod = []", vec!["plan.toml", "at least one [[method]]"]),
        ("benchmark = \"x\"\n[[method]]\nid = \"nearest-mean\"", vec!["unknown benchmark `x`"]),
    ] {
        let plan = sandbox.write("plan.toml", text).display().to_string();
        let answer = sandbox.perdura(&["compare", &plan]).expect(2);
        assert!(words.iter().all(|word| answer.err.contains(word)), "{}", answer.err);
    }
    assert!(!sandbox.path("work/perdura-runs").exists());
}

#[test]
fn a_failed_run_is_exit_code_1() {
    let sandbox = Sandbox::new();
    let faulty = built().zoo("faulty").display().to_string();
    let words = ["run", "zoo/faulty", "--plugin", &faulty, "--epochs", "1", "--out", "out"];
    let fault = ["--set", "call=observe", "--set", "how=panic", "--set", "at=3"];
    let answer = sandbox.perdura(&[&words[..], &fault].concat()).expect(1);
    for word in ["panicked", "observe", "zoo: panic as asked"] {
        assert!(answer.out.contains(word), "`{word}` is not in:\n{}\n{}", answer.out, answer.err);
    }
    assert_eq!(RunResult::only_below(&sandbox.path("work/out")).fault().step, Some(3));
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

const SPREADS: [&str; 8] = [
    "average_accuracy",
    "forgetting_from_peak",
    "backward_transfer",
    "learning_accuracy",
    "seconds",
    "cpu_seconds",
    "learner_cpu_seconds",
    "peak_pss_bytes",
];

#[test]
fn the_document_of_a_comparison() {
    let sandbox = Sandbox::new();
    let line =
        "compare --methods cls-er,nearest-mean --memory 50 --seeds 0..3 --epochs 1 --out out";
    let answer = sandbox.line(&format!("{line} --format json")).expect(0);
    let document = answer.json();
    let rows = document["rows"].as_array().expect("rows");
    let name = |row: &Value| {
        ["method", "view", "scenario"]
            .map(|key| row[key].as_str().expect("text").to_owned())
            .join(" ")
    };
    let names: Vec<String> = rows.iter().map(name).collect();
    let mut expected = Vec::new();
    for view in ["cls-er stable", "cls-er plastic", "cls-er working"] {
        expected.extend(["class-il", "task-il"].map(|s| format!("perdura/{view} {s}")));
    }
    expected.extend(["class-il", "task-il"].map(|s| format!("examples/nearest-mean main {s}")));
    assert_eq!(names, expected);
    for row in rows {
        let all = [
            &["method", "view", "scenario", "n", "failed", "tier", "anytime", "grouping", "growth"]
                [..],
            &SPREADS,
        ]
        .concat();
        assert_eq!(sorted(&keys(row)), sorted(&all));
        assert_eq!((&row["n"], &row["failed"]), (&json!(3), &json!(0)));
        for spread in SPREADS {
            assert_eq!(sorted(&keys(&row[spread])), ["ci95", "mean", "std"], "{spread}");
            let mean = row[spread]["mean"].as_f64().expect("a number");
            let ci95 = row[spread]["ci95"].as_array().expect("an interval");
            let [low, high] = [&ci95[0], &ci95[1]].map(|v| v.as_f64().expect("a number"));
            assert!(low <= mean + 1e-9 && mean <= high + 1e-9, "{spread}: {}", row[spread]);
        }
        let accuracy = row["average_accuracy"]["mean"].as_f64().expect("a number");
        assert!((0.0..=1.0).contains(&accuracy), "accuracies are fractions");
    }
    let pairs = document["pairs"].as_array().expect("pairs");
    assert_eq!(pairs.len(), 4);
    for pair in pairs {
        let tests = ["p_holm", "wilcoxon_holm", "probability_a_above_b", "seeds_needed"];
        let all = [&["metric", "scenario", "a", "b", "n", "difference"][..], &tests].concat();
        assert_eq!(sorted(&keys(pair)), sorted(&all));
        assert_eq!(pair["a"], json!({"method": "perdura/cls-er", "view": "stable"}));
        assert_eq!(pair["b"], json!({"method": "examples/nearest-mean", "view": "main"}));
        assert_eq!(sorted(&keys(&pair["difference"])), ["ci95", "mean"]);
        assert_eq!(pair["n"], 3);
    }
    let rankings = document["rankings"].as_array().expect("rankings");
    let ranked = rankings.iter().map(|r| (&r["scenario"], r["ranks"].as_array().map(Vec::len)));
    let expected = [(&json!("class-il"), Some(2)), (&json!("task-il"), Some(2))];
    assert_eq!(ranked.collect::<Vec<_>>(), expected);
    // The rows are made of the summaries.
    let runs = RunResult::all_below(&sandbox.path("work/out"));
    let of_cls_er = runs.iter().filter(|run| run.plan.method == "perdura/cls-er");
    let accuracies: Vec<f64> = of_cls_er
        .map(|run| run.summary.views[0].scenarios[0].metrics.average_accuracy.expect("scored"))
        .collect();
    let mean = accuracies.iter().sum::<f64>() / 3.0;
    assert!((rows[0]["average_accuracy"]["mean"].as_f64().expect("a number") - mean).abs() < 1e-12);
}

/// One seed: an accuracy, but no deviation, no interval and no test.
#[test]
fn undefined_values_are_null() {
    let sandbox = Sandbox::new();
    let line = "compare --methods joint,nearest-mean --seeds 4 --epochs 1 --format json";
    let document = sandbox.line(line).expect(0).json();
    let rows = document["rows"].as_array().expect("rows");
    let joint = rows.iter().find(|row| row["method"] == "perdura/joint").expect("a row");
    assert!(joint["average_accuracy"]["mean"].is_f64());
    assert_eq!(joint["average_accuracy"]["std"], Value::Null);
    assert_eq!(joint["average_accuracy"]["ci95"], Value::Null);
    // Trained on everything at once: it has only its last row.
    assert_eq!(joint["forgetting_from_peak"], json!({"mean": null, "std": null, "ci95": null}));
    let pair = &document["pairs"][0];
    assert_eq!((&pair["n"], &pair["p_holm"]), (&json!(1), &Value::Null));
}

#[test]
fn the_document_of_a_run() {
    let sandbox = Sandbox::new();
    let answer = sandbox.line("run nearest-mean --epochs 1 --out out --format json").expect(0);
    let document = answer.json();
    assert_eq!(sorted(&keys(&document)), ["folder", "resources", "summary"]);
    let folder = sandbox.path("work").join(document["folder"].as_str().expect("a path"));
    for name in ["plan.json", "events.jsonl", "summary.json", "resources.json", "log.txt"] {
        assert!(folder.join(name).is_file(), "{name} is missing");
    }
    assert!(folder.join("predictions/after-4.main.safetensors").is_file());
    let summary = std::fs::read_to_string(folder.join("summary.json")).expect("it is there");
    assert_eq!(serde_json::from_str::<Value>(&summary).expect("JSON"), document["summary"]);
    let events = std::fs::read_to_string(folder.join("events.jsonl")).expect("it is there");
    let last: Value = serde_json::from_str(events.lines().last().expect("lines")).expect("JSON");
    assert_eq!((&last["event"], &last["steps"]), (&json!("run_finished"), &json!(136)));
}

#[test]
fn lists_and_descriptions() {
    let sandbox = Sandbox::new();
    let benchmarks = sandbox.line("benchmarks list").expect(0).out;
    assert!(
        benchmarks.contains("split-digits") && benchmarks.contains("split-mnist"),
        "{benchmarks}"
    );
    let list = sandbox.line("benchmarks list --format json").expect(0).json();
    assert_eq!(list[0]["name"], "split-digits");
    let digits = sandbox.line("benchmarks inspect split-digits --format json").expect(0).json();
    let count = |part: &str| {
        let experiences = digits["experiences"].as_array().expect("a list").iter();
        experiences.map(|e| e[part].as_u64().expect("a number")).sum::<u64>()
    };
    assert_eq!((count("train"), count("test"), count("validation")), (1347, 450, 0));
    let text = sandbox.line("benchmarks inspect split-digits").expect(0).out;
    assert!(text.contains(digits["sha256"].as_str().expect("text")), "{text}");
    let seeded = "benchmarks inspect split-digits --class-order seeded --format json --seed";
    let hash =
        |seed: u64| sandbox.line(&format!("{seeded} {seed}")).expect(0).json()["sha256"].clone();
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));

    let list = sandbox.line("plugins list --format json").expect(0).json();
    let ids: Vec<&Value> =
        list["plugins"].as_array().expect("a list").iter().map(|p| &p["manifest"]["id"]).collect();
    for method in perdura_tests::plugin_names() {
        assert!(ids.contains(&&json!(format!("perdura/{method}"))), "{method} is not in {ids:?}");
    }
    let zoo = ids.iter().any(|id| id.as_str().expect("text").starts_with("zoo/"));
    assert!(!zoo, "a search path sees the zoo: {ids:?}");
    let info = sandbox.line("plugins info cls-er").expect(0).out;
    for word in
        ["perdura/cls-er", "stable, plastic, working", "reg_weight", "split-mnist-200", "sha256"]
    {
        assert!(info.contains(word), "`{word}` is not in:\n{info}");
    }
    let info = sandbox.line("plugins info cls-er --format json").expect(0).json();
    assert_eq!(info["description"]["config_default"]["reg_weight"], 2.0);
}

/// What a plan file says cannot be said again on the command line, but for how much and how often:
/// one plan then serves several memories.
#[test]
fn a_plan_file_and_the_options_it_replaces() {
    let sandbox = Sandbox::new();
    let text = "benchmark = \"split-digits\"\n[[method]]\nid = \"nearest-mean\"\n";
    let plan = sandbox.write("plan.toml", text).display().to_string();
    for option in ["--methods=er", "--benchmark=x", "--set=a=1", "--epochs=1", "--online"] {
        let name = option.split('=').next().expect("it has a name");
        sandbox.perdura(&["compare", &plan, option]).refused(&["[PLAN]", name]);
    }
    let text = "benchmark = \"split-digits\"\nmemory = 5\nseeds = \"7\"\nepochs = 1\n\
                [[method]]\nid = \"er\"\n[[method]]\nid = \"er\"\nname = \"more\"\nmemory = \"+3\"\n";
    let plan = sandbox.write("memories.toml", text).display().to_string();
    sandbox.perdura(&["compare", &plan, "--memory=9", "--seeds=0,1", "--out=out"]).expect(0);
    let folders = std::fs::read_dir(sandbox.path("work/out/split-digits/perdura-er")).unwrap();
    let count = |folder: std::fs::DirEntry| {
        let name = folder.file_name().into_string().expect("a name of ours");
        (name, std::fs::read_dir(folder.path()).unwrap().count())
    };
    let mut found: Vec<_> = folders.map(|folder| count(folder.unwrap())).collect();
    found.sort();
    assert_eq!(found, [("m12".to_owned(), 2), ("m9".to_owned(), 2)]);
}

/// Defaults are used where a method's settings are for other parameters, and it says so.
#[test]
fn settings_for_another_benchmark_are_named() {
    let sandbox = Sandbox::new();
    let noted = |out: &str, options: &str| {
        let line = format!("run er --memory 9 --epochs 1 --out {out} --benchmark {options}");
        sandbox.line(&line).expect(0).err
    };
    let note = noted("other", "split-digits:experiences=2");
    for part in ["note: perdura/er", "a memory of 9 samples", "only for split-digits"] {
        assert!(note.contains(part), "`{part}` is not in:\n{note}");
    }
    assert!(!noted("fitting", "split-digits").contains("note:"));
    assert!(!noted("none", "split-digits:experiences=2 --preset none").contains("note:"));
}

#[test]
fn more_of_the_log_is_kept_on_request() {
    let sandbox = Sandbox::new();
    let log_of = |flags: &str, out: &str| {
        let line = format!("{flags} run nearest-mean --epochs 1 --out {out}");
        sandbox.line(&line).expect(0);
        let files = files_below(&sandbox.path("work").join(out));
        let log = files.iter().find(|file| file.ends_with("log.txt")).expect("there is one");
        std::fs::read_to_string(sandbox.path("work").join(out).join(log)).unwrap()
    };
    assert!(!log_of("", "quiet").contains("epoch ended"));
    assert!(log_of("-v", "loud").contains("epoch ended"));
}
