//! Where the time of a run goes, by the host's own clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What the host does or waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Writing results.
    Results,
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
            Activity::Results => "results",
        }
    }
}

/// Seconds per activity.
#[derive(Default)]
pub struct Ledger {
    spent: BTreeMap<Activity, Duration>,
}

impl Ledger {
    /// Does `work` and writes its time down.
    pub fn time<R>(&mut self, activity: Activity, work: impl FnOnce() -> R) -> R {
        let begun = Instant::now();
        let result = work();
        *self.spent.entry(activity).or_default() += begun.elapsed();
        result
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
}
