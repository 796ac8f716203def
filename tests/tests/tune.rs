//! Hyper-parameters chosen on held-out samples, and metrics that come to old runs.

use perdura_tests::{Sandbox, files_below};

#[test]
fn the_better_setting_is_found_kept_and_used() {
    let sandbox = Sandbox::new();
    // A learning rate of almost nothing leaves the network as it was.
    let words = "tune er,sgd --memory 50 --epochs 1 --grid lr=1e-9,0.1 --grid er:replay=5,10 \
                 --budget 4 --seeds 0..2 --save er.toml";
    let refused = sandbox.line(&words.replace("--save er.toml", "--grid sg:lr=1"));
    refused.refused(&["sg is not tuned here"]);
    let answer = sandbox.line(&words.replace("er,sgd", "er")).expect(0);
    let trials: Vec<&str> = answer.out.lines().filter(|line| line.contains("lr=")).collect();
    assert_eq!(trials.len(), 4, "{}", answer.out);
    assert!(trials[0].contains("lr=0.1") && trials[3].contains("lr=1e-9"), "{}", answer.out);

    let file = std::fs::read_to_string(sandbox.path("work/er.toml")).expect("the winner is kept");
    assert!(file.contains("method = \"perdura/er\"") && file.contains("lr = 0.1"), "{file}");
    assert_eq!(file.matches("[[trial]]").count(), 4, "{file}");
    let run = sandbox.line("run er --memory 50 --preset er.toml --format json").expect(0).json();
    let folder = run["folder"].as_str().expect("a path").to_owned();
    let plan = std::fs::read_to_string(sandbox.path("work").join(folder).join("plan.json"));
    let plan: serde_json::Value = serde_json::from_str(&plan.expect("a plan")).expect("JSON");
    assert_eq!((&plan["config"]["lr"], &plan["stream"]["epochs"]), (&0.1.into(), &1.into()));
    assert_eq!(plan["preset"]["name"], "er.toml");
    assert!(plan["stream"].get("score_on").is_none(), "it is scored on the test part");
    sandbox.line("run sgd --preset er.toml").refused(&["er.toml is for perdura/er"]);
    sandbox.line("run er --memory 50 --preset none.toml").refused(&["none.toml", "cannot be read"]);
}

/// Every method has the same number of trials, and none of them sees a test sample.
#[test]
fn budgets_are_equal_and_trials_are_scored_on_what_is_held_out() {
    let sandbox = Sandbox::new();
    let words = "tune er,sgd --memory 50 --epochs 1 --grid lr=0.01..0.2:log --budget 3";
    let answer = sandbox.line(words).expect(0);
    assert_eq!(answer.out.lines().filter(|line| line.contains("lr=")).count(), 6);
    let files = files_below(&sandbox.path("work/perdura-runs"));
    let plans: Vec<_> = files.iter().filter(|file| file.ends_with("plan.json")).collect();
    assert_eq!(plans.len(), 6);
    for plan in plans {
        let text = std::fs::read_to_string(plan).expect("it is there");
        let plan: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(plan["stream"]["score_on"], "validation");
        assert_eq!(plan["stream"]["validation"], 0.1);
    }
    let presets = files.iter().filter(|file| file.extension().is_some_and(|end| end == "toml"));
    assert_eq!(presets.count(), 2);
    sandbox.line("tune er --grid lr").refused(&["--grid `lr`"]);
    sandbox
        .line("tune er --memory 50 --grid learning=1")
        .refused(&["no hyper-parameter `learning`"]);
    sandbox.line("run er --memory 50 --score-on validation").refused(&["nothing is held out"]);
}

#[test]
fn a_metric_comes_to_an_old_run_and_nothing_else_changes() {
    let sandbox = Sandbox::new();
    let run = "run er --memory 50 --epochs 1 --format json";
    let folder = sandbox.line(run).expect(0).json()["folder"].as_str().expect("a path").to_owned();
    let path = sandbox.path("work").join(&folder).join("summary.json");
    let new = std::fs::read_to_string(&path).expect("the run has finished");
    // As a host wrote it that did not know the metric.
    let known = |line: &&str| !line.contains("\"negative_log_likelihood\"");
    let lines: Vec<&str> = new.lines().filter(known).collect();
    let old = with_last_comma_gone(&lines);
    assert_ne!(old, new);
    std::fs::write(&path, &old).expect("it can be written");
    let said = sandbox.line("metrics recompute --dry-run").expect(0).out;
    assert!(said.contains("class-il negative_log_likelihood: null -> "), "{said}");
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), old);
    sandbox.line("metrics recompute").expect(0);
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), new, "byte for byte");
    assert_eq!(
        sandbox.line("metrics recompute").expect(0).out,
        "1 runs: 0 changed, 0 not computed\n"
    );

    std::fs::remove_file(path).expect("it is there");
    let answer = sandbox.line("metrics recompute").expect(1);
    assert!(answer.err.contains("did not finish"), "{}", answer.err);
}

/// A comma before a closing brace, which JSON does not allow, taken away.
fn with_last_comma_gone(lines: &[&str]) -> String {
    let next_closes =
        |index: usize| lines.get(index + 1).is_some_and(|line| line.trim_start().starts_with('}'));
    let fixed = lines.iter().enumerate().map(|(index, line)| match next_closes(index) {
        true => line.trim_end_matches(','),
        false => line,
    });
    fixed.collect::<Vec<_>>().join("\n") + "\n"
}
