//! The tests of Perdura as its users meet it: the command, the shipped plugins, and plugins that misbehave.
//! One program, so that everything is linked once.

mod cli;
mod determinism;
mod faults;
mod golden;
mod loading;
