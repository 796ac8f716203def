//! A plugin of today's boundary, for the fixture of the ABI.
#![deny(unsafe_code)]

#[path = "counter.rs"]
mod counter;

perdura_sdk::export_learner!(counter::Counter, id = "zoo/old");
