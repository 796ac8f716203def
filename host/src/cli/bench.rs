//! `perdura bench`.

use clap::Parser;
use std::time::SystemTime;

use super::args::{Format, OutputArgs};
use super::benchmarks::json;
use super::compare::{Arm, Runs};
use super::error::CliError;
use super::output::say;
use super::selection::Selection;
use super::tool_args::{BenchCommand, BenchCompareArgs, BenchLedgerArgs, BenchSuiteArgs};
use super::{DONE, RUN_FAILED, exit_code};
use crate::bench::{BenchError, LedgerTable, Suite, Summary, compare};

/// Options of output as they are when none is given.
#[derive(Parser)]
struct Untold {
    #[command(flatten)]
    output: OutputArgs,
}

pub fn carry_out(command: &BenchCommand) -> Result<u8, CliError> {
    match command {
        BenchCommand::Ledger(args) => ledger(args),
        BenchCommand::Suite(args) => suite(args),
        BenchCommand::Compare(args) => compared(args),
    }
}

/// Runs one after the other, so that none is in the way of another.
fn ledger(args: &BenchLedgerArgs) -> Result<u8, CliError> {
    if args.runs == 0 {
        return Err(CliError::input("--runs 0: expected a number above 0"));
    }
    let folder = tempfile::Builder::new().prefix("perdura-bench-").tempdir();
    let path = std::env::temp_dir().display().to_string();
    let folder = folder.map_err(|source| CliError::File { path, source })?;
    let output =
        OutputArgs { out: folder.path().to_owned(), ..Untold::parse_from(["bench"]).output };
    let seeds: Vec<u64> = (args.seed..).take(args.runs as usize).collect();
    let arms = [Arm::of(&args.method, &args.setup)];
    let runs = Runs::prepare(&arms, &seeds, &output, &Selection::default())?;
    let ends = runs.execute(1)?;
    if exit_code(&ends) != DONE {
        eprintln!("a run failed or was interrupted: its time says nothing");
        return Ok(exit_code(&ends));
    }
    let table = LedgerTable::of(&runs.records()?).expect("runs that are done have a ledger");
    match args.format {
        Format::Json => {
            say!("{}", json(&serde_json::to_value(&table).expect("a table is plain data")));
        }
        _ => say!("{}", table.to_string().trim_end()),
    }
    Ok(DONE)
}

/// A round is kept as soon as it is complete.
fn suite(args: &BenchSuiteArgs) -> Result<u8, CliError> {
    let mut summary = match &args.out {
        Some(path) => Summary::to_go_on(path).map_err(BenchError::from)?,
        None => Summary::here(),
    };
    let suite = Suite::new(&args.plugins).map_err(BenchError::from)?;
    for _ in 0..args.rounds {
        let started = SystemTime::now();
        let mut tell = |name: &str, micros: f64| say!("{name:28} {micros:>12.1} us");
        let micros = suite.round(&args.only, &mut tell).map_err(BenchError::from)?;
        if micros.is_empty() {
            let only = &args.only;
            return Err(CliError::input(format!("--only `{only}`: nothing measured begins so")));
        }
        summary.add(started, micros);
        if let Some(path) = &args.out {
            summary.write(path).map_err(BenchError::from)?;
        }
    }
    Ok(DONE)
}

/// 1 where something is slower.
fn compared(args: &BenchCompareArgs) -> Result<u8, CliError> {
    let read = |path| Summary::read(path).map_err(BenchError::from);
    let (first, second) = (read(&args.first)?, read(&args.second)?);
    let comparison = compare(&first, &second).map_err(BenchError::from)?;
    match args.format {
        Format::Json => {
            let document = serde_json::to_value(&comparison).expect("a comparison is plain data");
            say!("{}", json(&document));
        }
        _ => say!("{}", comparison.to_string().trim_end()),
    }
    Ok(if comparison.slower() { RUN_FAILED } else { DONE })
}
