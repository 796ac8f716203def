//! The process of one run: from a plan in a folder to a summary in the same folder.

use perdura_abi::buffer::MessageBuf;
use perdura_abi::message::{
    ContextMsg, CreateMsg, Declaration, InsertionPolicy, LogMsg, ResourcesReply, StreamShape,
};
use perdura_abi::table::Op;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use super::ledger::{Activity, Ledger};
use super::recorder::{Lines, Recorder};
use super::world::World;
use super::{Desk, Trainer, check_declaration, stored_fault};
use crate::memory::{Capacity, ReplayMemory};
use crate::plugin::{self, Found, LoadError};
use crate::run::{Fault, MemorySize, Outcome, RunError, RunFolder, RunPlan};
use crate::score::Scorer;
use crate::stream::{self, Benchmark, StreamContent, StreamError};
use crate::worker::{
    CallFault, Confinement, Deadlines, LearnerPort, Limits, NoServices, SpawnOptions, Tier,
    in_process, spawn,
};

/// Where and how a run is executed; nothing of this changes its result.
#[derive(Clone, Debug)]
pub struct ExecuteOptions {
    pub folder: PathBuf,
    pub plugin: PathBuf,
    pub data_dir: Option<PathBuf>,
    pub tier: Tier,
    /// Further files and folders that a learner in the tier `sandbox` may read.
    pub allow_read: Vec<PathBuf>,
    pub deadlines: Deadlines,
    pub limits: Limits,
    /// Tell progress on standard output, one JSON text per line.
    pub tell: bool,
}

impl ExecuteOptions {
    /// The run in this folder, in the strongest tier of this system, without limits, silently.
    pub fn new(folder: impl Into<PathBuf>, plugin: impl Into<PathBuf>) -> Self {
        ExecuteOptions {
            folder: folder.into(),
            plugin: plugin.into(),
            data_dir: None,
            tier: Tier::strongest(),
            allow_read: Vec::new(),
            deadlines: Deadlines::default(),
            limits: Limits::default(),
            tell: false,
        }
    }
}

/// What kept a run from starting. A fault during a run is an outcome, not an error.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("the plan is damaged: {0}")]
    Plan(#[from] stream::ParseOptionError),
}

/// Executes the plan in a folder. Whatever the learner does, the folder holds a summary afterwards.
pub fn execute(options: &ExecuteOptions) -> Result<Outcome, ExecuteError> {
    let plan = RunFolder::open(&options.folder)?.plan()?;
    execute_on(options, || benchmark_of(&plan, options))
}

/// As [`execute`], on a benchmark of the caller's own that fits the plan.
pub fn execute_on(
    options: &ExecuteOptions,
    benchmark: impl FnOnce() -> Result<Benchmark, ExecuteError>,
) -> Result<Outcome, ExecuteError> {
    let started = SystemTime::now();
    let mut ledger = Ledger::default();
    let folder = RunFolder::open(&options.folder)?;
    let plan = folder.plan()?;
    let found = plugin::inspect(&options.plugin)?.expect_sha256(&plan.plugin.sha256)?;
    let benchmark = ledger.time(Activity::Data, || {
        let benchmark = benchmark()?;
        expect_sha256(&benchmark, &plan.stream.sha256)?;
        Ok::<_, ExecuteError>(Arc::new(benchmark))
    })?;
    let lines = Lines::new(folder, options.tell);
    let mut recorder = Recorder::new(lines, &plan, benchmark.clone(), options.tier);
    let outcome = match run(options, &plan, &found, benchmark, &mut recorder, &mut ledger) {
        Ok(()) => Outcome::Finished,
        Err(fault) => Outcome::Failed(*fault),
    };
    recorder.finish(outcome.clone(), &ledger, started)?;
    Ok(outcome)
}

fn run<'a>(
    options: &'a ExecuteOptions,
    plan: &RunPlan,
    found: &'a Found,
    benchmark: Arc<Benchmark>,
    recorder: &mut Recorder<'a>,
    ledger: &mut Ledger,
) -> Result<(), Box<Fault>> {
    let context = context_of(plan, &benchmark);
    let mut opener = Opener { options, found, log: recorder.log_path(), opened: 0 };
    let config = plan.config.clone();
    let mut scorer = Scorer {
        benchmark: benchmark.clone(),
        views: Vec::new(),
        context,
        config,
        seed: plan.seed,
    };
    let create = scorer.create_message();
    let refused = |call: &str, message: String| {
        let (call, kind) = (call.into(), "refused".into());
        Box::new(Fault { step: None, call, kind, message, ..Fault::default() })
    };
    let call_fault = |fault| stored_fault(None, fault);
    let mut port = opener.open(&create).map_err(call_fault)?;
    let declaration = declared(port.as_mut()).map_err(call_fault)?;
    let has_memory =
        plan.memory.is_some_and(|m| !matches!(m, MemorySize::Samples(0) | MemorySize::Bytes(0)));
    check_declaration(&declaration, &benchmark, has_memory).map_err(|e| refused("declare", e))?;
    let memory = memory_of(plan, &declaration, &benchmark).map_err(|e| refused("declare", e))?;
    scorer.views = declaration.views.clone();
    let wishes = declaration.wishes;
    let grants = benchmark.grants(plan.stream.online);
    let trained = match wishes.stream {
        StreamShape::Union => Arc::new(benchmark.union()),
        StreamShape::Experiences => benchmark,
    };
    let world = World::new(trained, plan.seed, grants, declaration, memory);
    recorder.begin(&world);
    let mut desk = Desk {
        world,
        cancelled: Arc::new(AtomicBool::new(false)),
        saved: Vec::new(),
        events: Vec::new(),
        log: Box::new(log_record),
    };
    recorder.scoring = Some((scorer, opener));
    let trained = Trainer::new(port.as_mut(), &mut desk, recorder, ledger).train();
    // Asked of a learner that has failed too: one that still answers says what it held.
    let claimed = claimed(port.as_mut());
    recorder.end(&desk.world, claimed.as_ref().ok().cloned().unwrap_or_default());
    trained.and(claimed.map(drop).map_err(call_fault))
}

/// Makes learners: the one that is trained first, throw-away instances for scoring after it.
pub struct Opener<'a> {
    options: &'a ExecuteOptions,
    found: &'a Found,
    log: PathBuf,
    opened: u64,
}

impl Opener<'_> {
    pub fn open(&mut self, create: &CreateMsg) -> Result<Box<dyn LearnerPort>, CallFault> {
        self.opened += 1;
        match self.options.tier {
            tier @ (Tier::Sandbox | Tier::Process) => {
                let own = plugin::spawn_options(self.found).map_err(load_fault)?;
                let ExecuteOptions { deadlines, limits, .. } = self.options.clone();
                let threads = create.context.threads;
                let log = Some(self.log.clone());
                let (device, further) = (&create.context.device, &self.options.allow_read);
                let confine = (tier == Tier::Sandbox).then(|| Confinement::new(device, further));
                let spawned = SpawnOptions { threads, deadlines, limits, confine, log, ..own };
                Ok(Box::new(spawn(&spawned, create, &mut LogOnly)?))
            }
            Tier::InProcess => {
                // A further instance gets statics of its own from a file of its own.
                let opened = match self.opened {
                    1 => plugin::open(self.found),
                    _ => plugin::open_private_copy(self.found),
                };
                let root = opened.map_err(load_fault)?.root;
                Ok(Box::new(in_process(root, create, &mut LogOnly)?))
            }
        }
    }
}

fn load_fault(error: LoadError) -> CallFault {
    let kind = crate::worker::FaultKind::Error { kind: error.code().into() };
    let (call, message) = ("open".into(), error.to_string());
    CallFault { kind, call, message, location: None, last_log: Vec::new() }
}

/// Offers a learner that is being created nothing but a log.
struct LogOnly;

impl crate::worker::HostServices for LogOnly {
    fn serve(
        &mut self,
        op: perdura_abi::HostOp,
        message: perdura_abi::Message<'_>,
        answer: &mut MessageBuf,
    ) -> Result<(), perdura_abi::AbiError> {
        if op == perdura_abi::HostOp::LOG
            && let Ok(record) = serde_json::from_slice(message.header.as_slice())
        {
            log_record(&record);
        }
        NoServices.serve(op, message, answer)
    }
}

/// Writes a learner's log record to the log of the run.
fn log_record(record: &LogMsg) {
    let LogMsg { level, target, message, fields } = record;
    let fields: String = fields.iter().map(|(k, v)| format!(" {k}={v}")).collect();
    match level.as_str() {
        "error" => tracing::error!(target: "plugin", "{target}: {message}{fields}"),
        "warn" => tracing::warn!(target: "plugin", "{target}: {message}{fields}"),
        "info" => tracing::info!(target: "plugin", "{target}: {message}{fields}"),
        _ => tracing::debug!(target: "plugin", "{target}: {message}{fields}"),
    }
}

/// The benchmark that a plan names, with its stream settings.
fn benchmark_of(plan: &RunPlan, options: &ExecuteOptions) -> Result<Benchmark, ExecuteError> {
    let settings = plan.stream.options()?;
    Ok(stream::build(&plan.benchmark, options.data_dir.as_deref(), &settings, plan.seed)?)
}

/// Refuses a stream that is not the one that was planned.
fn expect_sha256(benchmark: &Benchmark, planned: &str) -> Result<(), StreamError> {
    let (planned, found) = (planned.to_owned(), StreamContent::of(benchmark).sha256());
    match planned == found {
        true => Ok(()),
        false => Err(StreamError::NotAsPlanned { planned, found }),
    }
}

/// What a learner of this plan is told about the world.
pub fn context_of(plan: &RunPlan, benchmark: &Benchmark) -> ContextMsg {
    ContextMsg {
        classes: benchmark.classes,
        input_shape: benchmark.input_shape(),
        device: plan.device.clone(),
        threads: plan.threads,
        grants: benchmark.grants(plan.stream.online),
    }
}

/// Asks a learner what it wants.
pub fn declared(port: &mut dyn LearnerPort) -> Result<Declaration, CallFault> {
    let mut reply = MessageBuf::new();
    port.call(Op::DECLARE, &MessageBuf::new(), &mut NoServices, &mut reply)?;
    serde_json::from_slice(reply.header()).map_err(|e| CallFault {
        kind: crate::worker::FaultKind::Protocol,
        call: "declare".into(),
        message: format!("the declaration cannot be read: {e}"),
        location: None,
        last_log: Vec::new(),
    })
}

/// Asks a learner what it holds.
fn claimed(port: &mut dyn LearnerPort) -> Result<ResourcesReply, CallFault> {
    let mut reply = MessageBuf::new();
    port.call(Op::RESOURCES, &MessageBuf::new(), &mut NoServices, &mut reply)?;
    serde_json::from_slice(reply.header()).map_err(|e| CallFault {
        kind: crate::worker::FaultKind::Protocol,
        call: "resources".into(),
        message: format!("the answer cannot be read: {e}"),
        location: None,
        last_log: Vec::new(),
    })
}

/// The memory that a learner with this declaration gets, or why a plan's memory is none for it.
pub(crate) fn memory_of(
    plan: &RunPlan,
    declaration: &Declaration,
    benchmark: &Benchmark,
) -> Result<Option<ReplayMemory>, String> {
    let capacity = match plan.memory {
        _ if !declaration.uses_the_memory() => return Ok(None),
        None => return Err("the learner uses a replay memory; give it one with --memory N".into()),
        Some(MemorySize::Samples(samples)) => Capacity::Samples(samples as usize),
        Some(MemorySize::Bytes(bytes)) => Capacity::Bytes(bytes),
    };
    let policy = plan.policy.unwrap_or(declaration.wishes.policy);
    if policy == InsertionPolicy::Ring && !benchmark.grants(plan.stream.online).boundaries {
        return Err(
            "policy `ring` gives each experience its share of the memory, but boundaries are \
                    hidden in this scenario; choose another one with --policy"
                .into(),
        );
    }
    let width = benchmark.input_shape().iter().product();
    let memory = ReplayMemory::new(capacity, width, &declaration.columns)
        .and_then(|memory| memory.with_policy(policy, benchmark.experiences.len()));
    memory.map(Some).map_err(|e| e.to_string())
}
