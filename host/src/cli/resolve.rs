//! From what was typed to plans that leave nothing open: method -> plugin file, preset, hyper-parameters,
//! stream settings. Every default is written down.

use perdura_abi::manifest::{Description, Preset};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

use super::args::{Isolation, LimitArgs, SetupArgs, StreamArgs};
use super::error::CliError;
use super::settings;
use crate::memory::Capacity;
use crate::plugin::{Cache, Found, LoadError, SearchPath, describe_cached};
use crate::run::{HostBuild, MemorySize, PluginFile, PresetUsed, RunPlan, StreamSettings};
use crate::stream::{self, Benchmark, StreamOptions};
use crate::trainer::{ExecuteOptions, check_declaration, context_of, declared};
use crate::worker::{Deadlines, Limits, NoServices, SpawnOptions, Tier, describe, spawn};
use perdura_abi::message::CreateMsg;

/// A plan and the file that carries it out.
pub struct Resolved {
    pub plan: RunPlan,
    pub found: Found,
}

/// Plans for one method with some seeds. The learner is created once to see that it accepts its settings.
pub fn plans(method: &str, setup: &SetupArgs, seeds: &[u64]) -> Result<Vec<Resolved>, CliError> {
    let found = SearchPath::from_env(&setup.plugins).resolve(method)?;
    let description = description(&found)?;
    let capacity = setup.memory.as_deref().map(str::parse::<Capacity>).transpose();
    let capacity = capacity.map_err(|e| CliError::input(e.to_string()))?;
    let memory = capacity.map(|capacity| match capacity {
        Capacity::Samples(samples) => MemorySize::Samples(samples as u64),
        Capacity::Bytes(bytes) => MemorySize::Bytes(bytes),
    });
    let preset = choose_preset(&description, setup, memory)?;
    let config = settings::config(&description, preset, &setup.set)?;
    let mut resolved = Vec::with_capacity(seeds.len());
    for &seed in seeds {
        let options = stream_options(&setup.stream, preset)?;
        let benchmark = stream::build(&setup.benchmark, setup.data_dir.as_deref(), &options, seed)?;
        let plan = RunPlan {
            format: RunPlan::FORMAT,
            method: found.manifest.id.clone(),
            plugin: plugin_file(&found),
            config: config.clone(),
            preset: preset.map(preset_used),
            benchmark: benchmark.name.clone(),
            scenario: benchmark.scenario.to_string(),
            stream: stream_settings(&benchmark, &options),
            memory,
            seed,
            threads: setup.threads,
            device: setup.device.clone(),
            host: host_build(),
        };
        if resolved.is_empty() {
            try_out(&plan, &found, &benchmark, &setup.limits)?;
        }
        resolved.push(Resolved { plan, found: found.clone() });
    }
    Ok(resolved)
}

/// The described part of a plugin's manifest, asked in a worker or remembered.
pub fn description(found: &Found) -> Result<Description, LoadError> {
    describe_cached(found, |file: &Path| {
        let description = describe(&SpawnOptions::new(file)).map_err(|fault| fault.to_string())?;
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

fn host_build() -> HostBuild {
    let commit = option_env!("PERDURA_COMMIT").map(str::to_owned);
    HostBuild { version: env!("CARGO_PKG_VERSION").into(), commit }
}

/// Name under which a preset is chosen: `benchmark` or `benchmark-memory`.
pub fn preset_name(preset: &Preset) -> String {
    match preset.memory {
        Some(memory) => format!("{}-{memory}", preset.benchmark),
        None => preset.benchmark.clone(),
    }
}

fn choose_preset<'d>(
    description: &'d Description,
    setup: &SetupArgs,
    memory: Option<MemorySize>,
) -> Result<Option<&'d Preset>, CliError> {
    let presets = &description.presets;
    match setup.preset.as_str() {
        "none" => Ok(None),
        "auto" => {
            let samples = match memory {
                Some(MemorySize::Samples(samples)) => Some(samples),
                _ => None,
            };
            let of_benchmark = || presets.iter().filter(|p| p.benchmark == setup.benchmark);
            let exact = of_benchmark().find(|p| p.memory.is_some() && p.memory == samples);
            Ok(exact.or_else(|| of_benchmark().find(|p| p.memory.is_none())))
        }
        name => {
            let names: Vec<String> = presets.iter().map(preset_name).collect();
            match names.iter().position(|n| n == name) {
                Some(index) => Ok(Some(&presets[index])),
                None => Err(CliError::input(format!(
                    "{} has no preset `{name}`{}; it has: {}",
                    description.id,
                    settings::did_you_mean(name, &names),
                    settings::list(&names),
                ))),
            }
        }
    }
}

fn preset_used(preset: &Preset) -> PresetUsed {
    let (benchmark, source) = (preset.benchmark.clone(), preset.source.clone());
    PresetUsed { name: preset_name(preset), benchmark, memory: preset.memory, source }
}

/// Flags before the preset, the preset before the benchmark.
pub fn stream_options(
    flags: &StreamArgs,
    preset: Option<&Preset>,
) -> Result<StreamOptions, CliError> {
    let preset = preset.map(|p| p.stream.clone()).unwrap_or_default();
    let wrong = |e: stream::ParseOptionError| CliError::input(e.to_string());
    Ok(StreamOptions {
        epochs: flags.epochs.or(preset.epochs),
        batch: flags.batch.or(preset.batch),
        drop_last: flags.drop_last.or(preset.drop_last),
        class_order: flags.class_order.parse().map_err(wrong)?,
        eval_head: flags.eval_head.parse().map_err(wrong)?,
        validation: flags.validation,
        online: flags.online,
    })
}

fn stream_settings(benchmark: &Benchmark, options: &StreamOptions) -> StreamSettings {
    StreamSettings {
        epochs: benchmark.epochs,
        batch: benchmark.batch,
        drop_last: benchmark.drop_last,
        class_order: benchmark.class_order.clone(),
        eval_head: benchmark.eval_head.to_string(),
        validation: options.validation,
        online: options.online,
    }
}

/// Creates the learner once and throws it away, so that what it refuses is refused before anything is
/// written.
fn try_out(
    plan: &RunPlan,
    found: &Found,
    benchmark: &Benchmark,
    limits: &LimitArgs,
) -> Result<(), CliError> {
    let method = plan.method.clone();
    let (deadlines, limits) = worker_limits(limits)?;
    let file = Cache::from_env().copy(found)?;
    let options = SpawnOptions { deadlines, limits, ..SpawnOptions::new(file) };
    let create = CreateMsg {
        config: plan.config.clone(),
        context: context_of(plan, benchmark),
        seed: 0,
        log_level: "error".into(),
    };
    let attempt = spawn(&options, &create, &mut NoServices);
    let declared = attempt.and_then(|mut port| declared(&mut port));
    let declaration = declared
        .map_err(|fault| CliError::Create { method: method.clone(), fault: Box::new(fault) })?;
    let empty =
        matches!(plan.memory, None | Some(MemorySize::Samples(0)) | Some(MemorySize::Bytes(0)));
    check_declaration(&declaration, benchmark, !empty)
        .map_err(|problem| CliError::input(format!("{method}: {problem}")))
}

/// Limits as the worker takes them.
pub fn worker_limits(args: &LimitArgs) -> Result<(Deadlines, Limits), CliError> {
    let seconds = |name: &str, value: f64| match value > 0.0 && value.is_finite() {
        true => Ok(Duration::from_secs_f64(value)),
        false => Err(CliError::input(format!("{name} {value}: expected a number above 0"))),
    };
    let step = seconds("--step-deadline", args.step_deadline)?;
    let boundary = seconds("--boundary-deadline", args.boundary_deadline)?;
    let deadlines = Deadlines {
        create: boundary,
        observe: step,
        boundary,
        predict: step,
        save_load: boundary,
        ..Deadlines::default()
    };
    let memory_bytes = match args.memory_limit.as_deref().map(str::parse::<Capacity>) {
        None => None,
        Some(Ok(Capacity::Bytes(bytes))) => Some(bytes),
        Some(_) => {
            return Err(CliError::input("--memory-limit: expected bytes such as 4GiB or 512MB"));
        }
    };
    let limits = Limits { memory_bytes, cpu_seconds: args.cpu_limit, ..Limits::default() };
    Ok((deadlines, limits))
}

/// The arguments with which the process of a run is started.
pub fn execute_options(args: &super::args::ExecuteArgs) -> Result<ExecuteOptions, CliError> {
    let (deadlines, limits) = worker_limits(&args.limits)?;
    Ok(ExecuteOptions {
        folder: args.folder.clone(),
        plugin: args.plugin.clone(),
        data_dir: args.data_dir.clone(),
        tier: match args.isolation {
            Isolation::Process => Tier::Process,
            Isolation::InProcess => Tier::InProcess,
        },
        deadlines,
        limits,
        tell: true,
    })
}

/// Seeds from `0..5`, `1,2,7` or a number.
pub fn seeds(text: &str) -> Result<Vec<u64>, CliError> {
    let wrong = || CliError::input(format!("--seeds `{text}`: expected 0..5, 1,2,7 or one number"));
    let number = |t: &str| t.trim().parse::<u64>().map_err(|_| wrong());
    let seeds: Vec<u64> = match text.split_once("..") {
        Some((from, to)) => (number(from)?..number(to)?).collect(),
        None => text.split(',').map(number).collect::<Result<_, _>>()?,
    };
    let mut unique = seeds.clone();
    unique.sort_unstable();
    unique.dedup();
    match seeds.is_empty() || unique.len() != seeds.len() {
        true => Err(CliError::input(format!("--seeds `{text}`: no seed, or one of them twice"))),
        false => Ok(seeds),
    }
}

/// A number of runs at the same time.
pub fn jobs(text: &str, threads: usize) -> Result<usize, CliError> {
    if text == "auto" {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        return Ok((cores / threads.max(1)).max(1));
    }
    match text.parse() {
        Ok(jobs) if jobs > 0 => Ok(jobs),
        _ => Err(CliError::input(format!("--jobs `{text}`: expected `auto` or a number above 0"))),
    }
}

/// A configuration value as typed: JSON where it is JSON, else a string.
pub fn typed_value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_ranges_lists_or_numbers() {
        assert_eq!(seeds("0..3").unwrap(), [0, 1, 2]);
        assert_eq!(seeds("4, 1").unwrap(), [4, 1]);
        assert_eq!(seeds("7").unwrap(), [7]);
        for wrong in ["", "3..3", "a", "1,1", "-1"] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn jobs_leave_each_run_its_threads() {
        assert_eq!(jobs("3", 1).unwrap(), 3);
        assert!(jobs("auto", 1).unwrap() >= 1);
        assert_eq!(jobs("auto", 100_000).unwrap(), 1);
        assert!(jobs("0", 1).is_err() && jobs("many", 1).is_err());
    }
}
