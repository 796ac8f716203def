//! The command line: flags -> plans -> runs -> tables. `main` calls [`main`] and nothing else.

mod args;
mod bench;
mod benchmarks;
mod check;
mod compare;
mod curves;
mod data;
mod doctor;
mod equal_compute;
mod error;
mod metrics;
mod output;
mod plan_file;
mod plugins;
mod progress;
mod report;
mod reproduce;
mod resolve;
mod result_args;
mod resume;
mod runs;
mod selection;
mod standing;
mod tensorboard;
mod tool_args;
mod tracking;
mod tune;
mod views;
mod watchers;

use clap::Parser;
use std::path::Path;
use std::process::ExitCode;

use crate::run::{Outcome, RunFolder};
use crate::schedule::{INTERRUPTED, REFUSED};
use crate::trainer::Ended;
use crate::worker;
use args::{Cli, Command, ExecuteArgs};
use error::CliError;

/// All went well.
const DONE: u8 = 0;
/// A run failed, its results so far are kept; or a published row did not come out the same.
const RUN_FAILED: u8 = 1;

/// Carries out what the command line says.
pub fn main() -> ExitCode {
    crate::serve_if_worker();
    let cli = Cli::parse();
    match cli.command {
        Command::Execute(args) => answer(execute(&args, cli.verbose)),
        command => {
            log_to_stderr(cli.verbose);
            answer(carry_out(command))
        }
    }
}

fn carry_out(command: Command) -> Result<u8, CliError> {
    match command {
        Command::Demo(args) => compare::demo(&args),
        Command::Run(args) => compare::run(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Report(args) => report::carry_out(&args),
        Command::Resume(args) => resume::carry_out(&args),
        Command::Reproduce(args) => reproduce::carry_out(&args),
        Command::Tune(args) => tune::carry_out(&args),
        Command::Metrics(command) => metrics::carry_out(&command),
        Command::Runs(args) => runs::carry_out(&args),
        Command::Plugins(command) => plugins::carry_out(&command),
        Command::Benchmarks(command) => benchmarks::carry_out(&command),
        Command::Data(command) => data::carry_out(&command),
        Command::Doctor(args) => Ok(doctor::carry_out(&args)),
        Command::Bench(command) => bench::carry_out(&command),
        Command::Execute(_) => unreachable!("handled before"),
    }
}

fn answer(result: Result<u8, CliError>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                eprintln!("  caused by: {cause}");
                source = cause.source();
            }
            ExitCode::from(REFUSED)
        }
    }
}

/// The process of one run.
fn execute(args: &ExecuteArgs, verbose: u8) -> Result<u8, CliError> {
    worker::end_with_host().map_err(CliError::Input)?;
    let folder = RunFolder::open(&args.folder)?;
    log_to_file(&folder.log_path(), verbose);
    let ended = crate::trainer::execute(&resolve::execute_options(args)?)?;
    Ok(exit_code(&[ended]))
}

/// The exit code of some runs.
fn exit_code(ends: &[Ended]) -> u8 {
    if ends.contains(&Ended::Interrupted) {
        INTERRUPTED
    } else if ends.iter().all(|ended| *ended == Ended::Outcome(Outcome::Finished)) {
        DONE
    } else {
        RUN_FAILED
    }
}

fn level(verbose: u8, quiet: tracing::Level) -> tracing::Level {
    match verbose {
        0 => quiet,
        1 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    }
}

fn log_to_stderr(verbose: u8) {
    let level = level(verbose, tracing::Level::WARN);
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).init();
}

fn log_to_file(path: &Path, verbose: u8) {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    match file {
        Ok(file) => tracing_subscriber::fmt()
            .with_max_level(level(verbose, tracing::Level::INFO))
            .with_ansi(false)
            .with_writer(std::sync::Mutex::new(file))
            .init(),
        Err(error) => eprintln!("warning: no log at {}: {error}", path.display()),
    }
}
