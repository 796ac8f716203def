//! `perdura doctor` and `perdura bench`: what is there, where time goes, and what is faster.

use perdura_tests::Sandbox;
use serde_json::{Value, json};

#[test]
fn doctor_says_what_is_there_and_what_to_do_for_more() {
    let sandbox = Sandbox::new();
    let page = sandbox.line("doctor").expect(0).out;
    let parts = ["build", "machine", "runs", "sandbox", "plugins", "devices", "data"];
    for part in parts {
        assert!(page.lines().any(|line| line == part), "no {part} in\n{page}");
    }
    assert!(page.contains("+ perdura/cls-er") && page.contains("+ flex"), "{page}");
    assert!(page.contains("- folder") && page.contains("--data-dir or PERDURA_DATA"), "{page}");

    let document = sandbox.line("doctor --format json --threads 3 --data-dir .").expect(0).json();
    let sections = document["sections"].as_array().expect("a list");
    let of = |title: &str| sections.iter().find(|s| s["title"] == title).expect("a section");
    let findings = of("data")["findings"].as_array().expect("a list");
    let mnist = findings.iter().find(|f| f["name"] == "mnist").expect("a data set");
    assert_eq!(mnist["state"], "lacking");
    assert_eq!(mnist["remedy"], "perdura data fetch mnist --data-dir .");
    let runs = of("runs")["findings"][0]["found"].as_str().expect("a text").to_owned();
    assert!(runs.contains("with 3 threads"), "{runs}");
}

#[test]
fn doctor_finds_what_is_broken() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("work/libdamaged.so"), b"\x7fELF and nothing more")
        .expect("written");
    let answer = sandbox.line("doctor --plugin libdamaged.so").expect(1).out;
    assert!(answer.contains("! libdamaged.so"), "{answer}");
}

#[test]
fn a_ledger_is_shown_and_nothing_is_left() {
    let sandbox = Sandbox::new();
    let words = "bench ledger er --benchmark split-digits --memory 50 --epochs 1 --runs 2";
    let table = sandbox.line(&format!("{words} --format json")).expect(0).json();
    assert_eq!((&table["runs"], &table["steps"]), (&json!(2), &json!(136)));
    let lines = table["lines"].as_array().expect("a list");
    let share: f64 = lines.iter().map(|line| line["share"].as_f64().expect("a number")).sum();
    assert!((share - 1.0).abs() < 1e-9, "{share}");
    for activity in
        ["learner.forward", "learner.backward", "hand_over", "stream", "evaluation", "host"]
    {
        assert!(lines.iter().any(|line| line["activity"] == activity), "{activity}: {table}");
    }
    let text = sandbox.line(words).expect(0).out;
    assert!(text.contains("us per step") && text.contains("2 runs, medians"), "{text}");
    assert!(!sandbox.path("work/perdura-runs").exists());
    sandbox.line("bench ledger er --memory 50 --runs 0").refused(&["--runs 0"]);
    sandbox.line("bench ledger nothing-like-it").refused(&["nothing-like-it"]);
}

/// One part of the suite, three rounds in one file; a second file in which it is twice as slow.
#[test]
fn summaries_are_made_and_compared() {
    let sandbox = Sandbox::new();
    let suite = "bench suite --only replay/offer --rounds 3 --out a.json";
    let told = sandbox.line(suite).expect(0).out;
    assert_eq!(told.lines().filter(|line| line.starts_with("replay/offer_32")).count(), 3);
    let text = std::fs::read_to_string(sandbox.path("work/a.json")).expect("it was written");
    let mut summary: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(summary["rounds"].as_array().map(Vec::len), Some(3));
    assert!(summary["machine"]["cpu"].is_string() && summary["commit"].is_string(), "{summary}");
    let same = sandbox.line("bench compare a.json a.json").expect(0).out;
    assert!(same.contains("replay/offer_32") && !same.contains("SLOWER"), "{same}");

    for (round, micros) in
        summary["rounds"].as_array_mut().expect("rounds").iter_mut().zip([9e3; 3])
    {
        round["micros"]["replay/offer_32"] = json!(micros);
    }
    std::fs::write(sandbox.path("work/b.json"), summary.to_string()).expect("written");
    let slower = sandbox.line("bench compare a.json b.json --format json").expect(1).json();
    assert_eq!(slower["changes"][0]["verdict"], "slower");
    sandbox.line("bench compare a.json nothing.json").refused(&["nothing.json"]);
    sandbox.line("bench suite --only nothing").refused(&["nothing measured begins so"]);
}

/// `er` tells forward and backward apart; a step is both, and what is left.
#[test]
fn a_step_in_the_suite_is_the_whole_step() {
    let sandbox = Sandbox::new();
    sandbox.line("bench suite --only step/mlp/er --out a.json").expect(0);
    let text = std::fs::read_to_string(sandbox.path("work/a.json")).expect("it was written");
    let summary: Value = serde_json::from_str(&text).expect("JSON");
    let micros = summary["rounds"][0]["micros"].as_object().expect("a table");
    let names: Vec<&str> = micros.keys().map(String::as_str).collect();
    assert_eq!(names, ["step/mlp/er", "step/mlp/er-ace"]);
    // Ten samples forward and back through 784 x 100 x 100 take more than handing them over.
    assert!(micros["step/mlp/er"].as_f64().is_some_and(|step| step > 30.0), "{summary}");
}
