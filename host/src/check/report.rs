//! What the suite found of one plugin file. It is kept in the cache under the hash of the file, and results
//! of runs name it, so that a table can say which of its methods were checked.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Kind, Level};
use crate::plugin::{Cache, LoadError};
use crate::worker::Tier;

/// The findings of all checks that were carried out.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Report {
    /// [`Report::FORMAT`].
    pub format: u32,
    pub plugin: Checked,
    /// Version of the host that checked.
    pub host: String,
    pub level: Level,
    /// Where the learners ran.
    pub tier: Tier,
    pub seed: u64,
    /// Hyper-parameters that differed from the defaults.
    pub set: BTreeMap<String, serde_json::Value>,
    /// See [`crate::run::utc_text`].
    pub started: String,
    pub seconds: f64,
    /// No property was found broken.
    pub passed: bool,
    pub checks: Vec<Entry>,
}

/// The file that was checked.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub id: String,
    pub version: String,
    pub sha256: String,
}

/// One check.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Entry {
    pub check: String,
    /// The property, in one sentence.
    pub about: String,
    pub level: Level,
    pub kind: Kind,
    /// Why it did not pass.
    pub cause: Option<String>,
    pub remedy: Option<String>,
    /// What it left behind.
    pub folder: Option<PathBuf>,
    pub seconds: f64,
    /// What it measured, by name; the unit is the name's last part.
    pub measured: BTreeMap<String, f64>,
}

/// What the results of a run say of the report on its plugin.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct CheckNote {
    pub level: Level,
    pub passed: bool,
    /// Checks that found something broken.
    pub broken: Vec<String>,
    pub seed: u64,
    pub host: String,
    pub started: String,
}

impl Report {
    pub const FORMAT: u32 = 2;

    /// Number of checks that ended so.
    pub fn count(&self, kind: Kind) -> usize {
        self.checks.iter().filter(|entry| entry.kind == kind).count()
    }

    /// Names of the checks that found something broken.
    pub fn broken(&self) -> Vec<String> {
        let broken = self.checks.iter().filter(|entry| entry.kind.is_broken());
        broken.map(|entry| entry.check.clone()).collect()
    }

    /// Keeps the report with the plugin's file.
    pub(super) fn store(&self, cache: &Cache) -> Result<PathBuf, LoadError> {
        let text = serde_json::to_string_pretty(self).expect("a report is plain data");
        cache.store_report(&self.plugin.sha256, &text)
    }
}

/// What is known of the file with this hash: the last report on it, unless there is none that this build
/// can read.
pub fn note_of(sha256: &str) -> Option<CheckNote> {
    note_in(&Cache::from_env(), sha256)
}

fn note_in(cache: &Cache, sha256: &str) -> Option<CheckNote> {
    let report: Report = serde_json::from_str(&cache.report(sha256)?).ok()?;
    let known = report.format == Report::FORMAT && report.plugin.sha256 == sha256;
    known.then(|| CheckNote {
        level: report.level,
        passed: report.passed,
        broken: report.broken(),
        seed: report.seed,
        host: report.host.clone(),
        started: report.started.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let entry = |check: &str, kind| Entry {
            check: check.into(),
            about: "about".into(),
            level: Level::Basic,
            kind,
            cause: None,
            remedy: None,
            folder: None,
            seconds: 0.5,
            measured: BTreeMap::new(),
        };
        Report {
            format: Report::FORMAT,
            plugin: Checked { id: "lab/er".into(), version: "1".into(), sha256: "ab".into() },
            host: "0.1.0".into(),
            level: Level::Strict,
            tier: Tier::Sandbox,
            seed: 3,
            set: BTreeMap::new(),
            started: "2026-01-01T00:00:00Z".into(),
            seconds: 1.0,
            passed: false,
            checks: vec![entry("views", Kind::Pass), entry("soak", Kind::Timeout)],
        }
    }

    #[test]
    fn a_kept_report_is_found_by_hash_and_a_damaged_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        assert_eq!(note_in(&cache, "ab"), None);
        report().store(&cache).unwrap();
        let note = note_in(&cache, "ab").unwrap();
        assert_eq!((note.level, note.passed, note.seed), (Level::Strict, false, 3));
        assert_eq!(note.broken, ["soak"]);
        cache.store_report("ab", "{\"format\":1").unwrap();
        assert_eq!(note_in(&cache, "ab"), None);
        cache.store_report("cd", &serde_json::to_string(&report()).unwrap()).unwrap();
        assert_eq!(note_in(&cache, "cd"), None, "a report on another file");
    }
}
