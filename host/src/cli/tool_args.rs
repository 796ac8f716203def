//! The commands about plugins, benchmarks and data sets as they are typed.

use clap::{Args, Subcommand};
use std::path::PathBuf;

use super::args::{Format, SetupArgs, StreamArgs, TierArgs};
use crate::check::Level;

#[derive(Subcommand, Debug)]
pub enum PluginsCommand {
    /// List plugins on the search path.
    List(PluginListArgs),
    /// Show what a plugin says about itself: hyper-parameters, presets, views.
    Info(PluginInfoArgs),
    /// Check what a plugin promises: seeds, states, odd data, resources, and how it behaves in its process.
    Check(PluginCheckArgs),
    /// Write a plugin crate that builds and runs at once.
    New(PluginNewArgs),
    /// Build a plugin crate and install it where the host finds it.
    Build(PluginBuildArgs),
    /// Record the hash of a plugin: another file with its id is refused from then on.
    Trust(PluginTrustArgs),
}

#[derive(Args, Debug)]
pub struct PluginListArgs {
    /// A plugin file; repeatable.
    #[arg(long = "plugin", value_name = "FILE")]
    pub plugins: Vec<PathBuf>,
    #[arg(long, default_value = "text")]
    pub format: Format,
}

#[derive(Args, Debug)]
pub struct PluginInfoArgs {
    /// Method or file.
    pub method: String,
    /// A plugin file; repeatable.
    #[arg(long = "plugin", value_name = "FILE")]
    pub plugins: Vec<PathBuf>,
    #[arg(long, default_value = "text")]
    pub format: Format,
}

#[derive(Args, Debug)]
pub struct PluginTrustArgs {
    /// Method or file.
    pub method: String,
    /// A plugin file; repeatable.
    #[arg(long = "plugin", value_name = "FILE")]
    pub plugins: Vec<PathBuf>,
    /// Trust this public key of minisign for all plugins of the lab: a `.pub` file or its second line.
    /// The plugin must be signed with it (`.minisig` beside the file).
    #[arg(long, value_name = "FILE|KEY")]
    pub key: Option<String>,
    /// The list to write; by default `trust.lock` in the working folder if it is there, else the user's.
    #[arg(long, value_name = "FILE")]
    pub trust_lock: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct PluginCheckArgs {
    /// Method or file.
    #[arg(required_unless_present = "list")]
    pub target: Option<String>,
    /// A plugin file; repeatable.
    #[arg(long = "plugin", value_name = "FILE")]
    pub plugins: Vec<PathBuf>,
    /// Show all checks and run nothing.
    #[arg(long)]
    pub list: bool,
    /// How much is asked.
    #[arg(long, default_value = "standard")]
    pub level: Level,
    /// Names of checks, separated by commas; of any level.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub only: Vec<String>,
    /// Hyper-parameter, as `key=value`; repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Seed of data, order and learners.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Seconds that one call may take.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    pub deadline: f64,
    /// Checks at the same time.
    #[arg(long, default_value_t = 2)]
    pub jobs: usize,
    /// Folder for what failing checks leave behind.
    #[arg(long, default_value = "perdura-checks", value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub tier: TierArgs,
    /// List of trusted plugins; by default `trust.lock` in the working folder, then the user's.
    #[arg(long, value_name = "FILE")]
    pub trust_lock: Option<PathBuf>,
    #[arg(long, default_value = "text")]
    pub format: Format,
}

#[derive(Args, Debug)]
pub struct PluginNewArgs {
    /// `lab/name`, or `name` (the lab is `local` then).
    pub id: String,
    /// Folder to write into; by default the name.
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// Which method to start from.
    #[arg(long, default_value = "blank", value_name = "blank|er|derpp")]
    pub like: String,
    /// The SDK: a checkout's folder or a version; by default the checkout this binary was built from.
    #[arg(long, value_name = "PATH|VERSION")]
    pub sdk: Option<String>,
}

#[derive(Args, Debug)]
pub struct PluginBuildArgs {
    /// Folder of the crate.
    #[arg(default_value = ".")]
    pub path: PathBuf,
    /// Folder to install into; by default the user's plugin folder.
    #[arg(long, value_name = "DIR")]
    pub install: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub enum BenchmarksCommand {
    /// List benchmarks.
    List {
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Show classes, samples and hash of a benchmark.
    Inspect {
        /// Benchmark.
        name: String,
        #[command(flatten)]
        making: MakingArgs,
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Write down which samples a benchmark streams and how it shows them, so that others can check.
    Lock {
        /// Benchmark.
        name: String,
        /// Seeds to lock: `0..5`, `1,2,7` or one number; without it, that of --seed.
        #[arg(long)]
        seeds: Option<String>,
        /// File to write; standard output without it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        making: MakingArgs,
    },
    /// Show in what two streams differ; exit code 1 if they do.
    Diff {
        /// Lock file or benchmark.
        a: String,
        /// Lock file or benchmark.
        b: String,
        #[command(flatten)]
        making: MakingArgs,
    },
    /// Draw a sheet of the views that self-supervised learning gets.
    Views {
        /// Benchmark.
        name: String,
        /// Folder to write `views.ppm` into.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Folder with data sets.
        #[arg(long, env = "PERDURA_DATA", value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// Seed of the views.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
}

/// What a benchmark is made from.
#[derive(Args, Debug)]
pub struct MakingArgs {
    /// Folder with data sets.
    #[arg(long, env = "PERDURA_DATA", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Seed of everything that is drawn.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub stream: StreamArgs,
}

#[derive(Subcommand, Debug)]
pub enum DataCommand {
    /// List data sets that can be downloaded, and which of them are there.
    List {
        /// Folder with data sets.
        #[arg(long, env = "PERDURA_DATA", value_name = "DIR")]
        data_dir: Option<PathBuf>,
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Download a data set, or check and complete what is there.
    Fetch {
        /// Data set; see `perdura data list`.
        name: String,
        /// Folder to put it into.
        #[arg(long, env = "PERDURA_DATA", value_name = "DIR")]
        data_dir: PathBuf,
        /// Address of a folder that holds the files, to be asked instead of the known ones.
        #[arg(long, value_name = "URL")]
        mirror: Option<String>,
    },
}

#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Folder with data sets.
    #[arg(long, env = "PERDURA_DATA", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// A plugin file; repeatable.
    #[arg(long = "plugin", value_name = "FILE")]
    pub plugins: Vec<PathBuf>,
    /// Threads a learner is to have.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    #[arg(long, default_value = "text")]
    pub format: Format,
}

#[derive(Subcommand, Debug)]
pub enum BenchCommand {
    /// Run a method and show where the time went; the runs are thrown away.
    Ledger(Box<BenchLedgerArgs>),
    /// Measure data path, replay, hand-over, a step of every shipped method, scoring, checkpoints and start.
    Suite(BenchSuiteArgs),
    /// Hold a summary of the suite against another one: faster, slower, the same, or not to be told.
    Compare(BenchCompareArgs),
}

#[derive(Args, Debug)]
pub struct BenchLedgerArgs {
    /// Method: `lab/name`, or `name` where that is unique.
    pub method: String,
    /// Seed of the first run.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Runs, one after the other, with seeds that follow each other.
    #[arg(long, default_value_t = 1)]
    pub runs: u64,
    #[command(flatten)]
    pub setup: SetupArgs,
    #[arg(long, default_value = "text")]
    pub format: Format,
}

#[derive(Args, Debug)]
pub struct BenchSuiteArgs {
    /// Summary to which the rounds are added; it is made where it is not there. For a verdict over two
    /// builds call the suite of one and the other in turn, one round each.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Rounds; `bench compare` wants three or more.
    #[arg(long, default_value_t = 1)]
    pub rounds: usize,
    /// Only what begins so, for example `step/mlp`.
    #[arg(long, default_value = "", value_name = "PREFIX")]
    pub only: String,
    /// A plugin file; repeatable.
    #[arg(long = "plugin", value_name = "FILE")]
    pub plugins: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub struct BenchCompareArgs {
    /// Summary of the build that is compared with.
    pub first: PathBuf,
    /// Summary of the build in question.
    pub second: PathBuf,
    #[arg(long, default_value = "text")]
    pub format: Format,
}
