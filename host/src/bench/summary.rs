//! Summaries of the benchmark suite: one file per build and machine, which grows by a round with each call
//! of the suite.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::planning::host_build;
use crate::run::{Machine, utc_text};

/// Format of a summary.
pub const FORMAT: u32 = 1;

/// All that the suite measured of one build on one machine.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// [`FORMAT`].
    pub format: u32,
    pub version: String,
    /// Commit of the build; `None` where it was not built from a repository.
    pub commit: Option<String>,
    pub machine: Machine,
    /// In the order they were measured.
    pub rounds: Vec<Round>,
}

/// One call of the suite.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// When it was begun, see [`utc_text`].
    pub started: String,
    /// Microseconds by the name of what was measured, for example `step/mlp/er`. Parts of the
    /// host are medians of repetitions; what is of a run is its mean.
    pub micros: BTreeMap<String, f64>,
}

/// Why a summary cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    #[error("{path} cannot be read or written; check the path and its permissions")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path} is no summary of the suite: {problem}; write it anew with `--out`")]
    Damaged { path: PathBuf, problem: String },
    #[error(
        "{path} holds rounds of another {what} ({found}, this is {here}): name another file with `--out`"
    )]
    Other { path: PathBuf, what: &'static str, found: String, here: String },
}

impl Summary {
    /// Of this build on this machine, without rounds.
    pub fn here() -> Summary {
        let build = host_build();
        Summary {
            format: FORMAT,
            version: build.version,
            commit: build.commit,
            machine: Machine::here(),
            rounds: Vec::new(),
        }
    }

    /// Reads a summary and refuses one without rounds or with times that are none.
    pub fn read(path: &Path) -> Result<Summary, SummaryError> {
        let path = path.to_owned();
        let text = std::fs::read_to_string(&path)
            .map_err(|source| SummaryError::File { path: path.clone(), source })?;
        let damaged = |problem: String| SummaryError::Damaged { path: path.clone(), problem };
        let summary: Summary = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
        if summary.format != FORMAT {
            return Err(damaged(format!("format {}, expected {FORMAT}", summary.format)));
        }
        if summary.rounds.is_empty() {
            return Err(damaged("it has no rounds".into()));
        }
        let all = summary.rounds.iter().flat_map(|round| &round.micros);
        match all.clone().find(|(_, micros)| !(micros.is_finite() && **micros > 0.0)) {
            Some((name, micros)) => Err(damaged(format!("`{name}` took {micros} us"))),
            None => Ok(summary),
        }
    }

    /// The summary in this file, to which a round of this build and machine may be added; a new one where
    /// there is no file.
    pub fn to_go_on(path: &Path) -> Result<Summary, SummaryError> {
        let here = Summary::here();
        if !path.exists() {
            return Ok(here);
        }
        let found = Summary::read(path)?;
        let other = |what, found: String, here: String| {
            Err(SummaryError::Other { path: path.to_owned(), what, found, here })
        };
        let commit = |summary: &Summary| summary.commit.clone().unwrap_or("unknown".into());
        match () {
            () if found.machine != here.machine => {
                other("machine", machine(&found.machine), machine(&here.machine))
            }
            () if found.commit != here.commit => other("build", commit(&found), commit(&here)),
            () => Ok(found),
        }
    }

    /// Adds what was measured since `started`.
    pub fn add(&mut self, started: std::time::SystemTime, micros: BTreeMap<String, f64>) {
        self.rounds.push(Round { started: utc_text(started), micros });
    }

    pub fn write(&self, path: &Path) -> Result<(), SummaryError> {
        let text = serde_json::to_string_pretty(self).expect("a summary is plain data") + "\n";
        let failed = |source| SummaryError::File { path: path.to_owned(), source };
        std::fs::write(path, text).map_err(failed)
    }
}

/// A machine in a few words.
pub fn machine(machine: &Machine) -> String {
    format!("{}, {} cores, {}", machine.cpu, machine.cores, machine.system)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn rounds_are_added_to_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        for (second, micros) in [(0, 5.0), (60, 6.0)] {
            let mut summary = Summary::to_go_on(&path).unwrap();
            let measured = BTreeMap::from([("step/mlp/er".to_owned(), micros)]);
            summary.add(UNIX_EPOCH + Duration::from_secs(second), measured);
            summary.write(&path).unwrap();
        }
        let read = Summary::read(&path).unwrap();
        assert_eq!((read.rounds.len(), &*read.rounds[1].started), (2, "1970-01-01T00:01:00Z"));
        assert_eq!(read.rounds[1].micros["step/mlp/er"], 6.0);
        assert_eq!(read.commit, Summary::here().commit);
    }

    #[test]
    fn rounds_of_another_build_or_machine_are_not_added() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let round = Round { started: String::new(), micros: BTreeMap::new() };
        let ours = Summary { rounds: vec![round], ..Summary::here() };
        let refused = |summary: Summary| {
            summary.write(&path).unwrap();
            Summary::to_go_on(&path).unwrap_err().to_string()
        };
        let build = Summary { commit: Some("0000000".into()), ..ours.clone() };
        assert!(refused(build).contains("holds rounds of another build (0000000, this is"));
        let machine = Machine { cores: 4096, ..ours.machine.clone() };
        let message = refused(Summary { machine, ..ours });
        assert!(message.contains("another machine") && message.contains("4096 cores"), "{message}");
    }

    #[test]
    fn damaged_summaries_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let message = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Summary::read(&path).unwrap_err().to_string()
        };
        assert!(message("{").contains("is no summary of the suite"));
        let empty = serde_json::to_string(&Summary::here()).unwrap();
        assert!(message(&empty).contains("it has no rounds"));
        let later = empty.replace("\"format\":1", "\"format\":2");
        assert!(message(&later).contains("format 2, expected 1"));
        let round = r#""rounds":[{"started":"","micros":{"a":0.0}}]"#;
        assert!(message(&empty.replace("\"rounds\":[]", round)).contains("`a` took 0 us"));
        assert!(matches!(Summary::read(folder.path()), Err(SummaryError::File { .. })));
    }
}
