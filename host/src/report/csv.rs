//! Every number of the runs, one per line (tidy data), as RFC 4180 has it. A number that is
//! undefined has no line.

use super::{ReportRun, Section};
use crate::compare::RunRecord;
use crate::run::{Anytime, Metrics, ScenarioSummary, Summary, ViewSummary, memory_text};

const HEADER: [&str; 13] = [
    "benchmark",
    "memory",
    "method",
    "arm",
    "seed",
    "status",
    "view",
    "needs",
    "scenario",
    "metric",
    "after",
    "experience",
    "value",
];

/// Where a number belongs: the columns behind `status` and before `value`.
#[derive(Clone, Default)]
struct Place {
    view: String,
    needs: String,
    scenario: String,
    metric: String,
    after: String,
    experience: String,
}

/// A line per number: metrics, the accuracy matrix (`after` is the experience or step after which,
/// or `initial`; `experience` the one tested), accuracies between boundaries (`anytime_accuracy`,
/// `after` is the step), and what the run took. Each run comes once.
pub fn csv(sections: &[Section]) -> String {
    let mut text = line(HEADER);
    let mut seen = std::collections::BTreeSet::new();
    for section in sections {
        for ReportRun { folder, record, anytime, .. } in &section.runs {
            if seen.insert(folder) {
                let mut say = |place, value| text += &row(record, place, value);
                run(record, &mut say);
                anytime.iter().for_each(|anytime| between(anytime, &mut say));
            }
        }
    }
    text
}

fn row(record: &RunRecord, place: Place, value: f64) -> String {
    let plan = &record.plan;
    line([
        plan.benchmark.as_str(),
        &memory_text(plan.memory),
        &plan.method,
        plan.arm(),
        &plan.seed.to_string(),
        record.status(),
        &place.view,
        &place.needs,
        &place.scenario,
        &place.metric,
        &place.after,
        &place.experience,
        &value.to_string(),
    ])
}

fn run(record: &RunRecord, say: &mut dyn FnMut(Place, f64)) {
    if let Some(summary) = &record.summary {
        for view in &summary.views {
            for scores in &view.scenarios {
                scenario(summary, view, scores, say);
            }
        }
        let mut whole = |metric: &str, value: u64| {
            say(Place { metric: metric.into(), ..Place::default() }, value as f64);
        };
        whole("steps", summary.steps);
        whole("memory_bytes", summary.memory_bytes);
        whole("state_bytes", summary.state_bytes);
        summary.claimed_bytes.iter().for_each(|(k, v)| whole(&format!("claimed_bytes.{k}"), *v));
    }
    if let Some(resources) = &record.resources {
        let mut whole = |metric: &str, value: f64| {
            say(Place { metric: metric.into(), ..Place::default() }, value);
        };
        whole("seconds", resources.seconds);
        whole("cpu_seconds", resources.cpu_seconds);
        resources.learner_cpu_seconds.iter().for_each(|s| whole("learner_cpu_seconds", *s));
        if let Some(bytes) = resources.peak_pss_bytes {
            whole("peak_pss_bytes", bytes as f64);
        }
        resources.ledger.iter().for_each(|(k, v)| whole(&format!("ledger_seconds.{k}"), *v));
        for (experience, speed) in resources.steps_per_second.iter().enumerate() {
            if let Some(speed) = speed {
                let (metric, experience) = ("steps_per_second".into(), experience.to_string());
                say(Place { metric, experience, ..Place::default() }, *speed);
            }
        }
    }
}

fn scenario(
    summary: &Summary,
    view: &ViewSummary,
    scores: &ScenarioSummary,
    say: &mut dyn FnMut(Place, f64),
) {
    let needs = serde_json::to_value(view.needs).ok();
    let of_view = Place {
        view: view.view.clone(),
        needs: needs.and_then(|n| n.as_str().map(str::to_owned)).unwrap_or_default(),
        scenario: scores.scenario.clone(),
        ..Place::default()
    };
    for (metric, value) in metrics(&scores.metrics) {
        say(Place { metric, ..of_view.clone() }, value);
    }
    let steps = summary.scored_after_steps.as_deref();
    let rows = scores.matrix.iter().enumerate().map(|(index, row)| {
        let after = steps.and_then(|steps| steps.get(index)).map_or(index as u64, |step| *step);
        (after.to_string(), row)
    });
    let initial = std::iter::once(("initial".to_owned(), &scores.initial));
    for (after, row) in initial.chain(rows) {
        for (experience, value) in row.iter().enumerate() {
            if let Some(value) = value {
                let (metric, experience) = ("accuracy".into(), experience.to_string());
                let after = after.clone();
                say(Place { metric, after, experience, ..of_view.clone() }, *value);
            }
        }
    }
}

/// Accuracies between boundaries.
fn between(anytime: &Anytime, say: &mut dyn FnMut(Place, f64)) {
    for curve in &anytime.curves {
        for (step, row) in anytime.steps.iter().zip(anytime.accuracies(curve)) {
            for (experience, value) in row.iter().enumerate() {
                let Some(value) = value else { continue };
                let place = Place {
                    view: curve.view.clone(),
                    scenario: curve.scenario.clone(),
                    metric: "anytime_accuracy".into(),
                    after: step.to_string(),
                    experience: experience.to_string(),
                    ..Place::default()
                };
                say(place, *value);
            }
        }
    }
}

/// The metrics that are one number and defined, by their names in `summary.json`.
fn metrics(metrics: &Metrics) -> Vec<(String, f64)> {
    let value = serde_json::to_value(metrics).expect("metrics are plain numbers");
    let fields = value.as_object().into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect()
}

fn line<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|cell| quoted(cell.as_ref())).collect();
    cells.join(",") + "\n"
}

fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}
