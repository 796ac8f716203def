//! What a run has recorded so far, as a checkpoint stores it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

use super::growth::Growth;
use super::ledger::Ledger;
use super::snapshots::SoFar;
use crate::metrics::AccuracyMatrix;
use crate::run::{After, RunError, RunFolder, Summary};

/// The recorder's part of a checkpoint.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    pub summary: Summary,
    pub growth: Growth,
    /// Of every view and scenario, in the order declared.
    pub matrices: Vec<AccuracyMatrix>,
    /// When each view was scored last, if it was open.
    pub last: BTreeMap<usize, After>,
    /// Of snapshots that are scored; those that are not are sections of the checkpoint.
    pub anytime: Option<SoFar>,
    pub steps_per_second: Vec<Option<f64>>,
    pub peak_pss_bytes: Option<u64>,
    /// Spent by all processes of the run so far.
    pub spent: Duration,
    pub cpu_seconds: f64,
    pub learner_cpu_seconds: Option<f64>,
    pub ledger: Ledger,
    /// When the first of them began.
    pub started: String,
    pub resumed: u32,
    /// Length of the file of events.
    pub events_bytes: u64,
    /// Names of the files of predictions.
    pub predictions: Vec<String>,
}

impl Results {
    /// Makes sure that the predictions it counts on are there.
    pub fn check(&self, folder: &RunFolder) -> Result<(), RunError> {
        let there = folder.prediction_files()?;
        if let Some(name) = self.predictions.iter().find(|name| !there.contains(name)) {
            let path = folder.path().join("predictions").join(name);
            let reason = "the file is gone: put it back, or remove the folder and run again";
            return Err(RunError::Damaged { path, reason: reason.into() });
        }
        for (view, after) in &self.last {
            folder.predictions(*after, &self.summary.views[*view].view)?;
        }
        Ok(())
    }
}
