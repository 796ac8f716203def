//! A memory as scripted draws give it, and experiences that look at it.

use perdura_dualnet::{Config, DualNet};
use perdura_nn::{BackboneConfig, Net, NetShape, state};
use perdura_sdk::testing::{Driver, Samples};
use perdura_sdk::{StateReader, rand};

use super::*;

pub const NETS: [&str; 4] = ["slow.", "projector.", "fast.", "head."];

/// A memory of `count` samples of every experience, as it is drawn: two views.
pub fn memory(count: usize, experiences: u32, salt: u32) -> Samples {
    of_memory(alike_views(count * experiences as usize, WIDTH, salt), experiences)
}

/// The second view is the first with some noise.
pub fn alike_views(count: usize, width: usize, salt: u32) -> Samples {
    let (first, noise) = (inputs(count, width, salt), inputs(count, width, salt + 7000));
    let second: Vec<f32> = first.iter().zip(noise).map(|(x, e)| 0.9 * x + 0.1 * e).collect();
    let labels: Vec<u32> = (0..count as u32).map(|i| i % CLASSES as u32).collect();
    Samples::new(&first, &labels).view(&second)
}

pub fn of_memory(samples: Samples, experiences: u32) -> Samples {
    let each = samples.labels.len() as u32 / experiences;
    let experience = |row: u32| (row / each).min(experiences - 1);
    let of = (0..samples.labels.len() as u32).map(experience).collect();
    Samples { experiences: Some(of), ..samples }
}

/// Looks are short, and the memory has room.
pub fn small() -> Config {
    Config { matrix_draws: 2, matrix_batch: 8, matrix_window: 2, ..config() }
}

pub fn begin(driver: &mut Driver<DualNet>, index: u32) {
    driver.memory_samples_max = Some(100);
    driver.begin_experience(index).unwrap();
}

/// The end of an experience, with what the memory answers to a look, to a walk through it, and to
/// whoever keeps old answers.
pub fn end(driver: &mut Driver<DualNet>, index: u32) {
    (0..2).for_each(|i| driver.script.draws.push_back(memory(8, index + 1, 300 + 10 * index + i)));
    let plain = of_memory(samples(6 * (index as usize + 1), 400 + index), index + 1);
    driver.script.iterations = [vec![plain], vec![]].into();
    driver.end_experience(index).unwrap();
    driver.script.draws.clear();
    driver.script.iterations.clear();
}

/// An experience of `steps` steps, each with the views and the replay of its number.
pub fn experience(driver: &mut Driver<DualNet>, index: u32, steps: std::ops::Range<u32>) {
    begin(driver, index);
    // For the probe after two steps.
    (0..2).for_each(|i| driver.script.draws.push_back(memory(8, index + 1, 350 + 10 * index + i)));
    steps.for_each(|salt| drop(step(driver, salt)));
    driver.script.draws.clear();
    end(driver, index);
}

/// Two noisy views of samples that one factor moves; which inputs it moves is up to `kind`.
pub fn correlated(count: usize, kind: usize, salt: u32) -> Samples {
    let loading = |column: usize| match (kind, column) {
        (0, 0..3) | (1, 1 | 3 | 5) => 1.0,
        (0, _) => -0.5,
        _ => -1.0,
    };
    let factors = inputs(count, 1, salt);
    let view = |noise: u32| -> Vec<f32> {
        let noise = inputs(count, WIDTH, salt + noise);
        let of = |i: usize| 2.0 * (factors[i / WIDTH] - 0.5) * loading(i % WIDTH) + 0.2 * noise[i];
        (0..count * WIDTH).map(of).collect()
    };
    Samples::new(&view(1000), &vec![0; count]).view(&view(2000))
}

/// The slow network of `config()` as it is, as a network of its own.
pub fn slow_network(driver: &mut Driver<DualNet>) -> Net {
    let backbone = BackboneConfig { hidden: vec![5, 4], ..BackboneConfig::default() };
    let shape = NetShape { backbone, input: vec![WIDTH], classes: CLASSES };
    let device = perdura_nn::device("flex", 0).unwrap();
    let mut net = Net::new(&shape, &mut rand::rng(), &device).unwrap();
    let mut saved = StateReader::from_bytes(&driver.save().unwrap()).unwrap();
    state::load(&mut net.backbone, "slow.", &mut saved).unwrap();
    net
}
