//! Published results that can be run here, and whether they come out the same. The rows are data
//! (`rows.toml`, compiled in); nothing here runs anything.
//!
//! ```text
//! find(id) -> Row -> (runs, elsewhere) -> Reproduction::of(row, comparison) -> text | to_json
//! ```

mod report;
mod verdict;

use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

use crate::names::{did_you_mean, list};

pub use report::{Outcome, Reproduction, Verdict};
pub use verdict::{Against, Judgement, Ours, judge};

/// One method on one benchmark with one memory, as a paper reports it.
#[derive(Deserialize, Serialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// `method/benchmark/memory`, or `method/benchmark` without a memory.
    pub id: String,
    /// Full id of the method.
    pub method: String,
    pub benchmark: String,
    /// Samples.
    pub memory: Option<u64>,
    pub paper: String,
    pub table: String,
    #[serde(rename = "anchor")]
    pub anchors: Vec<Anchor>,
}

/// What is known of one view under one scenario: average accuracy after the last experience, in
/// percent.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    pub view: String,
    pub scenario: String,
    pub published: Option<Published>,
    pub measured: Option<Measured>,
}

/// As printed in the paper or by its authors.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Published {
    pub mean: f64,
    pub std: f64,
    pub n: usize,
    /// The number was not looked up: it is shown and decides nothing.
    #[serde(default)]
    pub from_memory: bool,
}

/// As the authors' code gave it on a machine like this one, with the published settings.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    pub mean: f64,
    /// `None` where it was not kept.
    pub std: Option<f64>,
    pub n: usize,
    /// Repository.
    pub code: String,
}

/// No row has this id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no published row is called `{found}`{hint}; there are: {known}")]
pub struct UnknownRow {
    found: String,
    hint: String,
    known: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    row: Vec<Row>,
}

/// All rows.
pub fn rows() -> &'static [Row] {
    static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
        let rows: Rows = toml::from_str(include_str!("rows.toml")).expect("a test reads the file");
        rows.row
    });
    &ROWS
}

/// The row with this id.
pub fn find(id: &str) -> Result<&'static Row, UnknownRow> {
    rows().iter().find(|row| row.id == id).ok_or_else(|| {
        let names: Vec<String> = rows().iter().map(|row| row.id.clone()).collect();
        let (hint, known) = (did_you_mean(id, &names), list(&names));
        UnknownRow { found: id.into(), hint, known }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rows_are_named_after_what_they_run_and_can_be_run() {
        let benchmarks: Vec<&str> = crate::stream::names().iter().map(|r| r.name).collect();
        let mut ids = BTreeSet::new();
        for row in rows() {
            let short = row.method.strip_prefix("perdura/").expect("a shipped method");
            let memory = row.memory.map_or(String::new(), |memory| format!("/{memory}"));
            assert_eq!(row.id, format!("{short}/{}{memory}", row.benchmark));
            assert!(ids.insert(&row.id), "{} twice", row.id);
            assert!(benchmarks.contains(&row.benchmark.as_str()), "{}", row.id);
            assert!(!row.anchors.is_empty(), "{}", row.id);
            for Anchor { published, measured, .. } in &row.anchors {
                let means = [published.map(|p| p.mean), measured.as_ref().map(|m| m.mean)];
                let means: Vec<f64> = means.into_iter().flatten().collect();
                assert!(!means.is_empty(), "{}", row.id);
                assert!(means.iter().all(|mean| (1.0..=100.0).contains(mean)), "{}", row.id);
            }
        }
    }

    #[test]
    fn an_unknown_row_gets_the_nearest() {
        assert_eq!(find("cls-er/split-mnist/200").unwrap().memory, Some(200));
        let message = find("cls-er/split-mnist/20").unwrap_err().to_string();
        assert!(message.contains("(did you mean `cls-er/split-mnist/200`?)"), "{message}");
        assert!(message.contains("joint/split-mnist"), "{message}");
    }
}
