//! The tests of Perdura as its users meet it: the command, the shipped plugins, and plugins that misbehave.
//! One program, so that everything is linked once.

mod faults;
mod loading;
