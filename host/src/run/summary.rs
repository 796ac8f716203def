//! The result of a run as far as plan, seed and plugin determine it. Two runs of one plan give the
//! same bytes, so nothing here may depend on time, tier or machine; that is in `Resources`.

use std::collections::BTreeMap;

use perdura_abi::message::{EventMsg, ViewNeeds, Wishes};
use serde::{Deserialize, Serialize};

use super::{Fault, MemorySize, RunError, RunPlan};

/// `summary.json`. Undefined numbers are `None`, written as `null`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// [`Summary::FORMAT`].
    pub format: u32,
    pub method: String,
    pub benchmark: String,
    /// Scenario the learner was trained in.
    pub scenario: String,
    pub memory: Option<MemorySize>,
    pub seed: u64,
    pub outcome: Outcome,
    /// Steps that were finished.
    pub steps: u64,
    /// Steps after which the rows of the matrices were taken; `None` where they were taken after
    /// experiences.
    pub scored_after_steps: Option<Vec<u64>>,
    /// What was scored while training went on; `None` where nothing was to be.
    #[serde(default)]
    pub anytime: Option<AnytimeSummary>,
    /// How the learner wanted the stream; `None` if it was never created.
    pub wishes: Option<Wishes>,
    /// In the order declared, the headline first.
    pub views: Vec<ViewSummary>,
    /// What learners reported, in order.
    pub events: Vec<LearnerEvent>,
    /// Groups of the experiences as the learner found them; `None` if it speaks of none.
    pub grouping: Option<Grouping>,
    /// Networks over time, for learners that say so.
    pub growth: Vec<Networks>,
    /// Replay memory at the end.
    pub memory_bytes: u64,
    /// Bytes per kind as the learner claims them.
    pub claimed_bytes: BTreeMap<String, u64>,
    /// Bytes of the state it saved last, to check the claim by.
    pub state_bytes: u64,
    /// SHA-256 of the state at the end of the stream; `None` for a run that did not come there.
    #[serde(default)]
    pub state_sha256: Option<String>,
}

/// How a run ended.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Outcome {
    Finished,
    Failed(Fault),
}

/// What was scored between boundaries; the accuracies are in `anytime.safetensors`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct AnytimeSummary {
    /// Steps between two points.
    pub every: u64,
    pub points: u64,
    /// What went wrong with the first snapshot that could not be scored; `step` is its own. Points
    /// end before it, training goes on.
    pub fault: Option<Fault>,
}

/// Scores of one view.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ViewSummary {
    pub view: String,
    pub needs: ViewNeeds,
    /// Trained on the union of the experiences: not a continual learner.
    pub upper_bound: bool,
    pub scenarios: Vec<ScenarioSummary>,
}

/// Scores of one view under one scenario. Rows and entries are indexed by experience.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ScenarioSummary {
    /// `class-il`, `task-il`, `domain-il` or `task-free`.
    pub scenario: String,
    /// Accuracy on each experience before training.
    pub initial: Vec<Option<f64>>,
    /// Row i: accuracy on each experience after training on experience i, or after
    /// `scored_after_steps[i]` steps; the last row of a finished run is the end of the stream.
    pub matrix: Vec<Vec<Option<f64>>>,
    pub metrics: Metrics,
}

/// Metrics as the `metrics` module defines them, as fractions.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    pub average_accuracy: Option<f64>,
    pub average_incremental_accuracy: Option<f64>,
    pub backward_transfer: Option<f64>,
    pub forward_transfer: Option<f64>,
    pub forgetting_from_peak: Option<f64>,
    pub learning_accuracy: Option<f64>,
    /// Share of the final predictions that fall into each experience's classes.
    pub task_recency: Option<Vec<f64>>,
    pub expected_calibration_error: Option<f64>,
    /// Mean over the final predictions, in nats.
    #[serde(default)]
    pub negative_log_likelihood: Option<f64>,
    /// This one and the following need scores between boundaries, the others do not.
    #[serde(default)]
    pub average_anytime_accuracy: Option<f64>,
    #[serde(default)]
    pub minimum_accuracy: Option<f64>,
    #[serde(default)]
    pub worst_case_accuracy: Option<f64>,
    #[serde(default)]
    pub accuracy_after_switch: Option<f64>,
    #[serde(default)]
    pub stability_gap: Option<f64>,
}

/// Which experiences a learner took for similar.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Grouping {
    /// Different groups among the experiences.
    pub groups: u32,
    /// Adjusted Rand index against the true groups, where the benchmark knows them.
    pub ari: Option<f64>,
    /// Group of each experience; `None` for one the learner did not speak of.
    pub of_experience: Vec<Option<u32>>,
}

/// How many networks a learner had from a step on.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Networks {
    pub step: u64,
    pub networks: u32,
}

/// An event of a learner.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct LearnerEvent {
    /// Steps that were done before it: the index of the step that reported it, or of the next one.
    pub step: u64,
    #[serde(flatten)]
    pub event: EventMsg,
}

impl Summary {
    pub const FORMAT: u32 = 1;

    /// What can be said where there was no room for more. A run that finished has failed then.
    pub(super) fn without_scores(&self, error: &RunError) -> Summary {
        let outcome = match &self.outcome {
            Outcome::Finished => Outcome::Failed(Fault::of_results(error)),
            failed => failed.clone(),
        };
        let (views, events, growth) = (Vec::new(), Vec::new(), Vec::new());
        let (grouping, scored_after_steps) = (None, None);
        Summary { outcome, views, events, growth, grouping, scored_after_steps, ..self.clone() }
    }

    /// The summary of a run of this plan in which nothing has happened yet.
    pub fn empty(plan: &RunPlan, outcome: Outcome) -> Summary {
        Summary {
            format: Summary::FORMAT,
            method: plan.method.clone(),
            benchmark: plan.benchmark.clone(),
            scenario: plan.scenario.clone(),
            memory: plan.memory,
            seed: plan.seed,
            outcome,
            steps: 0,
            scored_after_steps: None,
            anytime: None,
            wishes: None,
            views: Vec::new(),
            events: Vec::new(),
            grouping: None,
            growth: Vec::new(),
            memory_bytes: 0,
            claimed_bytes: BTreeMap::new(),
            state_bytes: 0,
            state_sha256: None,
        }
    }
}
