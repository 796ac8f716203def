//! `perdura resume`: a run that has not ended, or failed, goes on from its newest checkpoint.

use super::args::{ResumeArgs, SetupArgs};
use super::compare::Runs;
use super::error::CliError;
use super::resolve;
use crate::planning::Resolved;
use crate::plugin::SearchPath;
use crate::run::{RunError, RunFolder, Status};

/// Everything that decides the result comes from the plan in the folder.
pub fn carry_out(args: &ResumeArgs) -> Result<u8, CliError> {
    args.track.check().map_err(CliError::input)?;
    let folder = RunFolder::open(&args.folder)?;
    folder.check_free()?;
    let plan = folder.plan()?;
    folder.check_name(&plan)?;
    if folder.status()? == Status::Finished {
        return Err(RunError::Ended(args.folder.clone()).into());
    }
    let found = SearchPath::from_env(&args.plugins).resolve(&plan.method)?;
    let (planned, here) = (&plan.plugin, &found.sha256);
    if planned.sha256 != *here {
        return Err(CliError::input(format!(
            "the run was begun with another {}: version {}, sha256 {}; {} has version {}, \
             sha256 {here}; name the file of then with --plugin, or run anew",
            plan.method,
            planned.version,
            planned.sha256,
            found.path.display(),
            found.manifest.version,
        )));
    }
    let setup = SetupArgs {
        data_dir: args.data_dir.clone(),
        tier: args.tier.clone(),
        device: plan.device.clone(),
        limits: args.limits.clone(),
        checkpoints: args.checkpoints.clone(),
        ..SetupArgs::of_benchmark(&plan.benchmark)
    };
    resolve::setup(&setup)?;
    resolve::checkpoints(&setup.checkpoints)?;
    let tier = resolve::tier(&setup.tier, &setup.device)?;
    let run = Resolved { plan, found, tier, presets_missed: Vec::new() };
    Runs::earlier(&folder, &run, (&setup, &args.track)).execute_alone(args.format)
}
