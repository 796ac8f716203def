//! A plugin of a later boundary, which has one field more, for the fixture of the ABI.
#![deny(unsafe_code)]

#[path = "counter.rs"]
mod counter;

perdura_sdk::export_learner!(counter::Counter, id = "zoo/next");
