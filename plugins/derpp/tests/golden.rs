//! DER++ against an independent float32 reference.

#[path = "../../../tests/golden/reader.rs"]
#[allow(dead_code)] // parts of it serve the other methods
mod reader;

use perdura_derpp::{Config, DerPp};
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{StateReader, StateWriter, serde_json};
use reader::{Golden, assert_parameters, assert_values};

fn learner(golden: &Golden) -> Driver<DerPp> {
    let keys = ["lr", "alpha", "beta", "replay"].into_iter();
    let config: serde_json::Map<_, _> = keys.map(|k| (k.to_string(), golden.hyper(k))).collect();
    let config: Config = serde_json::from_value(config.into()).unwrap();
    let mut driver = Driver::new(config, Setting::new(10, &[784])).unwrap();
    let mut state = StateWriter::new();
    for (name, shape) in golden.under("init/") {
        state.tensor(&name, &shape, &golden.floats(&format!("init/{name}"))).unwrap();
    }
    driver.load(&state.into_bytes().unwrap()).unwrap();
    driver
}

/// The current batch, the draw with logits (its labels are not used) and the one with labels.
fn samples(golden: &Golden, step: u64) -> [Samples; 3] {
    let at = |part: &str| format!("step{step}/{part}");
    let labelled = |path| {
        Samples::new(
            &golden.floats(&at(&format!("{path}x"))),
            &golden.labels(&at(&format!("{path}y"))),
        )
    };
    let logits = golden.floats(&at("replay_a/logits"));
    let labels = vec![0; logits.len() / 10];
    let dark = Samples::new(&golden.floats(&at("replay_a/x")), &labels).column("logits", &logits);
    [labelled(""), dark, labelled("replay_b/")]
}

#[test]
fn derpp_follows_the_reference() {
    let golden = Golden::read("derpp");
    let mut driver = learner(&golden);
    for step in 1..=golden.steps() {
        let [current, dark, labelled] = samples(&golden, step);
        let report = driver.step(&current, &[("dark", dark), ("labelled", labelled)]).unwrap();
        let expected = format!("expect/step{step}/");
        for scalar in ["loss", "loss_ce", "loss_mse", "loss_ce_replay"] {
            let name = format!("{expected}{scalar}");
            assert_values(&name, &[report.scalar(scalar).unwrap() as f32], &golden.floats(&name));
        }
        let name = format!("{expected}current_logits");
        assert_values(&name, &report.column("logits").unwrap(), &golden.floats(&name));
        let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
        for (name, shape) in golden.under(&expected) {
            if name.ends_with("weight") || name.ends_with("bias") {
                let wanted = golden.floats(&format!("{expected}{name}"));
                assert_parameters(&name, &saved.tensor(&name, &shape).unwrap(), &wanted);
            }
        }
    }
    let logits = driver.predict("main", &golden.floats("probe/x")).unwrap().unwrap();
    assert_values("probe", &logits, &golden.floats("expect/probe/logits"));
}
