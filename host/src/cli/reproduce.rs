//! `perdura reproduce`: a published row run again, theirs beside ours.

use super::args::{Format, ReproduceArgs, SetupArgs};
use super::compare::{Arm, Runs};
use super::error::CliError;
use super::output::say;
use super::selection::Selection;
use super::{DONE, INTERRUPTED, RUN_FAILED, exit_code, resolve};
use crate::reproduce::{Reproduction, Row, Verdict, find, rows};
use crate::schedule::RUN_BYTES;

/// Answers with the exit code of a failed run where a row does not come out the same.
pub fn carry_out(args: &ReproduceArgs) -> Result<u8, CliError> {
    let Some(id) = args.row.as_ref().filter(|_| !args.list) else {
        list(args.output.format);
        return Ok(DONE);
    };
    let row = find(id).map_err(|unknown| CliError::input(unknown.to_string()))?;
    let seeds = resolve::seeds(&args.seeds)?;
    let jobs = resolve::jobs(&args.jobs, (args.threads, RUN_BYTES), &[&args.device])?;
    let arm = Arm::of(&row.method, &setup(row, args));
    let selection = Selection { resume: args.resume, ..Selection::default() };
    let runs = Runs::prepare(&[arm], &seeds, &args.output, &selection)?;
    let ends = runs.execute(jobs)?;
    if exit_code(&ends) == INTERRUPTED {
        return Ok(runs.interrupted(&ends, "the same command and --resume"));
    }
    let done = Reproduction::of(row, &runs.comparison()?);
    match args.output.format {
        Format::Json => say!("{}", done.to_json()),
        _ => say!("{}Results: {}", done.text(), args.output.out.display()),
    }
    Ok(if done.verdict() == Verdict::NotReproduced { RUN_FAILED } else { DONE })
}

/// The published settings: those of the method's preset for this benchmark and memory.
fn setup(row: &Row, args: &ReproduceArgs) -> SetupArgs {
    let memory = row.memory.map(|samples| samples.to_string());
    SetupArgs {
        memory,
        device: args.device.clone(),
        threads: args.threads,
        data_dir: args.data_dir.clone(),
        plugins: args.plugins.clone(),
        ..SetupArgs::of_benchmark(&row.benchmark)
    }
}

fn list(format: Format) {
    if format == Format::Json {
        say!("{}", super::benchmarks::json(&rows()));
        return;
    }
    for row in rows() {
        say!("{:28} {}; {}", row.id, row.paper, row.table);
    }
}
