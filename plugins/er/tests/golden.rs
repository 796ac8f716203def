//! ER against an independent float32 reference.

#[path = "../../../tests/golden/reader.rs"]
mod reader;

use perdura_er::{Config, Er};
use perdura_sdk::testing::{Driver, Setting};
use perdura_sdk::{StateReader, StateWriter};
use reader::{Golden, assert_parameters, assert_values};

#[test]
fn er_follows_the_reference() {
    let golden = Golden::read("er");
    let config = Config {
        lr: golden.hyper("lr").as_f64().unwrap(),
        replay: golden.hyper("replay").as_u64().unwrap() as usize,
        ..Config::default()
    };
    let mut driver = Driver::<Er>::new(config, Setting::new(10, &[784])).unwrap();
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
                assert_parameters(&name, &saved.tensor(&name, &shape).unwrap(), &wanted);
            }
        }
    }
    let logits = driver.predict("main", &golden.floats("probe/x")).unwrap().unwrap();
    assert_values("probe", &logits, &golden.floats("expect/probe/logits"));
}
