//! oEWC against an independent float32 reference: importance and anchor when an experience ends,
//! three steps with the penalty, and the importance that adds up when a second one ends.

#[path = "../../../tests/golden/reader.rs"]
#[allow(dead_code)] // parts of it serve the tests of other methods
mod reader;

use perdura_ewc_online::{Config, EwcOnline};
use perdura_sdk::testing::{Driver, Samples, Setting};
use perdura_sdk::{StateReader, StateWriter, serde_json};
use reader::{Golden, assert_parameters, assert_values};

fn learner(golden: &Golden) -> Driver<EwcOnline> {
    let keys = ["lr", "e_lambda", "gamma"].into_iter();
    let config: serde_json::Map<_, _> = keys.map(|k| (k.to_string(), golden.hyper(k))).collect();
    let config: Config = serde_json::from_value(config.into()).unwrap();
    let mut driver = Driver::new(config, Setting::new(10, &[784])).unwrap();
    let mut state = StateWriter::new();
    for (name, shape) in golden.under("init/") {
        state.tensor(&name, &shape, &golden.floats(&format!("init/{name}"))).unwrap();
    }
    state.value("anchored", &false).unwrap();
    driver.load(&state.into_bytes().unwrap()).unwrap();
    driver
}

fn samples(golden: &Golden, at: &str) -> Samples {
    Samples::new(&golden.floats(&format!("{at}/x")), &golden.labels(&format!("{at}/y")))
}

/// Everything that the case gives below `expect/<at>/`, against the saved state.
fn compare(golden: &Golden, driver: &mut Driver<EwcOnline>, at: &str) -> usize {
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    let expected = format!("expect/{at}/");
    let given = golden.under(&expected);
    for (name, shape) in given.iter().filter(|(_, shape)| !shape.is_empty()) {
        let found = saved.tensor(&name.replace('/', "."), shape).unwrap();
        let name = format!("{expected}{name}");
        assert_parameters(&name, &found, &golden.floats(&name));
    }
    given.len()
}

#[test]
fn ewc_online_follows_the_reference() {
    let golden = Golden::read("ewc_on");
    let mut driver = learner(&golden);
    let end = |driver: &mut Driver<EwcOnline>, number: u32| {
        let at = format!("task_end{number}");
        driver.script.iterations.push_back(vec![samples(&golden, &at)]);
        driver.end_experience(number - 1).unwrap();
        assert_eq!(compare(&golden, driver, &at), 6, "an importance for every tensor");
    };
    end(&mut driver, 1);
    for step in 1..=golden.steps() {
        let at = format!("step{step}");
        let report = driver.step(&samples(&golden, &at), &[]).unwrap();
        for scalar in ["loss", "loss_ce", "penalty"] {
            let name = format!("expect/{at}/{scalar}");
            let found = report.scalar(scalar).unwrap() as f32;
            assert_values(&name, &[found], &golden.floats(&name));
        }
        compare(&golden, &mut driver, &at);
    }
    let logits = driver.predict("main", &golden.floats("probe/x")).unwrap().unwrap();
    assert_values("probe", &logits, &golden.floats("expect/probe/logits"));
    end(&mut driver, 2);
}
