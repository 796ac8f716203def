//! From what is wanted to plans that leave nothing open: method -> plugin file, preset, hyper-parameters,
//! stream settings. Every default is written down. What a learner refuses is refused here, before anything is
//! written.

mod error;
mod preset_file;
mod presets;
mod settings;

use perdura_abi::manifest::{Description, Preset};
use perdura_abi::message::{CreateMsg, InsertionPolicy};
use serde_json::Value;
use std::path::PathBuf;

use crate::memory::Capacity;
use crate::names::list;
use crate::plugin::trust::Trust;
use crate::plugin::{Found, LoadError, SearchPath, describe_cached, is_worker_file, spawn_options};
use crate::run::{HostBuild, MemorySize, PluginFile, RunPlan, StreamSettings};
use crate::stream::{Benchmark, Lock, Scenario, Source, StreamContent, StreamError, StreamOptions};
use crate::trainer::{check_declaration, context_of, declared, memory_of};
use crate::worker::{
    Confinement, Deadlines, Limits, NoServices, SpawnOptions, Tier, describe, spawn,
};

pub use error::PlanError;
pub use preset_file::{PresetFile, PresetFileError};
pub use presets::preset_name;
use presets::{choose_preset, preset_used, presets_of};
pub(crate) use settings::config as complete_config;

/// What is wanted of some runs, before presets and defaults fill in the rest.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Name of a shipped benchmark.
    pub benchmark: String,
    pub memory: Option<Capacity>,
    /// Which samples the memory keeps; what the learner wishes when `None`.
    pub policy: Option<InsertionPolicy>,
    /// Hyper-parameters that differ from preset and default; `a.b` reaches into nested ones.
    pub set: Vec<(String, Value)>,
    pub preset: PresetChoice,
    pub data_dir: Option<PathBuf>,
    /// Plugin files that take precedence over the search path.
    pub plugins: Vec<PathBuf>,
    pub device: String,
    /// Threads a learner may use.
    pub threads: usize,
    /// What is `None` comes from the preset, then from the benchmark.
    pub stream: StreamOptions,
    /// A lock file that every stream must be in.
    pub lock: Option<PathBuf>,
    /// Where learners run. One in another language runs in the tier `process` instead of the sandbox.
    pub tier: Tier,
    /// Whether it may not.
    pub require_sandbox: bool,
    /// Further files and folders that a learner in the sandbox may read.
    pub allow_read: Vec<PathBuf>,
    /// The list of trusted plugins; those of the working folder and of the user where it is `None`.
    pub trust_lock: Option<PathBuf>,
    pub deadlines: Deadlines,
    pub limits: Limits,
}

impl Setup {
    /// A shipped benchmark with everything else at its default.
    pub fn new(benchmark: &str) -> Self {
        Setup {
            benchmark: benchmark.into(),
            memory: None,
            policy: None,
            set: Vec::new(),
            preset: PresetChoice::Auto,
            data_dir: None,
            plugins: Vec::new(),
            device: "flex".into(),
            threads: 1,
            stream: StreamOptions::default(),
            lock: None,
            tier: Tier::strongest(),
            require_sandbox: false,
            allow_read: Vec::new(),
            trust_lock: None,
            deadlines: Deadlines::default(),
            limits: Limits::default(),
        }
    }
}

impl Setup {
    fn confinement(&self, tier: Tier) -> Option<Confinement> {
        let confined = tier == Tier::Sandbox;
        confined.then(|| Confinement::new(&self.device, &self.allow_read))
    }
}

/// Which published settings are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PresetChoice {
    /// Those for this benchmark and memory, if there are any.
    #[default]
    Auto,
    None,
    /// See [`preset_name`].
    Named(String),
    /// One that `perdura tune` has written.
    File(PathBuf),
}

/// A plan and the file that carries it out.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub plan: RunPlan,
    pub found: Found,
    /// Where its learner runs.
    pub tier: Tier,
    /// Presets for this benchmark that fit neither its memory nor its parameters, where none does.
    pub presets_missed: Vec<String>,
}

/// Plans for one method on a shipped benchmark, one per seed.
pub fn plans(method: &str, setup: &Setup, seeds: &[u64]) -> Result<Vec<Resolved>, PlanError> {
    // Loaded when the first plan asks for it, once for all seeds.
    let mut source: Option<Source> = None;
    plans_on(method, setup, seeds, &mut |options, seed| {
        if source.is_none() {
            source = Some(Source::open(&setup.benchmark, setup.data_dir.as_deref())?);
        }
        source.as_ref().expect("opened before").benchmark(options, seed)
    })
}

/// Plans for one method on a benchmark of the caller's own, made by `build` from stream options and a seed.
pub fn plans_on(
    method: &str,
    setup: &Setup,
    seeds: &[u64],
    build: &mut dyn FnMut(&StreamOptions, u64) -> Result<Benchmark, StreamError>,
) -> Result<Vec<Resolved>, PlanError> {
    // Thread pools read 0 as all cores: the budget and with it byte equality would be gone.
    if setup.threads == 0 {
        return Err(PlanError::NoThreads);
    }
    let found = SearchPath::from_env(&setup.plugins).resolve(method)?;
    Trust::read(setup.trust_lock.as_deref())?.check(&found)?;
    let tier = tier_of(&found, setup.tier, setup.require_sandbox)?;
    let description = description(&found, setup.confinement(tier))?;
    check_device(&description, &setup.device)?;
    let memory = setup.memory.map(|capacity| match capacity {
        Capacity::Samples(samples) => MemorySize::Samples(samples as u64),
        Capacity::Bytes(bytes) => MemorySize::Bytes(bytes),
    });
    let preset = choose_preset(&description, setup, memory)?;
    let preset = preset.as_ref();
    let presets_missed = match (preset, &setup.preset) {
        (None, PresetChoice::Auto) => presets_of(&description, &setup.benchmark),
        _ => Vec::new(),
    };
    let config = settings::config(&description, preset, &setup.set)?;
    let lock = setup.lock.as_deref().map(|path| Lock::read(path).map(|lock| (path, lock)));
    let lock = lock.transpose()?;
    let mut resolved: Vec<Resolved> = Vec::with_capacity(seeds.len());
    for &seed in seeds {
        let options = stream_options(&setup.stream, preset);
        let benchmark = build(&options, seed)?;
        check_scenario(&description, &benchmark)?;
        if let Some((path, lock)) = &lock {
            lock.check(path, &benchmark, seed)?;
        }
        let mut plan = RunPlan {
            format: RunPlan::FORMAT,
            method: found.manifest.id.clone(),
            arm: None,
            equal_compute: None,
            plugin: plugin_file(&found),
            config: config.clone(),
            preset: preset.map(|preset| preset_used(preset, &setup.preset)),
            benchmark: benchmark.name.clone(),
            scenario: benchmark.scenario.to_string(),
            stream: stream_settings(&benchmark, &options),
            memory,
            policy: setup.policy,
            seed,
            threads: setup.threads,
            device: setup.device.clone(),
            host: host_build(),
        };
        plan.policy = match resolved.first() {
            Some(first) => first.plan.policy,
            None => try_out(&plan, &found, &benchmark, (setup, tier))?,
        };
        let (found, presets_missed) = (found.clone(), presets_missed.clone());
        resolved.push(Resolved { plan, found, tier, presets_missed });
    }
    Ok(resolved)
}

/// Where a learner of this plugin runs, if `wanted` is where it should: the host cannot confine a program.
pub fn tier_of(found: &Found, wanted: Tier, require_sandbox: bool) -> Result<Tier, PlanError> {
    if !is_worker_file(&found.path) {
        return Ok(wanted);
    }
    let id = found.manifest.id.clone();
    match (wanted, require_sandbox) {
        (Tier::InProcess, _) => Err(PlanError::Foreign { id, tier: "in-process" }),
        (_, true) => Err(PlanError::Foreign { id, tier: "sandbox" }),
        _ => Ok(Tier::Process),
    }
}

/// The described part of a plugin's manifest, remembered or asked in a worker, which may be confined.
pub fn description(found: &Found, confine: Option<Confinement>) -> Result<Description, LoadError> {
    describe_cached(found, || {
        let options = spawn_options(found).map_err(|error| error.to_string())?;
        let confine = confine.filter(|_| !is_worker_file(&found.path));
        let options = SpawnOptions { confine, ..options };
        let description = describe(&options).map_err(|fault| fault.to_string())?;
        serde_json::to_string(&description).map_err(|e| e.to_string())
    })
}

fn plugin_file(found: &Found) -> PluginFile {
    let name = found.path.file_name().unwrap_or_default().to_string_lossy();
    PluginFile {
        version: found.manifest.version.clone(),
        sha256: found.sha256.clone(),
        abi: found.manifest.abi.clone(),
        file: name.into_owned(),
    }
}

/// The build that runs.
pub fn host_build() -> HostBuild {
    let commit = option_env!("PERDURA_COMMIT").map(str::to_owned);
    HostBuild { version: env!("CARGO_PKG_VERSION").into(), commit }
}

/// A plugin that knows nothing of devices would run anywhere, and the plan would name another place.
fn check_device(description: &Description, device: &str) -> Result<(), PlanError> {
    if description.devices.iter().any(|listed| is_device(listed, device)) {
        return Ok(());
    }
    let (method, found) = (description.id.clone(), device.to_owned());
    Err(PlanError::Device { method, found, known: list(&description.devices) })
}

/// `N` in a listed name stands for the number of a GPU.
fn is_device(listed: &str, device: &str) -> bool {
    let Some((before, after)) = listed.split_once(":N") else {
        return listed == device;
    };
    let number = device.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    let digits = number.and_then(|rest| rest.strip_prefix(':')).unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A Class-IL stream is one for Task-IL too: both are scored from one run.
fn check_scenario(description: &Description, benchmark: &Benchmark) -> Result<(), PlanError> {
    let of_stream: &[&str] = match benchmark.scenario {
        Scenario::ClassIl => &["class-il", "task-il"],
        Scenario::TaskIl => &["task-il"],
        Scenario::DomainIl => &["domain-il"],
        Scenario::TaskFree => &["task-free"],
    };
    let supported = &description.scenarios;
    if supported.iter().any(|scenario| of_stream.contains(&scenario.as_str())) {
        return Ok(());
    }
    Err(PlanError::Scenario {
        method: description.id.clone(),
        benchmark: benchmark.name.clone(),
        found: benchmark.scenario.to_string(),
        supported: list(supported),
    })
}

/// Options before the preset, the preset before the benchmark.
fn stream_options(given: &StreamOptions, preset: Option<&Preset>) -> StreamOptions {
    let preset = preset.map(|p| p.stream.clone()).unwrap_or_default();
    StreamOptions {
        epochs: given.epochs.or(preset.epochs),
        batch: given.batch.or(preset.batch),
        drop_last: given.drop_last.or(preset.drop_last),
        ..given.clone()
    }
}

fn stream_settings(benchmark: &Benchmark, options: &StreamOptions) -> StreamSettings {
    StreamSettings {
        epochs: benchmark.epochs,
        batch: benchmark.batch,
        drop_last: benchmark.drop_last,
        class_order: benchmark.class_order.clone(),
        eval_head: benchmark.eval_head.to_string(),
        validation: options.validation,
        score_on: options.score_on,
        online: options.online,
        score_every: benchmark.score_every,
        sha256: StreamContent::of(benchmark).sha256(),
    }
}

/// Creates the learner once and throws it away, so that what it refuses is refused before anything is
/// written. Returns the policy of its memory, if it uses one.
fn try_out(
    plan: &RunPlan,
    found: &Found,
    benchmark: &Benchmark,
    (setup, tier): (&Setup, Tier),
) -> Result<Option<InsertionPolicy>, PlanError> {
    let method = plan.method.clone();
    let (deadlines, limits, confine) = (setup.deadlines, setup.limits, setup.confinement(tier));
    let options = SpawnOptions { deadlines, limits, confine, ..spawn_options(found)? };
    let create = CreateMsg {
        config: plan.config.clone(),
        context: context_of(plan, benchmark),
        seed: 0,
        log_level: "error".into(),
    };
    let attempt = spawn(&options, &create, &mut NoServices);
    let declared = attempt.and_then(|mut port| declared(&mut port));
    let declaration = declared
        .map_err(|fault| PlanError::Create { method: method.clone(), fault: Box::new(fault) })?;
    let empty =
        matches!(plan.memory, None | Some(MemorySize::Samples(0)) | Some(MemorySize::Bytes(0)));
    check_declaration(&declaration, benchmark, !empty)
        .and_then(|()| memory_of(plan, &declaration, benchmark))
        .map(|memory| memory.map(|_| plan.policy.unwrap_or(declaration.wishes.policy)))
        .map_err(|problem| PlanError::Declaration { method, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_that_a_method_does_not_support_is_refused() {
        let source = Source::open("split-digits", None).unwrap();
        let benchmark = source.benchmark(&StreamOptions::default(), 0).unwrap();
        let supporting = |scenarios: &[&str]| Description {
            id: "lab/x".into(),
            scenarios: scenarios.iter().map(|s| (*s).to_owned()).collect(),
            ..Description::default()
        };
        for scenarios in [&["class-il"], &["task-il"]] {
            assert!(check_scenario(&supporting(scenarios), &benchmark).is_ok());
        }
        let refused = check_scenario(&supporting(&["domain-il", "task-free"]), &benchmark);
        let message = refused.unwrap_err().to_string();
        for part in ["lab/x", "class-il", "split-digits", "supports domain-il, task-free"] {
            assert!(message.contains(part), "{message}");
        }
    }
}
