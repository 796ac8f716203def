//! The conformance suite: what an author runs before publishing a plugin, `perdura plugins check`.
//!
//! 1. A [`Check`] is a name, one sentence, a level and a function; [`all()`] lists them. The groups are
//!    files: [`manifest`], [`life`], [`chance`], [`answers`], [`saved`], [`inputs`], [`conduct`],
//!    [`learning`], [`resources`], [`farewell`].
//! 2. [`run()`] carries out those of a level, at most two at a time. A check drives the plugin in workers of
//!    its own ([`session`]) through a small synthetic stream ([`toy`]), so that whatever the plugin does
//!    ends that worker and nothing else. The workers are confined as those of a run are. A program in place of
//!    a library ([`crate::plugin::is_worker_file`]) is checked too; what takes a library is skipped.
//! 3. What it found is a [`Report`]: kind, cause and remedy of each. A check that does not pass leaves
//!    its inputs and outputs in a folder ([`evidence`]).
//! 4. The report of a whole level is kept in the cache under the hash of the file; the results of every run
//!    of that file name it ([`note_of`]).
//!
//! A check that builds on another one names it in `needs` and is skipped where that did not pass, so that
//! one fault is one line and not thirty.

mod answers;
mod chance;
mod conduct;
mod evidence;
mod farewell;
mod finding;
mod inputs;
mod learning;
mod life;
mod manifest;
mod questions;
mod report;
mod resources;
mod runner;
mod saved;
mod session;
mod toy;
mod trial;

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

use crate::worker::Tier;

pub use farewell::{ARGUMENT as FAREWELL_ARGUMENT, child as farewell_child};
pub use finding::{Finding, Kind};
pub use report::{CheckNote, Entry, Report, note_of};
pub use runner::{CheckError, run};
pub use trial::Trial;

/// One property of a plugin.
pub struct Check {
    /// As `--only` names it.
    pub name: &'static str,
    /// The property, in one sentence.
    pub about: &'static str,
    pub level: Level,
    /// Checks that must have passed for this one to mean anything; they come earlier in the list.
    pub needs: &'static [&'static str],
    /// What an author can do where the property does not hold.
    pub remedy: &'static str,
    pub(self) run: fn(&mut Trial<'_>) -> Result<(), Finding>,
}

/// How much is asked of a plugin. Each level includes those before it.
#[derive(
    Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// What the host needs to run it at all.
    Basic,
    /// What a comparison relies on.
    Standard,
    /// What others may expect of a published plugin.
    Strict,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Level::Basic => "basic",
            Level::Standard => "standard",
            Level::Strict => "strict",
        }
    }
}

/// What is checked and how.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    pub level: Level,
    /// Names of checks; all of the level where empty.
    pub only: Vec<String>,
    /// Hyper-parameters that differ from the defaults.
    pub set: Vec<(String, serde_json::Value)>,
    /// Of data, order and learners.
    pub seed: u64,
    /// How long one call may take.
    pub deadline: Duration,
    /// Checks at the same time.
    pub jobs: usize,
    /// Folder for what failing checks leave behind.
    pub out: PathBuf,
    /// Where the learners run, [`Tier::Sandbox`] or [`Tier::Process`].
    pub tier: Tier,
    /// Further files and folders that a learner in the tier `sandbox` may read.
    pub allow_read: Vec<PathBuf>,
}

/// Every check, in the order in which they are reported.
pub fn all() -> Vec<&'static Check> {
    let groups: [&'static [Check]; 10] = [
        manifest::CHECKS,
        life::CHECKS,
        // Early, because the longest check is among them.
        resources::CHECKS,
        chance::CHECKS,
        answers::CHECKS,
        saved::CHECKS,
        inputs::CHECKS,
        conduct::CHECKS,
        learning::CHECKS,
        farewell::CHECKS,
    ];
    groups.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_needs_come_earlier_and_at_no_higher_level() {
        let checks = all();
        for (place, check) in checks.iter().enumerate() {
            assert!(checks[..place].iter().all(|c| c.name != check.name), "{}", check.name);
            assert!(!check.about.ends_with('.') && !check.remedy.is_empty(), "{}", check.name);
            for need in check.needs {
                let needed = checks[..place].iter().find(|c| c.name == *need);
                let needed = needed.unwrap_or_else(|| panic!("{}: {need}", check.name));
                assert!(needed.level <= check.level, "{} needs {need}", check.name);
            }
        }
    }
}
