//! What both probes do.

use perdura::plugin::{inspect, open};
use perdura_abi::table::PluginRootRef;
use std::path::Path;

/// Prints `<id as described> <fixture>` for each plugin, or the code of the error.
pub fn run(fixture: impl Fn(PluginRootRef) -> String) {
    for file in std::env::args().skip(1) {
        let opened = inspect(Path::new(&file)).and_then(|found| open(&found));
        let described = opened.and_then(|plugin| Ok((plugin.describe()?, plugin.root)));
        match described {
            Ok((description, root)) => println!("{} {}", description.id, fixture(root)),
            Err(error) => println!("{}: {error}", error.code()),
        }
    }
}
