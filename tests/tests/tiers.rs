//! Which tier a learner runs in, and that tables say so.

use perdura_tests::{Answer, Sandbox, built};
use std::path::PathBuf;

const LINE: &str = "compare --methods nearest-mean --seeds 1 --epochs 1 --out out";

/// The same command on a system that lacks landlock.
fn without_landlock(sandbox: &Sandbox, words: &str) -> Answer {
    let words = words.split_whitespace().map(PathBuf::from);
    let words: Vec<PathBuf> = std::iter::once(built().perdura()).chain(words).collect();
    sandbox.program(&built().example("without_landlock"), &words)
}

fn tier_of_the_row(answer: &Answer) -> String {
    answer.json()["rows"][0]["tier"].as_str().expect("a tier").to_owned()
}

#[test]
fn the_sandbox_is_the_default_and_weaker_tiers_are_marked() {
    for (words, tier) in [
        ("", "sandbox"),
        ("--isolation process", "process"),
        ("--isolation in-process", "in-process"),
    ] {
        let sandbox = Sandbox::new();
        let json = sandbox.line(&format!("{LINE} {words} --format json")).expect(0);
        assert_eq!(tier_of_the_row(&json), tier);
        assert!(!json.err.contains("warning"), "{}", json.err);
        let legend = format!("†: ran outside the sandbox (tier {tier})");
        for (number, format) in ["text", "markdown"].into_iter().enumerate() {
            let line = format!("{LINE}-{number} {words} --format {format}");
            let text = sandbox.line(&line).expect(0).out;
            assert_eq!(text.contains("nearest-mean †"), tier != "sandbox", "{text}");
            assert_eq!(text.contains(&legend), tier != "sandbox", "{text}");
        }
    }
}

#[test]
fn a_system_without_landlock_says_so_and_falls_back_or_refuses() {
    let sandbox = Sandbox::new();
    let answer = without_landlock(&sandbox, &format!("{LINE} --format json")).expect(0);
    assert_eq!(tier_of_the_row(&answer), "process");
    assert_eq!(answer.err.matches("warning: ").count(), 1, "{}", answer.err);
    assert!(
        answer.err.contains("this system lacks landlock, which guards files"),
        "{}",
        answer.err
    );
    assert!(!answer.err.contains("seccomp, which"), "{}", answer.err);
    let second = LINE.replace("--out out", "--out second");
    let words = ["--require-sandbox: this system lacks landlock"];
    without_landlock(&sandbox, &format!("{second} --require-sandbox")).refused(&words);
    assert!(!sandbox.path("work/second").exists());
    let words = ["--require-sandbox: --isolation process is none"];
    sandbox.line(&format!("{second} --isolation process --require-sandbox")).refused(&words);
    // The default on a GPU.
    sandbox.line(&format!("{second} --device libtorch:cuda:0 --require-sandbox")).refused(&words);
}

#[test]
fn a_user_may_open_files_to_the_sandbox() {
    let sandbox = Sandbox::new();
    let digits = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../host/src/data/digits/digits.csv.gz")
        .canonicalize()
        .expect("it is there");
    let plugin = built().zoo("cheater");
    let line = format!(
        "run zoo/cheater --plugin {} --set how=\"file\" --set with=\"{}\" --require-sandbox --epochs 1",
        plugin.display(),
        digits.display()
    );
    let accuracy = |words: &str| {
        let answer = sandbox.line(&format!("{line} {words} --format json")).expect(0);
        let views = &answer.json()["summary"]["views"][0]["scenarios"][0];
        views["metrics"]["average_accuracy"].as_f64().expect("scored")
    };
    assert!(accuracy("--out closed") < 0.2);
    assert_eq!(accuracy(&format!("--out open --allow-read {}", digits.display())), 1.0);
}
