//! `run`, `compare` and `demo`: plans, folders, processes, tables.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::args::{CompareArgs, DemoArgs, Format, OutputArgs, RunArgs, SetupArgs, TrackArgs};
use super::equal_compute;
use super::error::CliError;
use super::output::say;
use super::plan_file::{self, PlannedArms};
use super::progress::watcher;
use super::resolve;
use super::selection::{Selection, Taking};
use super::tensorboard::TensorBoard;
use super::tracking::Tracking;
use super::watchers::Watchers;
use super::{INTERRUPTED, exit_code};
use crate::compare::{Comparison, RunRecord, TerminalStyle, markdown, terminal};
use crate::index::Index;
use crate::interrupt::Interrupt;
use crate::names::list;
use crate::planning::{self, Resolved};
use crate::run::{MemorySize, Outcome, RunFolder, RunPlan, Status, check_tag};
use crate::schedule::{Job, RUN_BYTES, Watcher, run_all};
use crate::trainer::Ended;

/// One method with its settings.
pub struct Arm {
    /// As a plan file names it.
    pub name: Option<String>,
    pub method: String,
    pub setup: SetupArgs,
    /// The arm whose compute its epochs were chosen for.
    pub equal_compute: Option<String>,
}

impl Arm {
    pub fn of(method: &str, setup: &SetupArgs) -> Arm {
        Arm { name: None, method: method.into(), setup: setup.clone(), equal_compute: None }
    }
}

/// `perdura run`.
pub fn run(args: &RunArgs) -> Result<u8, CliError> {
    let arms = [Arm::of(&args.method, &args.setup)];
    let runs = Runs::prepare(&arms, &[args.seed], &args.output, &Selection::default())?;
    runs.execute_alone(args.output.format)
}

/// `perdura compare`.
pub fn compare(args: &CompareArgs) -> Result<u8, CliError> {
    let PlannedArms { arms, seeds, equal_compute } = match &args.plan {
        Some(path) => plan_file::read(path, &args.setup)?,
        None => PlannedArms {
            arms: args.methods.iter().map(|method| Arm::of(method, &args.setup)).collect(),
            seeds: None,
            equal_compute: None,
        },
    };
    let seeds = resolve::seeds(args.seeds.as_deref().or(seeds.as_deref()).unwrap_or("0..3"))?;
    let reference = args.equal_compute.as_ref().or(equal_compute.as_ref());
    let reference = reference.map(|name| equal_compute::reference(&arms, name)).transpose()?;
    if reference.is_some() && args.shard.is_some() {
        return Err(CliError::input(
            "--shard: arms of equal compute need the measured time of all runs; run the parts \
             without them, then all of it with --resume",
        ));
    }
    let threads = arms.iter().map(|a| a.setup.threads).max().unwrap_or(1);
    let bytes = arms.iter().map(|arm| resolve::run_bytes(&arm.setup));
    let bytes = bytes.collect::<Result<Vec<u64>, _>>()?.into_iter().max().unwrap_or(RUN_BYTES);
    let mut devices: Vec<&str> = arms.iter().map(|arm| arm.setup.device.as_str()).collect();
    devices.sort_unstable();
    devices.dedup();
    let jobs = resolve::jobs(&args.jobs, (threads, bytes), &devices)?;
    let shard = args.shard.as_deref().map(str::parse).transpose()?;
    let selection = Selection { resume: args.resume, shard };
    let mut runs = Runs::prepare(&arms, &seeds, &args.output, &selection)?;
    let mut ends = runs.execute(jobs)?;
    if let Some(reference) = reference.filter(|_| exit_code(&ends) != INTERRUPTED) {
        let (further, said) = equal_compute::arms(&arms, reference, &runs.records()?);
        said.iter().for_each(|text| eprintln!("equal compute: {text}"));
        let more = Runs::prepare(&further, &seeds, &args.output, &selection)?;
        ends.extend(more.execute(jobs)?);
        runs.jobs.extend(more.jobs);
        runs.done.extend(more.done);
    }
    if exit_code(&ends) == INTERRUPTED {
        return Ok(runs.interrupted(&ends, "the same command and --resume"));
    }
    runs.show(args.output.format)?;
    if args.output.format == Format::Text {
        say!("Results: {}", args.output.out.display());
    }
    Ok(exit_code(&ends))
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
    let runs = Runs::prepare(&arms, &[0, 1, 2], &output, &Selection::default())?;
    let ends = runs.execute(resolve::jobs(&args.jobs, (1, RUN_BYTES), &[])?)?;
    if exit_code(&ends) == INTERRUPTED {
        return Ok(runs.interrupted(&ends, "`perdura resume` and the folder of a run"));
    }
    runs.show(args.output.format)?;
    if args.output.format == Format::Text {
        say!("Results: {} ({:.1} s)", out.display(), begun.elapsed().as_secs_f64());
    }
    Ok(exit_code(&ends))
}

/// That a method's defaults are used although it has settings for this benchmark.
fn preset_note(run: &Resolved) -> Option<String> {
    let (plan, presets) = (&run.plan, &run.presets_missed);
    let memory = match plan.memory {
        None => "no memory".to_owned(),
        Some(MemorySize::Samples(samples)) => format!("a memory of {samples} samples"),
        Some(MemorySize::Bytes(bytes)) => format!("a memory of {bytes} bytes"),
    };
    (!presets.is_empty()).then(|| {
        format!(
            "note: {} runs with its defaults: it has no settings for {} with {memory}, only for {} \
             (--preset NAME takes one, --preset none leaves this note out)",
            plan.method,
            plan.benchmark,
            list(presets)
        )
    })
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
    /// Finished before, by job.
    done: Vec<bool>,
    /// Folder of all results.
    out: Option<PathBuf>,
    track: TrackArgs,
}

impl Runs {
    /// Resolves all plans, then creates all folders: nothing is written when something is refused.
    pub fn prepare(
        arms: &[Arm],
        seeds: &[u64],
        output: &OutputArgs,
        selection: &Selection,
    ) -> Result<Runs, CliError> {
        output.tag.iter().try_for_each(|tag| check_tag(tag))?;
        output.track.check().map_err(CliError::input)?;
        let out = output.out.as_path();
        let mut resolved = Vec::new();
        for arm in arms {
            let setup = resolve::setup(&arm.setup)?;
            let runs = planning::plans(&arm.method, &setup, seeds)?;
            if let Some(note) = runs.first().and_then(preset_note) {
                eprintln!("{note}");
            }
            for mut run in runs {
                resolve::checkpoints(&arm.setup.checkpoints)?;
                run.plan.arm.clone_from(&arm.name);
                run.plan.equal_compute.clone_from(&arm.equal_compute);
                resolved.push((run, &arm.setup));
            }
        }
        refuse_twice(resolved.iter().map(|(run, _)| run))?;
        let plans: Vec<&RunPlan> = resolved.iter().map(|(run, _)| &run.plan).collect();
        let takings = selection.of(&plans, out)?;
        let (mut jobs, mut done) = (Vec::new(), Vec::new());
        for ((run, setup), taking) in resolved.into_iter().zip(takings) {
            let (folder, status) = match taking {
                Taking::Other => continue,
                Taking::New => (RunFolder::create(out, &run.plan)?, None),
                Taking::Earlier(folder, status) => (folder, Some(status)),
            };
            if status.is_none() && !output.tag.is_empty() {
                folder.set_tags(&output.tag)?;
            }
            done.push(status == Some(Status::Finished));
            jobs.push(job(folder.path(), &run, (setup, &output.track), status.is_some()));
        }
        Ok(Runs { jobs, done, out: Some(out.to_owned()), track: output.track.clone() })
    }

    /// The run in a folder, to be gone on with. Only where it lies as it was made the folder of all results is
    /// known, and with it the index.
    pub fn earlier(
        folder: &RunFolder,
        run: &Resolved,
        (setup, track): (&SetupArgs, &TrackArgs),
    ) -> Runs {
        let name = run.plan.folder_name();
        let path = folder.path().canonicalize().unwrap_or_else(|_| folder.path().to_owned());
        let out = path.ends_with(&name).then(|| path.ancestors().nth(name.components().count()));
        let out = out.flatten().map(Path::to_owned);
        let jobs = vec![job(folder.path(), run, (setup, track), true)];
        Runs { jobs, done: vec![false], out, track: track.clone() }
    }

    /// Executes what is not finished. Returns how all ended, in order.
    pub fn execute(&self, parallel: usize) -> Result<Vec<Ended>, CliError> {
        let open: Vec<usize> = (0..self.jobs.len()).filter(|&job| !self.done[job]).collect();
        let mut jobs: Vec<Job> = open.iter().map(|&job| self.jobs[job].clone()).collect();
        let at_once = parallel.min(jobs.len());
        for job in &mut jobs {
            let lanes = resolve::lanes(at_once, job.threads).to_string();
            job.arguments.extend(["--lanes".into(), lanes.into()]);
        }
        let interrupt =
            Interrupt::listen(None).map_err(|e| CliError::input(format!("signals: {e}")))?;
        self.note();
        let executed = run_all(&jobs, parallel, &mut self.watchers(&jobs), &interrupt)?;
        self.note();
        let mut ends = vec![Ended::Outcome(Outcome::Finished); self.jobs.len()];
        open.into_iter().zip(executed).for_each(|(job, ended)| ends[job] = ended);
        Ok(ends)
    }

    /// Who watches these jobs, of which some may be done.
    fn watchers(&self, jobs: &[Job]) -> Watchers {
        let folders = jobs.iter().map(|job| job.folder.as_path());
        let mut further: Vec<Box<dyn Watcher>> = Vec::new();
        if self.track.tensorboard {
            further.push(Box::new(TensorBoard::new(folders.clone())));
        }
        if let Some(uri) = self.track.mlflow.as_ref().filter(|_| !jobs.is_empty()) {
            further.push(Box::new(Tracking::new(uri, folders.map(Path::to_owned))));
        }
        Watchers { shown: watcher(jobs.len()), further }
    }

    /// Executes the only run and shows it.
    pub fn execute_alone(&self, format: Format) -> Result<u8, CliError> {
        let ends = self.execute(1)?;
        let folder = &self.jobs[0].folder;
        if exit_code(&ends) == INTERRUPTED {
            return Ok(self.interrupted(&ends, &format!("perdura resume {}", folder.display())));
        }
        let record = &self.records()?[0];
        match format {
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
        Ok(exit_code(&ends))
    }

    /// Says how to go on with runs that were asked to end. Returns the exit code.
    pub fn interrupted(&self, ends: &[Ended], how: &str) -> u8 {
        let open = ends.iter().filter(|ended| **ended == Ended::Interrupted).count();
        eprintln!(
            "interrupted: {} of {} runs have ended; go on with {how}",
            ends.len() - open,
            ends.len()
        );
        INTERRUPTED
    }

    /// Puts the runs into the index. Trouble with it is said and stops nothing: it is made from the
    /// folders. A part of a comparison may have no runs.
    fn note(&self) {
        let Some(out) = self.out.as_ref().filter(|_| !self.jobs.is_empty()) else { return };
        let folders = self.jobs.iter().map(|job| job.folder.as_path());
        let noted = Index::open(out).and_then(|mut index| index.update(folders));
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

fn job(
    folder: &Path,
    run: &Resolved,
    (setup, track): (&SetupArgs, &TrackArgs),
    goes_on: bool,
) -> Job {
    let short = run.plan.arm().rsplit('/').next().unwrap_or_default();
    let name = format!("{short} seed {}", run.plan.seed);
    let mut arguments = arguments(folder, run, setup);
    if let Some(steps) = track.means_every() {
        arguments.extend(["--log-every".into(), steps.to_string().into()]);
    }
    Job { folder: folder.to_owned(), name, threads: run.plan.threads, arguments, goes_on }
}

/// One plan has one folder.
fn refuse_twice<'a>(runs: impl Iterator<Item = &'a Resolved>) -> Result<(), CliError> {
    let mut seen = std::collections::BTreeSet::new();
    for run in runs {
        if !seen.insert(run.plan.folder_name()) {
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

/// The command line of the process of a run.
fn arguments(folder: &Path, run: &Resolved, setup: &SetupArgs) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![folder.into(), "--plugin".into()];
    arguments.push(run.found.path.clone().into());
    if let Some(data_dir) = &setup.data_dir {
        arguments.extend(["--data-dir".into(), data_dir.into()]);
    }
    for path in &setup.tier.allow_read {
        arguments.extend(["--allow-read".into(), path.into()]);
    }
    let limits = &setup.limits;
    let mut option = |name: &str, value: String| arguments.extend([name.into(), value.into()]);
    option("--isolation", run.tier.name().into());
    option("--file-limit", limits.file_limit.clone());
    option("--descriptor-limit", limits.descriptor_limit.to_string());
    option("--checkpoint-every", setup.checkpoints.checkpoint_every.clone());
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
