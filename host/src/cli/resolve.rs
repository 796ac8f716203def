//! From what was typed to what is wanted: texts become values, and wrong ones are named.

use perdura_abi::message::InsertionPolicy;
use serde_json::Value;
use std::time::Duration;

use super::args::{
    CheckpointArgs, ExecuteArgs, Isolation, LimitArgs, SetupArgs, StreamArgs, TierArgs,
};
use super::error::CliError;
use crate::interrupt::Interrupt;
use crate::memory::Capacity;
use crate::names::{did_you_mean, list};
use crate::planning::{PresetChoice, Setup};
use crate::schedule::{INTERRUPTED, RUN_BYTES, Room, gpu_runs};
use crate::stream::{self, StreamOptions};
use crate::trainer::{Every, ExecuteOptions};
use crate::worker::{Deadlines, Limits, Tier, is_gpu, lacking};

/// The settings of a command line.
pub fn setup(args: &SetupArgs) -> Result<Setup, CliError> {
    let memory = args.memory.as_deref().map(str::parse::<Capacity>).transpose();
    let (deadlines, limits) = worker_limits(&args.limits)?;
    Ok(Setup {
        benchmark: args.benchmark.clone(),
        memory: memory.map_err(|e| CliError::input(format!("--memory: {e}")))?,
        policy: policy(&args.policy)?,
        set: args.set.iter().map(|text| setting(text)).collect::<Result<_, _>>()?,
        preset: match args.preset.as_str() {
            "auto" => PresetChoice::Auto,
            "none" => PresetChoice::None,
            file if file.ends_with(".toml") => PresetChoice::File(file.into()),
            name => PresetChoice::Named(name.into()),
        },
        data_dir: args.data_dir.clone(),
        plugins: args.plugins.clone(),
        device: args.device.clone(),
        threads: args.threads,
        stream: stream_options(&args.stream)?,
        lock: args.lock.clone(),
        tier: tier(&args.tier, &args.device)?,
        require_sandbox: args.tier.require_sandbox,
        allow_read: args.tier.allow_read.clone(),
        trust_lock: args.trust_lock.clone(),
        deadlines,
        limits,
    })
}

/// A policy by its name; `None` leaves it to the learner.
fn policy(text: &str) -> Result<Option<InsertionPolicy>, CliError> {
    let found = InsertionPolicy::ALL.into_iter().find(|policy| policy.name() == text);
    if found.is_some() || text == "auto" {
        return Ok(found);
    }
    let mut names = vec!["auto".to_owned()];
    names.extend(InsertionPolicy::ALL.map(|policy| policy.name().to_owned()));
    let (hint, known) = (did_you_mean(text, &names), list(&names));
    Err(CliError::input(format!("--policy `{text}` is unknown{hint}; there are: {known}")))
}

/// A hyper-parameter from `key=value`.
pub fn setting(text: &str) -> Result<(String, Value), CliError> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().into(), typed_value(value.trim()))),
        None => Err(CliError::input(format!("--set `{text}`: expected key=value"))),
    }
}

/// Stream flags.
pub fn stream_options(flags: &StreamArgs) -> Result<StreamOptions, CliError> {
    let wrong = |e: stream::ParseOptionError| CliError::input(e.to_string());
    Ok(StreamOptions {
        epochs: flags.epochs,
        batch: flags.batch,
        drop_last: flags.drop_last,
        class_order: flags.class_order.parse().map_err(wrong)?,
        eval_head: flags.eval_head.parse().map_err(wrong)?,
        validation: flags.validation,
        score_on: flags.score_on.parse().map_err(wrong)?,
        online: flags.online,
        score_every: flags.score_every,
    })
}

/// Limits as the worker takes them.
fn worker_limits(args: &LimitArgs) -> Result<(Deadlines, Limits), CliError> {
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
    let bytes = |name: &str, text: &str| match text.parse::<Capacity>() {
        Ok(Capacity::Bytes(bytes)) => Ok(bytes),
        _ => Err(CliError::input(format!("{name} `{text}`: expected bytes such as 4GiB or 512MB"))),
    };
    let memory_limit = args.memory_limit.as_deref();
    let limits = Limits {
        memory_bytes: memory_limit.map(|text| bytes("--memory-limit", text)).transpose()?,
        cpu_seconds: args.cpu_limit,
        file_bytes: Some(bytes("--file-limit", &args.file_limit)?),
        descriptors: Some(args.descriptor_limit),
    };
    Ok((deadlines, limits))
}

/// The tier of a command line: the sandbox becomes a mere process where the system has none, and says so once.
pub fn tier(args: &TierArgs, device: &str) -> Result<Tier, CliError> {
    static SAID: std::sync::Once = std::sync::Once::new();
    // The sandbox for GPUs has not been tried on a machine that has one; who wants it asks for it.
    let usual = if is_gpu(device) { Tier::Process } else { Tier::Sandbox };
    let wanted = args.isolation.map_or(usual, tier_of);
    let refused = |reason: &str| {
        let text = format!("--require-sandbox: {reason}");
        Err(CliError::input(text))
    };
    if wanted != Tier::Sandbox {
        return match args.require_sandbox {
            true => refused(&format!("--isolation {} is none", wanted.name())),
            false => Ok(wanted),
        };
    }
    let lacking = lacking();
    if lacking.is_empty() {
        return Ok(Tier::Sandbox);
    }
    let lacking = lacking.join("; ");
    if args.require_sandbox {
        return refused(&format!("this system lacks {lacking}"));
    }
    SAID.call_once(|| {
        eprintln!(
            "warning: this system lacks {lacking}\n  learners run in the tier `process`, and results \
             say so; --require-sandbox refuses instead"
        );
    });
    Ok(Tier::Process)
}

fn tier_of(isolation: Isolation) -> Tier {
    match isolation {
        Isolation::Sandbox => Tier::Sandbox,
        Isolation::Process => Tier::Process,
        Isolation::InProcess => Tier::InProcess,
    }
}

/// How often checkpoints are written.
pub fn checkpoints(args: &CheckpointArgs) -> Result<Every, CliError> {
    let every = args.checkpoint_every.parse();
    every.map_err(|e| CliError::input(format!("--checkpoint-every: {e}")))
}

/// The arguments with which the process of a run is started.
pub fn execute_options(args: &ExecuteArgs) -> Result<ExecuteOptions, CliError> {
    let (deadlines, limits) = worker_limits(&args.limits)?;
    Ok(ExecuteOptions {
        folder: args.folder.clone(),
        plugin: args.plugin.clone(),
        data_dir: args.data_dir.clone(),
        tier: tier_of(args.isolation),
        allow_read: args.allow_read.clone(),
        deadlines,
        limits,
        tell: true,
        checkpoints: checkpoints(&args.checkpoints)?,
        log_every: args.log_every,
        lanes: args.lanes,
        // Who asks a second time does not want to wait for the learner.
        interrupt: Interrupt::listen(Some(INTERRUPTED))
            .map_err(|e| CliError::input(format!("signals: {e}")))?,
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

/// A number of runs at the same time; `auto` is as many as cores and memory allow, by the threads and the
/// memory of one, and the memory of the GPUs among the devices.
pub fn jobs(
    text: &str,
    (threads, run_bytes): (usize, u64),
    devices: &[&str],
) -> Result<usize, CliError> {
    if text == "auto" {
        let by_gpu = devices.iter().filter_map(|device| gpu_runs(device)).min();
        return Ok(Room::here().runs(threads, run_bytes).min(by_gpu.unwrap_or(usize::MAX)));
    }
    match text.parse() {
        Ok(jobs) if jobs > 0 => Ok(jobs),
        _ => Err(CliError::input(format!("--jobs `{text}`: expected `auto` or a number above 0"))),
    }
}

/// Snapshots that each of so many runs at the same time may score beside its training: what it leaves of the
/// cores, and at least one, which then shares a core.
pub fn lanes(runs: usize, threads: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / runs.max(1)).saturating_sub(threads).max(1)
}

/// Memory that a run of these settings may need: its limit, or what most runs stay below.
pub fn run_bytes(setup: &SetupArgs) -> Result<u64, CliError> {
    Ok(worker_limits(&setup.limits)?.1.memory_bytes.unwrap_or(RUN_BYTES))
}

/// A configuration value as typed: JSON where it is JSON, else a string.
fn typed_value(text: &str) -> Value {
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
    fn policies_go_by_their_names() {
        assert_eq!(policy("auto").unwrap(), None);
        assert_eq!(policy("class-balanced").unwrap(), Some(InsertionPolicy::ClassBalanced));
        let message = policy("rng").unwrap_err().to_string();
        assert_eq!(
            message,
            "--policy `rng` is unknown (did you mean `ring`?); \
             there are: auto, reservoir, class-balanced, ring"
        );
    }

    #[test]
    fn lanes_are_what_the_runs_leave_of_the_cores() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert_eq!((lanes(cores, 1), lanes(1, cores), lanes(1000, 4)), (1, 1, 1));
        assert_eq!(lanes(1, 0), cores);
    }

    #[test]
    fn jobs_leave_each_run_its_threads() {
        assert_eq!(jobs("3", (1, RUN_BYTES), &[]).unwrap(), 3);
        assert_eq!(jobs("auto", (1, 0), &[]).unwrap(), Room::here().cores);
        assert_eq!(jobs("auto", (100_000, 0), &[]).unwrap(), 1);
        assert_eq!(jobs("auto", (1, u64::MAX), &[]).unwrap(), 1);
        assert!(jobs("0", (1, 0), &[]).is_err() && jobs("many", (1, 0), &[]).is_err());
    }
}
