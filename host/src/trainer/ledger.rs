//! Where the time of a run goes, by the host's own clock.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What the host does or waits for.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Loading data and assembling the benchmark.
    Data,
    /// Gathering, augmenting and normalising batches and draws.
    Stream,
    /// Changing the replay memory.
    Replay,
    /// Training steps, hand-over included.
    Learner,
    /// The learner's work at boundaries, hand-over included.
    Boundary,
    /// Saving the learner's state for scoring.
    Save,
    /// Fresh instances and their answers, hand-over included.
    Evaluation,
    /// The host's side of scoring: making test inputs, reading answers.
    Scoring,
    /// Waiting for snapshots that are being scored beside the training.
    Snapshots,
    /// Writing results.
    Results,
    /// Writing checkpoints, with the learner's saving where it is for them alone.
    Checkpoint,
}

impl Activity {
    fn name(self) -> &'static str {
        match self {
            Activity::Data => "data",
            Activity::Stream => "stream",
            Activity::Replay => "replay",
            Activity::Learner => "learner",
            Activity::Boundary => "boundary",
            Activity::Save => "save",
            Activity::Evaluation => "evaluation",
            Activity::Scoring => "scoring",
            Activity::Snapshots => "snapshots",
            Activity::Results => "results",
            Activity::Checkpoint => "checkpoint",
        }
    }
}

/// Seconds per activity.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    spent: BTreeMap<Activity, Duration>,
}

impl Ledger {
    /// Does `work` and writes its time down.
    pub fn time<R>(&mut self, activity: Activity, work: impl FnOnce() -> R) -> R {
        let begun = Instant::now();
        let result = work();
        self.since(activity, begun);
        result
    }

    /// Writes down the time since `begun`.
    pub fn since(&mut self, activity: Activity, begun: Instant) {
        *self.spent.entry(activity).or_default() += begun.elapsed();
    }

    /// Takes over what was spent before this process began.
    pub fn add(&mut self, earlier: &Ledger) {
        for (activity, spent) in &earlier.spent {
            *self.spent.entry(*activity).or_default() += *spent;
        }
    }

    /// The ledger, with what no activity accounts for as `host`.
    pub fn seconds(&self, total_seconds: f64) -> BTreeMap<String, f64> {
        let mut seconds: BTreeMap<String, f64> =
            self.spent.iter().map(|(a, d)| (a.name().into(), d.as_secs_f64())).collect();
        let known: f64 = seconds.values().sum();
        seconds.insert("host".into(), (total_seconds - known).max(0.0));
        seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_accounted_for_is_the_hosts() {
        let mut ledger = Ledger::default();
        ledger.spent.insert(Activity::Stream, Duration::from_millis(250));
        let seconds = ledger.seconds(1.0);
        assert_eq!((seconds["stream"], seconds["host"]), (0.25, 0.75));
    }

    #[test]
    fn what_was_spent_earlier_is_added_and_survives_its_file() {
        let mut ledger = Ledger::default();
        ledger.spent.insert(Activity::Stream, Duration::from_millis(250));
        let text = serde_json::to_string(&ledger).unwrap();
        let earlier: Ledger = serde_json::from_str(&text).unwrap();
        assert_eq!(earlier, ledger);
        ledger.add(&earlier);
        assert_eq!(ledger.seconds(1.0)["stream"], 0.5);
    }
}
