//! The process of one run: from a plan in a folder to a summary in the same folder.

use perdura_abi::buffer::MessageBuf;
use perdura_abi::message::{ContextMsg, Declaration, ResourcesReply, StreamShape, ViewNeeds};
use perdura_abi::table::Op;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::keeper::{Content, Every, Keeper, memory_from, waiting_from};
use super::ledger::{Activity, Ledger};
use super::lines::Lines;
use super::opener::{Opener, log_record};
use super::recorder::Recorder;
use super::results::Results;
use super::window::Window;
use super::world::World;
use super::{Desk, Stop, Trainer, check_declaration, memory_of, stored_fault};
use crate::interrupt::Interrupt;
use crate::planning::host_build;
use crate::plugin::{self, Found, LoadError};
use crate::run::{
    Checkpoint, Fault, FaultCode, HostBuild, MemorySize, Outcome, RunError, RunFolder, RunPlan,
    Status,
};
use crate::score::{Scorer, load};
use crate::stream::{self, Benchmark, StreamContent, StreamError};
use crate::worker::{CallFault, Deadlines, LearnerPort, Limits, NoServices, Tier};

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
    pub checkpoints: Every,
    /// Tell means of the learner's scalars so many steps apart.
    pub log_every: Option<u64>,
    /// Snapshots that are scored at a time while training goes on, where the plan wants any.
    pub lanes: usize,
    /// Ends the run at the next point at which it can be taken up.
    pub interrupt: Interrupt,
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
            checkpoints: Every::default(),
            log_every: None,
            lanes: 1,
            interrupt: Interrupt::never(),
        }
    }
}

/// How far the execution of a run came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// To an end, good or bad.
    Outcome(Outcome),
    /// It was asked to end; executing it again goes on.
    Interrupted,
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
    /// What a run continues from saw another stream.
    #[error(
        "the stream is not the one that the run has begun with; {}; bring the data back, or \
         remove the folder and run again",
        .0.join("; ")
    )]
    StreamChanged(Vec<String>),
    #[error("the plan is damaged: {0}")]
    Plan(#[from] stream::ParseOptionError),
}

/// Executes the plan in a folder, from its newest checkpoint on if there is one. Whatever the learner does, the
/// folder holds a summary afterwards, unless the run was asked to end.
pub fn execute(options: &ExecuteOptions) -> Result<Ended, ExecuteError> {
    let plan = RunFolder::open(&options.folder)?.plan()?;
    execute_on(options, || benchmark_of(&plan, options))
}

/// As [`execute`], on a benchmark of the caller's own that fits the plan.
pub fn execute_on(
    options: &ExecuteOptions,
    benchmark: impl FnOnce() -> Result<Benchmark, ExecuteError>,
) -> Result<Ended, ExecuteError> {
    let begun = Instant::now();
    let mut ledger = Ledger::default();
    let mut folder = RunFolder::open(&options.folder)?;
    folder.lock()?;
    let plan = folder.plan()?;
    let found = plugin::inspect(&options.plugin)?.expect_sha256(&plan.plugin.sha256)?;
    let mut remarks = Vec::new();
    let checkpoint = taken_up(&folder, &plan, &mut remarks)?;
    let benchmark = ledger.time(Activity::Data, || benchmark().map(Arc::new))?;
    let stream = StreamContent::of(&benchmark);
    same_stream(&stream, &plan, checkpoint.as_ref())?;
    // Nothing is refused from here on.
    let content = checkpoint.as_ref().map(|checkpoint| &checkpoint.content);
    if content.is_none() && folder.events_bytes() > 0 {
        remarks.push("there is no checkpoint: the run begins anew".into());
    }
    let kept = content.map(|c| (c.results.events_bytes, c.results.predictions.as_slice()));
    let (events_bytes, predictions) = kept.unwrap_or_default();
    folder.rewind(events_bytes, predictions)?;
    folder.reserve()?;
    let every = (options.checkpoints, options.interrupt.clone());
    let standing = content.map(|c| &c.standing);
    let keeper = Keeper::new(every, &folder, (plan.clone(), stream), standing)?;
    let before = content.map(|c| c.results.spent).unwrap_or_default();
    let mut lines = Lines::new(folder, options.tell, (begun, before));
    remarks.into_iter().for_each(|remark| lines.remark(remark));
    let mut recorder = Recorder::new(lines, keeper, &plan, (benchmark.clone(), options.tier));
    recorder.window = Window::new(options.log_every);
    let run = Run { options, plan: &plan, found: &found, benchmark };
    let outcome = match run.go(checkpoint, &mut recorder, &mut ledger) {
        Ok(()) => Outcome::Finished,
        Err(Stop::Fault(fault)) => Outcome::Failed(*fault),
        Err(Stop::Interrupted) => return Ok(Ended::Interrupted),
    };
    recorder.finish(outcome.clone(), &ledger)?;
    Ok(Ended::Outcome(outcome))
}

/// The checkpoint that the run goes on from. What people should know goes to `remarks`.
fn taken_up(
    folder: &RunFolder,
    plan: &RunPlan,
    remarks: &mut Vec<String>,
) -> Result<Option<Taken>, RunError> {
    if folder.status()? == Status::Finished {
        return Err(RunError::Ended(folder.path().to_owned()));
    }
    folder.check_name(plan)?;
    let checkpoints = folder.checkpoints()?;
    let found = checkpoints.newest::<Content<Results>>(&mut |remark| remarks.push(remark))?;
    let Some(checkpoint) = found else { return Ok(None) };
    let differences = checkpoint.content.plan.differences(plan);
    if !differences.is_empty() {
        let path = folder.path().join("plan.json");
        return Err(RunError::PlanChanged { path, differences });
    }
    checkpoint.content.results.check(folder)?;
    let here = host_build();
    if here != plan.host {
        let name = |host: &HostBuild| {
            format!("{} {}", host.version, host.commit.as_deref().unwrap_or("(no commit)"))
        };
        remarks.push(format!(
            "the run was begun by another build of the host, {}, and goes on with {}: the results \
             may differ from those of one build",
            name(&plan.host),
            name(&here)
        ));
    }
    Ok(Some(checkpoint))
}

type Taken = Checkpoint<Content<Results>>;

/// One execution of a plan.
struct Run<'a> {
    options: &'a ExecuteOptions,
    plan: &'a RunPlan,
    found: &'a Found,
    benchmark: Arc<Benchmark>,
}

impl Run<'_> {
    fn go(
        &self,
        mut checkpoint: Option<Taken>,
        recorder: &mut Recorder,
        ledger: &mut Ledger,
    ) -> Result<(), Stop> {
        let Run { options, plan, found, benchmark } = self;
        if checkpoint.is_none() {
            recorder.begun();
        }
        let context = context_of(plan, benchmark);
        let mut opener = Opener::new(options, found, recorder.log_path());
        let (views, config, seed) = (Vec::new(), plan.config.clone(), plan.seed);
        let mut scorer = Scorer { benchmark: benchmark.clone(), views, context, config, seed };
        let call_fault = |fault| stored_fault(None, fault);
        let mut port = opener.open(&scorer.create_message()).map_err(call_fault)?;
        let declaration = declared(port.as_mut()).map_err(call_fault)?;
        scorer.views = declaration.views.clone();
        let waiting = checkpoint.as_mut().map(waiting_from).unwrap_or_default();
        let (world, checkpoint) = self.world(declaration, checkpoint)?;
        recorder.begin(&world, (scorer, opener), options.lanes);
        let mut desk = Desk::new(world, Box::new(log_record));
        let from = checkpoint.map(|checkpoint| (checkpoint, waiting));
        let trained = train(port.as_mut(), &mut desk, (recorder, ledger), from);
        recorder.compute.pause();
        let interrupted = matches!(trained, Err(Stop::Interrupted));
        // A learner that failed leaves snapshots behind: they are scored as if it had not.
        if interrupted || !recorder.settle(ledger) {
            recorder.interrupted(desk.world.place.step);
            return Err(Stop::Interrupted);
        }
        // Asked of a learner that has failed too: one that still answers says what it held.
        let claimed = claimed(port.as_mut());
        let state = trained.is_ok().then_some(desk.saved.as_slice());
        recorder.end(&desk.world, claimed.as_ref().ok().cloned().unwrap_or_default(), state);
        trained.and(claimed.map(drop).map_err(|fault| call_fault(fault).into()))
    }

    /// What the host holds at the beginning, or at the checkpoint.
    fn world(
        &self,
        declaration: Declaration,
        mut checkpoint: Option<Taken>,
    ) -> Result<(World, Option<Taken>), Box<Fault>> {
        let Run { plan, benchmark, .. } = self;
        let refused = |call: &'static str| {
            move |message| Box::new(Fault::new(FaultCode::Refused, call, "refused", message))
        };
        let empty =
            matches!(plan.memory, None | Some(MemorySize::Samples(0) | MemorySize::Bytes(0)));
        check_declaration(&declaration, benchmark, !empty).map_err(refused("declare"))?;
        let planned = memory_of(plan, &declaration, benchmark).map_err(refused("declare"))?;
        let memory = match &mut checkpoint {
            Some(taken) => memory_from(taken, planned.as_ref()).map_err(refused("resume"))?,
            None => planned,
        };
        let grants = benchmark.grants(plan.stream.online);
        let trained = match declaration.wishes.stream {
            StreamShape::Union => Arc::new(benchmark.union()),
            StreamShape::Experiences => benchmark.clone(),
        };
        Ok((World::new(trained, plan.seed, grants, declaration, memory), checkpoint))
    }
}

/// Trains from the beginning, or from the checkpoint on, with the snapshots that it found waiting.
fn train(
    port: &mut dyn LearnerPort,
    desk: &mut Desk,
    (recorder, ledger): (&mut Recorder, &mut Ledger),
    from: Option<(Taken, BTreeMap<u64, Vec<u8>>)>,
) -> Result<(), Stop> {
    let Some((mut checkpoint, waiting)) = from else {
        recorder.training_begins(port);
        return Trainer::new(port, desk, recorder, ledger).train();
    };
    let loaded = load(port, checkpoint.state());
    let Content { standing, results, .. } = checkpoint.content;
    recorder.restore(results, (standing.place.step, waiting), ledger)?;
    recorder.keep_partial(&desk.world);
    loaded.map_err(|fault| stored_fault(None, fault))?;
    recorder.training_begins(port);
    Trainer::new(port, desk, recorder, ledger).go_on(standing)
}

/// The benchmark that a plan names, with its stream settings.
fn benchmark_of(plan: &RunPlan, options: &ExecuteOptions) -> Result<Benchmark, ExecuteError> {
    let settings = plan.stream.options()?;
    Ok(stream::build(&plan.benchmark, options.data_dir.as_deref(), &settings, plan.seed)?)
}

/// Refuses a stream that is not the one that was planned; where the run goes on, with what differs.
fn same_stream(
    found: &StreamContent,
    plan: &RunPlan,
    checkpoint: Option<&Taken>,
) -> Result<(), ExecuteError> {
    let (planned, found_sha256) = (plan.stream.sha256.clone(), found.sha256());
    if planned == found_sha256 {
        return Ok(());
    }
    if let Some(taken) = checkpoint {
        let differences = taken.content.stream.differences(found);
        return Err(ExecuteError::StreamChanged(differences));
    }
    Err(StreamError::NotAsPlanned { planned, found: found_sha256 }.into())
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

/// Asks a learner what it wants. Views that are told the true group come last, because the first is what a reader
/// takes for the method's score while it runs.
pub fn declared(port: &mut dyn LearnerPort) -> Result<Declaration, CallFault> {
    let mut reply = MessageBuf::new();
    port.call(Op::DECLARE, &MessageBuf::new(), &mut NoServices, &mut reply)?;
    let mut declaration: Declaration = serde_json::from_slice(reply.header()).map_err(|e| {
        let text = format!("the declaration cannot be read: {e}");
        CallFault::new(crate::worker::FaultKind::Protocol, "declare", text)
    })?;
    declaration.views.sort_by_key(|view| view.needs == ViewNeeds::TrueGroup);
    Ok(declaration)
}

/// Asks a learner what it holds.
fn claimed(port: &mut dyn LearnerPort) -> Result<ResourcesReply, CallFault> {
    let mut reply = MessageBuf::new();
    port.call(Op::RESOURCES, &MessageBuf::new(), &mut NoServices, &mut reply)?;
    serde_json::from_slice(reply.header()).map_err(|e| {
        let text = format!("the answer cannot be read: {e}");
        CallFault::new(crate::worker::FaultKind::Protocol, "resources", text)
    })
}
