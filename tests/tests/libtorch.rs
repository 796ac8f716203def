//! Plugins built with LibTorch: what they say of themselves, and ResNets that train on it in the
//! tiers `process` and `sandbox`. Where the plugins were built without, the same tests see what a
//! user is told. `.ci/run` builds both.

use crate::dualnet_images::sandbox;
use perdura_tests::{RunResult, Sandbox};
use serde_json::Value;
use std::ffi::OsStr;

/// What a plugin says of itself.
fn info(method: &str) -> Value {
    let sandbox = Sandbox::new();
    sandbox.line(&format!("plugins info {method} --format json")).expect(0).json()
}

fn devices(info: &Value) -> Vec<&str> {
    let devices = info["description"]["devices"].as_array().expect("a list");
    devices.iter().map(|device| device.as_str().expect("a name")).collect()
}

/// Whether this build of `er` has LibTorch. Where `.ci/run` has built it so, nothing may be skipped.
fn has_libtorch() -> bool {
    let has = devices(&info("er")).contains(&"libtorch");
    assert!(has || std::env::var_os("PERDURA_EXPECT_LIBTORCH").is_none(), "built without LibTorch");
    has
}

/// A ResNet-18 of width 2 over 120 images; er and cls-er replay, dualnet has views and boundaries too.
fn line(method: &str, device: &str, words: &str) -> String {
    let own = match method {
        "dualnet" => "--set head=task_aware --set ssl_source=past_only --set ssl_batch=8",
        _ => "",
    };
    format!(
        "run {method} --benchmark split-cifar10-subset --data-dir ../data --seed 0 --memory 50 \
         --epochs 1 --batch 6 --preset none --set backbone=resnet18 --set width=2 --set replay=6 \
         --set lr=0.01 --device {device} --out out {own} {words}"
    )
}

fn run(method: &str, device: &str, words: &str) -> RunResult {
    let sandbox = sandbox();
    sandbox.line(&line(method, device, words)).expect(0);
    RunResult::only_below(&sandbox.path("work/out"))
}

/// Mean loss of the first experience.
fn first_loss(run: &RunResult) -> f64 {
    let text = std::fs::read_to_string(run.folder.join("events.jsonl")).expect("events");
    let mut events = text.lines().map(|l| serde_json::from_str::<Value>(l).expect("a JSON line"));
    let ended = events.find(|event| event["event"] == "epoch_ended").expect("an epoch");
    ended["scalars"]["loss"].as_f64().expect("a loss")
}

#[test]
fn a_build_says_what_it_has() {
    for method in ["er", "cls-er", "dualnet"] {
        let info = info(method);
        let native = info["manifest"]["native"].as_str().expect("text");
        match devices(&info)[..] {
            ["flex"] => assert_eq!(native, "", "{method}"),
            ["flex", "libtorch", "libtorch+bf16", ..] => {
                assert!(native.contains("libtorch_cpu.so"), "{method}: {native}");
            }
            ref other => panic!("{method}: {other:?}"),
        }
    }
}

#[test]
fn a_build_without_it_says_how_to_get_it() {
    if has_libtorch() {
        eprintln!("SKIPPED a_build_without_it_says_how_to_get_it: this build has it");
        return;
    }
    let words = ["perdura/er", "was not built for the device `libtorch`", "has: flex"];
    let answer = sandbox().line(&line("er", "libtorch", "")).refused(&words);
    assert!(answer.err.contains("--features perdura-nn/libtorch"), "{}", answer.err);
}

/// Without the library the plugin cannot be opened: the message names the library and the variable.
#[test]
fn a_libtorch_that_is_not_found_is_named() {
    if !has_libtorch() {
        eprintln!("SKIPPED a_libtorch_that_is_not_found_is_named: built without LibTorch");
        return;
    }
    let line = line("er", "libtorch", "");
    let words: Vec<&str> = line.split_whitespace().collect();
    let nowhere = [("LD_LIBRARY_PATH", OsStr::new("/nonexistent"))];
    let answer = sandbox().perdura_with(&words, &nowhere);
    answer.refused(&["libtorch", ".so", "cannot open shared object file", "LD_LIBRARY_PATH"]);
}

/// One thread: the same bytes in every tier, the sandbox's rules included. The losses of flex at
/// first; later, small networks magnify what rounding left apart. DualNet's self-supervision on a
/// ResNet differs at once, which its README says, and is left out of the comparison.
#[test]
fn resnets_train_on_it_in_every_tier() {
    if !has_libtorch() {
        eprintln!("SKIPPED resnets_train_on_it_in_every_tier: built without LibTorch");
        return;
    }
    for method in ["er", "cls-er", "dualnet"] {
        let sandboxed = run(method, "libtorch", "--require-sandbox");
        let plain = run(method, "libtorch", "--isolation process");
        assert_eq!(sandboxed.determined, plain.determined, "{method}");
        let coarse = run(method, "libtorch+bf16", "");
        assert_eq!(coarse.plan.device, "libtorch+bf16");
        assert_ne!(coarse.determined, plain.determined, "{method}: bf16 rounds otherwise");
        if method != "dualnet" {
            let exact = first_loss(&run(method, "flex", ""));
            let (close, near) = (first_loss(&plain), first_loss(&coarse));
            assert!((close - exact).abs() < 2e-4, "{method}: {close}, on flex {exact}");
            assert!((near - exact).abs() < 0.1, "{method}: {near} in bf16, on flex {exact}");
        }
    }
    let mlp = line("er", "libtorch+bf16", "").replace("backbone=resnet18", "backbone=mlp");
    sandbox().line(&mlp).refused(&["`device`", "without `+bf16` for the backbone `mlp`"]);
}
