//! `run`, `compare` and `demo`: plans, folders, processes, tables.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::args::{CompareArgs, DemoArgs, Format, OutputArgs, RunArgs, SetupArgs};
use super::error::CliError;
use super::output::say;
use super::plan_file;
use super::progress::watcher;
use super::resolve;
use super::tensorboard::TensorBoard;
use super::{DONE, RUN_FAILED};
use crate::compare::{Comparison, RunRecord, TerminalStyle, markdown, terminal};
use crate::index::Index;
use crate::planning::{self, Resolved};
use crate::run::{Outcome, RunFolder, check_tag};
use crate::schedule::{Job, run_all};

/// One method with its settings.
pub struct Arm {
    /// As a plan file names it.
    pub name: Option<String>,
    pub method: String,
    pub setup: SetupArgs,
}

impl Arm {
    pub fn of(method: &str, setup: &SetupArgs) -> Arm {
        Arm { name: None, method: method.into(), setup: setup.clone() }
    }
}

/// `perdura run`.
pub fn run(args: &RunArgs) -> Result<u8, CliError> {
    let arms = [Arm::of(&args.method, &args.setup)];
    let runs = Runs::prepare(&arms, &[args.seed], &args.output)?;
    let outcomes = runs.execute(1)?;
    let record = &runs.records()?[0];
    let folder = &runs.jobs[0].folder;
    match args.output.format {
        Format::Json => {
            let document = serde_json::json!({
                "folder": folder,
                "summary": record.summary,
                "resources": record.resources,
            });
            say!("{document:#}");
        }
        format => {
            show(&Comparison::of(std::slice::from_ref(record)), format);
            say!("Results: {}", folder.display());
        }
    }
    Ok(exit_code(&outcomes))
}

/// `perdura compare`.
pub fn compare(args: &CompareArgs) -> Result<u8, CliError> {
    let (arms, seeds) = match &args.plan {
        Some(path) => plan_file::read(path, &args.setup)?,
        None => {
            let arms = args.methods.iter().map(|method| Arm::of(method, &args.setup));
            (arms.collect(), args.seeds.clone())
        }
    };
    let seeds = resolve::seeds(&seeds)?;
    let threads = arms.iter().map(|a| a.setup.threads).max().unwrap_or(1);
    let jobs = resolve::jobs(&args.jobs, threads)?;
    let runs = Runs::prepare(&arms, &seeds, &args.output)?;
    let outcomes = runs.execute(jobs)?;
    runs.show(args.output.format)?;
    if args.output.format == Format::Text {
        say!("Results: {}", args.output.out.display());
    }
    Ok(exit_code(&outcomes))
}

/// `perdura demo`.
pub fn demo(args: &DemoArgs) -> Result<u8, CliError> {
    let begun = Instant::now();
    let setup = SetupArgs { memory: Some("50".into()), ..SetupArgs::of_benchmark("split-digits") };
    let arms =
        ["perdura/sgd", "perdura/cls-er", "perdura/joint"].map(|method| Arm::of(method, &setup));
    let out = fresh_folder(&args.output.out);
    let output = OutputArgs { out: out.clone(), ..args.output.clone() };
    eprintln!(
        "Three ways to learn ten digits, two digits at a time, three seeds each:\n  \
         sgd     learns each pair after the other and remembers nothing else\n  \
         cls-er  keeps 50 samples, and two averages of the network that teach it\n  \
         joint   sees all digits at once: an upper bound\n"
    );
    let runs = Runs::prepare(&arms, &[0, 1, 2], &output)?;
    let outcomes = runs.execute(resolve::jobs(&args.jobs, 1)?)?;
    runs.show(args.output.format)?;
    if args.output.format == Format::Text {
        say!("Results: {} ({:.1} s)", out.display(), begun.elapsed().as_secs_f64());
    }
    Ok(exit_code(&outcomes))
}

/// `demo`, `demo-2`, `demo-3`, ... below `out`: the first that does not exist.
fn fresh_folder(out: &Path) -> PathBuf {
    let name = |number: u32| match number {
        1 => out.join("demo"),
        number => out.join(format!("demo-{number}")),
    };
    (1..).map(name).find(|path| !path.exists()).expect("some number is free")
}

/// Runs that have a folder and can be executed.
pub struct Runs {
    jobs: Vec<Job>,
    output: OutputArgs,
}

impl Runs {
    /// Resolves all plans, then creates all folders: nothing is written when something is refused.
    pub fn prepare(arms: &[Arm], seeds: &[u64], output: &OutputArgs) -> Result<Runs, CliError> {
        output.tag.iter().try_for_each(|tag| check_tag(tag))?;
        let out = output.out.as_path();
        let mut resolved = Vec::new();
        for arm in arms {
            let setup = resolve::setup(&arm.setup)?;
            for mut run in planning::plans(&arm.method, &setup, seeds)? {
                run.plan.arm.clone_from(&arm.name);
                resolved.push((run, &arm.setup));
            }
        }
        refuse_occupied(out, resolved.iter().map(|(run, _)| run))?;
        let mut jobs = Vec::with_capacity(resolved.len());
        for (run, setup) in resolved {
            let folder = RunFolder::create(out, &run.plan)?;
            if !output.tag.is_empty() {
                folder.set_tags(&output.tag)?;
            }
            let folder = folder.path().to_owned();
            let short = run.plan.arm().rsplit('/').next().unwrap_or_default();
            let name = format!("{short} seed {}", run.plan.seed);
            let arguments = arguments(&folder, &run, setup);
            jobs.push(Job { folder, name, threads: run.plan.threads, arguments });
        }
        Ok(Runs { jobs, output: output.clone() })
    }

    pub fn execute(&self, parallel: usize) -> Result<Vec<Outcome>, CliError> {
        self.note();
        let mut watcher = watcher(self.jobs.len());
        let folders = self.jobs.iter().map(|job| job.folder.as_path());
        let outcomes = match self.output.tensorboard {
            true => {
                run_all(&self.jobs, parallel, &mut TensorBoard::new(watcher.as_mut(), folders))?
            }
            false => run_all(&self.jobs, parallel, watcher.as_mut())?,
        };
        self.note();
        Ok(outcomes)
    }

    /// Puts the runs into the index. Trouble with it is said and stops nothing: it is made from the
    /// folders.
    fn note(&self) {
        let folders = self.jobs.iter().map(|job| job.folder.as_path());
        let noted = Index::open(&self.output.out).and_then(|mut index| index.update(folders));
        if let Err(error) = noted {
            tracing::warn!("the runs are not in the index: {error}");
        }
    }

    pub fn records(&self) -> Result<Vec<RunRecord>, CliError> {
        let read = |job: &Job| Ok(RunRecord::read(&RunFolder::open(&job.folder)?)?);
        self.jobs.iter().map(read).collect()
    }

    pub fn comparison(&self) -> Result<Comparison, CliError> {
        Ok(Comparison::of(&self.records()?))
    }

    fn show(&self, format: Format) -> Result<(), CliError> {
        show(&self.comparison()?, format);
        Ok(())
    }
}

/// Nothing is created when a folder of one of the runs is taken.
fn refuse_occupied<'a>(
    out: &Path,
    runs: impl Iterator<Item = &'a Resolved>,
) -> Result<(), CliError> {
    let mut seen = std::collections::BTreeSet::new();
    for run in runs {
        let path = out.join(run.plan.folder_name());
        if RunFolder::open(&path).is_ok() {
            return Err(crate::run::RunError::Occupied(path).into());
        }
        if !seen.insert(path) {
            let method = &run.plan.method;
            return Err(CliError::input(format!("{method} stands twice with the same settings")));
        }
    }
    Ok(())
}

pub fn show(comparison: &Comparison, format: Format) {
    match format {
        Format::Json => say!("{}", comparison.to_json()),
        Format::Markdown => say!("{}", markdown(comparison)),
        Format::Text => {
            let person = std::io::stdout().is_terminal();
            let style = TerminalStyle { bold: person, width: None };
            say!("{}", terminal(comparison, style));
        }
    }
}

fn exit_code(outcomes: &[Outcome]) -> u8 {
    if outcomes.iter().all(|o| *o == Outcome::Finished) { DONE } else { RUN_FAILED }
}

/// The command line of the process of a run.
fn arguments(folder: &Path, run: &Resolved, setup: &SetupArgs) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![folder.into(), "--plugin".into()];
    arguments.push(run.found.path.clone().into());
    if let Some(data_dir) = &setup.data_dir {
        arguments.extend(["--data-dir".into(), data_dir.into()]);
    }
    for path in &setup.allow_read {
        arguments.extend(["--allow-read".into(), path.into()]);
    }
    let limits = &setup.limits;
    let mut option = |name: &str, value: String| arguments.extend([name.into(), value.into()]);
    option("--isolation", run.tier.name().into());
    option("--file-limit", limits.file_limit.clone());
    option("--descriptor-limit", limits.descriptor_limit.to_string());
    option("--step-deadline", limits.step_deadline.to_string());
    option("--boundary-deadline", limits.boundary_deadline.to_string());
    if let Some(limit) = &limits.memory_limit {
        option("--memory-limit", limit.clone());
    }
    if let Some(limit) = limits.cpu_limit {
        option("--cpu-limit", limit.to_string());
    }
    arguments
}
