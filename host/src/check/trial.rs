//! One check under way: what it is about, the workers it has started, and what it wants kept.

use perdura_abi::manifest::Description;
use perdura_abi::message::{ContextMsg, CreateMsg};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::evidence::Journal;
use super::finding::Finding;
use super::session::Session;
use super::toy::Stage;
use crate::plugin::{Found, is_worker_file};
use crate::rng::call_seed;
use crate::stream::Benchmark;
use crate::worker::{
    CallFault, Confinement, Deadlines, Limits, NoServices, SpawnOptions, Tier, WorkerPort, spawn,
};

/// Address space of a worker: far above what the toy stream needs, far below what would hurt the machine.
const MEMORY_BYTES_MAX: u64 = 4 << 30;
/// Largest file of a worker, its log included.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Threads a learner may use.
pub const THREADS: usize = 1;

/// The plugin that is checked.
pub struct Subject {
    pub found: Found,
    /// How its workers are started: this program with the copy in the cache, or the program that a worker
    /// file names.
    pub start: SpawnOptions,
    /// Where they run.
    pub tier: Tier,
    /// Further files and folders that they may read in the tier `sandbox`.
    pub allow_read: Vec<PathBuf>,
    /// What it said about itself, or what came of asking.
    pub described: Result<Description, Finding>,
    /// Hyper-parameters, complete; null where the plugin could not be asked for them.
    pub config: serde_json::Value,
    /// The hyper-parameters are the defaults.
    pub by_default: bool,
    pub seed: u64,
    pub deadline: Duration,
}

impl Subject {
    /// The description, which most checks need.
    pub fn description(&self) -> Result<&Description, Finding> {
        self.described.as_ref().map_err(Clone::clone)
    }

    /// Whether it is a program in place of a library.
    pub fn is_program(&self) -> bool {
        is_worker_file(&self.found.path)
    }

    /// What its workers keep of their rights; everything in the tier `process`.
    pub fn confinement(&self) -> Option<Confinement> {
        let confined = self.tier == Tier::Sandbox;
        confined.then(|| Confinement::new(&self.device(), &self.allow_read))
    }

    /// What each of its processes may take.
    pub fn limits(&self) -> Limits {
        Limits {
            memory_bytes: Some(MEMORY_BYTES_MAX),
            file_bytes: Some(FILE_BYTES_MAX),
            ..Limits::default()
        }
    }

    pub fn spawn_options(&self, log: &Path) -> SpawnOptions {
        let deadline = self.deadline;
        let deadlines = Deadlines {
            create: deadline,
            observe: deadline,
            boundary: deadline,
            predict: deadline,
            save_load: deadline,
            grace: Duration::from_millis(200),
        };
        let (threads, limits, log) = (THREADS, self.limits(), Some(log.to_owned()));
        let confine = self.confinement();
        SpawnOptions { threads, deadlines, limits, confine, log, ..self.start.clone() }
    }

    /// How the host would create a learner for this benchmark.
    pub fn create_message(&self, benchmark: &Benchmark, seed: u64) -> CreateMsg {
        let context = ContextMsg {
            classes: benchmark.classes,
            input_shape: benchmark.input_shape(),
            device: self.device(),
            threads: THREADS,
            grants: benchmark.grants(false),
        };
        let (config, seed) = (self.config.clone(), call_seed(seed, "create", 0));
        CreateMsg { config, context, seed, log_level: "warn".into() }
    }

    /// The device that the plugin names first.
    pub fn device(&self) -> String {
        let first = self.described.as_ref().ok().and_then(|d| d.devices.first());
        first.cloned().unwrap_or_else(|| "flex".into())
    }
}

/// What the runner knows of a check that is going on.
pub struct Watched {
    pub started: Instant,
    /// Process groups of the workers that live.
    pub workers: Vec<u32>,
    /// The check took too long, and its workers were ended.
    pub expired: bool,
}

/// One check under way.
pub struct Trial<'a> {
    pub subject: &'a Subject,
    pub(super) journal: Arc<Mutex<Journal>>,
    pub(super) watched: Arc<Mutex<Watched>>,
    pub(super) measured: BTreeMap<String, f64>,
    pub(super) folder: tempfile::TempDir,
    pub(super) logs: Vec<PathBuf>,
}

impl<'a> Trial<'a> {
    pub fn new(subject: &'a Subject) -> std::io::Result<Self> {
        let (started, workers, expired) = (Instant::now(), Vec::new(), false);
        Ok(Trial {
            subject,
            journal: Arc::default(),
            watched: Arc::new(Mutex::new(Watched { started, workers, expired })),
            measured: BTreeMap::new(),
            folder: tempfile::Builder::new().prefix("perdura-check-").tempdir()?,
            logs: Vec::new(),
        })
    }

    /// The usual stream with the seed of this suite.
    pub fn stage(&self) -> Stage {
        Stage::new(self.subject.seed)
    }

    /// A learner at the beginning of the usual stream.
    pub fn open(&mut self) -> Result<Session, Finding> {
        let stage = self.stage();
        self.open_on(stage)
    }

    /// A learner at the beginning of a stream.
    pub fn open_on(&mut self, stage: Stage) -> Result<Session, Finding> {
        Session::open(self, stage)
    }

    /// A worker with a learner made from `create`.
    pub fn spawn(&mut self, create: &CreateMsg) -> Result<WorkerPort, CallFault> {
        let log = self.next_log();
        spawn(&self.subject.spawn_options(&log), create, &mut NoServices)
    }

    /// Where the next worker prints to.
    pub fn next_log(&mut self) -> PathBuf {
        let log = self.folder.path().join(format!("log-{}.txt", self.logs.len()));
        self.logs.push(log.clone());
        log
    }

    /// Notes a number for the report.
    pub fn measure(&mut self, name: &str, value: f64) {
        self.measured.insert(name.into(), value);
    }

    /// Keeps a file for the case that the check does not pass.
    pub fn keep(&self, name: &str, bytes: &[u8]) {
        self.journal.lock().expect("no holder panics").keep(name, bytes);
    }
}
