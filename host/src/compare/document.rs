//! The comparison as a value. Its serialised form is what `compare --format json` prints.

use serde::Serialize;

use super::record::by_method;
use super::{RunRecord, pairs, ranking, rows, warnings};
use crate::run::{Fault, Networks};
use crate::stats::{SeedsNeeded, Spread};
use crate::worker::FaultTraces;

/// A comparison of methods over seeds. Accuracies are fractions; undefined values are `None`.
#[derive(Serialize, Clone, Debug)]
pub struct Comparison {
    /// By method as given, view as declared, scenario.
    pub rows: Vec<Row>,
    /// Headline views of two methods each, paired by seed.
    pub pairs: Vec<Pair>,
    /// Headline views by accuracy, one ranking for each scenario.
    pub rankings: Vec<Ranking>,
    /// What makes rows hard to compare, as sentences.
    pub warnings: Vec<String>,
    /// Runs that did not finish; those of a method are the count `failed` of its rows.
    pub failures: Vec<Failure>,
}

/// One view of one method under one scenario. A method of which no run finished has one row with n
/// = 0.
#[derive(Serialize, Clone, Debug)]
pub struct Row {
    /// Full id, or the name of the arm in a plan file.
    pub method: String,
    /// `None` if no run came far enough to tell.
    pub view: Option<String>,
    pub scenario: String,
    /// Finished runs.
    pub n: usize,
    /// Failed runs of the method.
    pub failed: usize,
    pub average_accuracy: Spread,
    pub forgetting_from_peak: Spread,
    pub backward_transfer: Spread,
    pub learning_accuracy: Spread,
    /// Of the whole run, the same in all rows of a method.
    pub seconds: Spread,
    pub cpu_seconds: Spread,
    /// CPU time of the learner in training alone: the compute of the method, as the host measures it.
    pub learner_cpu_seconds: Spread,
    pub peak_pss_bytes: Spread,
    /// Of runs that were scored between boundaries.
    pub anytime: Option<AnytimeSpread>,
    /// For learners that speak of groups, the same in all rows of a method.
    pub grouping: Option<GroupingSpread>,
    /// Weakest tier in which a learner of these runs was kept, the same in all rows of a method.
    pub tier: Option<String>,
    /// Networks over time, run by run in the order of seeds; empty for learners that do not say so.
    pub growth: Vec<Vec<Networks>>,
    /// The view by which the method is compared.
    #[serde(skip)]
    pub headline: bool,
    /// Trained on the union of the experiences.
    #[serde(skip)]
    pub upper_bound: bool,
    /// The view is told the true group.
    #[serde(skip)]
    pub oracle: bool,
}

/// What scores between boundaries say, over seeds.
#[derive(Serialize, Clone, Debug)]
pub struct AnytimeSpread {
    pub average_anytime_accuracy: Spread,
    pub minimum_accuracy: Spread,
    pub worst_case_accuracy: Spread,
    pub accuracy_after_switch: Spread,
    pub stability_gap: Spread,
}

/// How experiences were grouped, over seeds.
#[derive(Serialize, Clone, Debug)]
pub struct GroupingSpread {
    pub groups: Spread,
    /// Adjusted Rand index against the true groups, where the benchmark knows them.
    pub ari: Spread,
    /// Index of each seed, in order.
    pub ari_by_seed: Vec<Option<f64>>,
}

/// Two methods under one metric and scenario.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Pair {
    pub metric: &'static str,
    pub scenario: String,
    pub a: Side,
    pub b: Side,
    /// Seeds that finished in both with the same stream.
    pub n: usize,
    /// a minus b.
    pub difference: Difference,
    /// Two-sided paired t-test, Holm-corrected over the pairs of this metric and scenario.
    pub p_holm: Option<f64>,
    /// Two-sided Wilcoxon signed-rank test, corrected in the same way.
    pub wilcoxon_holm: Option<f64>,
    /// Probability that a run of a has a larger value than a run of b, paired or not.
    pub probability_a_above_b: Option<f64>,
    /// Seeds in all with which the difference as observed would be found; `None` where it is found
    /// already, and where nothing can be said.
    pub seeds_needed: Option<SeedsNeeded>,
}

/// Methods in one scenario, best first.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Ranking {
    pub scenario: String,
    pub ranks: Vec<Ranked>,
}

/// A method and the groups it is in: methods that cannot be separated share a group.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Ranked {
    pub method: String,
    pub view: String,
    pub average_accuracy: f64,
    /// Letters, the best group is `a`.
    pub groups: String,
}

/// One side of a pair.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Side {
    pub method: String,
    pub view: String,
}

/// Mean difference and its 95 % percentile bootstrap interval.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq)]
pub struct Difference {
    pub mean: Option<f64>,
    pub ci95: Option<[f64; 2]>,
}

/// Runs of one method that failed in the same way.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Failure {
    pub method: String,
    pub seeds: Vec<u64>,
    /// Runs of the method, finished ones included.
    pub runs: usize,
    /// Of the first of them.
    pub fault: Fault,
    /// What it left besides; see [`FaultTraces`].
    pub traces: FaultTraces,
}

impl Comparison {
    /// Compares the runs. Methods keep the order in which they first appear; the order of one
    /// method's runs does not matter.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a RunRecord>) -> Comparison {
        let methods = by_method(records);
        let rows: Vec<Row> = methods.iter().flat_map(rows::rows).collect();
        let pairs = pairs::pairs(&methods);
        Comparison {
            rankings: ranking::rankings(&rows, &pairs),
            rows,
            pairs,
            warnings: warnings::warnings(&methods),
            failures: methods.iter().flat_map(rows::failures).collect(),
        }
    }

    /// The document, pretty-printed, with a newline at the end.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("string keys serialise") + "\n"
    }
}
