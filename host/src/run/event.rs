//! What happened in a run and when, one line each. For people and for progress displays: nothing is
//! computed from events, so they may carry times.

use std::collections::BTreeMap;

use perdura_abi::message::EventMsg;
use serde::{Deserialize, Serialize};

use super::Fault;

/// A line of `events.jsonl`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Event {
    /// Milliseconds since the run began.
    pub at_ms: u64,
    #[serde(flatten)]
    pub what: EventKind,
}

/// What happened. Experiences, epochs and steps count from zero.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    RunBegun,
    ExperienceBegun {
        experience: u32,
        samples: u64,
        epochs: u32,
    },
    /// Means of the learner's scalars over an epoch; those that are not finite are `None`.
    EpochEnded {
        experience: u32,
        epoch: u32,
        steps: u64,
        scalars: BTreeMap<String, Option<f64>>,
    },
    /// Means of the learner's scalars over the steps since the last such event, after so many steps of
    /// the run. Only where something wants them (`--log-every`).
    Trained {
        step: u64,
        scalars: BTreeMap<String, Option<f64>>,
    },
    ExperienceEnded {
        experience: u32,
        steps: u64,
        /// Steps of the run so far.
        #[serde(default)]
        step: u64,
    },
    /// Accuracy on each experience, after an experience or, where boundaries are not told, after so
    /// many steps; both are `None` before training.
    Scored {
        after: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u64>,
        view: String,
        scenario: String,
        accuracy: Vec<Option<f64>>,
    },
    /// Accuracy on each experience that had begun, between boundaries: of a snapshot that was scored
    /// while training went on, and so told later than its step.
    ScoredAnytime {
        step: u64,
        view: String,
        scenario: String,
        accuracy: Vec<Option<f64>>,
    },
    /// Reported by the learner.
    Learner {
        step: u64,
        report: EventMsg,
    },
    /// Something that a person should know; the run goes on.
    Remark {
        message: String,
    },
    /// The run goes on after so many steps, in a process of its own.
    RunResumed {
        step: u64,
    },
    /// The run was asked to end and can be taken up.
    RunInterrupted {
        step: u64,
    },
    RunFailed {
        fault: Fault,
    },
    RunFinished {
        steps: u64,
    },
}

impl Event {
    /// The line with its newline.
    pub(super) fn line(&self) -> String {
        serde_json::to_string(self).expect("string keys serialise") + "\n"
    }
}
