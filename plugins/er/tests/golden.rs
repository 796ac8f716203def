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
fn follows_the_reference(golden: &Golden, config: Config, setting: Setting, limit: f32) {
    let config = Config { lr: golden.hyper("lr").as_f64().unwrap(), ..config };
    let mut driver = Driver::<Er>::new(config, setting).unwrap();
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
    for device in devices() {
        let config = Config { replay, ..Config::default() };
        follows_the_reference(&golden, config, Setting::new(10, &[784]).device(device), 2e-6);
    }
}

/// Those of this build that compute in f32 and that every machine has.
fn devices() -> impl Iterator<Item = &'static str> {
    let names = perdura_nn::DEVICES.iter().copied();
    names.filter(|name| !name.contains("cuda") && !name.ends_with("+bf16"))
}

/// Parameters, running statistics and logits in evaluation mode.
#[test]
fn er_on_a_resnet_follows_the_reference() {
    let golden = Golden::read("resnet18_er");
    let number = |key| golden.hyper(key).as_u64().unwrap() as usize;
    let (replay, width) = (number("replay"), number("width"));
    assert_eq!(golden.under("expect/step2/").len(), 103, "all tensors and the loss");
    for device in devices() {
        let backbone = BackboneKind::Resnet18;
        let config = Config { replay, width, backbone, ..Config::default() };
        follows_the_reference(&golden, config, Setting::new(10, &[3, 32, 32]).device(device), 2e-5);
    }
}
