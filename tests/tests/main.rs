//! The tests of Perdura as its users meet it: the command, the shipped plugins, and plugins that misbehave.
//! One program, so that everything is linked once.

mod aborting;
mod anytime;
mod bench;
mod cheaters;
mod check;
mod cli;
mod data_files;
mod determinism;
mod disk_full;
mod dualnet_images;
mod durability;
mod equal_compute;
mod faults;
mod fetch;
mod fuzz;
mod golden;
mod golden_dualnet;
mod growth;
mod image_folders;
mod journey;
mod kill;
mod languages;
mod libtorch;
mod loading;
mod progress;
#[path = "../golden/reader.rs"]
#[allow(dead_code)] // parts of it serve the tests of the methods themselves
mod reader;
mod readme;
mod report;
mod reproduce;
mod resume;
mod resume_guards;
mod runs;
mod streams;
mod tiers;
mod tracking;
mod trust;
mod tune;
