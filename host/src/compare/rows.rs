//! The rows of one method: which views and scenarios there are, and their numbers over seeds.

use perdura_abi::message::ViewNeeds;

use super::record::{MethodRuns, scenario_rank};
use super::{AnytimeSpread, Failure, GroupingSpread, Row, RunRecord};
use crate::run::{Fault, Grouping, Metrics, Networks, Resources, ViewSummary};
use crate::stats::Spread;

/// The rows of a method; never empty.
pub fn rows(method: &MethodRuns<'_>) -> Vec<Row> {
    let views = finished_views(method);
    if views.is_empty() {
        return vec![row_without_results(method)];
    }
    let of_view = |view: &&ViewSummary| {
        let scenarios = scenarios_of(method, &view.view);
        scenarios.into_iter().map(|scenario| row(method, view, scenario)).collect::<Vec<_>>()
    };
    views.iter().flat_map(of_view).collect()
}

/// What went wrong in a method's runs, equal faults together.
pub fn failures(method: &MethodRuns<'_>) -> Vec<Failure> {
    let mut failures: Vec<Failure> = Vec::new();
    for run in &method.runs {
        let Some(fault) = run.fault() else { continue };
        let key = |fault: &Fault| {
            (fault.code, fault.kind.clone(), fault.call.clone(), fault.message.clone())
        };
        let same = failures.iter_mut().find(|known| key(&known.fault) == key(&fault));
        match same {
            Some(failure) => failure.seeds.push(run.plan.seed),
            None => failures.push(Failure {
                method: method.method.to_owned(),
                seeds: vec![run.plan.seed],
                runs: method.runs.len(),
                fault,
                traces: run.traces(),
            }),
        }
    }
    failures
}

/// Views of finished runs in the order declared.
fn finished_views<'a>(method: &MethodRuns<'a>) -> Vec<&'a ViewSummary> {
    let mut views: Vec<&ViewSummary> = Vec::new();
    for view in
        method.runs.iter().filter_map(|run| run.finished()).flat_map(|summary| &summary.views)
    {
        if !views.iter().any(|known| known.view == view.view) {
            views.push(view);
        }
    }
    views
}

fn scenarios_of<'a>(method: &MethodRuns<'a>, view: &str) -> Vec<&'a str> {
    let summaries = method.runs.iter().filter_map(|run| run.finished());
    let views = summaries.flat_map(|summary| &summary.views).filter(|known| known.view == view);
    let mut scenarios: Vec<&str> =
        views.flat_map(|view| &view.scenarios).map(|scores| scores.scenario.as_str()).collect();
    scenarios.sort_by_key(|scenario| (scenario_rank(scenario), *scenario));
    scenarios.dedup();
    scenarios
}

fn row(method: &MethodRuns<'_>, view: &ViewSummary, scenario: &str) -> Row {
    let scored: Vec<(&RunRecord, &Metrics)> = method
        .runs
        .iter()
        .filter_map(|run| Some((*run, &run.scores(&view.view, scenario)?.metrics)))
        .collect();
    let metric = |get: fn(&Metrics) -> Option<f64>| spread(scored.iter().map(|(_, m)| get(m)));
    let resource = |get: fn(&Resources) -> Option<f64>| {
        spread(scored.iter().map(|(run, _)| run.resources.as_ref().and_then(get)))
    };
    Row {
        method: method.method.to_owned(),
        view: Some(view.view.clone()),
        scenario: scenario.to_owned(),
        n: scored.len(),
        failed: failed(method),
        average_accuracy: metric(|metrics| metrics.average_accuracy),
        forgetting_from_peak: metric(|metrics| metrics.forgetting_from_peak),
        backward_transfer: metric(|metrics| metrics.backward_transfer),
        learning_accuracy: metric(|metrics| metrics.learning_accuracy),
        seconds: resource(|resources| Some(resources.seconds)),
        cpu_seconds: resource(|resources| Some(resources.cpu_seconds)),
        learner_cpu_seconds: resource(|resources| resources.learner_cpu_seconds),
        peak_pss_bytes: resource(|resources| resources.peak_pss_bytes.map(|bytes| bytes as f64)),
        tier: tier(method),
        anytime: anytime(&scored),
        grouping: grouping(&scored),
        growth: growth(&scored),
        headline: method.headline().is_some_and(|headline| headline.view == view.view),
        upper_bound: view.upper_bound,
        oracle: view.needs == ViewNeeds::TrueGroup,
    }
}

fn row_without_results(method: &MethodRuns<'_>) -> Row {
    let headline = method.headline();
    let scenarios = headline.map(|view| &view.scenarios).into_iter().flatten();
    let scored = scenarios.map(|scores| &scores.scenario).min_by_key(|name| scenario_rank(name));
    let none = Spread::default();
    Row {
        method: method.method.to_owned(),
        view: headline.map(|view| view.view.clone()),
        scenario: scored.unwrap_or(&method.runs[0].plan.scenario).clone(),
        n: 0,
        failed: failed(method),
        average_accuracy: none,
        forgetting_from_peak: none,
        backward_transfer: none,
        learning_accuracy: none,
        seconds: none,
        cpu_seconds: none,
        learner_cpu_seconds: none,
        peak_pss_bytes: none,
        anytime: None,
        tier: tier(method),
        grouping: None,
        growth: Vec::new(),
        headline: true,
        upper_bound: headline.is_some_and(|view| view.upper_bound),
        oracle: false,
    }
}

/// `None` unless some run was scored between boundaries.
fn anytime(scored: &[(&RunRecord, &Metrics)]) -> Option<AnytimeSpread> {
    let is = |run: &RunRecord| run.finished().is_some_and(|summary| summary.anytime.is_some());
    let metric = |get: fn(&Metrics) -> Option<f64>| spread(scored.iter().map(|(_, m)| get(m)));
    scored.iter().any(|(run, _)| is(run)).then(|| AnytimeSpread {
        average_anytime_accuracy: metric(|metrics| metrics.average_anytime_accuracy),
        minimum_accuracy: metric(|metrics| metrics.minimum_accuracy),
        worst_case_accuracy: metric(|metrics| metrics.worst_case_accuracy),
        accuracy_after_switch: metric(|metrics| metrics.accuracy_after_switch),
        stability_gap: metric(|metrics| metrics.stability_gap),
    })
}

/// `None` unless every run speaks of groups.
fn grouping(scored: &[(&RunRecord, &Metrics)]) -> Option<GroupingSpread> {
    let of = |(run, _): &(&RunRecord, &Metrics)| run.finished()?.grouping.clone();
    let found = scored.iter().map(of).collect::<Option<Vec<Grouping>>>()?;
    let ari_by_seed: Vec<Option<f64>> = found.iter().map(|grouping| grouping.ari).collect();
    (!found.is_empty()).then(|| GroupingSpread {
        groups: spread(found.iter().map(|grouping| Some(f64::from(grouping.groups)))),
        ari: spread(ari_by_seed.iter().copied()),
        ari_by_seed,
    })
}

/// From the strongest to the weakest.
const TIERS: [&str; 3] = ["sandbox", "process", "in-process"];

fn tier(method: &MethodRuns<'_>) -> Option<String> {
    let resources = method.runs.iter().filter_map(|run| run.resources.as_ref());
    // A run that died without a word has told none.
    let tiers = resources.map(|r| &r.tier).filter(|tier| !tier.is_empty());
    // A tier that is not known is taken for the weakest.
    let rank =
        |tier: &&String| TIERS.iter().position(|known| known == *tier).unwrap_or(TIERS.len());
    tiers.max_by_key(rank).cloned()
}

impl Row {
    /// Whether what a learner did in these runs was not kept from it by a sandbox.
    pub(crate) fn is_marked(&self) -> bool {
        self.tier.as_deref().is_some_and(|tier| tier != TIERS[0])
    }
}

fn growth(scored: &[(&RunRecord, &Metrics)]) -> Vec<Vec<Networks>> {
    let runs = scored.iter().filter_map(|(run, _)| run.finished());
    let all: Vec<Vec<Networks>> = runs.map(|summary| summary.growth.clone()).collect();
    if all.iter().all(Vec::is_empty) { Vec::new() } else { all }
}

fn failed(method: &MethodRuns<'_>) -> usize {
    method.runs.iter().filter(|run| run.finished().is_none()).count()
}

/// Undefined if it is undefined in one run: a mean over the other runs would look like a mean over
/// n.
fn spread(values: impl Iterator<Item = Option<f64>>) -> Spread {
    values.collect::<Option<Vec<f64>>>().map_or(Spread::default(), |values| Spread::of(&values))
}
