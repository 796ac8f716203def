//! The Perdura host.

pub mod augment;
pub mod cli;
pub mod compare;
pub mod data;
pub mod memory;
pub mod metrics;
pub mod plugin;
pub mod rng;
pub mod run;
pub mod scaffold;
pub mod schedule;
pub mod score;
pub mod stats;
pub mod stream;
pub mod trainer;
pub mod worker;
