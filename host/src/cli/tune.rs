//! `perdura tune`: hyper-parameters chosen on held-out training samples. Every method gets the same
//! number of trials; each trial is an arm of one comparison, in folders like any other run's.

use std::path::{Path, PathBuf};

use perdura_abi::manifest::{Preset, StreamPreset};

use super::args::{Format, SetupArgs};
use super::compare::{Arm, Runs};
use super::error::CliError;
use super::output::say;
use super::result_args::TuneArgs;
use super::selection::Selection;
use super::{DONE, INTERRUPTED, RUN_FAILED, exit_code, resolve};
use crate::compare::{Comparison, Row, scenario_rank};
use crate::planning::PresetFile;
use crate::plugin::SearchPath;
use crate::run::{MemorySize, RunPlan};
use crate::stats::Spread;
use crate::tune::{Axis, Settings, Trial, best, text, trials};

/// What a method's trials are, and the runs that carry them out.
struct Search {
    /// Full id.
    method: String,
    trials: Vec<Settings>,
}

pub fn carry_out(args: &TuneArgs) -> Result<u8, CliError> {
    let searches = searches(args)?;
    let setup = held_out(args)?;
    let mut arms = Vec::new();
    for search in &searches {
        arms.extend(search.trials.iter().map(|settings| arm(&search.method, settings, &setup)));
    }
    let seeds = resolve::seeds(&args.seeds)?;
    let selection = Selection { resume: args.resume, ..Selection::default() };
    let runs = Runs::prepare(&arms, &seeds, &args.output, &selection)?;
    let jobs =
        resolve::jobs(&args.jobs, (setup.threads, resolve::run_bytes(&setup)?), &[&setup.device])?;
    let ends = runs.execute(jobs)?;
    if exit_code(&ends) == INTERRUPTED {
        return Ok(runs.interrupted(&ends, "the same command and --resume"));
    }
    let records = runs.records()?;
    let comparison = Comparison::of(&records);
    let mut code = DONE;
    for search in &searches {
        let done = results(search, &comparison);
        show(search, &done, args.output.format);
        match best(&done) {
            Some(winner) => {
                let name = arm_name(&search.method, &search.trials[winner]);
                let run = records.iter().find(|run| run.plan.arm() == name);
                let plan = &run.expect("every trial has runs").plan;
                save(args, plan, &done, winner)?;
            }
            None => {
                eprintln!("error: {}: no trial finished with every seed", search.method);
                code = RUN_FAILED;
            }
        }
    }
    Ok(code)
}

/// The trials of each method: hyper-parameters for all, and those for it alone.
fn searches(args: &TuneArgs) -> Result<Vec<Search>, CliError> {
    let wrong = |error: crate::tune::SpaceError| CliError::input(error.to_string());
    let axes: Vec<Axis> =
        args.grid.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(wrong)?;
    let search_path = SearchPath::from_env(&args.setup.plugins);
    let find = |name: &String| Ok(search_path.resolve(name)?.manifest.id.clone());
    let methods = args.methods.iter().map(find).collect::<Result<Vec<String>, CliError>>()?;
    let is_for = |axis: &Axis, method: &str| {
        axis.method
            .as_deref()
            .is_none_or(|name| method == name || method.ends_with(&format!("/{name}")))
    };
    if let Some(stray) = axes.iter().find(|axis| !methods.iter().any(|method| is_for(axis, method)))
    {
        let name = stray.method.as_deref().unwrap_or_default();
        return Err(CliError::input(format!(
            "--grid {name}:{}: {name} is not tuned here",
            stray.key
        )));
    }
    let search = |method: String| {
        let own: Vec<&Axis> = axes.iter().filter(|axis| is_for(axis, &method)).collect();
        let trials = trials(&own, args.budget, args.search_seed).map_err(wrong)?;
        Ok(Search { method, trials })
    };
    methods.into_iter().map(search).collect()
}

/// The setup with a held-out part that is scored in place of the test part.
fn held_out(args: &TuneArgs) -> Result<SetupArgs, CliError> {
    let mut setup = args.setup.clone();
    // A fixed tenth, unless another part is asked for.
    if setup.stream.validation == 0.0 {
        setup.stream.validation = 0.1;
    }
    setup.stream.score_on = "validation".into();
    Ok(setup)
}

fn arm(method: &str, settings: &Settings, setup: &SetupArgs) -> Arm {
    let mut setup = setup.clone();
    setup.set.extend(settings.iter().map(|(key, value)| format!("{key}={value}")));
    Arm { name: Some(arm_name(method, settings)), ..Arm::of(method, &setup) }
}

fn arm_name(method: &str, settings: &Settings) -> String {
    format!("{method} {}", text(settings)).trim_end().to_owned()
}

/// How each trial did: by the headline view, in the scenario that comes first in tables.
fn results(search: &Search, comparison: &Comparison) -> Vec<Trial> {
    let trial = |settings: &Settings| {
        let name = arm_name(&search.method, settings);
        let own = comparison.rows.iter().filter(|row| row.method == name && row.headline);
        let row: Option<&Row> = own.min_by_key(|row| scenario_rank(&row.scenario));
        match row {
            Some(row) => Trial::of(settings, row.average_accuracy, row.n, row.failed),
            None => Trial::of(settings, Spread::default(), 0, 0),
        }
    };
    search.trials.iter().map(trial).collect()
}

fn show(search: &Search, done: &[Trial], format: Format) {
    if format == Format::Json {
        say!(
            "{}",
            super::benchmarks::json(
                &serde_json::json!({ "method": search.method, "trials": done })
            )
        );
        return;
    }
    let mut order: Vec<usize> = (0..done.len()).collect();
    order.sort_by(|a, b| {
        done[*b].accuracy.unwrap_or(-1.0).total_cmp(&done[*a].accuracy.unwrap_or(-1.0))
    });
    say!("{}: accuracy on held-out training samples", search.method);
    for index in order {
        let Trial { accuracy, std, n, failed, .. } = &done[index];
        let accuracy = match (accuracy, std) {
            (Some(mean), Some(std)) => format!("{:6.2} ± {:.2}", 100.0 * mean, 100.0 * std),
            (Some(mean), None) => format!("{:6.2}", 100.0 * mean),
            (None, _) => format!("{failed} of {} failed", n + failed),
        };
        say!("  {accuracy}  {}", text(&search.trials[index]));
    }
}

/// The winner as a preset, with all trials as its evidence.
fn save(args: &TuneArgs, plan: &RunPlan, done: &[Trial], winner: usize) -> Result<(), CliError> {
    let path = args.save.clone().unwrap_or_else(|| args.output.out.join(file_name(plan)));
    let stream = &plan.stream;
    let method = plan.config.as_object().into_iter().flatten();
    let preset = Preset {
        benchmark: plan.benchmark.clone(),
        memory: match plan.memory {
            Some(MemorySize::Samples(samples)) => Some(samples),
            _ => None,
        },
        source: format!(
            "perdura tune, {} trials, seeds {}, {:.2} % on {} of the training samples, held out",
            done.len(),
            args.seeds,
            100.0 * done[winner].accuracy.unwrap_or_default(),
            stream.validation
        ),
        stream: StreamPreset {
            epochs: Some(stream.epochs),
            batch: Some(stream.batch),
            drop_last: Some(stream.drop_last),
        },
        // TOML knows no null: what is null stays at its default, which it is.
        method: method.filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect(),
    };
    let file = PresetFile { method: plan.method.clone(), preset, trial: done.to_vec() };
    write(&path, &file.to_toml())?;
    eprintln!("Preset: {} (use it with --preset {})", path.display(), path.display());
    Ok(())
}

fn file_name(plan: &RunPlan) -> PathBuf {
    let folder = plan.folder_name();
    let parts: Vec<String> =
        folder.iter().take(3).map(|part| part.to_string_lossy().into_owned()).collect();
    PathBuf::from(format!("preset-{}.toml", parts.join("-")))
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(path, text)
        .map_err(|source| CliError::File { path: path.display().to_string(), source })
}
