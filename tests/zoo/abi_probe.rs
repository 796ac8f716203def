//! Opens the plugins named as arguments in one process, in that order, and prints a line about each:
//! what a host of today's boundary makes of old and new plugins.
#![deny(unsafe_code)]

mod probe;

fn main() {
    probe::run(|_| "no such field".into());
}
