//! ER against an independent float32 reference, on the MLP and on a ResNet-18 of width 8.

#[path = "../../../tests/golden/reader.rs"]
#[allow(dead_code)] // parts of it serve the tests of other methods
mod reader;

use perdura_er::{Config, Er};
use perdura_nn::BackboneKind;
use perdura_sdk::testing::{Driver, Setting};
use perdura_sdk::{StateReader, StateWriter};
use reader::{Golden, assert_parameters_within, assert_values};

/// Follows a case from its initial state, comparing every tensor after every step that the case
/// gives.
fn follows_the_reference(golden: &Golden, config: Config, input: &[usize], limit: f32) {
    let config = Config { lr: golden.hyper("lr").as_f64().unwrap(), ..config };
    let mut driver = Driver::<Er>::new(config, Setting::new(10, input)).unwrap();
    let mut state = StateWriter::new();
    for (name, shape) in golden.under("init/") {
        state.tensor(&name, &shape, &golden.floats(&format!("init/{name}"))).unwrap();
    }
    driver.load(&state.into_bytes().unwrap()).unwrap();

    for step in 1..=golden.steps() {
        let (current, replay) = golden.step(step);
        let report = driver.step(&current, &[("replay", replay)]).unwrap();
        let expected = format!("expect/step{step}/");
        let loss = report.scalar("loss").unwrap() as f32;
        assert_values(&expected, &[loss], &golden.floats(&format!("{expected}loss")));
        let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
        for (name, shape) in golden.under(&expected) {
            if !shape.is_empty() {
                let wanted = golden.floats(&format!("{expected}{name}"));
                let found = saved.tensor(&name, &shape).unwrap();
                assert_parameters_within(limit, &format!("{expected}{name}"), &found, &wanted);
            }
        }
    }
    let logits = driver.predict("main", &golden.floats("probe/x")).unwrap().unwrap();
    assert_values("probe", &logits, &golden.floats("expect/probe/logits"));
}

#[test]
fn er_follows_the_reference() {
    let golden = Golden::read("er");
    let replay = golden.hyper("replay").as_u64().unwrap() as usize;
    follows_the_reference(&golden, Config { replay, ..Config::default() }, &[784], 2e-6);
}

/// Parameters, running statistics and logits in evaluation mode.
#[test]
fn er_on_a_resnet_follows_the_reference() {
    let golden = Golden::read("resnet18_er");
    let number = |key| golden.hyper(key).as_u64().unwrap() as usize;
    let (replay, width) = (number("replay"), number("width"));
    let config = Config { replay, width, backbone: BackboneKind::Resnet18, ..Config::default() };
    assert_eq!(golden.under("expect/step2/").len(), 103, "all tensors and the loss");
    follows_the_reference(&golden, config, &[3, 32, 32], 2e-5);
}
