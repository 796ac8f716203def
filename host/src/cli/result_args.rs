//! The command line as it is typed, for what is done with results: reports, the index, metrics,
//! tuning.

use clap::{Args, Subcommand};
use std::path::PathBuf;

use super::args::{Format, OutputArgs, SetupArgs};
use crate::report::ReportFormat;

#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Folders of runs, or folders that hold some.
    #[arg(default_value = "perdura-runs", value_name = "FOLDER")]
    pub runs: Vec<PathBuf>,
    /// What is written.
    #[arg(long, default_value = "html")]
    pub format: ReportFormat,
    /// File to write; `report.html` in the first folder for a page, otherwise standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct TuneArgs {
    /// Methods, separated by commas; each gets the same number of trials.
    #[arg(value_delimiter = ',', required = true)]
    pub methods: Vec<String>,
    /// Values to try, as `key=value,value` or `key=low..high` (`:log` behind it for values of several
    /// sizes), `method:key=...` for one method; repeatable.
    #[arg(long, required = true, value_name = "KEY=VALUES")]
    pub grid: Vec<String>,
    /// Trials of each method: all combinations where they are no more, else draws of --search-seed.
    #[arg(long, default_value_t = 20)]
    pub budget: usize,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0)]
    pub search_seed: u64,
    /// Seeds of each trial: `0..5` (0 to 4), `1,2,7` or one number.
    #[arg(long, default_value = "0")]
    pub seeds: String,
    /// Runs at the same time: a number or `auto`.
    #[arg(long, default_value = "auto")]
    pub jobs: String,
    /// Take over trials that are finished, and go on with those that are not.
    #[arg(long)]
    pub resume: bool,
    /// File for the preset; by default one in the folder of results, named after the plan.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    #[command(flatten)]
    pub setup: SetupArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Subcommand, Debug)]
pub enum MetricsCommand {
    /// Compute the metrics of finished runs again from their stored predictions, those included that
    /// were not known when they ran.
    Recompute {
        /// Folders of runs, or folders that hold some.
        #[arg(default_value = "perdura-runs", value_name = "FOLDER")]
        runs: Vec<PathBuf>,
        /// Say what would change and write nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Args, Debug)]
pub struct RunsArgs {
    /// Folder with results.
    #[arg(long, default_value = "perdura-runs", value_name = "DIR", global = true)]
    pub out: PathBuf,
    #[command(subcommand)]
    pub command: RunsCommand,
}

#[derive(Subcommand, Debug)]
pub enum RunsCommand {
    /// List runs, with the headline view's accuracy.
    List {
        #[command(flatten)]
        filter: FilterArgs,
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Compare methods over the runs that fit, as `compare` does after training.
    Compare {
        #[command(flatten)]
        filter: FilterArgs,
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Show a run: its scores, what it took, and its plan.
    Show {
        /// Folder, as `list` names it.
        folder: PathBuf,
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Give a run words to find it by.
    Tag {
        /// Folder, as `list` names it.
        folder: PathBuf,
        /// Tags to add.
        tags: Vec<String>,
        /// A tag to take away; repeatable.
        #[arg(long, value_name = "TAG")]
        remove: Vec<String>,
    },
    /// Delete the folders of runs.
    Rm {
        /// Folders, as `list` names them.
        #[arg(required = true)]
        folders: Vec<PathBuf>,
        /// Also one that has not come to an end.
        #[arg(long)]
        force: bool,
    },
    /// Make the index again from the folders.
    Reindex,
}

/// Which runs.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Filters")]
pub struct FilterArgs {
    /// `lab/name`, `name`, or what a plan file called the settings.
    #[arg(long)]
    pub method: Option<String>,
    /// Benchmark; without parameters, with any.
    #[arg(long)]
    pub benchmark: Option<String>,
    /// Replay memory: samples or bytes.
    #[arg(long, value_name = "N|BYTES")]
    pub memory: Option<String>,
    #[arg(long)]
    pub tag: Option<String>,
    /// `finished`, `failed`, `unfinished` or `damaged`.
    #[arg(long)]
    pub status: Option<String>,
    /// Started on this day or later, as `2026-02-28`.
    #[arg(long, value_name = "DATE")]
    pub since: Option<String>,
    /// Started on this day or earlier.
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,
}
