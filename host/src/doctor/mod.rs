//! What this build and this machine have, and what to do for more. Everything is looked up and nothing is
//! changed, but for descriptions of plugins, which are asked for in a worker and kept. The subjects are in
//! files of their own; this one holds what they find.

mod build;
mod machine;

use perdura_abi::manifest::Description;
use serde::Serialize;
use std::path::PathBuf;

use crate::plugin::{Scan, SearchPath};

/// What is to be looked at besides the machine.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// Plugin files that are named explicitly.
    pub plugins: Vec<PathBuf>,
    /// The folder with data sets, if one is named.
    pub data_dir: Option<PathBuf>,
    /// Threads that a learner is to have.
    pub threads: usize,
}

/// Whether something is there.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There, or all right.
    Good,
    /// Not there; what it would bring is not to be had until the remedy is carried out.
    Lacking,
    /// There and damaged, or other than it should be.
    Broken,
}

/// One thing that was looked up.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub name: String,
    pub state: State,
    /// What was found, in words.
    pub found: String,
    /// What to do for more; `None` where there is nothing to do.
    pub remedy: Option<String>,
}

/// Findings about one subject.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub title: &'static str,
    pub findings: Vec<Finding>,
}

/// All that was found.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    pub sections: Vec<Section>,
}

/// Looks everything up.
pub fn diagnose(subject: &Subject) -> Diagnosis {
    let scan = SearchPath::from_env(&subject.plugins).scan();
    let described = build::described(&scan.found);
    of(subject, &scan, &described)
}

fn of(subject: &Subject, scan: &Scan, described: &[Result<Description, String>]) -> Diagnosis {
    let libtorch = std::env::var_os("LIBTORCH").map(PathBuf::from);
    let devices = build::devices(described, machine::has_gpu(), libtorch.as_deref());
    Diagnosis {
        sections: vec![
            Section { title: "build", findings: build::host() },
            Section { title: "machine", findings: machine::machine() },
            Section { title: "runs", findings: machine::runs(subject.threads) },
            Section { title: "sandbox", findings: machine::sandbox(&crate::worker::lacking()) },
            Section { title: "plugins", findings: build::plugins(scan, described) },
            Section { title: "devices", findings: devices },
            Section { title: "data", findings: build::data(subject.data_dir.as_deref()) },
        ],
    }
}

impl Diagnosis {
    /// True where something is there and broken. What is merely not there is no fault.
    pub fn broken(&self) -> bool {
        let mut findings = self.sections.iter().flat_map(|section| &section.findings);
        findings.any(|finding| finding.state == State::Broken)
    }
}

impl std::fmt::Display for Diagnosis {
    /// A block for each section, a line for each finding, and below it what to do for more.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, Section { title, findings }) in self.sections.iter().enumerate() {
            let gap = if number > 0 { "\n" } else { "" };
            writeln!(out, "{gap}{title}")?;
            for Finding { name, state, found, remedy } in findings {
                let mark = match state {
                    State::Good => "+",
                    State::Lacking => "-",
                    State::Broken => "!",
                };
                writeln!(out, "  {mark} {name:<18} {found}")?;
                if let Some(remedy) = remedy {
                    writeln!(out, "{:23}-> {remedy}", "")?;
                }
            }
        }
        Ok(())
    }
}

/// Something that is there.
fn good(name: impl Into<String>, found: impl Into<String>) -> Finding {
    Finding { name: name.into(), state: State::Good, found: found.into(), remedy: None }
}

/// Something that is not there, and how to get it.
fn lacking(
    name: impl Into<String>,
    found: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    let (name, found, remedy) = (name.into(), found.into(), Some(remedy.into()));
    Finding { name, state: State::Lacking, found, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_is_there_and_what_to_do_for_more() {
        let broken = Finding {
            name: "c".into(),
            state: State::Broken,
            found: "damaged".into(),
            remedy: Some("fetch it again".into()),
        };
        let findings = vec![good("a", "there"), lacking("b", "not there", "build it")];
        let mut page = Diagnosis { sections: vec![Section { title: "first", findings }] };
        assert!(!page.broken());
        page.sections.push(Section { title: "second", findings: vec![broken] });
        assert!(page.broken());
        let expected = "first\n  + a                  there\n  - b                  not there\n\
            \x20                      -> build it\n\nsecond\n  ! c                  damaged\n\
            \x20                      -> fetch it again\n";
        assert_eq!(page.to_string(), expected);
    }

    #[test]
    fn every_subject_is_looked_at() {
        let page = of(&Subject { threads: 1, ..Subject::default() }, &Scan::default(), &[]);
        let titles: Vec<&str> = page.sections.iter().map(|section| section.title).collect();
        let expected = ["build", "machine", "runs", "sandbox", "plugins", "devices", "data"];
        assert_eq!(titles, expected);
        assert!(page.sections.iter().all(|section| !section.findings.is_empty()));
    }
}
