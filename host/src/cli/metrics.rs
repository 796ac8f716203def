//! `perdura metrics`: metrics of runs that are there, computed again from their predictions.

use super::DONE;
use super::error::CliError;
use super::output::say;
use super::result_args::MetricsCommand;
use crate::run::{RunError, RunFolder, find};
use crate::score::{Change, recompute};

/// Each run is settled for itself: one that cannot be computed is named, and the others are done.
pub fn carry_out(command: &MetricsCommand) -> Result<u8, CliError> {
    let MetricsCommand::Recompute { runs, dry_run } = command;
    let mut folders = Vec::new();
    for path in runs {
        let found = find(path)?;
        if found.is_empty() {
            return Err(RunError::NoRuns(path.clone()).into());
        }
        folders.extend(found);
    }
    let (mut changed, mut failed) = (0, 0);
    for path in &folders {
        let folder = RunFolder::open(path)?;
        match recompute(&folder) {
            Ok(found) if found.changes.is_empty() => {}
            Ok(found) => {
                changed += 1;
                say!("{}", path.display());
                found.changes.iter().for_each(|change| say!("  {}", text(change)));
                if !dry_run {
                    folder.rewrite_summary(&found.summary)?;
                }
            }
            Err(error) => {
                failed += 1;
                eprintln!("warning: {error}");
            }
        }
    }
    let what = if *dry_run { "would change" } else { "changed" };
    say!("{} runs: {changed} {what}, {failed} not computed", folders.len());
    Ok(if failed == 0 { DONE } else { super::RUN_FAILED })
}

fn text(change: &Change) -> String {
    let Change { view, scenario, metric, before, after } = change;
    format!("{view} {scenario} {metric}: {before} -> {after}")
}
