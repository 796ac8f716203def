//! One of two plugins with the same id.
#![deny(unsafe_code)]

#[path = "counter.rs"]
mod counter;

perdura_sdk::export_learner!(counter::Counter, id = "zoo/twin");
