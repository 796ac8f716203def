//! `perdura runs`: what is there, found by its index.

use perdura_tests::{Sandbox, files_below};

#[test]
fn runs_are_listed_filtered_compared_and_tagged() {
    let sandbox = Sandbox::new();
    let compare = "compare --methods er,sgd --memory 50 --epochs 1 --seeds 0..3 --tag paper";
    let direct = sandbox.line(&format!("{compare} --format markdown")).expect(0).out;
    sandbox.line("run sgd --benchmark split-digits --epochs 2 --seed 7").expect(0);

    let listed = |words: &str| {
        let answer = sandbox.line(&format!("runs list --format json {words}")).expect(0);
        answer.json().as_array().expect("a list").len()
    };
    assert_eq!((listed(""), listed("--method er"), listed("--tag paper")), (7, 3, 6));
    assert_eq!((listed("--method sgd --tag paper"), listed("--memory 50")), (3, 6));
    assert_eq!((listed("--since 2999-01-01"), listed("--status failed")), (0, 0));

    // The comparison that was printed after training, from the folders alone.
    let again = sandbox.line("runs compare --tag paper --format markdown").expect(0).out;
    assert_eq!(again, direct);

    let text = sandbox.line("runs list --method er").expect(0).out;
    let folder = text.lines().last().and_then(|line| line.split_whitespace().last());
    let folder = folder.expect("the last column").to_owned();
    assert!(folder.starts_with("split-digits/perdura-er/m50/seed2-"), "{text}");
    sandbox.line(&format!("runs tag {folder} best v2 --remove paper")).expect(0);
    assert_eq!((listed("--tag paper"), listed("--tag best")), (5, 1));
    let shown = sandbox.line(&format!("runs show {folder}")).expect(0).out;
    assert!(shown.contains("tags       best v2") && shown.contains("seed       2"), "{shown}");

    // Without the index everything is there, tags included.
    std::fs::remove_file(sandbox.path("work/perdura-runs/index.sqlite")).expect("it was made");
    assert_eq!((listed(""), listed("--tag best")), (7, 1));
    sandbox.line(&format!("runs rm {folder}")).expect(0);
    assert_eq!(listed(""), 6);
    assert!(files_below(&sandbox.path("work/perdura-runs").join(&folder)).is_empty());
    assert_eq!(sandbox.line("runs reindex").expect(0).out, "6 runs\n");
}

#[test]
fn wrong_words_are_refused_and_nothing_is_deleted() {
    let sandbox = Sandbox::new();
    sandbox.line("runs list").refused(&["cannot read perdura-runs"]);
    sandbox.line("run sgd --benchmark split-digits --epochs 1").expect(0);
    sandbox.line("runs list --since yesterday").refused(&["--since `yesterday`"]);
    sandbox.line("runs show nothing").refused(&["nothing is not the folder of a run"]);
    sandbox.line("runs compare --method er").refused(&["none"]);
    let folder = sandbox.line("runs list --format json").expect(0).json()[0]["folder"].clone();
    let folder = folder.as_str().expect("a path").to_owned();
    sandbox.line(&format!("runs tag {folder} a,b")).refused(&["`a,b` is no tag"]);
    // One of two is no run: the other stays.
    sandbox.line(&format!("runs rm {folder} split-digits")).refused(&["split-digits"]);
    std::fs::remove_file(sandbox.path("work/perdura-runs").join(&folder).join("summary.json"))
        .expect("the run has finished");
    sandbox.line(&format!("runs rm {folder}")).refused(&["--force"]);
    sandbox.line(&format!("runs rm --force {folder}")).expect(0);
    assert_eq!(sandbox.line("runs list --format json").expect(0).json(), serde_json::json!([]));
}

/// What the real reader makes of these files is checked by `tests/python/read_events.py`.
#[test]
fn event_files_for_tensorboard_lie_beside_the_results() {
    let sandbox = Sandbox::new();
    let words = "run sgd --benchmark split-digits --epochs 1 --tensorboard --format json";
    let run = sandbox.line(words).expect(0).json();
    let folder = sandbox.path("work").join(run["folder"].as_str().expect("a path"));
    let files = files_below(&folder.join("tensorboard"));
    assert_eq!(files.len(), 1, "{files:?}");
    let bytes = std::fs::read(&files[0]).expect("it was written");
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("brain.Event:2") && holds("training/loss") && holds("class-il/main/accuracy"));
}
