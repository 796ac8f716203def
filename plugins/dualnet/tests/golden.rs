//! DualNet on the MLP against an independent float32 reference: paper's roles, look-ahead with K =
//! 2 and two outer steps, β = 0.5, two supervised steps.

#[path = "../../../tests/golden/reader.rs"]
#[allow(dead_code)] // parts of it serve the tests of other methods
mod reader;

use perdura_dualnet::DualNet;
use perdura_sdk::testing::{Driver, Observed, Samples, Setting};
use perdura_sdk::{StateReader, StateWriter, serde_json};
use reader::{Golden, assert_parameters, assert_values};
use std::collections::BTreeMap;

/// Hyper-parameters that are called here as in the case, and those that are not.
const KEYS: [&str; 10] = [
    "lr",
    "lr_ssl",
    "lambda_bt",
    "eps_std",
    "beta",
    "n_outer",
    "lambda_tr",
    "tau",
    "replay",
    "ssl_batch",
];

/// A learner in the state the case starts from.
fn learner(golden: &Golden, device: &str) -> Driver<DualNet> {
    let mut config: serde_json::Map<_, _> =
        KEYS.into_iter().map(|key| (key.to_string(), golden.hyper(key))).collect();
    for key in ["k", "sup_steps"] {
        config.insert(key.into(), golden.hyper("K"));
    }
    let setting = Setting::new(10, &[784]).device(device);
    let mut driver = Driver::from_json(config.into(), setting).unwrap();
    let mut state = StateWriter::new();
    for (name, shape) in golden.under("init/") {
        let values = golden.floats(&format!("init/{name}"));
        state.tensor(&name, &shape, &values).unwrap();
    }
    state.value("supervised_steps", &0).unwrap();
    state.value("classes_of_experiences", &BTreeMap::<u32, Vec<u32>>::new()).unwrap();
    driver.load(&state.into_bytes().unwrap()).unwrap();
    driver
}

/// The draws of a step, in the order in which they are used.
fn draws(golden: &Golden, step: u64) -> Vec<(&'static str, Samples)> {
    let count = |key: &str| golden.hyper(key).as_u64().unwrap();
    let mut draws = Vec::new();
    for outer in 1..=count("n_outer") {
        for inner in 1..=count("K") {
            let view = |v: &str| {
                golden.floats(&format!("step{step}/ssl/outer{outer}/inner{inner}/view_{v}"))
            };
            let labels = vec![0; count("ssl_batch") as usize];
            draws.push(("ssl", Samples::new(&view("a"), &labels).view(&view("b"))));
        }
    }
    for i in 1..=count("K") {
        let at = |part: &str| format!("step{step}/sup{i}/replay/{part}");
        let samples = Samples::new(&golden.floats(&at("x")), &golden.labels(&at("y")));
        draws.push(("replay", samples.column("logits", &golden.floats(&at("logits")))));
    }
    draws
}

fn check_scalars(golden: &Golden, step: u64, report: &Observed) {
    for scalar in ["loss_ssl", "loss", "loss_ce", "loss_ce_replay", "loss_kd"] {
        // One value per inner step there, their mean here.
        let values = golden.floats(&format!("expect/step{step}/{scalar}"));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert_values(scalar, &[report.scalar(scalar).unwrap() as f32], &[mean]);
    }
    for scalar in ["slow_move_ssl", "slow_move_sup"] {
        let expected = golden.json["steps"][step as usize - 1][scalar].as_f64().unwrap();
        let found = report.scalar(scalar).unwrap();
        assert!((found - expected).abs() < 1e-4, "{scalar}: {found}, expected {expected}");
    }
}

/// On every device of this build that computes in f32 and that every machine has.
#[test]
fn follows_the_reference() {
    let names = perdura_nn::DEVICES.iter();
    for device in names.filter(|name| !name.contains("cuda") && !name.ends_with("+bf16")) {
        follows_the_reference_on(device);
    }
}

fn follows_the_reference_on(device: &str) {
    let golden = Golden::read("dualnet_mlp_strong");
    let mut driver = learner(&golden, device);
    for step in 1..=golden.steps() {
        let at = |part: &str| format!("step{step}/{part}");
        let current = Samples::new(&golden.floats(&at("x")), &golden.labels(&at("y")));
        let report = driver.step(&current, &draws(&golden, step)).unwrap();
        check_scalars(&golden, step, &report);
        let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
        for (name, shape) in golden.under("init/") {
            let expected = golden.floats(&format!("expect/step{step}/{name}"));
            let found = saved.tensor(&name, &shape).unwrap();
            assert_parameters(&format!("step {step}: {name}"), &found, &expected);
        }
    }
    let logits = driver.predict("main", &golden.floats("probe/x")).unwrap().unwrap();
    assert_values("probe", &logits, &golden.floats("expect/probe/logits"));
}
