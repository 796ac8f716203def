//! The benchmark suite: one round measures the host's own parts in this process, and whole runs of every
//! shipped method in processes of their own, on data of noise. Names of measurements are stable: summaries
//! of different builds are held against each other by them.

use perdura_abi::buffer::MessageBuf;
use perdura_abi::message::{ContextMsg, CreateMsg, Filter, Grants, Profile};
use perdura_abi::table::Op;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use super::ledger::LedgerTable;
use super::noise;
use crate::augment::{ChannelStatistics, Pixels, ResizedCrop, SslAugment, TrainAugment};
use crate::data::ImageShape;
use crate::memory::{Capacity, Now, ReplayMemory, Sample};
use crate::planning::description;
use crate::plugin::{Found, LoadError, SearchPath, spawn_options};
use crate::rng::keyed;
use crate::worker::{CallFault, Confinement, NoServices, SpawnOptions, lacking, spawn};

const MNIST: ImageShape = ImageShape { channels: 1, height: 28, width: 28 };
const CIFAR: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };
/// Images that samples are taken from.
const POOL: usize = 2_000;
/// Repetitions of short things, of which the median counts.
const REPETITIONS: usize = 21;
/// Shipped methods are those of this lab.
const LAB: &str = "perdura/";
/// Exit code of our own program where what it was asked for cannot be.
const REFUSED: i32 = 2;
/// Whose run tells the times of scoring and checkpoints: it has three networks and three views.
const REFERENCE: &str = "perdura/cls-er";

/// Measures one part and answers with microseconds.
type Measure = fn() -> f64;

/// What is measured in this process.
const PARTS: [(&str, Measure); 4] = [
    ("data/crop_flip_normalise", crop_flip_normalise),
    ("data/ssl_view", ssl_view),
    ("replay/offer_32", offer_32),
    ("replay/draw_128", draw_128),
];

/// Why a round could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Call(Box<CallFault>),
    #[error("{path} cannot be written or started; check the path and its permissions")]
    File { path: PathBuf, source: std::io::Error },
    #[error("`{command}` failed: {said}")]
    Run { command: String, said: String },
    #[error("`{command}` was refused: {said}")]
    Refused { command: String, said: String },
    #[error("no shipped plugin on the search path: build them with `cargo build --release`")]
    NoPlugins,
}

/// What a round measures with.
pub struct Suite {
    /// The program that runs are started with.
    program: PathBuf,
    plugins: Vec<Found>,
    /// Data of noise.
    data: tempfile::TempDir,
}

impl Suite {
    /// Finds the shipped plugins and writes the data. `explicit` are plugin files that were named.
    pub fn new(explicit: &[PathBuf]) -> Result<Suite, SuiteError> {
        let mut plugins = SearchPath::from_env(explicit).scan().found;
        plugins.retain(|found| found.manifest.id.starts_with(LAB));
        if plugins.is_empty() {
            return Err(SuiteError::NoPlugins);
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SuiteError::File { path, source }
        };
        let program = Path::new("/proc/self/exe");
        let program = std::fs::read_link(program).map_err(failed(program))?;
        let temporary = std::env::temp_dir();
        let made = tempfile::Builder::new().prefix("perdura-suite-").tempdir();
        let data = made.map_err(failed(&temporary))?;
        noise::write(data.path()).map_err(failed(data.path()))?;
        Ok(Suite { program, plugins, data })
    }

    /// One round: microseconds by name, told as they come. `only` leaves out names that do not begin so.
    pub fn round(
        &self,
        only: &str,
        tell: &mut dyn FnMut(&str, f64),
    ) -> Result<BTreeMap<String, f64>, SuiteError> {
        let mut micros = BTreeMap::new();
        let mut put = |name: &str, value: f64| {
            tell(name, value);
            micros.insert(name.to_owned(), value);
        };
        for (name, measure) in PARTS.iter().filter(|(name, _)| name.starts_with(only)) {
            put(name, measure());
        }
        if "hand_over/call".starts_with(only) {
            put("hand_over/call", self.hand_over()?);
        }
        for found in &self.plugins {
            self.method(found, only, &mut put)?;
        }
        if "start/help".starts_with(only) {
            put("start/help", self.help()?);
        }
        if "start/first_step".starts_with(only) {
            put("start/first_step", self.first_step()?);
        }
        Ok(micros)
    }

    /// A step of one method on each network it has, and what it does at the boundaries of a run; of the
    /// reference also scoring and checkpoints. A method that refuses the benchmark is left out.
    fn method(
        &self,
        found: &Found,
        only: &str,
        put: &mut dyn FnMut(&str, f64),
    ) -> Result<(), SuiteError> {
        let method = found.manifest.id.trim_start_matches(LAB);
        for net in ["mlp", "resnet18"] {
            let mut names = vec![
                ("learner", format!("step/{net}/{method}")),
                ("boundary", format!("boundary/{net}/{method}")),
            ];
            if found.manifest.id == REFERENCE {
                names.push(("evaluation", format!("evaluation/{net}")));
                names.push(("checkpoint", format!("checkpoint/{net}")));
            }
            names.retain(|(_, name)| name.starts_with(only));
            if names.is_empty() || (net != "mlp" && !has_backbone(found)?) {
                continue;
            }
            let table = match self.run(found, net) {
                Err(error @ SuiteError::Refused { .. }) => {
                    tracing::warn!("{method} is left out on {net}: {error}");
                    continue;
                }
                table => table?,
            };
            for (activity, name) in names {
                if let Some(micros) = micros_of(&table, activity) {
                    put(&name, micros);
                }
            }
        }
        Ok(())
    }

    /// A call that carries nothing, there and back, of a worker in the strongest tier.
    fn hand_over(&self) -> Result<f64, SuiteError> {
        let found = &self.plugins[0];
        let confine = lacking().is_empty().then(Confinement::default);
        let options = SpawnOptions { confine, ..spawn_options(found)? };
        let context = ContextMsg {
            classes: 10,
            input_shape: vec![784],
            device: "flex".into(),
            threads: 1,
            grants: Grants { boundaries: true, experience_classes: true, second_pass: true },
        };
        let config = serde_json::json!({});
        let create = CreateMsg { config, context, seed: 0, log_level: "error".into() };
        let fault = |fault| SuiteError::Call(Box::new(fault));
        let mut port = spawn(&options, &create, &mut NoServices).map_err(fault)?;
        let (message, mut reply) = (MessageBuf::new(), MessageBuf::new());
        let mut times = Vec::new();
        for _ in 0..REPETITIONS {
            let begun = Instant::now();
            for _ in 0..200 {
                use crate::worker::LearnerPort as _;
                port.call(Op::RESOURCES, &message, &mut NoServices, &mut reply).map_err(fault)?;
            }
            times.push(1e6 * begun.elapsed().as_secs_f64() / 200.0);
        }
        Ok(median(times))
    }

    /// A run on noise, of an MLP on images of MNIST's shape or of a narrow ResNet-18 on CIFAR-10's.
    fn run(&self, found: &Found, net: &str) -> Result<LedgerTable, SuiteError> {
        let mut command = Command::new(&self.program);
        command.args(["bench", "ledger", &found.manifest.id, "--plugin"]).arg(&found.path);
        command.args(["--memory", "200", "--preset", "none", "--epochs", "1", "--batch", "10"]);
        // At boundaries alone, where there are always some.
        command.args(["--checkpoint-every", "1000000"]);
        command.arg("--data-dir").arg(self.data.path()).args(["--format", "json", "--benchmark"]);
        match net {
            "mlp" => command.arg("split-mnist"),
            _ => command.args([
                "split-cifar10-subset",
                "--set",
                "backbone=resnet18",
                "--set",
                "width=8",
            ]),
        };
        let output = carried_out(command)?;
        serde_json::from_slice(&output.stdout).map_err(|error| SuiteError::Run {
            command: format!("bench ledger {}", found.manifest.id),
            said: format!("its answer cannot be read: {error}"),
        })
    }

    fn help(&self) -> Result<f64, SuiteError> {
        let mut times = Vec::new();
        for _ in 0..REPETITIONS {
            let mut command = Command::new(&self.program);
            command.arg("--help");
            let begun = Instant::now();
            carried_out(command)?;
            times.push(1e6 * begun.elapsed().as_secs_f64());
        }
        Ok(median(times))
    }

    /// From the command to the first step: a run on the digits, without what came after its first
    /// experience had begun.
    fn first_step(&self) -> Result<f64, SuiteError> {
        let mut times = Vec::new();
        for _ in 0..5 {
            let mut command = Command::new(&self.program);
            let out = tempfile::tempdir_in(self.data.path());
            let path = self.data.path().to_owned();
            let out = out.map_err(|source| SuiteError::File { path, source })?;
            let found = &self.plugins.iter().find(|found| found.manifest.id.ends_with("/sgd"));
            let found = found.unwrap_or(&self.plugins[0]);
            command.args(["run", &found.manifest.id, "--plugin"]).arg(&found.path);
            command.args(["--benchmark", "split-digits", "--memory", "50", "--epochs", "1"]);
            command.args(["--format", "json", "--out"]).arg(out.path());
            let begun = Instant::now();
            let output = carried_out(command)?;
            let seconds = begun.elapsed().as_secs_f64();
            let (after, said) = after_first_step(&output.stdout);
            let after = after.ok_or_else(|| SuiteError::Run { command: "run".into(), said })?;
            times.push(1e6 * (seconds - after));
        }
        Ok(median(times))
    }
}

/// Microseconds of an activity: of the learner all that it told and the rest, for each step; of others for
/// the whole run.
fn micros_of(table: &LedgerTable, activity: &str) -> Option<f64> {
    let seconds = |name: &str| {
        let line = table.lines.iter().find(|line| line.activity == name);
        line.map(|line| line.seconds)
    };
    match activity {
        "learner" => {
            let parts = table.lines.iter().filter(|line| line.activity.starts_with("learner."));
            let told: f64 = parts.map(|line| line.seconds).sum();
            let step = (seconds("learner")? + told) / table.steps.max(1) as f64;
            Some(1e6 * step)
        }
        _ => seconds(activity).map(|seconds| 1e6 * seconds),
    }
}

/// Seconds from the beginning of the first experience to the end of a run, by its JSON document and its
/// events; else what is wrong.
fn after_first_step(document: &[u8]) -> (Option<f64>, String) {
    let Ok(document) = serde_json::from_slice::<serde_json::Value>(document) else {
        return (None, "its answer is no JSON".into());
    };
    let seconds = document["resources"]["seconds"].as_f64();
    let folder = Path::new(document["folder"].as_str().unwrap_or_default());
    let events = std::fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
    let begun = events.lines().find_map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        (event["event"] == "experience_begun").then(|| event["at_ms"].as_f64()).flatten()
    });
    let after = seconds.zip(begun).map(|(seconds, begun)| seconds - begun / 1e3);
    (after, "no experience of it has begun".into())
}

/// Whether the method can be put on another network than an MLP.
fn has_backbone(found: &Found) -> Result<bool, SuiteError> {
    let confine = lacking().is_empty().then(Confinement::default);
    let default = description(found, confine)?.config_default;
    Ok(default.get("backbone").is_some() && default.get("width").is_some())
}

fn carried_out(mut command: Command) -> Result<Output, SuiteError> {
    command.stdin(Stdio::null());
    let path = PathBuf::from(command.get_program());
    let output = command.output().map_err(|source| SuiteError::File { path, source })?;
    match output.status.success() {
        true => Ok(output),
        false => {
            let words: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
            let (command, said) = (words.join(" "), String::from_utf8_lossy(&output.stderr));
            let said = said.trim().to_owned();
            Err(match output.status.code() {
                Some(REFUSED) => SuiteError::Refused { command, said },
                _ => SuiteError::Run { command, said },
            })
        }
    }
}

/// Microseconds of one call: the median over repetitions of many calls.
fn timed(calls: usize, mut call: impl FnMut()) -> f64 {
    let repetition = |_| {
        let begun = Instant::now();
        (0..calls).for_each(|_| call());
        1e6 * begun.elapsed().as_secs_f64() / calls as f64
    };
    median((0..REPETITIONS).map(repetition).collect())
}

fn images(shape: ImageShape) -> Vec<u8> {
    (0..POOL * shape.len()).map(|i| ((i * 2_654_435_761) >> 7) as u8).collect()
}

/// A sample of CIFAR's shape by this augmentation.
fn transform(train: TrainAugment, ssl: Option<SslAugment>, profile: Profile, calls: usize) -> f64 {
    let channel = ChannelStatistics { mean: 0.48, deviation: 0.25 };
    let pixels = Pixels::new(CIFAR, 255.0, &[channel; 3], train, ssl);
    let mut transform = pixels.transform(profile, 0);
    let (images, mut rng) = (images(CIFAR), keyed(0, "bench", &[]));
    let (mut out, mut row) = (vec![0.0; CIFAR.len()], 0);
    timed(calls, || {
        row = (row + 619) % POOL;
        transform.apply(black_box(&images[row * CIFAR.len()..][..CIFAR.len()]), &mut out, &mut rng);
        black_box(&mut out);
    })
}

fn crop_flip_normalise() -> f64 {
    let train = TrainAugment { crop_padding: 4, flip: true };
    transform(train, None, Profile::Train, 2_000)
}

fn ssl_view() -> f64 {
    let ssl = SslAugment::Colour { crop: ResizedCrop::TORCHVISION };
    transform(TrainAugment::default(), Some(ssl), Profile::Ssl, 200)
}

/// A memory that as many samples as it can hold were offered to.
fn filled(capacity: usize, images: &[u8]) -> ReplayMemory {
    let mut memory = ReplayMemory::new(Capacity::Samples(capacity), MNIST.len(), &[])
        .expect("the capacity is not 0");
    let mut rng = keyed(0, "bench", &[]);
    for uid in 0..capacity {
        memory.offer(sample(images, uid), &mut rng);
    }
    memory
}

fn sample(images: &[u8], uid: usize) -> Sample<'_> {
    let image = &images[uid % POOL * MNIST.len()..][..MNIST.len()];
    Sample { image, label: 0, uid: uid as u64, experience: 0, group: 0 }
}

fn offer_32() -> f64 {
    let (images, mut rng) = (images(MNIST), keyed(0, "bench", &[]));
    let (mut memory, mut uid) = (filled(500, &images), 500);
    timed(500, || {
        for _ in 0..32 {
            black_box(memory.offer(sample(&images, uid), &mut rng));
            uid += 1;
        }
    })
}

/// 128 samples drawn of 200 and made into inputs.
fn draw_128() -> f64 {
    let (images, mut rng) = (images(MNIST), keyed(0, "bench", &[]));
    let memory = filled(200, &images);
    let pixels = Pixels::new(MNIST, 255.0, &[], TrainAugment::default(), None);
    let (mut slots, mut out) = (Vec::new(), vec![0.0; 128 * MNIST.len()]);
    timed(200, || {
        let candidates = memory.select(Filter::All, Now::default());
        memory.draw(&candidates, 128, false, &mut rng, &mut slots);
        let mut transform = pixels.transform(Profile::Train, 0);
        for (&slot, out) in slots.iter().zip(out.chunks_exact_mut(MNIST.len())) {
            transform.apply(memory.image(slot), out, &mut rng);
        }
        black_box(&mut out);
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::LedgerLine;

    #[test]
    fn times_of_short_parts_are_times() {
        let micros = timed(10, || std::thread::sleep(std::time::Duration::from_micros(50)));
        assert!(micros >= 50.0, "{micros}");
        for (name, measure) in PARTS {
            let micros = measure();
            assert!(micros > 0.0 && micros.is_finite(), "{name}: {micros}");
        }
    }

    /// A run of 2 s whose first experience began after half a second.
    #[test]
    fn what_came_after_the_first_step_is_read_from_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let events = "{\"at_ms\":3,\"event\":\"run_begun\"}\n{\"at_ms\":500,\"event\":\"experience_begun\"}\n";
        std::fs::write(folder.path().join("events.jsonl"), events).unwrap();
        let document = serde_json::json!({"folder": folder.path(), "resources": {"seconds": 2.0}});
        assert_eq!(after_first_step(document.to_string().as_bytes()).0, Some(1.5));
        assert_eq!(after_first_step(b"{}").0, None);
        assert_eq!(after_first_step(b"").0, None);
    }

    #[test]
    fn a_command_that_fails_says_why() {
        let mut command = Command::new("/proc/self/exe");
        command.arg("--no-such-option");
        let error = carried_out(command).unwrap_err().to_string();
        assert!(error.starts_with("`--no-such-option` failed: "), "{error}");
        let mut command = Command::new("sh");
        command.args(["-c", "echo cannot be >&2; exit 2"]);
        assert!(
            matches!(carried_out(command), Err(SuiteError::Refused { said, .. }) if said == "cannot be")
        );
    }

    /// 10 steps: the learner told 30 and 50 ms, 20 ms are the rest.
    #[test]
    fn a_step_is_all_that_the_learner_did() {
        let line = |activity: &str, seconds: f64| LedgerLine {
            activity: activity.into(),
            seconds,
            share: 0.0,
            micros_per_step: 0.0,
        };
        let lines = vec![
            line("learner", 0.02),
            line("learner.backward", 0.05),
            line("learner.forward", 0.03),
            line("boundary", 0.5),
        ];
        let table = LedgerTable { runs: 1, steps: 10, seconds: 1.0, cpu_seconds: 1.0, lines };
        assert!((micros_of(&table, "learner").unwrap() - 10_000.0).abs() < 1e-6);
        assert_eq!(micros_of(&table, "boundary"), Some(5e5));
        assert_eq!(micros_of(&table, "checkpoint"), None);
    }
}
