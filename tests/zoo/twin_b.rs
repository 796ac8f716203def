//! The other of two plugins with the same id; told apart by the library it claims to need.
#![deny(unsafe_code)]

#[path = "counter.rs"]
mod counter;

perdura_sdk::export_learner!(counter::Counter, id = "zoo/twin", native = "libm.so.6");
