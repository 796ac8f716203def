//! Where training stands between two steps: with the replay memory and the learner's state it is all that the
//! loop needs to go on as if nothing had happened. No generator is in it: streams of chance are made from keys.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

use super::world::{Place, World};
use crate::run::After;

/// A kind of moment between two calls of the learner.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nothing is trained yet.
    Start,
    /// Before a step, and before the score that may be due there.
    Step,
    /// An experience has ended; its score is due.
    Ended,
}

/// The loop's own counters, as a checkpoint stores them.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    pub stage: Stage,
    pub place: Place,
    /// Calls at boundaries so far: each has a seed of its own.
    pub calls: u64,
    /// Calls of the learner to the host that drew chance.
    pub host_draws: u64,
    pub epoch: EpochSoFar,
    pub experience_steps_before: u64,
    pub experience_seconds: f64,
}

/// What an epoch has brought so far.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct EpochSoFar {
    /// Slots of the memory that it goes over: as many as were in use when it began.
    pub slots: u32,
    /// Of each scalar the sum and how many there were.
    pub sums: BTreeMap<String, Sum>,
}

/// A sum by its bits: one that has overflowed is no number in JSON.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Sum {
    bits: u64,
    count: u64,
}

impl Sum {
    pub fn add(&mut self, value: f64) {
        self.bits = (f64::from_bits(self.bits) + value).to_bits();
        self.count += 1;
    }

    pub fn mean(self) -> f64 {
        f64::from_bits(self.bits) / self.count as f64
    }
}

/// The experience that goes on: its first step, and how long it has taken.
#[derive(Clone, Copy, Debug)]
pub struct ExperienceSoFar {
    pub steps_before: u64,
    seconds_before: f64,
    since: Instant,
}

impl ExperienceSoFar {
    /// One of which `seconds` have been spent before now.
    pub fn new(steps_before: u64, seconds: f64) -> Self {
        ExperienceSoFar { steps_before, seconds_before: seconds, since: Instant::now() }
    }

    pub fn seconds(&self) -> f64 {
        self.seconds_before + self.since.elapsed().as_secs_f64()
    }
}

/// What is to be scored at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    Nothing,
    /// A row of the matrix, before training goes on.
    Row(After),
    /// A snapshot, while training goes on.
    Snapshot,
}

impl Score {
    /// The row, if it is one.
    pub fn row(self) -> Option<After> {
        match self {
            Score::Row(after) => Some(after),
            Score::Nothing | Score::Snapshot => None,
        }
    }
}

/// A moment between two calls of the learner at which a run can be left and taken up.
pub struct Point<'a> {
    pub stage: Stage,
    /// What is to be scored here.
    pub score: Score,
    pub calls: u64,
    pub epoch: &'a EpochSoFar,
    pub experience: &'a ExperienceSoFar,
}

impl Point<'_> {
    /// What the loop needs to go on here.
    pub fn standing(&self, world: &World) -> Standing {
        Standing {
            stage: self.stage,
            place: world.place,
            calls: self.calls,
            host_draws: world.host_draws,
            epoch: self.epoch.clone(),
            experience_steps_before: self.experience.steps_before,
            experience_seconds: self.experience.seconds(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_survive_their_file_even_beyond_all_numbers() {
        let mut sum = Sum::default();
        [0.1, 0.2].into_iter().for_each(|value| sum.add(value));
        assert_eq!(sum.mean(), (0.1 + 0.2) / 2.0);
        let mut endless = Sum::default();
        [f64::MAX, f64::MAX].into_iter().for_each(|value| endless.add(value));
        for sum in [sum, endless] {
            let text = serde_json::to_string(&sum).unwrap();
            assert_eq!(serde_json::from_str::<Sum>(&text).unwrap(), sum);
        }
        assert_eq!(endless.mean(), f64::INFINITY);
    }
}
