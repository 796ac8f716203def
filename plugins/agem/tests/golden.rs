//! A-GEM against an independent float32 reference, in steps that are bent and steps that are not.

#[path = "../../../tests/golden/reader.rs"]
#[allow(dead_code)] // parts of it serve the tests of other methods
mod reader;

use perdura_agem::{AGem, Config};
use perdura_sdk::testing::{Driver, Setting};
use perdura_sdk::{StateReader, StateWriter};
use reader::{Golden, assert_parameters, assert_values};

#[test]
fn agem_follows_the_reference() {
    let golden = Golden::read("agem");
    let lr = golden.hyper("lr").as_f64().unwrap();
    let replay = golden.hyper("replay").as_u64().unwrap() as usize;
    let config = Config { lr, replay, ..Config::default() };
    let mut driver = Driver::<AGem>::new(config, Setting::new(10, &[784])).unwrap();
    let mut state = StateWriter::new();
    for (name, shape) in golden.under("init/") {
        state.tensor(&name, &shape, &golden.floats(&format!("init/{name}"))).unwrap();
    }
    driver.load(&state.into_bytes().unwrap()).unwrap();

    let mut bent = 0;
    for step in 1..=golden.steps() {
        let (current, reference) = golden.step(step);
        let report = driver.step(&current, &[("reference", reference)]).unwrap();
        let expected = format!("expect/step{step}/");
        for scalar in ["loss", "loss_ref", "dot", "ref_sq"] {
            let name = format!("{expected}{scalar}");
            let found = report.scalar(scalar).unwrap() as f32;
            assert_values(&name, &[found], &golden.floats(&name));
        }
        let projected = golden.json["steps"][step as usize - 1]["projected"].as_bool().unwrap();
        assert_eq!(report.scalar("projected"), Some(f64::from(u8::from(projected))), "{step}");
        bent += u32::from(projected);
        let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
        for (name, shape) in golden.under(&expected).iter().filter(|(_, shape)| !shape.is_empty()) {
            let wanted = golden.floats(&format!("{expected}{name}"));
            assert_parameters(name, &saved.tensor(name, shape).unwrap(), &wanted);
        }
    }
    assert!(bent > 0 && u64::from(bent) < golden.steps(), "both kinds of steps occur");
    let logits = driver.predict("main", &golden.floats("probe/x")).unwrap().unwrap();
    assert_values("probe", &logits, &golden.floats("expect/probe/logits"));
}
