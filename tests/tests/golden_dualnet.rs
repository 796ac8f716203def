//! DualNet's golden trajectory through the shipped plugin, in a worker and in this process. Its
//! steps have two views, several draws of a request and columns, so it is driven apart from the
//! others.

use crate::reader::{Golden, assert_parameters, assert_values};
use perdura::plugin::{inspect, open};
use perdura_sdk::StateWriter;
use perdura_tests::{Learner, Samples, built, in_child};
use safetensors::SafeTensors;
use serde_json::{Map, Value, json};

/// Hyper-parameters that are called in the case as in the plugin; K is there `k` and `sup_steps`
/// here.
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

fn count(golden: &Golden, key: &str) -> u64 {
    golden.hyper(key).as_u64().expect("a count")
}

fn config(golden: &Golden) -> Value {
    let same = KEYS.into_iter().map(|key| (key, golden.hyper(key)));
    let steps = ["k", "sup_steps"].into_iter().map(|key| (key, golden.hyper("K")));
    let all = same.chain(steps).map(|(key, value)| (key.to_string(), value));
    Value::Object(all.collect::<Map<_, _>>())
}

/// The state the case starts from.
fn initial(golden: &Golden) -> Vec<u8> {
    let mut state = StateWriter::new();
    for (name, shape) in golden.under("init/") {
        let values = golden.floats(&format!("init/{name}"));
        state.tensor(&name, &shape, &values).expect("shape and values fit");
    }
    state.value("supervised_steps", &0).expect("a number");
    state.value("classes_of_experiences", &json!({})).expect("an object");
    state.into_bytes().expect("small names")
}

/// The draws of a step as (request, samples): 0 are the views, 1 is replay.
fn draws(golden: &Golden, step: u64) -> Vec<(u32, Samples)> {
    let mut draws = Vec::new();
    for outer in 1..=count(golden, "n_outer") {
        for inner in 1..=count(golden, "K") {
            let at = format!("step{step}/ssl/outer{outer}/inner{inner}/view_");
            let view = |v: &str| golden.floats(&format!("{at}{v}"));
            let labels = vec![0; count(golden, "ssl_batch") as usize];
            let second_view = Some(view("b"));
            let samples = Samples { inputs: view("a"), second_view, labels, ..Samples::default() };
            draws.push((0, samples));
        }
    }
    for i in 1..=count(golden, "K") {
        let at = |part: &str| format!("step{step}/sup{i}/replay/{part}");
        let (inputs, labels) = (golden.floats(&at("x")), golden.labels(&at("y")));
        let columns = vec![("logits".to_string(), golden.floats(&at("logits")))];
        draws.push((1, Samples { inputs, labels, columns, ..Samples::default() }));
    }
    draws
}

fn follows_the_reference(open: impl FnOnce(&Value) -> Learner) {
    let golden = Golden::read("dualnet_mlp_strong");
    let mut learner = open(&config(&golden));
    learner.load(&initial(&golden));
    for step in 1..=golden.steps() {
        let at = |part: &str| format!("step{step}/{part}");
        let (inputs, labels) = (golden.floats(&at("x")), golden.labels(&at("y")));
        let current = Samples { inputs, labels, ..Samples::default() };
        let draws = draws(&golden, step);
        let draws: Vec<_> = draws.iter().map(|(request, samples)| (*request, samples)).collect();
        let scalars = learner.observe_draws(&current, &draws).scalars;
        for scalar in ["loss_ssl", "loss", "loss_ce", "loss_ce_replay", "loss_kd"] {
            // One value per inner step there, their mean here.
            let values = golden.floats(&format!("expect/step{step}/{scalar}"));
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            assert_values(scalar, &[scalars[scalar] as f32], &[mean]);
        }
        let saved = learner.save();
        let file = SafeTensors::deserialize(&saved).expect("a saved state is safetensors");
        let word = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        for (name, shape) in golden.under("init/") {
            let tensor = file.tensor(&name).expect("the state has the case's tensors");
            assert_eq!(tensor.shape(), shape, "{name}");
            let found: Vec<f32> = tensor.data().chunks_exact(4).map(word).collect();
            let expected = golden.floats(&format!("expect/step{step}/{name}"));
            assert_parameters(&format!("step {step}: {name}"), &found, &expected);
        }
    }
    let logits = learner.predict("main", &golden.floats("probe/x"));
    assert_values("probe", &logits, &golden.floats("expect/probe/logits"));
}

#[test]
fn in_a_worker() {
    let plugin = built().plugin("dualnet");
    follows_the_reference(|config| Learner::in_worker(&plugin, config, &[784]));
}

#[test]
fn in_this_process() {
    in_child("golden_dualnet::in_this_process", || {
        let found = inspect(&built().plugin("dualnet")).expect("a good file");
        let root = open(&found).expect("it opens").root;
        follows_the_reference(|config| Learner::in_process(root, config, &[784]));
    });
}
