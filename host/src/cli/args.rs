//! The command line as it is typed. Meaning is given to it in `resolve.rs`.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

use super::result_args::{MetricsCommand, ReportArgs, RunsArgs, TuneArgs};
use super::tool_args::{BenchCommand, BenchmarksCommand, DataCommand, DoctorArgs, PluginsCommand};

/// Runs continual-learning methods on equal terms and compares them.
#[derive(Parser, Debug)]
#[command(name = "perdura", version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 all went well; 1 a run failed, its results so far are kept; \
    2 the input was refused and nothing was started; 75 interrupted by SIGINT or SIGTERM, to be gone on with. \
    `benchmarks diff`: 1 the streams differ. \
    `plugins check`: 1 a property was found broken. \
    `reproduce`: 1 the row did not come out the same."
)]
pub struct Cli {
    /// Log more, on standard error and in the log.txt of each run: what host and learners note for
    /// debugging (-v), or everything (-vv).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Compare sgd, cls-er and joint on bundled digits: three seeds each, no network, under a minute.
    Demo(DemoArgs),
    /// Train and score one method with one seed.
    Run(RunArgs),
    /// Train and score several methods with the same seeds and compare them.
    Compare(CompareArgs),
    /// A page, tables or data about runs that are there.
    Report(ReportArgs),
    /// Go on with a run that was interrupted, killed, or failed for a reason that is gone.
    Resume(ResumeArgs),
    /// Run a published result again and hold it against the paper.
    Reproduce(ReproduceArgs),
    /// Choose hyper-parameters on held-out training samples.
    Tune(TuneArgs),
    /// Metrics of runs that are there.
    #[command(subcommand)]
    Metrics(MetricsCommand),
    /// List, compare, tag and remove runs that are there.
    Runs(RunsArgs),
    /// List, inspect, create and build plugins.
    #[command(subcommand)]
    Plugins(PluginsCommand),
    /// List, inspect, lock and compare benchmarks.
    #[command(subcommand)]
    Benchmarks(BenchmarksCommand),
    /// List and download data sets.
    #[command(subcommand)]
    Data(DataCommand),
    /// Say what this build and this machine have, and what to do for more.
    Doctor(DoctorArgs),
    /// Where the time of a run goes; whether a build is faster than another.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// The process of one run; started by the host.
    #[command(hide = true)]
    Execute(ExecuteArgs),
}

#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Runs at the same time: a number or `auto`.
    #[arg(long, default_value = "auto")]
    pub jobs: String,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct RunArgs {
    /// Method: `lab/name`, or `name` where that is unique.
    pub method: String,
    /// Seed of the run.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub setup: SetupArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct CompareArgs {
    /// A comparison as a TOML file. It says what is run on what; where and how it is run (folders,
    /// plugins, isolation, device, threads, limits, output) is still said by options. `--memory`
    /// and `--seeds` take the place of its own.
    #[arg(conflicts_with_all = [
        "methods", "benchmark", "set", "preset", "epochs", "batch", "drop_last", "validation",
        "online", "score_every",
    ])]
    pub plan: Option<PathBuf>,
    /// Methods, separated by commas.
    #[arg(long, value_delimiter = ',', required_unless_present = "plan")]
    pub methods: Vec<String>,
    /// Seeds: `0..5` (0 to 4), `1,2,7` or one number; by default those of the plan file, or `0..3`.
    #[arg(long)]
    pub seeds: Option<String>,
    /// Runs at the same time: a number or `auto`.
    #[arg(long, default_value = "auto")]
    pub jobs: String,
    /// Take over runs that are finished, go on with those that are not, and start those that are missing.
    #[arg(long)]
    pub resume: bool,
    /// Execute only part I of N of the runs, for several machines over one folder.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
    /// Run every other method once more with the compute of this one: with so many epochs that its learner
    /// takes the same CPU time, as measured in this comparison.
    #[arg(long, value_name = "METHOD")]
    pub equal_compute: Option<String>,
    #[command(flatten)]
    pub setup: SetupArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct ResumeArgs {
    /// Folder of the run.
    pub folder: PathBuf,
    /// The plugin file, if it is not on the search path.
    #[arg(long = "plugin", value_name = "FILE")]
    pub plugins: Vec<PathBuf>,
    /// Folder with data sets.
    #[arg(long, env = "PERDURA_DATA", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub tier: TierArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub checkpoints: CheckpointArgs,
    #[command(flatten)]
    pub track: TrackArgs,
    /// What is printed on standard output.
    #[arg(long, default_value = "text")]
    pub format: Format,
}

#[derive(Args, Debug)]
pub struct ReproduceArgs {
    /// Published row, for example `cls-er/split-mnist/200`.
    #[arg(required_unless_present = "list")]
    pub row: Option<String>,
    /// Show all rows and run nothing.
    #[arg(long)]
    pub list: bool,
    /// Seeds: `0..5` (0 to 4), `1,2,7` or one number.
    #[arg(long, default_value = "0..10")]
    pub seeds: String,
    /// Device of the learner.
    #[arg(long, default_value = "flex")]
    pub device: String,
    /// Threads a learner may use.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Runs at the same time: a number or `auto`.
    #[arg(long, default_value = "auto")]
    pub jobs: String,
    /// Take over runs that are finished, and go on with those that are not.
    #[arg(long)]
    pub resume: bool,
    /// Folder with data sets.
    #[arg(long, env = "PERDURA_DATA", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// A plugin file; repeatable. It takes precedence over the search path.
    #[arg(long = "plugin", value_name = "FILE")]
    pub plugins: Vec<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What is run, on what.
#[derive(Args, Debug, Clone)]
pub struct SetupArgs {
    /// Benchmark, with parameters as `name:key=value,...`; see `perdura benchmarks list`.
    #[arg(long, default_value = "split-digits")]
    pub benchmark: String,
    /// Replay memory: samples (`200`) or bytes (`64KiB`, `1MB`).
    #[arg(long, value_name = "N|BYTES")]
    pub memory: Option<String>,
    /// Samples the memory keeps: `auto` as the learner wishes, or `reservoir` (all of the stream alike),
    /// `class-balanced` (classes alike), `ring` (the most recent of each experience).
    #[arg(long, default_value = "auto", value_name = "POLICY")]
    pub policy: String,
    /// Hyper-parameter, as `key=value`; repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Settings that were chosen before: `auto` takes those the method brings for this benchmark and
    /// memory, `none` the defaults; or a file of `perdura tune`.
    #[arg(long, default_value = "auto", value_name = "auto|none|NAME|FILE.toml")]
    pub preset: String,
    /// Folder with data sets.
    #[arg(long, env = "PERDURA_DATA", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// A plugin file; repeatable. It takes precedence over the search path.
    #[arg(long = "plugin", value_name = "FILE")]
    pub plugins: Vec<PathBuf>,
    #[command(flatten)]
    pub tier: TierArgs,
    /// Device of the learner.
    #[arg(long, default_value = "flex")]
    pub device: String,
    /// Threads a learner may use.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// List of trusted plugins; by default `trust.lock` in the working folder, then the user's.
    #[arg(long, value_name = "FILE")]
    pub trust_lock: Option<PathBuf>,
    /// Refuse streams that are not in this file of `benchmarks lock`.
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    #[command(flatten)]
    pub stream: StreamArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub checkpoints: CheckpointArgs,
}

/// How far the learner is trusted.
#[derive(Args, Debug, Clone)]
pub struct TierArgs {
    /// Where the learner runs; by default `sandbox`, on a GPU `process`. Where the kernel lacks what `sandbox`
    /// needs, it becomes `process`. Results of a weaker tier are marked.
    #[arg(long)]
    pub isolation: Option<Isolation>,
    /// Refuse to run a learner outside the sandbox.
    #[arg(long)]
    pub require_sandbox: bool,
    /// File or folder that a learner in the sandbox may read besides the system's libraries; repeatable.
    #[arg(long, value_name = "PATH")]
    pub allow_read: Vec<PathBuf>,
}

/// How the benchmark is streamed. What is not given comes from the preset, then from the benchmark.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Stream")]
pub struct StreamArgs {
    /// Passes over each experience.
    #[arg(long)]
    pub epochs: Option<u32>,
    /// Samples per step.
    #[arg(long)]
    pub batch: Option<u32>,
    /// Leave out a last batch that is smaller than the others.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub drop_last: Option<bool>,
    /// Order of the classes: `natural`, `seeded`, or a list such as `1,0,2`.
    #[arg(long, default_value = "natural")]
    pub class_order: String,
    /// Outputs that take part in a Class-IL prediction.
    #[arg(long, default_value = "all", value_name = "all|seen")]
    pub eval_head: String,
    /// Part of the training data that is held out, 0 to below 1.
    #[arg(long, default_value_t = 0.0, value_name = "FRACTION")]
    pub validation: f64,
    /// Samples that are scored: the test part, or those that --validation holds out.
    #[arg(long, default_value = "test", value_name = "test|validation")]
    pub score_on: String,
    /// No second pass over a finished experience.
    #[arg(long)]
    pub online: bool,
    /// Score every so many steps too, not at boundaries alone: snapshots of the learner, on spare cores, while
    /// training goes on. Of a task-free stream these are all scores, by default every 8,000 samples.
    #[arg(long, value_name = "STEPS")]
    pub score_every: Option<u64>,
}

/// What a learner may take before it is ended.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Seconds a learner may take for one step or prediction.
    #[arg(long, default_value_t = 300.0, value_name = "SECONDS")]
    pub step_deadline: f64,
    /// Seconds a learner may take to be created, saved, loaded, and at each boundary.
    #[arg(long, default_value_t = 3600.0, value_name = "SECONDS")]
    pub boundary_deadline: f64,
    /// Memory of a worker, for example `4GiB`.
    #[arg(long, value_name = "BYTES")]
    pub memory_limit: Option<String>,
    /// CPU seconds of a worker.
    #[arg(long, value_name = "SECONDS")]
    pub cpu_limit: Option<u64>,
    /// Largest file that a worker may write; its log is one.
    #[arg(long, default_value = "1GiB", value_name = "BYTES")]
    pub file_limit: String,
    /// Files that a worker may have open.
    #[arg(long, default_value_t = 1024, value_name = "N")]
    pub descriptor_limit: u64,
}

/// What is kept of a run while it goes on.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Checkpoints")]
pub struct CheckpointArgs {
    /// Steps between two checkpoints, which are written at boundaries too; `auto`: so often that they take
    /// about a hundredth of the time; `none`.
    #[arg(long, default_value = "auto", value_name = "STEPS|auto|none")]
    pub checkpoint_every: String,
}

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Folder for results.
    #[arg(long, default_value = "perdura-runs", value_name = "DIR")]
    pub out: PathBuf,
    /// Word to find the runs by, see `perdura runs`; repeatable.
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    #[command(flatten)]
    pub track: TrackArgs,
    /// What is printed on standard output.
    #[arg(long, default_value = "text")]
    pub format: Format,
}

/// Who else is told of runs while they go on.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Output")]
pub struct TrackArgs {
    /// Write event files for TensorBoard into the folders of the runs.
    #[arg(long)]
    pub tensorboard: bool,
    /// Tell a tracking server of MLflow, such as `http://127.0.0.1:5000`, of the runs. Runs do not wait for
    /// it.
    #[arg(long, value_name = "URI")]
    pub mlflow: Option<String>,
    /// Steps between two means of what learners report, for --tensorboard and --mlflow.
    #[arg(long, default_value_t = 100, value_name = "STEPS",
        value_parser = clap::value_parser!(u64).range(1..))]
    pub log_every: u64,
}

impl TrackArgs {
    /// Refuses what is no address of a server.
    pub fn check(&self) -> Result<(), String> {
        let checked = self.mlflow.as_deref().map_or(Ok(()), crate::mlflow::check_uri);
        checked.map_err(|problem| format!("--mlflow {problem}"))
    }

    /// Steps between two means, where somebody wants them.
    pub fn means_every(&self) -> Option<u64> {
        (self.tensorboard || self.mlflow.is_some()).then_some(self.log_every)
    }
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
    Markdown,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// In a process of its own that has given up its rights: no files, no network, no other processes.
    Sandbox,
    /// In a process of its own.
    Process,
    /// In the run's process: trusted code and debuggers.
    InProcess,
}

#[derive(Args, Debug)]
pub struct ExecuteArgs {
    /// Folder of the run; it holds the plan.
    pub folder: PathBuf,
    #[arg(long)]
    pub plugin: PathBuf,
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    #[arg(long)]
    pub isolation: Isolation,
    #[arg(long)]
    pub allow_read: Vec<PathBuf>,
    #[arg(long)]
    pub log_every: Option<u64>,
    /// Snapshots that are scored at a time.
    #[arg(long, default_value_t = 1)]
    pub lanes: usize,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub checkpoints: CheckpointArgs,
}

impl SetupArgs {
    /// A benchmark with everything else at its default.
    pub fn of_benchmark(benchmark: &str) -> Self {
        #[derive(Parser)]
        struct Only {
            #[command(flatten)]
            setup: SetupArgs,
        }
        Only::parse_from(["perdura", "--benchmark", benchmark]).setup
    }
}
