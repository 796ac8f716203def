//! CLS-ER against an independent float32 reference, from initialisation and in mid-run.

#[path = "../../../tests/golden/reader.rs"]
#[allow(dead_code)] // parts of it serve the tests of other methods
mod reader;

use perdura_cls_er::{ClsEr, Config};
use perdura_sdk::testing::{Driver, Setting};
use perdura_sdk::{StateReader, StateWriter, serde_json};
use reader::{Golden, assert_parameters, assert_values};

const KEYS: [&str; 7] =
    ["lr", "replay", "reg_weight", "r_plastic", "r_stable", "alpha_plastic", "alpha_stable"];

/// A learner in the state the case starts from: `working/fc1.weight` there is `working.fc1.weight`
/// here.
fn learner(golden: &Golden) -> Driver<ClsEr> {
    let config: serde_json::Map<_, _> =
        KEYS.into_iter().map(|key| (key.to_string(), golden.hyper(key))).collect();
    let config: Config = serde_json::from_value(config.into()).unwrap();
    let mut driver = Driver::new(config, Setting::new(10, &[784])).unwrap();
    let mut state = StateWriter::new();
    for (name, shape) in golden.under("init/") {
        let values = golden.floats(&format!("init/{name}"));
        state.tensor(&name.replace('/', "."), &shape, &values).unwrap();
    }
    state.value("steps", &golden.hyper("steps_done_before").as_u64().unwrap_or(0)).unwrap();
    driver.load(&state.into_bytes().unwrap()).unwrap();
    driver
}

fn follows_the_reference(case: &str) {
    let golden = Golden::read(case);
    let mut driver = learner(&golden);
    for step in 1..=golden.steps() {
        let (current, replay) = golden.step(step);
        let report = driver.step(&current, &[("replay", replay)]).unwrap();
        for scalar in ["loss", "loss_ce", "loss_cons"] {
            let name = format!("expect/step{step}/{scalar}");
            let found = report.scalar(scalar).unwrap() as f32;
            assert_values(&name, &[found], &golden.floats(&name));
        }
        let chosen = &golden.json["steps"][step as usize - 1]["n_select_stable"];
        assert_eq!(report.scalar("n_select_stable"), chosen.as_f64(), "{case} step {step}");
        let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
        for network in ["working", "plastic", "stable"] {
            let expected = format!("expect/step{step}/{network}/");
            for (name, shape) in golden.under(&expected) {
                let wanted = golden.floats(&format!("{expected}{name}"));
                let found = saved.tensor(&format!("{network}.{name}"), &shape).unwrap();
                assert_parameters(&format!("{case}: {expected}{name}"), &found, &wanted);
            }
        }
    }
    for view in ["stable", "plastic", "working"] {
        let logits = driver.predict(view, &golden.floats("probe/x")).unwrap().unwrap();
        assert_values(view, &logits, &golden.floats(&format!("expect/probe/{view}")));
    }
}

#[test]
fn from_initialisation() {
    follows_the_reference("clser");
}

#[test]
fn in_mid_run_with_mixed_teachers() {
    follows_the_reference("clser_mid");
}
