//! Metrics of a run that has ended, computed again from its stored predictions: a metric that a
//! newer host knows comes to old runs without training. What was measured is never changed:
//! predictions that do not give the stored accuracies are refused.

use std::path::PathBuf;

use serde_json::Value;

use super::{Row, Scored, StreamFacts, accuracy_row, curve_of, summarise};
use crate::metrics::AccuracyMatrix;
use crate::run::{
    After, Anytime, Metrics, Outcome, Predictions, RunError, RunFolder, ScenarioSummary, Summary,
};
use crate::stream::Scenario;

/// A summary with its metrics computed again.
#[derive(Debug)]
pub struct Recomputed {
    pub summary: Summary,
    pub changes: Vec<Change>,
}

/// A metric that has another value than the summary had.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub view: String,
    pub scenario: String,
    pub metric: String,
    /// `null` for one that was undefined or not known.
    pub before: Value,
    pub after: Value,
}

/// Why the metrics of a run were not computed again.
#[derive(Debug, thiserror::Error)]
pub enum RecomputeError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("{} did not finish: only metrics of finished runs are computed again", .0.display())]
    NotFinished(PathBuf),
    #[error("{}: the summary names an unknown scenario, `{found}`", .path.display())]
    Scenario { path: PathBuf, found: String },
    #[error(
        "{}: the stored predictions of view `{view}` do not give row {row} of its {scenario} \
         matrix; predictions or summary.json were edited",
        .path.display()
    )]
    Differs { path: PathBuf, view: String, scenario: String, row: String },
}

/// Computes the metrics of a finished run again. Nothing is written.
pub fn recompute(folder: &RunFolder) -> Result<Recomputed, RecomputeError> {
    let path = || folder.path().to_owned();
    let finished = |summary: &Summary| summary.outcome == Outcome::Finished;
    let before = folder.summary()?.filter(finished);
    let before = before.ok_or_else(|| RecomputeError::NotFinished(path()))?;
    let trained_in = scenario(&before.scenario, folder)?;
    let anytime = anytime(folder, &before)?;
    let mut summary = before.clone();
    let mut changes = Vec::new();
    for view in &mut summary.views {
        let anytime = anytime.as_ref();
        let stored = Stored { folder, summary: &before, view: &view.view, anytime };
        for scores in &mut view.scenarios {
            let metrics = stored.metrics(trained_in, scores)?;
            changes.extend(differences(&view.view, &scores.scenario, &scores.metrics, &metrics));
            scores.metrics = metrics;
        }
    }
    Ok(Recomputed { summary, changes })
}

/// What was scored between boundaries, which must be there where the summary says so.
fn anytime(folder: &RunFolder, summary: &Summary) -> Result<Option<Anytime>, RunError> {
    let found = folder.anytime()?;
    let points = found.as_ref().map(|anytime| anytime.steps.len() as u64);
    let expected = summary.anytime.as_ref().map(|anytime| anytime.points);
    if points == expected {
        return Ok(found);
    }
    let text = |points: Option<u64>| points.map_or("none".into(), |points| points.to_string());
    let reason = format!(
        "it has points of accuracy between boundaries: {}, the summary expects: {};          anytime.safetensors or summary.json were edited or removed",
        text(points),
        text(expected)
    );
    Err(RunError::Damaged { path: folder.path().to_owned(), reason })
}

/// The predictions of a view, and the summary they must agree with.
struct Stored<'a> {
    folder: &'a RunFolder,
    summary: &'a Summary,
    view: &'a str,
    anytime: Option<&'a Anytime>,
}

impl Stored<'_> {
    fn metrics(
        &self,
        trained_in: Scenario,
        scores: &ScenarioSummary,
    ) -> Result<Metrics, RecomputeError> {
        let scenario = scenario(&scores.scenario, self.folder)?;
        self.row(After::Initial, scenario, &scores.initial)?;
        let mut last = None;
        for (index, row) in scores.matrix.iter().enumerate() {
            let after = match &self.summary.scored_after_steps {
                None => After::Experience(index),
                Some(steps) => After::Step(steps.get(index).copied().unwrap_or_default()),
            };
            last = self.row(after, scenario, row)?;
        }
        let classes = last.as_ref().map(classes_of).unwrap_or_default();
        let matrix =
            AccuracyMatrix { initial: scores.initial.clone(), rows: scores.matrix.clone() };
        let facts = StreamFacts { trained_in, classes };
        let place = (self.view, scores.scenario.as_str());
        let curve = self.anytime.and_then(|anytime| curve_of(anytime, place, &scores.matrix));
        let (last, curve) = (last.as_ref(), curve.as_ref());
        Ok(summarise(&facts, Scored { scenario, matrix, last, curve }).metrics)
    }

    /// The predictions behind a row, which must give it. A row without any score has none.
    fn row(
        &self,
        after: After,
        scenario: Scenario,
        expected: &Row,
    ) -> Result<Option<Predictions>, RecomputeError> {
        if expected.iter().all(Option::is_none) {
            return Ok(None);
        }
        let predictions = self.folder.predictions(after, self.view)?;
        let of_stream = |experience: &u16| usize::from(*experience) < expected.len();
        let fits = predictions.experience.iter().all(of_stream)
            && accuracy_row(&predictions, scenario, expected.len()) == *expected;
        match fits {
            true => Ok(Some(predictions)),
            false => Err(RecomputeError::Differs {
                path: self.folder.path().to_owned(),
                view: self.view.to_owned(),
                scenario: scenario.to_string(),
                row: match after {
                    After::Initial => "initial".into(),
                    After::Experience(index) => index.to_string(),
                    After::Step(step) => format!("after step {step}"),
                },
            }),
        }
    }
}

/// Classes of each experience: those of its test samples, of which every class has some.
fn classes_of(predictions: &Predictions) -> Vec<Vec<u32>> {
    let experiences = predictions.experience.iter().map(|e| usize::from(*e) + 1).max();
    let mut classes = vec![std::collections::BTreeSet::new(); experiences.unwrap_or(0)];
    for (experience, label) in predictions.experience.iter().zip(&predictions.label) {
        classes[usize::from(*experience)].insert(u32::from(*label));
    }
    classes.into_iter().map(|classes| classes.into_iter().collect()).collect()
}

fn scenario(name: &str, folder: &RunFolder) -> Result<Scenario, RecomputeError> {
    serde_json::from_value(Value::String(name.to_owned())).map_err(|_| RecomputeError::Scenario {
        path: folder.path().to_owned(),
        found: name.to_owned(),
    })
}

/// Metrics by name in which two values differ.
fn differences(view: &str, scenario: &str, before: &Metrics, after: &Metrics) -> Vec<Change> {
    let value = |metrics: &Metrics| serde_json::to_value(metrics).expect("plain numbers");
    let (before, after) = (value(before), value(after));
    let names = after.as_object().into_iter().flatten();
    let change = |(metric, after): (&String, &Value)| {
        let before = &before[metric];
        (before != after).then(|| Change {
            view: view.to_owned(),
            scenario: scenario.to_owned(),
            metric: metric.clone(),
            before: before.clone(),
            after: after.clone(),
        })
    };
    names.filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::plan;
    use crate::run::{AnytimeCurve, AnytimeSummary, Resources, ViewSummary};
    use perdura_abi::message::ViewNeeds;

    /// Two experiences of a class each; accuracies 1, then 0.5 on both.
    fn run(out: &std::path::Path) -> RunFolder {
        let plan = plan("perdura/er", 0);
        let folder = RunFolder::create(out, &plan).unwrap();
        let predictions = |class: [u16; 4]| Predictions {
            sample: vec![0, 1, 2, 3],
            experience: vec![0, 0, 1, 1],
            label: vec![0, 0, 1, 1],
            class: class.to_vec(),
            task_class: vec![0, 0, 1, 1],
            top_probability: vec![1.0; 4],
            true_log_probability: vec![-0.5, -1.0, -1.5, -1.0],
        };
        folder.write_predictions(After::Initial, "main", &predictions([1, 1, 0, 0])).unwrap();
        folder.write_predictions(After::Experience(0), "main", &predictions([0, 0, 0, 0])).unwrap();
        folder.write_predictions(After::Experience(1), "main", &predictions([0, 1, 0, 1])).unwrap();
        let scores = ScenarioSummary {
            scenario: "class-il".into(),
            initial: vec![Some(0.0), Some(0.0)],
            matrix: vec![vec![Some(1.0), Some(0.0)], vec![Some(0.5), Some(0.5)]],
            metrics: Metrics { average_accuracy: Some(0.5), ..Metrics::default() },
        };
        let (needs, scenarios) = (ViewNeeds::Nothing, vec![scores]);
        let view = ViewSummary { view: "main".into(), needs, upper_bound: false, scenarios };
        let summary = Summary { views: vec![view], ..Summary::empty(&plan, Outcome::Finished) };
        folder.finish(&summary, &Resources { format: 1, ..Resources::default() }).unwrap();
        folder
    }

    #[test]
    fn metrics_come_to_an_old_run() {
        let out = tempfile::tempdir().unwrap();
        let found = recompute(&run(out.path())).unwrap();
        let metrics = &found.summary.views[0].scenarios[0].metrics;
        // (0.5 + 1 + 1.5 + 1) / 4; half of the predictions name either class; 1 - 0.5.
        assert_eq!(metrics.negative_log_likelihood, Some(1.0));
        assert_eq!(metrics.task_recency, Some(vec![0.5, 0.5]));
        assert_eq!(
            (metrics.average_accuracy, metrics.forgetting_from_peak),
            (Some(0.5), Some(0.5))
        );
        let change = found.changes.iter().find(|c| c.metric == "negative_log_likelihood").unwrap();
        assert_eq!((&change.before, &change.after), (&Value::Null, &1.0.into()));
        assert!(found.changes.iter().all(|change| change.metric != "average_accuracy"));
    }

    #[test]
    fn predictions_that_do_not_give_the_matrix_are_refused() {
        let out = tempfile::tempdir().unwrap();
        let folder = run(out.path());
        let mut predictions = folder.predictions(After::Experience(1), "main").unwrap();
        predictions.class[0] = 1;
        folder.write_predictions(After::Experience(1), "main", &predictions).unwrap();
        let error = recompute(&folder).unwrap_err().to_string();
        assert!(error.contains("do not give row 1 of its class-il matrix"), "{error}");
        predictions.experience[0] = 9;
        folder.write_predictions(After::Experience(1), "main", &predictions).unwrap();
        assert!(matches!(recompute(&folder), Err(RecomputeError::Differs { .. })));
    }

    #[test]
    fn metrics_between_boundaries_come_from_their_file() {
        let out = tempfile::tempdir().unwrap();
        let folder = run(out.path());
        let mut summary = folder.summary().unwrap().unwrap();
        summary.anytime = Some(AnytimeSummary { every: 10, points: 2, fault: None });
        folder.rewrite_summary(&summary).unwrap();
        let error = recompute(&folder).unwrap_err().to_string();
        assert!(error.contains("boundaries: none, the summary expects: 2"), "{error}");

        let curve = AnytimeCurve {
            view: "main".into(),
            scenario: "class-il".into(),
            right: vec![vec![Some(1), None], vec![Some(0), Some(1)]],
        };
        let anytime = Anytime {
            every: 10,
            ends: vec![15, 30],
            samples: vec![2, 2],
            steps: vec![10, 20],
            curves: vec![curve],
        };
        folder.write_anytime(&anytime).unwrap();
        let found = recompute(&folder).unwrap();
        let metrics = &found.summary.views[0].scenarios[0].metrics;
        // Rows (1, 0) at 15 and (0.5, 0.5) at 30, points (0.5, -) at 10 and (0, 0.5) at 20.
        assert_eq!(metrics.minimum_accuracy, Some(0.0));
        assert_eq!(metrics.worst_case_accuracy, Some(0.25));
        assert_eq!((metrics.accuracy_after_switch, metrics.stability_gap), (Some(0.0), Some(1.0)));
        // (0.5 + 0.25 + 0.5) / 3 at 10, 20 and 30.
        assert_eq!(metrics.average_anytime_accuracy, Some(1.25 / 3.0));
    }

    #[test]
    fn a_run_that_did_not_finish_is_refused() {
        let out = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(out.path(), &plan("perdura/er", 0)).unwrap();
        let error = recompute(&folder).unwrap_err().to_string();
        assert!(error.contains("did not finish"), "{error}");
    }
}
