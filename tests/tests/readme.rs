//! What the README promises: its first command, and its page of code.

use perdura_tests::Sandbox;
use serde_json::{Value, json};

/// From any folder, without data and network: joint above cls-er above sgd.
#[test]
fn the_demo_has_a_sensible_order() {
    let sandbox = Sandbox::new();
    let document = sandbox.line("demo --format json").expect(0).json();
    let rows = document["rows"].as_array().unwrap();
    let accuracy = |method: &str| {
        let of_method = |row: &&Value| {
            row["method"] == format!("perdura/{method}") && row["scenario"] == "class-il"
        };
        let row = rows.iter().find(of_method).expect("a row for each method");
        assert_eq!((&row["n"], &row["failed"]), (&json!(3), &json!(0)));
        row["average_accuracy"]["mean"].as_f64().unwrap()
    };
    assert!(accuracy("joint") > accuracy("cls-er") && accuracy("cls-er") > accuracy("sgd") + 0.3);
    assert!(sandbox.path("work/perdura-runs/demo").is_dir());
    sandbox.line("demo --format json").expect(0);
    assert!(sandbox.path("work/perdura-runs/demo-2").is_dir(), "nothing is written over");
}

/// The page that the README shows is the example that is built and tested.
#[test]
fn the_readme_shows_the_smallest_learner() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap();
    let readme = read("README.md");
    let example = read("examples/smallest-learner/src/lib.rs");
    let page = readme.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    let lines = |text: &str| {
        let code = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
        let code =
            code.filter(|l| !l.starts_with("//!") && !l.starts_with("#") && !l.trim().is_empty());
        code.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(page), lines(&example));
}

/// Every shipped plan is taken as it stands, settings and all: part 1000 of 1000 is none of its runs. With a
/// setting that no method has it is refused.
#[test]
fn shipped_plans_can_be_run() {
    let Some(data) = std::env::var_os("PERDURA_DATA") else {
        eprintln!(
            "SKIPPED shipped_plans_can_be_run: set PERDURA_DATA to the folder that holds MNIST"
        );
        return;
    };
    let data = std::path::PathBuf::from(data).canonicalize().expect("PERDURA_DATA is a folder");
    let data = data.to_str().expect("UTF-8").to_owned();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let entries =
        std::fs::read_dir(root.join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let plans: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    assert!(plans.len() > 10, "{plans:?}");
    let sandbox = Sandbox::new();
    let none_of = |plan: &str| {
        sandbox.perdura(&[
            "compare",
            plan,
            "--shard",
            "1000/1000",
            "--out",
            "out",
            "--format",
            "json",
            "--data-dir",
            &data,
        ])
    };
    for plan in &plans {
        let answer = none_of(plan.to_str().unwrap()).expect(0);
        assert!(!answer.err.contains("index"), "{}", answer.err);
        assert_eq!(answer.json()["rows"], json!([]), "{plan:?}");
    }
    let text = std::fs::read_to_string(&plans[0]).unwrap();
    let spoilt =
        format!("{text}\n[[method]]\nid = \"er\"\nname = \"spoilt\"\nset = {{ tau_jion = 0.3 }}\n");
    std::fs::write(sandbox.path("work/spoilt.toml"), spoilt).unwrap();
    none_of("spoilt.toml").refused(&["tau_jion"]);
}
