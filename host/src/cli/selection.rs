//! Which runs of a comparison are executed here: all that are new, with `--resume` those that are missing or
//! not finished, with `--shard` a part of them.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::CliError;
use crate::run::{RunError, RunFolder, RunPlan, Status};

/// Differences that are listed of a plan.
const LISTED_MAX: usize = 4;

/// What the command line says about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection {
    pub resume: bool,
    pub shard: Option<Shard>,
}

/// What is to be done about one plan.
pub enum Taking {
    /// Another machine takes it.
    Other,
    /// It has no folder yet.
    New,
    /// It has one; finished runs are not executed again.
    Earlier(RunFolder, Status),
}

/// Part `index` (from 0) of `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl FromStr for Shard {
    type Err = CliError;

    fn from_str(text: &str) -> Result<Shard, CliError> {
        let wrong = || {
            CliError::input(format!(
                "--shard `{text}`: expected part and number of parts, 1/4 to 4/4"
            ))
        };
        let (part, count) = text.split_once('/').ok_or_else(wrong)?;
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        let (part, count) = (number(part)?, number(count)?);
        match (1..=count).contains(&part) {
            true => Ok(Shard { index: part - 1, count }),
            false => Err(wrong()),
        }
    }
}

impl Selection {
    /// What is to be done about each plan, in order.
    pub fn of(&self, plans: &[&RunPlan], out: &Path) -> Result<Vec<Taking>, CliError> {
        let takings = plans.iter().enumerate().map(|(number, plan)| {
            if self.shard.is_some_and(|shard| number % shard.count != shard.index) {
                return Ok(Taking::Other);
            }
            match (earlier(plan, out)?, self.resume) {
                (Some(path), false) => Err(RunError::Occupied(path).into()),
                (Some(path), true) => taken(&path, plan),
                (None, false) => Ok(Taking::New),
                (None, true) => neighbour(plan, plans, out),
            }
        });
        takings.collect()
    }
}

/// The folder of this very plan.
fn earlier(plan: &RunPlan, out: &Path) -> Result<Option<PathBuf>, CliError> {
    let path = out.join(plan.folder_name());
    Ok(RunFolder::open(&path).is_ok().then_some(path))
}

fn taken(path: &Path, plan: &RunPlan) -> Result<Taking, CliError> {
    let folder = RunFolder::open(path)?;
    let differences = beyond_host(&folder.plan()?, plan);
    if !differences.is_empty() {
        let path = path.join("plan.json");
        return Err(CliError::input(format!(
            "{} was edited: {}; put it back as it was, or remove the folder",
            path.display(),
            listed(&differences)
        )));
    }
    let status = folder.status()?;
    if status != Status::Finished {
        folder.check_free()?;
    }
    Ok(Taking::Earlier(folder, status))
}

/// A plan without a folder may have one under another hash: a run of another build of the host goes on; one of
/// other settings, another plugin or another stream is not to be mistaken for it.
fn neighbour(plan: &RunPlan, wanted: &[&RunPlan], out: &Path) -> Result<Taking, CliError> {
    let folder = out.join(plan.neighbours());
    let mut nearest: Option<(PathBuf, Vec<String>)> = None;
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let Ok(other) = RunFolder::open(&path) else { continue };
        let found = other.plan()?;
        if (found.arm(), found.seed) != (plan.arm(), plan.seed) {
            continue;
        }
        let differences = beyond_host(&found, plan);
        if differences.is_empty() {
            let builds = found.differences(plan).join("; ");
            eprintln!("{}: begun by another build of the host ({builds})", path.display());
            return taken(&path, plan);
        }
        // Another arm of the same comparison.
        if wanted.iter().any(|wanted| beyond_host(&found, wanted).is_empty()) {
            continue;
        }
        if nearest.as_ref().is_none_or(|(_, least)| differences.len() < least.len()) {
            nearest = Some((path, differences));
        }
    }
    match nearest {
        None => Ok(Taking::New),
        Some((path, differences)) => Err(CliError::input(format!(
            "{} is a run of this method and seed, but not of this plan: {}; bring back what it was \
             planned with, or leave out --resume for runs of their own",
            path.display(),
            listed(&differences)
        ))),
    }
}

/// In what plans differ besides the build of the host.
fn beyond_host(found: &RunPlan, wanted: &RunPlan) -> Vec<String> {
    let mut differences = found.differences(wanted);
    differences.retain(|difference| !difference.starts_with("host."));
    differences
}

fn listed(differences: &[String]) -> String {
    let more = differences.len().saturating_sub(LISTED_MAX);
    let text = differences[..differences.len() - more].join("; ");
    if more > 0 { format!("{text}; and {more} more") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::plan;

    fn select(selection: Selection, plans: &[RunPlan], out: &Path) -> Result<Vec<Taking>, String> {
        let plans: Vec<&RunPlan> = plans.iter().collect();
        selection.of(&plans, out).map_err(|error| error.to_string())
    }

    const RESUME: Selection = Selection { resume: true, shard: None };

    fn error(selection: Selection, plans: &[RunPlan], out: &Path) -> String {
        select(selection, plans, out).err().expect("refused")
    }

    #[test]
    fn shards_are_disjoint_and_cover_all() {
        let out = tempfile::tempdir().unwrap();
        let plans: Vec<RunPlan> = (0..7).map(|seed| plan("perdura/er", seed)).collect();
        let mut taken = [0; 7];
        for shard in ["1/3", "2/3", "3/3"] {
            let shard = Some(shard.parse().unwrap());
            let takings = select(Selection { resume: false, shard }, &plans, out.path()).unwrap();
            for (taken, taking) in taken.iter_mut().zip(takings) {
                *taken += usize::from(matches!(taking, Taking::New));
            }
        }
        assert_eq!(taken, [1; 7]);
        for wrong in ["0/3", "4/3", "1", "a/b", "1/0"] {
            let message = wrong.parse::<Shard>().unwrap_err().to_string();
            assert!(message.starts_with(&format!("--shard `{wrong}`: expected")), "{message}");
        }
    }

    #[test]
    fn without_resume_a_folder_is_in_the_way_and_with_it_taken() {
        let out = tempfile::tempdir().unwrap();
        let plans = [plan("perdura/er", 0), plan("perdura/er", 1)];
        RunFolder::create(out.path(), &plans[0]).unwrap();
        let message = error(Selection::default(), &plans, out.path());
        assert!(message.contains("already holds a run"), "{message}");
        let takings = select(RESUME, &plans, out.path()).unwrap();
        assert!(matches!(takings[0], Taking::Earlier(_, Status::Unfinished)));
        assert!(matches!(takings[1], Taking::New));
    }

    #[test]
    fn another_plugin_or_stream_or_setting_is_refused_by_name() {
        let out = tempfile::tempdir().unwrap();
        let before = plan("perdura/er", 0);
        RunFolder::create(out.path(), &before).unwrap();
        let refused = |change: &dyn Fn(&mut RunPlan), difference: &str| {
            let mut now = before.clone();
            change(&mut now);
            let message = error(RESUME, &[now], out.path());
            assert!(message.contains("not of this plan: "), "{message}");
            assert!(message.contains(difference), "{message}");
        };
        refused(&|p| p.plugin.sha256 = "ef".repeat(32), "plugin.sha256: \"abab");
        refused(&|p| p.stream.sha256 = "12".repeat(32), "stream.sha256: \"cdcd");
        refused(&|p| p.config["lr"] = 0.2.into(), "config.lr: 0.1 and 0.2");
    }

    #[test]
    fn another_build_of_the_host_goes_on_and_another_arm_is_no_obstacle() {
        let out = tempfile::tempdir().unwrap();
        let before = plan("perdura/er", 0);
        RunFolder::create(out.path(), &before).unwrap();
        let (mut now, mut other) = (before.clone(), before.clone());
        now.host.commit = Some("1234".into());
        other.config["lr"] = 0.2.into();
        let takings = select(RESUME, &[now, other], out.path()).unwrap();
        assert!(matches!(takings[0], Taking::Earlier(..)));
        assert!(matches!(takings[1], Taking::New));
    }

    #[test]
    fn an_edited_plan_is_refused() {
        let out = tempfile::tempdir().unwrap();
        let wanted = plan("perdura/er", 0);
        let folder = RunFolder::create(out.path(), &wanted).unwrap();
        let edited = RunPlan { threads: 2, ..wanted.clone() };
        std::fs::write(folder.path().join("plan.json"), edited.to_json()).unwrap();
        let message = error(RESUME, &[wanted], out.path());
        assert!(message.contains("plan.json was edited: threads: 2 and 1"), "{message}");
    }
}
