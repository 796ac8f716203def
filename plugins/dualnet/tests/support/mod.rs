//! A small DualNet under a scripted stream, and its saved tensors by name.

#![allow(dead_code)] // each test file uses a part of it

pub mod groups;
pub mod memory;

use perdura_dualnet::{Config, DualNet};
use perdura_sdk::testing::{Driver, Observed, Samples, Setting};
use safetensors::SafeTensors;
use std::collections::BTreeMap;

pub const WIDTH: usize = 6;
pub const CLASSES: usize = 4;

/// Small networks, rates at which everything moves, one step of each kind.
pub fn config() -> Config {
    Config {
        hidden: vec![5, 4],
        projector: 7,
        lr: 0.2,
        lr_ssl: 0.05,
        k: 1,
        n_outer: 1,
        beta: 1.0,
        sup_steps: 1,
        ..Config::default()
    }
}

/// The supervised phase never comes: no batch is labelled. (A share of 0 would be refused.)
pub fn ssl_alone() -> Config {
    Config { labelled: 1e-12, ..config() }
}

pub fn driver(config: Config) -> Driver<DualNet> {
    Driver::new(config, Setting::new(CLASSES, &[WIDTH]).seed(3)).unwrap()
}

fn number(i: u32, salt: u32) -> f32 {
    let mixed = (i ^ (salt << 16)).wrapping_mul(2654435761);
    (((mixed ^ (mixed >> 15)).wrapping_mul(2246822519) >> 8) % 256) as f32 / 255.0
}

/// `count` inputs, different for every `salt`.
pub fn inputs(count: usize, width: usize, salt: u32) -> Vec<f32> {
    (0..(count * width) as u32).map(|i| number(i, salt)).collect()
}

/// `count` samples, different for every `salt`.
pub fn samples(count: usize, salt: u32) -> Samples {
    let labels: Vec<u32> = (0..count as u32).map(|i| (i + salt) % CLASSES as u32).collect();
    Samples::new(&inputs(count, WIDTH, salt), &labels)
}

/// Two views of `count` samples.
pub fn views(count: usize, salt: u32) -> Samples {
    samples(count, salt).view(&inputs(count, WIDTH, salt + 7000))
}

/// Replayed samples with old answers.
pub fn replay(count: usize, salt: u32) -> Samples {
    samples(count, salt).column("logits", &inputs(count, CLASSES, salt + 9000))
}

/// One step with one draw of each kind.
pub fn step(driver: &mut Driver<DualNet>, salt: u32) -> Observed {
    let draws = [("ssl", views(8, 100 + salt)), ("replay", replay(5, 200 + salt))];
    driver.step(&samples(6, salt), &draws).unwrap()
}

/// All tensors of a saved state whose name starts with one of `prefixes`.
pub fn tensors(driver: &mut Driver<DualNet>, prefixes: &[&str]) -> BTreeMap<String, Vec<f32>> {
    let bytes = driver.save().unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let word = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let wanted = |name: &String| prefixes.iter().any(|p| name.starts_with(p));
    let named = file.tensors().into_iter().filter(|(name, _)| wanted(name));
    named.map(|(name, view)| (name, view.data().chunks_exact(4).map(word).collect())).collect()
}

/// `after − before`, all tensors in one vector. Running statistics are left out.
pub fn displacement(
    before: &BTreeMap<String, Vec<f32>>,
    after: &BTreeMap<String, Vec<f32>>,
) -> Vec<f64> {
    let difference = |(name, after): (&String, &Vec<f32>)| {
        let pairs = after.iter().zip(&before[name]);
        pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)).collect::<Vec<_>>()
    };
    after.iter().filter(|(name, _)| !name.contains("running")).flat_map(difference).collect()
}

pub fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// `a + factor · b`.
pub fn plus(a: &[f64], factor: f64, b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + factor * b).collect()
}
