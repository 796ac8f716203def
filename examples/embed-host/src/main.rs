//! Uses the host as a library: two methods with two seeds each on the bundled digits, compared in the
//! program's own code. Run it after `cargo build --release`, which puts the plugins beside it:
//!
//! ```text
//! cargo run --release -p embed-host
//! ```
#![deny(unsafe_code)]

use perdura::compare::{Comparison, RunRecord, TerminalStyle, terminal};
use perdura::memory::Capacity;
use perdura::planning::{self, Setup};
use perdura::run::RunFolder;
use perdura::trainer::{self, ExecuteOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A worker is this program again.
    perdura::serve_if_worker();

    let out = tempfile::tempdir()?;
    let memory = Some(Capacity::Samples(200));
    let setup = Setup { memory, ..Setup::new("split-digits") };
    let mut records = Vec::new();
    for method in ["perdura/sgd", "perdura/er"] {
        for run in planning::plans(method, &setup, &[0, 1])? {
            let folder = RunFolder::create(out.path(), &run.plan)?;
            let options = ExecuteOptions::new(folder.path(), &run.found.path);
            trainer::execute(&ExecuteOptions { tier: run.tier, ..options })?;
            records.push(RunRecord::read(&folder)?);
        }
    }
    let comparison = Comparison::of(&records);
    println!("{}", terminal(&comparison, TerminalStyle::default()));
    for row in &comparison.rows {
        let mean = row.average_accuracy.mean.map_or("undefined".into(), |m| format!("{m:.4}"));
        println!("{} {}: {mean}", row.method, row.scenario);
    }
    Ok(())
}
