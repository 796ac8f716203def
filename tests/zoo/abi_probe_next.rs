//! Opens the plugins named as arguments in one process, in that order, as a host of a later boundary, and
//! prints `<id as described> <what its new field says>` for each, or the code of the error.
#![deny(unsafe_code)]

use perdura::plugin::{inspect, open};
use std::path::Path;

fn main() {
    for file in std::env::args().skip(1) {
        let opened = inspect(Path::new(&file)).and_then(|found| open(&found));
        match opened.and_then(|plugin| Ok((plugin.describe()?, plugin.root))) {
            Ok((description, root)) => match root.fixture() {
                Some(fixture) => println!("{} {}", description.id, fixture()),
                None => println!("{} missing", description.id),
            },
            Err(error) => println!("{}: {error}", error.code()),
        }
    }
}
