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
    /// Gathering and normalising batches and draws, those that are drawn within a call included.
    Stream,
    /// The same of views whose profile changes images by chance.
    Augment,
    /// Changing the replay memory.
    Replay,
    /// Training steps.
    Learner,
    /// Between the host and the learner's process in training steps: messages there and back, and being
    /// woken. Where a worker does not say how long a call took it, this is part of the learner's.
    HandOver,
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
            Activity::Augment => "augment",
            Activity::Replay => "replay",
            Activity::Learner => "learner",
            Activity::HandOver => "hand_over",
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
    /// Parts of the learner's training steps, by its own clock and under its own names.
    #[serde(default)]
    told: BTreeMap<String, Duration>,
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
        self.spend(activity, begun.elapsed());
    }

    /// Writes down a time that was taken elsewhere.
    pub fn spend(&mut self, activity: Activity, time: Duration) {
        *self.spent.entry(activity).or_default() += time;
    }

    /// Moves time from one activity to another, at most what there is.
    pub fn shift(&mut self, from: Activity, to: Activity, time: Duration) {
        let there = self.spent.entry(from).or_default();
        let moved = time.min(*there);
        *there -= moved;
        *self.spent.entry(to).or_default() += moved;
    }

    /// Takes down what the learner says of a training step.
    pub fn tell(&mut self, parts: &BTreeMap<String, f64>) {
        for (name, seconds) in parts {
            let spent = Duration::try_from_secs_f64(*seconds).unwrap_or_default();
            *self.told.entry(name.clone()).or_default() += spent;
        }
    }

    /// Takes over what was spent before this process began.
    pub fn add(&mut self, earlier: &Ledger) {
        for (activity, spent) in &earlier.spent {
            *self.spent.entry(*activity).or_default() += *spent;
        }
        for (name, spent) in &earlier.told {
            *self.told.entry(name.clone()).or_default() += *spent;
        }
    }

    /// The ledger, with what no activity accounts for as `host`. Parts that the learner tells are
    /// `learner.<name>`, and `learner` is the rest; together they are never more than the learner took.
    pub fn seconds(&self, total_seconds: f64) -> BTreeMap<String, f64> {
        let mut seconds: BTreeMap<String, f64> =
            self.spent.iter().map(|(a, d)| (a.name().into(), d.as_secs_f64())).collect();
        let known: f64 = seconds.values().sum();
        seconds.insert("host".into(), (total_seconds - known).max(0.0));
        let of_learner = seconds.get("learner").copied().unwrap_or_default();
        let told: f64 = self.told.values().map(Duration::as_secs_f64).sum();
        if told > 0.0 {
            let scale = (of_learner / told).min(1.0);
            for (name, spent) in &self.told {
                seconds.insert(format!("learner.{name}"), scale * spent.as_secs_f64());
            }
            seconds.insert("learner".into(), (of_learner - scale * told).max(0.0));
        }
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

    /// Of 4 s, 1 s was augmenting and 8 s are more than there are; the learner tells 3 of its 4 s,
    /// then 12, which are counted as the 4.
    #[test]
    fn time_is_moved_and_told_without_becoming_more() {
        let mut ledger = Ledger::default();
        ledger.spent.insert(Activity::Stream, Duration::from_secs(4));
        ledger.shift(Activity::Stream, Activity::Augment, Duration::from_secs(1));
        ledger.shift(Activity::Augment, Activity::Replay, Duration::from_secs(8));
        let seconds = ledger.seconds(4.0);
        assert_eq!([seconds["stream"], seconds["augment"], seconds["replay"]], [3.0, 0.0, 1.0]);
        ledger.spent.insert(Activity::Learner, Duration::from_secs(4));
        let parts = |forward, backward| {
            BTreeMap::from([("forward".to_owned(), forward), ("backward".to_owned(), backward)])
        };
        ledger.tell(&parts(1.0, 2.0));
        let seconds = ledger.seconds(8.0);
        let of_learner = ["learner.forward", "learner.backward", "learner"].map(|k| seconds[k]);
        assert_eq!(of_learner, [1.0, 2.0, 1.0]);
        ledger.tell(&parts(3.0, 6.0));
        let seconds = ledger.seconds(8.0);
        assert!((seconds["learner.forward"] - 4.0 / 3.0).abs() < 1e-12);
        assert_eq!((seconds["learner"], seconds["host"]), (0.0, 0.0));
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
