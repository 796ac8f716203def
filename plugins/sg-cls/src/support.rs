//! A small SG-CLS under a scripted stream, for the tests of this crate.

use perdura_sdk::testing::{Driver, Samples as Script, Setting};
use perdura_sdk::{GrowthEvent, StateReader, serde_json};

use crate::{Config, SgCls};

pub const WIDTH: usize = 6;
pub const CLASSES: usize = 3;

pub fn config() -> Config {
    Config { lr: 0.2, replay: 8, hidden: vec![5], probe: 30, ..Config::default() }
}

pub fn driver(config: Config) -> Driver<SgCls> {
    Driver::new(config, Setting::new(CLASSES, &[WIDTH]).seed(3)).unwrap()
}

/// Samples of a task: classes around means of its own.
pub fn task(task: u32, count: usize, salt: u32) -> Script {
    let number = |i: u32, salt: u32| {
        f32::from((i.wrapping_mul(2654435761).wrapping_add(salt.wrapping_mul(40503)) >> 16) as u8)
            / 255.0
    };
    let mut inputs = Vec::new();
    let labels: Vec<u32> = (0..count as u32).map(|i| (i + salt) % CLASSES as u32).collect();
    for (i, &label) in labels.iter().enumerate() {
        for j in 0..WIDTH as u32 {
            let mean = number(task * 1000 + label * 10 + j, 7);
            inputs.push(mean + 0.1 * number(i as u32 * 10 + j, 100 + salt));
        }
    }
    Script::new(&inputs, &labels)
}

pub fn of_group(samples: Script, group: u32) -> Script {
    let groups = Some(vec![group; samples.labels.len()]);
    let experiences = Some(vec![group; samples.labels.len()]);
    Script { groups, experiences, ..samples }
}

/// Begins an experience; the memory holds samples of `held`, group by group.
pub fn begin(driver: &mut Driver<SgCls>, index: u32, probe: u32, held: &[Script]) {
    driver.script.iterations.push_back(vec![task(probe, 30, index)]);
    driver.script.draws.extend(held.iter().cloned());
    driver.begin_experience(index).unwrap();
}

pub fn train(driver: &mut Driver<SgCls>, of: u32, steps: u32, replay: u32) {
    for step in 0..steps {
        let replayed = of_group(task(replay, 8, 500 + step), replay);
        driver.step(&task(of, 3, step), &[("replay", replayed)]).unwrap();
    }
}

/// All parameters of one network.
pub fn parameters(driver: &mut Driver<SgCls>, network: &str) -> Vec<f32> {
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    let shapes: [(&str, &[usize]); 4] = [
        ("fc1.weight", &[5, WIDTH]),
        ("fc1.bias", &[5]),
        ("head.weight", &[CLASSES, 5]),
        ("head.bias", &[CLASSES]),
    ];
    let mut read =
        |(name, shape): (&str, &[usize])| saved.tensor(&format!("{network}.{name}"), shape);
    shapes.map(|of| read(of).unwrap()).concat()
}

pub fn growth(driver: &Driver<SgCls>) -> Vec<GrowthEvent> {
    let events = driver.script.calls.iter().filter(|(name, _)| name == "report_event");
    events.filter_map(|(_, header)| serde_json::from_value(header.clone()).ok()).collect()
}

/// The groups of the experiences, as they were told.
pub fn groups(driver: &Driver<SgCls>) -> Vec<u32> {
    let of = |event| match event {
        GrowthEvent::Grouped { group, .. } => Some(group),
        _ => None,
    };
    growth(driver).into_iter().filter_map(of).collect()
}

/// Similarities as they were told when the last experience was put into a group.
pub fn similarities(driver: &Driver<SgCls>) -> Vec<(u32, f32)> {
    let of = |event| match event {
        GrowthEvent::Grouped { similarities, .. } => Some(similarities),
        _ => None,
    };
    growth(driver).into_iter().filter_map(of).next_back().unwrap()
}

/// Samples counted in for a group, and the sums of their classes; `None` for a group that is not
/// open.
pub fn counted(driver: &mut Driver<SgCls>, group: usize) -> Option<(u64, Vec<f32>)> {
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    let standing: serde_json::Value = saved.value("standing").unwrap();
    let groups = standing["groups"].as_array().unwrap();
    let found = groups.iter().find(|found| found["number"] == group)?;
    let sums = saved.tensor(&format!("means-{group}.sums"), &[CLASSES, WIDTH]).unwrap();
    Some((found["samples"].as_u64().unwrap(), sums))
}

/// Sums by class of some samples, as they would be counted in.
pub fn sums(of: &[&Script]) -> (u64, Vec<f32>) {
    let mut means = perdura_nn::similarity::ClassMeans::new(CLASSES, WIDTH);
    of.iter().for_each(|samples| means.add(&samples.views[0], &samples.labels));
    (of.iter().map(|s| s.labels.len() as u64).sum(), means.parts().0.to_vec())
}

/// The state with its tensors changed.
pub fn edited(saved: &[u8], mut edit: impl FnMut(&str, &mut [f32])) -> Vec<u8> {
    let file = safetensors::SafeTensors::deserialize(saved).unwrap();
    let mut state = perdura_sdk::StateWriter::new();
    for (name, view) in file.tensors() {
        let word = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let mut values: Vec<f32> = view.data().chunks_exact(4).map(word).collect();
        edit(&name, &mut values);
        state.tensor(&name, view.shape(), &values).unwrap();
    }
    let mut reader = StateReader::from_bytes(saved).unwrap();
    for key in ["standing", "window_labels", "window_uids"] {
        state.value(key, &reader.value::<serde_json::Value>(key).unwrap()).unwrap();
    }
    state.into_bytes().unwrap()
}
