//! Paired comparisons of the headline views of two methods. A pair of runs shares seed and stream,
//! so that what differs between them is the method.

use super::record::{MethodRuns, scenario_rank};
use super::{Difference, Pair, RunRecord, Side};
use crate::run::{Metrics, ViewSummary};
use crate::stats;

type Metric = (&'static str, fn(&Metrics) -> Option<f64>);

const METRICS: [Metric; 4] = [
    ("average_accuracy", |metrics| metrics.average_accuracy),
    ("forgetting_from_peak", |metrics| metrics.forgetting_from_peak),
    ("worst_case_accuracy", |metrics| metrics.worst_case_accuracy),
    ("stability_gap", |metrics| metrics.stability_gap),
];

/// All pairs of methods, by metric, then scenario, then order of methods. A method in which the
/// metric is undefined has no pair.
pub fn pairs(methods: &[MethodRuns<'_>]) -> Vec<Pair> {
    let headlines: Vec<Headline<'_>> = methods.iter().filter_map(Headline::of).collect();
    let mut scenarios: Vec<&str> = headlines
        .iter()
        .flat_map(|headline| &headline.view.scenarios)
        .map(|scores| scores.scenario.as_str())
        .collect();
    scenarios.sort_by_key(|scenario| (scenario_rank(scenario), *scenario));
    scenarios.dedup();
    let mut pairs = Vec::new();
    for metric in METRICS {
        for scenario in &scenarios {
            pairs.extend(family(&headlines, metric, scenario));
        }
    }
    pairs
}

/// The headline view of a method of which some run finished.
struct Headline<'a> {
    method: &'a MethodRuns<'a>,
    view: &'a ViewSummary,
}

impl<'a> Headline<'a> {
    fn of(method: &'a MethodRuns<'a>) -> Option<Headline<'a>> {
        let view = method.headline()?;
        method.runs.iter().any(|run| run.finished().is_some()).then_some(Headline { method, view })
    }

    /// Finished runs in which the metric is defined, one per seed.
    fn values(&self, metric: Metric, scenario: &str) -> Vec<(&'a RunRecord, f64)> {
        let value = |run: &&'a RunRecord| {
            let metrics = &run.scores(&self.view.view, scenario)?.metrics;
            metric.1(metrics).map(|value| (*run, value))
        };
        let mut values: Vec<_> = self.method.runs.iter().filter_map(value).collect();
        values.dedup_by_key(|(run, _)| run.plan.seed);
        values
    }
}

/// The pairs of one metric and scenario, corrected together.
fn family(headlines: &[Headline<'_>], metric: Metric, scenario: &str) -> Vec<Pair> {
    let sides: Vec<_> = headlines
        .iter()
        .map(|headline| (headline, headline.values(metric, scenario)))
        .filter(|(_, values)| !values.is_empty())
        .collect();
    let mut pairs = Vec::new();
    let mut all_differences = Vec::new();
    for (index, (a, a_values)) in sides.iter().enumerate() {
        for (b, b_values) in &sides[index + 1..] {
            let differences = differences(a_values, b_values);
            pairs.push(Pair {
                metric: metric.0,
                scenario: scenario.to_owned(),
                a: side(a),
                b: side(b),
                n: differences.len(),
                difference: Difference {
                    mean: stats::mean(&differences),
                    ci95: stats::mean_interval(&differences).map(|(low, high)| [low, high]),
                },
                p_holm: stats::one_sample_t(&differences),
                wilcoxon_holm: signed_rank(&differences),
                probability_a_above_b: probability(a_values, b_values),
                seeds_needed: None,
            });
            all_differences.push(differences);
        }
    }
    correct(&mut pairs, |pair| &mut pair.p_holm);
    correct(&mut pairs, |pair| &mut pair.wilcoxon_holm);
    let tested = pairs.iter().filter(|pair| pair.p_holm.is_some()).count().max(1);
    // The level that the smallest p-value of the family has to meet.
    let level = stats::LEVEL / tested as f64;
    for (pair, differences) in pairs.iter_mut().zip(&all_differences) {
        if pair.p_holm.is_some_and(|p| p >= stats::LEVEL) {
            pair.seeds_needed = stats::seeds_needed(differences, level);
        }
    }
    pairs
}

/// Undefined for a single seed, like the t-test.
fn signed_rank(differences: &[f64]) -> Option<f64> {
    (differences.len() > 1).then(|| stats::signed_rank(differences)).flatten()
}

fn probability(a: &[(&RunRecord, f64)], b: &[(&RunRecord, f64)]) -> Option<f64> {
    let values = |side: &[(&RunRecord, f64)]| side.iter().map(|(_, v)| *v).collect::<Vec<_>>();
    stats::probability_of_improvement(&values(a), &values(b))
}

fn differences(a: &[(&RunRecord, f64)], b: &[(&RunRecord, f64)]) -> Vec<f64> {
    let partner = |(run, value): &(&RunRecord, f64)| {
        let other = b.iter().find(|(other, _)| same_chance(run, other))?;
        Some((*value, other.1))
    };
    let (first, second): (Vec<f64>, Vec<f64>) = a.iter().filter_map(partner).unzip();
    stats::differences(&first, &second)
}

fn same_chance(a: &RunRecord, b: &RunRecord) -> bool {
    let (a, b) = (&a.plan, &b.plan);
    a.seed == b.seed && a.benchmark == b.benchmark && a.stream.class_order == b.stream.class_order
}

fn side(headline: &Headline<'_>) -> Side {
    Side { method: headline.method.method.to_owned(), view: headline.view.view.clone() }
}

/// Replaces the p-values by Holm's; pairs without a test do not count.
fn correct(pairs: &mut [Pair], p_value: fn(&mut Pair) -> &mut Option<f64>) {
    let mut found: Vec<&mut f64> =
        pairs.iter_mut().filter_map(|pair| p_value(pair).as_mut()).collect();
    let p_values: Vec<f64> = found.iter().map(|p| **p).collect();
    for (p, adjusted) in found.iter_mut().zip(stats::holm(&p_values)) {
        **p = adjusted;
    }
}
