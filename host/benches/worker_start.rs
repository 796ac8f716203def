//! What it costs to start a worker and create a learner in it: in the tier `process` and in the sandbox,
//! interleaved. The limit is 10 ms of difference. The learner does nothing, so that the host's part shows.
//!
//! ```text
//! cargo bench -p perdura --bench worker_start
//! ```

use perdura::worker::{Confinement, NoServices, SpawnOptions, run, spawn};
use perdura_abi::message::{ContextMsg, CreateMsg, Grants};
use perdura_sdk::prelude::*;
use perdura_sdk::testing::root_of;
use std::time::Instant;

hyper_parameters! {
    /// None.
    pub struct Config {}
}

/// Looks at nothing and learns nothing.
struct Nothing;

impl ContinualLearner for Nothing {
    type Config = Config;

    fn about() -> About {
        About::new("does nothing")
    }

    fn declare(_: &Config, _: &Context) -> Declaration {
        Declaration::new().view("main")
    }

    fn create(_: Config, _: &Context) -> Result<Self> {
        Ok(Nothing)
    }

    fn observe(&mut self, _: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        Ok(StepReport::new())
    }

    fn predict(&mut self, _: &Query<'_>, _: &mut Logits<'_>) -> Result<()> {
        Ok(())
    }

    fn save(&self, _: &mut StateWriter) -> Result<()> {
        Ok(())
    }

    fn load(&mut self, _: &mut StateReader) -> Result<()> {
        Ok(())
    }
}

const REPETITIONS: usize = 201;

fn main() {
    if std::env::args_os().skip(1).eq(["worker"]) {
        run(|_| Ok(root_of::<Nothing>()));
    }
    let process = SpawnOptions::new("/proc/self/exe");
    // As on a command line: without the folders that cargo puts into LD_LIBRARY_PATH.
    let confine = Some(Confinement::default());
    let sandbox = SpawnOptions { confine, ..process.clone() };
    let (mut plain, mut confined) = (Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        plain.push(start(&process));
        confined.push(start(&sandbox));
    }
    let differences = confined.iter().zip(&plain).map(|(c, p)| c - p).collect();
    println!("start of a worker and create, median of {REPETITIONS}, and nine of ten are below:");
    for (what, values) in [("process", plain), ("sandbox", confined), ("difference", differences)] {
        let (median, most) = quantiles(values);
        println!("  {what:10} {median:6.2} ms  {most:6.2} ms");
    }
}

/// Milliseconds until a learner is there.
fn start(options: &SpawnOptions) -> f64 {
    let context = ContextMsg {
        classes: 10,
        input_shape: vec![784],
        device: "flex".into(),
        threads: 1,
        grants: Grants { boundaries: true, experience_classes: true, second_pass: true },
    };
    let config = serde_json::json!({});
    let create = CreateMsg { config, context, seed: 0, log_level: "error".into() };
    let begun = Instant::now();
    let port = spawn(options, &create, &mut NoServices).expect("it starts");
    let taken = 1e3 * begun.elapsed().as_secs_f64();
    drop(port);
    taken
}

/// The median and the ninth decile.
fn quantiles(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[values.len() * 9 / 10])
}
