//! From predictions to accuracies and metrics. Pure functions of what is stored.

use perdura_abi::message::{View, ViewNeeds};

use crate::metrics::{self, AccuracyCurve, AccuracyMatrix, CurvePoint, Prediction};
use crate::run::{ABSENT_CLASS, Anytime, Metrics, Predictions, ScenarioSummary};
use crate::stream::{Benchmark, Scenario};

/// Accuracy on each experience.
pub type Row = Vec<Option<f64>>;

/// What of a stream the metrics depend on.
pub struct StreamFacts {
    /// Scenario of the training.
    pub trained_in: Scenario,
    /// Labels of each experience.
    pub classes: Vec<Vec<u32>>,
}

impl StreamFacts {
    pub fn of(benchmark: &Benchmark) -> StreamFacts {
        let classes = benchmark.experiences.iter().map(|e| e.classes.clone()).collect();
        StreamFacts { trained_in: benchmark.scenario, classes }
    }
}

/// Scenarios in which a view is scored: a view that needs nothing gives Class-IL and, by masking
/// the logits of other experiences, Task-IL from the same run.
pub fn scenarios_of(benchmark: &Benchmark, view: &View) -> Vec<Scenario> {
    match (benchmark.scenario, view.needs) {
        (_, ViewNeeds::TaskLabel) => vec![Scenario::TaskIl],
        (Scenario::ClassIl | Scenario::TaskIl, _) => vec![Scenario::ClassIl, Scenario::TaskIl],
        (scenario, _) => vec![scenario],
    }
}

fn predicted(predictions: &Predictions, scenario: Scenario, row: usize) -> Option<u16> {
    let class = match scenario {
        Scenario::TaskIl => predictions.task_class[row],
        _ => predictions.class[row],
    };
    (class != ABSENT_CLASS).then_some(class)
}

/// Right predictions and all predictions on each experience.
fn counts(p: &Predictions, scenario: Scenario, experiences: usize) -> (Vec<u32>, Vec<u32>) {
    let (mut right, mut total) = (vec![0; experiences], vec![0; experiences]);
    for row in 0..p.label.len() {
        if let Some(class) = predicted(p, scenario, row) {
            let experience = usize::from(p.experience[row]);
            total[experience] += 1;
            right[experience] += u32::from(class == p.label[row]);
        }
    }
    (right, total)
}

/// Share of right predictions per experience, by sample counts; `None` where there is no
/// prediction.
pub fn accuracy_row(predictions: &Predictions, scenario: Scenario, experiences: usize) -> Row {
    let (right, total) = counts(predictions, scenario, experiences);
    let share =
        |(right, total): (u32, u32)| (total > 0).then(|| f64::from(right) / f64::from(total));
    right.into_iter().zip(total).map(share).collect()
}

/// Number of right predictions per experience; `None` where there is no prediction.
pub fn right_row(
    predictions: &Predictions,
    scenario: Scenario,
    experiences: usize,
) -> Vec<Option<u32>> {
    let (right, total) = counts(predictions, scenario, experiences);
    right.into_iter().zip(total).map(|(right, total)| (total > 0).then_some(right)).collect()
}

/// The points between boundaries and the rows of the matrix as one curve; `None` where there is no
/// such curve.
pub fn curve_of(
    anytime: &Anytime,
    (view, scenario): (&str, &str),
    rows: &[Row],
) -> Option<AccuracyCurve> {
    let between = anytime.accuracies(anytime.curve(view, scenario)?);
    let mut points: Vec<CurvePoint> = (anytime.steps.iter().zip(between))
        .chain(anytime.ends.iter().zip(rows.iter().cloned()))
        .map(|(step, accuracy)| CurvePoint { step: *step, accuracy })
        .collect();
    points.sort_by_key(|point| point.step);
    let (every, ends, experiences) = (anytime.every, anytime.ends.clone(), anytime.samples.len());
    Some(AccuracyCurve { every, ends, points, experiences })
}

/// What the scores of a view in a scenario are made from.
pub struct Scored<'a> {
    pub scenario: Scenario,
    pub matrix: AccuracyMatrix,
    /// The predictions behind the last row.
    pub last: Option<&'a Predictions>,
    /// What was scored between boundaries as well.
    pub curve: Option<&'a AccuracyCurve>,
}

/// The scores of one view in one scenario.
pub fn summarise(facts: &StreamFacts, scored: Scored<'_>) -> ScenarioSummary {
    let Scored { scenario, matrix, last, curve } = scored;
    // Without boundaries rows are points in time: what is defined by experiences is undefined.
    let without_boundaries = || Metrics {
        average_accuracy: metrics::final_accuracy(&matrix),
        average_incremental_accuracy: metrics::anytime_accuracy(&matrix),
        expected_calibration_error: last.and_then(|p| calibration(scenario, p)),
        negative_log_likelihood: last.and_then(|p| likelihood(scenario, p)),
        average_anytime_accuracy: metrics::anytime_accuracy(&matrix),
        ..Metrics::default()
    };
    let with_boundaries = || Metrics {
        average_accuracy: metrics::average_accuracy(&matrix),
        average_incremental_accuracy: metrics::average_incremental_accuracy(&matrix),
        backward_transfer: metrics::backward_transfer(&matrix),
        forward_transfer: metrics::forward_transfer(&matrix),
        forgetting_from_peak: metrics::forgetting_from_peak(&matrix),
        learning_accuracy: metrics::learning_accuracy(&matrix),
        task_recency: last.and_then(|p| recency(&facts.classes, scenario, p)),
        expected_calibration_error: last.and_then(|p| calibration(scenario, p)),
        negative_log_likelihood: last.and_then(|p| likelihood(scenario, p)),
        average_anytime_accuracy: curve.and_then(metrics::average_anytime_accuracy),
        minimum_accuracy: curve.and_then(metrics::minimum_accuracy),
        worst_case_accuracy: curve.and_then(metrics::worst_case_accuracy),
        accuracy_after_switch: curve.and_then(metrics::accuracy_after_switch),
        stability_gap: curve.and_then(metrics::stability_gap),
    };
    let metrics = match facts.trained_in {
        Scenario::TaskFree => without_boundaries(),
        _ => with_boundaries(),
    };
    let AccuracyMatrix { initial, rows: matrix } = matrix;
    ScenarioSummary { scenario: scenario.to_string(), initial, matrix, metrics }
}

fn recency(blocks: &[Vec<u32>], scenario: Scenario, p: &Predictions) -> Option<Vec<f64>> {
    if scenario != Scenario::ClassIl {
        return None;
    }
    metrics::task_recency(&records(p), blocks)
}

fn calibration(scenario: Scenario, p: &Predictions) -> Option<f64> {
    // The stored probability belongs to the prediction among all classes.
    if scenario == Scenario::TaskIl {
        return None;
    }
    let labels: Vec<u32> = p.label.iter().map(|&label| u32::from(label)).collect();
    metrics::expected_calibration_error(&records(p), &labels)
}

/// The stored logarithm is of the softmax over all classes, too.
fn likelihood(scenario: Scenario, p: &Predictions) -> Option<f64> {
    match scenario {
        Scenario::TaskIl => None,
        _ => metrics::negative_log_likelihood(&records(p)),
    }
}

fn records(p: &Predictions) -> Vec<Prediction> {
    let record = |row: usize| Prediction {
        class: u32::from(p.class[row]),
        task_class: u32::from(p.task_class[row]),
        top_probability: p.top_probability[row],
        true_log_probability: p.true_log_probability[row],
    };
    (0..p.label.len()).map(record).collect()
}
