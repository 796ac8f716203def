//! What the host adds to a step of a learner that does nothing, batch 10 of MNIST shape, memory 200: with a draw of
//! 128, and with the look-ahead of DualNet, 4 repeats of 2 self-supervised views of 16 samples; in process,
//! through a worker and through a confined one, interleaved. Prints medians in microseconds.
//!
//! ```text
//! cargo bench -p perdura --bench step
//! ```

use perdura::augment::{SslAugment, TrainAugment};
use perdura::data::{DataPair, Dataset, ImageShape};
use perdura::memory::{Capacity, ReplayMemory};
use perdura::stream::{Benchmark, Construction, Recipe, Scenario, StreamOptions};
use perdura::trainer::{Desk, Ledger, Observer, Place, Point, Stop, Trainer, World, declared};
use perdura::worker::{Confinement, LearnerPort, NoServices, SpawnOptions, in_process, run, spawn};
use perdura_abi::message::{ContextMsg, CreateMsg, EventMsg};
use perdura_sdk::prelude::*;
use perdura_sdk::testing::root_of;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

hyper_parameters! {
    /// What it asks for.
    pub struct Config {
        /// Self-supervised views instead of one large draw.
        pub ssl: bool = false,
    }
}

/// Looks at nothing and learns nothing.
struct Nothing;

impl ContinualLearner for Nothing {
    type Config = Config;

    fn about() -> About {
        About::new("does nothing")
    }

    fn declare(config: &Config, _: &Context) -> Declaration {
        Declaration::new().view("main").request(match config.ssl {
            false => Request::memory("replay", 128),
            true => Request::memory("slow", 16).repeats(4).views(2).profile(Profile::Ssl),
        })
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

/// Scores nothing and remembers the speed of each experience.
#[derive(Default)]
struct Speeds {
    steps_per_second: Vec<f64>,
}

impl Observer for Speeds {
    fn point(
        &mut self,
        _: &Point<'_>,
        _: &mut dyn LearnerPort,
        _: &mut Desk,
        _: &mut Ledger,
    ) -> std::result::Result<(), Stop> {
        Ok(())
    }
    fn experience_begun(&mut self, _: &Place, _: u64) {}
    fn experience_ended(&mut self, _: &Place, steps: u64, seconds: f64) {
        self.steps_per_second.push(steps as f64 / seconds);
    }
    fn epoch_ended(&mut self, _: &Place, _: u64, _: BTreeMap<String, f64>) {}
    fn learner_event(&mut self, _: &Place, _: EventMsg) {}
    fn step_ended(&mut self, _: &Place, _: &BTreeMap<String, f64>) {}
}

const SAMPLES: usize = 20_000;
const REPETITIONS: usize = 9;

fn benchmark(epochs: u32) -> Benchmark {
    let shape = ImageShape { channels: 1, height: 28, width: 28 };
    let images = (0..SAMPLES * shape.len()).map(|i| ((i * 2_654_435_761) >> 7) as u8).collect();
    let labels = (0..SAMPLES as u32).map(|i| i % 10).collect();
    let train = Dataset { images, labels, shape, classes: 10 };
    let data = DataPair { name: "noise".into(), test: train.clone(), train, scale: 255.0 };
    let recipe = Recipe {
        name: "noise",
        about: "",
        data: "noise",
        scenario: Scenario::ClassIl,
        construction: Construction::Split { experiences: 5 },
        epochs,
        batch: 10,
        drop_last: false,
        statistics: &[],
        train_augment: TrainAugment::default(),
        ssl_augment: Some(SslAugment::MNIST),
    };
    recipe.assemble(data, &StreamOptions::default(), 0).expect("the recipe fits its data")
}

/// Microseconds per step, and the speed of each experience.
fn train(port: &mut dyn LearnerPort, benchmark: &Arc<Benchmark>) -> (f64, Vec<f64>) {
    let declaration = declared(port).expect("it declares itself");
    let memory = ReplayMemory::new(Capacity::Samples(200), 784, &[]).expect("a sound size");
    let grants = benchmark.grants(false);
    let world = World::new(benchmark.clone(), 0, grants, declaration, Some(memory));
    let mut desk = Desk::new(world, Box::new(|_: &_| {}));
    let (mut speeds, mut ledger) = (Speeds::default(), Ledger::default());
    let begun = Instant::now();
    Trainer::new(port, &mut desk, &mut speeds, &mut ledger).train().expect("nothing fails");
    let steps = desk.world.place.step as f64;
    (1e6 * begun.elapsed().as_secs_f64() / steps, speeds.steps_per_second)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    if std::env::args_os().skip(1).eq(["worker"]) {
        run(|_| Ok(root_of::<Nothing>()));
    }
    measure("10 + 128 samples", 10, serde_json::json!({}));
    measure("10 + 4 x 2 ssl views of 16 samples", 1, serde_json::json!({"ssl": true}));
}

fn measure(what: &str, epochs: u32, config: serde_json::Value) {
    let benchmark = &Arc::new(benchmark(epochs));
    let create = CreateMsg {
        config,
        context: ContextMsg {
            classes: 10,
            input_shape: benchmark.input_shape(),
            device: "flex".into(),
            threads: 1,
            grants: benchmark.grants(false),
        },
        seed: 0,
        log_level: "error".into(),
    };
    let (mut inside, mut outside, mut confined, mut flat) = (vec![], vec![], vec![], vec![]);
    for _ in 0..REPETITIONS {
        let mut port = in_process(root_of::<Nothing>(), &create, &mut NoServices).expect("created");
        inside.push(train(&mut port, benchmark).0);
        let options = SpawnOptions::new("/proc/self/exe");
        let mut port = spawn(&options, &create, &mut NoServices).expect("spawned");
        let (micros, speeds) = train(&mut port, benchmark);
        outside.push(micros);
        flat.push(speeds[speeds.len() - 1] / speeds[0]);
        let confine = Some(Confinement::default());
        let options = SpawnOptions { confine, ..options };
        let mut port = spawn(&options, &create, &mut NoServices).expect("spawned");
        confined.push(train(&mut port, benchmark).0);
    }
    println!("host overhead of a step ({what}, MNIST-shaped), median of {REPETITIONS}:");
    println!("  in process      {:6.1} us", median(inside));
    println!("  through worker  {:6.1} us", median(outside));
    println!("  in the sandbox  {:6.1} us", median(confined));
    println!("  speed of the last experience over that of the first: {:.3}", median(flat));
}
