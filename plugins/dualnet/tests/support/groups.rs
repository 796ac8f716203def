//! Streams of two kinds of experiences for tests of groups.

#![allow(dead_code)] // each test file uses a part of it

use super::*;
use perdura_sdk::Position;

pub const STEPS: u64 = 6;

pub type Tensors = BTreeMap<String, Vec<f32>>;

/// The small DualNet, learning masks and comparing groups by few samples where it is told to.
pub fn grouped() -> Config {
    Config { hidden: vec![10, 8], probe: 30, beta: 0.5, k: 2, sup_steps: 2, ..config() }
}

fn mixed(i: u32, salt: u32) -> f32 {
    let number = i.wrapping_mul(2654435761).wrapping_add(salt.wrapping_mul(40503)) >> 16;
    f32::from(number as u8) / 255.0
}

/// Samples around the class means of a task.
pub fn task(task: u32, count: usize, salt: u32) -> Samples {
    let classes = classes_of(task);
    let labels: Vec<u32> =
        (0..count).map(|i| classes[(i + salt as usize) % classes.len()]).collect();
    let mut inputs = Vec::new();
    for (i, &label) in labels.iter().enumerate() {
        for j in 0..WIDTH as u32 {
            let mean = mixed(task * 1000 + label * 10 + j, 7);
            inputs.push(mean + 0.1 * mixed(i as u32 * 10 + j, 100 + salt));
        }
    }
    let experiences = Some(vec![task; count]);
    Samples { experiences, ..Samples::new(&inputs, &labels) }
}

/// All tasks have all classes but the last, which is the second's alone.
pub fn classes_of(task: u32) -> Vec<u32> {
    (0..CLASSES as u32 - u32::from(task != 1)).collect()
}

/// Samples of the memory, with old answers.
pub fn of_group(samples: Samples, group: u32) -> Samples {
    let count = samples.labels.len();
    // Identities of their own, as in a memory.
    let uids = Some((1000..1000 + count as u64).collect());
    Samples { groups: Some(vec![group; count]), uids, ..samples }
}

pub fn at(experience: u32, step_in_epoch: u64) -> Position {
    Position { experience, epoch: 0, epochs: 1, step_in_epoch, steps_per_epoch: STEPS }
}

/// Begins an experience; the memory holds samples of two groups.
pub fn begin(driver: &mut Driver<DualNet>, index: u32, of: u32) {
    driver.script.iterations.push_back(vec![task(of, 30, 50)]);
    driver.script.draws.extend([0, 1].map(|group| of_group(task(group, 30, 60), group)));
    driver.begin_experience_of(index, &classes_of(of)).unwrap();
    driver.script.draws.clear();
    driver.script.iterations.clear();
}

/// Steps of one epoch with draws of both kinds; `replayed` is the group of what is replayed.
pub fn train(
    driver: &mut Driver<DualNet>,
    experience: u32,
    of: u32,
    replayed: Option<u32>,
) -> Vec<Observed> {
    let step = |step_in_epoch: u64| {
        driver.position = Some(at(experience, step_in_epoch));
        let salt = 8 * experience + step_in_epoch as u32;
        let mut draws: Vec<(&str, Samples)> =
            (0..4).map(|i| ("ssl", views(8, 300 + 4 * salt + i))).collect();
        for i in 0..2 {
            let drawn = |group| {
                let samples = task(group, 5, 500 + 2 * salt + i);
                of_group(samples, group).column("logits", &inputs(5, CLASSES, 700 + salt + i))
            };
            draws.extend(replayed.map(|group| ("replay", drawn(group))));
        }
        draws.retain(|(name, _)| driver.declaration.requests.iter().any(|r| r.name == *name));
        driver.step(&task(of, 6, salt), &draws).unwrap()
    };
    (0..STEPS).map(step).collect()
}

/// One step of an experience that has begun, with views and without replay.
pub fn step_with_views(driver: &mut Driver<DualNet>, salt: u32) -> Observed {
    driver.position = Some(at(1, 0));
    let draws: Vec<_> = (0..4).map(|i| ("ssl", views(8, 300 + 4 * salt + i))).collect();
    driver.step(&task(1, 6, salt), &draws).unwrap()
}

/// A whole experience; the memory holds nothing whose answers could be kept.
pub fn learn(driver: &mut Driver<DualNet>, index: u32, of: u32, replayed: Option<u32>) {
    begin(driver, index, of);
    train(driver, index, of, replayed);
    end(driver, index, of);
}

/// Ends it; the memory has samples for what asks for some.
pub fn end(driver: &mut Driver<DualNet>, index: u32, of: u32) {
    driver.script.iterations.push_back(vec![]);
    driver.script.draws.push_back(of_group(task(of, 5, 70), of));
    driver.end_experience(index).unwrap();
    driver.script.draws.clear();
    driver.script.iterations.clear();
}

/// Experiences of the tasks 0, 1 and 0.
pub fn three_experiences(config: Config) -> Driver<DualNet> {
    let mut driver = driver(config);
    learn(&mut driver, 0, 0, None);
    learn(&mut driver, 1, 1, Some(0));
    learn(&mut driver, 2, 0, Some(1));
    driver
}

/// Everything that is trained.
pub fn networks(driver: &mut Driver<DualNet>) -> Tensors {
    tensors(driver, &["slow.", "fast.", "head.", "projector.", "readout."])
}
