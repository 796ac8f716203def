//! What the index knows of a run: what its plan, summary, resources and tags say, in short.

use std::path::Path;

use serde::Serialize;

use crate::compare::{RunRecord, by_method};
use crate::run::{RunFolder, memory_text};

/// One run.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// Below the output folder.
    pub folder: String,
    /// Full id.
    pub method: String,
    /// Name of its settings in a comparison, or the method.
    pub arm: String,
    pub benchmark: String,
    /// `200`, `4096 bytes`, or `-` for none.
    pub memory: String,
    pub seed: u64,
    /// `finished`, `failed`, `unfinished`, or `damaged` where its files cannot be read.
    pub status: String,
    pub started: Option<String>,
    pub seconds: Option<f64>,
    /// The headline view and its first scenario, to which accuracy and forgetting belong.
    pub view: Option<String>,
    pub scenario: Option<String>,
    pub accuracy: Option<f64>,
    pub forgetting: Option<f64>,
    pub tags: Vec<String>,
}

impl Entry {
    /// Reads the files of a run. `None` where it has no plan that can be read: then it is no run.
    pub fn read(out: &Path, path: &Path) -> Option<Entry> {
        let folder = RunFolder::open(path).ok()?;
        let plan = folder.plan().ok()?;
        let tags = folder.tags().unwrap_or_default();
        let name = name_below(out, path);
        let (record, status) = match RunRecord::read(&folder) {
            Ok(record) => {
                let status = record.status();
                (record, status)
            }
            Err(_) => (RunRecord { plan, summary: None, resources: None }, "damaged"),
        };
        Some(Entry { status: status.into(), tags, ..Entry::of(&record, &name) })
    }

    /// The entry of a run in the folder of this name, without tags.
    pub fn of(record: &RunRecord, folder: &str) -> Entry {
        let plan = &record.plan;
        let resources = record.resources.as_ref().filter(|r| !r.started.is_empty());
        let methods = by_method(std::iter::once(record));
        let headline = methods[0].headline();
        let scores = headline.and_then(|view| view.scenarios.first());
        let metrics = scores.filter(|_| record.finished().is_some()).map(|scores| &scores.metrics);
        Entry {
            folder: folder.to_owned(),
            method: plan.method.clone(),
            arm: plan.arm().to_owned(),
            benchmark: plan.benchmark.clone(),
            memory: memory_text(plan.memory),
            seed: plan.seed,
            status: record.status().into(),
            started: resources.map(|resources| resources.started.clone()),
            seconds: resources.map(|resources| resources.seconds),
            view: headline.map(|view| view.view.clone()),
            scenario: scores.map(|scores| scores.scenario.clone()),
            accuracy: metrics.and_then(|metrics| metrics.average_accuracy),
            forgetting: metrics.and_then(|metrics| metrics.forgetting_from_peak),
            tags: Vec::new(),
        }
    }

    /// A row of the table `runs`, then its tags with spaces between them.
    pub(super) fn of_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
        let tags: Option<String> = row.get(13)?;
        Ok(Entry {
            folder: row.get(0)?,
            method: row.get(1)?,
            arm: row.get(2)?,
            benchmark: row.get(3)?,
            memory: row.get(4)?,
            seed: unsigned(row.get(5)?),
            status: row.get(6)?,
            started: row.get(7)?,
            seconds: row.get(8)?,
            view: row.get(9)?,
            scenario: row.get(10)?,
            accuracy: row.get(11)?,
            forgetting: row.get(12)?,
            tags: tags.iter().flat_map(|tags| tags.split(' ')).map(str::to_owned).collect(),
        })
    }
}

/// The folder of a run as the index names it.
pub(super) fn name_below(out: &Path, path: &Path) -> String {
    path.strip_prefix(out).unwrap_or(path).display().to_string()
}

/// SQLite's integers have a sign: seeds are moved down by half of their range, which keeps their
/// order.
pub(super) fn signed(seed: u64) -> i64 {
    (seed ^ (1 << 63)) as i64
}

fn unsigned(stored: i64) -> u64 {
    stored as u64 ^ (1 << 63)
}
