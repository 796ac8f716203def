//! Numbers behind the charts: pure functions of the matrices of finished runs. What is undefined in
//! one run is left out of that run's series, and an interval says over how many runs it was taken.

use crate::compare::MethodRuns;
use crate::run::{ScenarioSummary, Summary};
use crate::stats::Spread;

/// Scores of the headline view of every finished run of a method.
pub fn headline_scores<'a>(
    method: &MethodRuns<'a>,
    scenario: &str,
) -> Vec<(u64, &'a Summary, &'a ScenarioSummary)> {
    let Some(view) = method.headline().map(|view| view.view.clone()) else { return Vec::new() };
    let scores = |run: &&'a crate::compare::RunRecord| {
        Some((run.plan.seed, run.finished()?, run.scores(&view, scenario)?))
    };
    method.runs.iter().filter_map(scores).collect()
}

/// A mean over runs with its interval, at a place such as an experience.
pub struct Point {
    pub at: u64,
    pub spread: Spread,
    pub runs: usize,
}

/// Accuracy over what has been trained so far, after each experience: `(1/i) sum_{j<=i} R[i][j]`.
/// On a stream without boundaries over all experiences, at steps. Places count experiences from 1.
pub fn accuracy_over_time(scores: &[(u64, &Summary, &ScenarioSummary)]) -> Vec<Point> {
    let curve = |(_, summary, scores): &(u64, &Summary, &ScenarioSummary)| {
        let steps = summary.scored_after_steps.as_deref();
        let rows = scores.matrix.iter().enumerate();
        let value = |(index, row): (usize, &Vec<Option<f64>>)| match steps {
            None => Some((index as u64 + 1, mean(&row[..row.len().min(index + 1)])?)),
            Some(steps) => Some((*steps.get(index)?, mean(row)?)),
        };
        rows.filter_map(value).collect::<Vec<(u64, f64)>>()
    };
    points(scores.iter().map(curve))
}

/// What is forgotten of each experience at the end: the best accuracy it ever had after its
/// training, minus the last, `max_{j<=i<=T} R[i][j] - R[T][j]`. Without the last experience.
pub fn forgetting(scores: &[(u64, &Summary, &ScenarioSummary)]) -> Vec<Point> {
    let of_run = |(_, summary, scores): &(u64, &Summary, &ScenarioSummary)| {
        // Rows that are points in time say nothing of when an experience was trained.
        if summary.scored_after_steps.is_some() || scores.matrix.is_empty() {
            return Vec::new();
        }
        let last = scores.matrix.len() - 1;
        let lost = |experience: usize| {
            let column = scores.matrix[experience..].iter().map(|row| *row.get(experience)?);
            let column: Option<Vec<f64>> = column.collect();
            let column = column?;
            let peak = column.iter().copied().reduce(f64::max)?;
            Some((experience as u64 + 1, peak - column.last()?))
        };
        (0..last).filter_map(lost).collect::<Vec<(u64, f64)>>()
    };
    points(scores.iter().map(of_run))
}

/// Plasticity and stability of one run: the mean accuracy on each experience right after its
/// training, and the mean accuracy at the end on all but the last. Source: Sarfraz et al. 2022,
/// "SYNERgy between SYNaptic consolidation and Experience Replay".
pub fn plasticity_and_stability(summary: &Summary, scores: &ScenarioSummary) -> Option<(f64, f64)> {
    if summary.scored_after_steps.is_some() {
        return None;
    }
    let (last, earlier) = scores.matrix.split_last()?;
    let diagonal: Vec<Option<f64>> =
        scores.matrix.iter().enumerate().map(|(index, row)| *row.get(index)?).collect();
    Some((mean(&diagonal)?, mean(last.get(..earlier.len())?)?))
}

/// The matrix of means over runs; an entry that is undefined in one run is undefined.
pub fn mean_matrix(matrices: &[&Vec<Vec<Option<f64>>>]) -> Vec<Vec<Option<f64>>> {
    let Some(first) = matrices.first() else { return Vec::new() };
    let entry = |i: usize, j: usize| {
        let values: Vec<Option<f64>> = matrices.iter().map(|m| *m.get(i)?.get(j)?).collect();
        mean(&values)
    };
    first.iter().enumerate().map(|(i, row)| (0..row.len()).map(|j| entry(i, j)).collect()).collect()
}

/// Mean of some values; `None` without any or where one is undefined.
fn mean(values: &[Option<f64>]) -> Option<f64> {
    let values: Option<Vec<f64>> = values.iter().copied().collect();
    crate::stats::mean(&values?)
}

/// Runs side by side, place by place, in order.
pub fn points(curves: impl Iterator<Item = Vec<(u64, f64)>>) -> Vec<Point> {
    let mut places: std::collections::BTreeMap<u64, Vec<f64>> = Default::default();
    for (at, value) in curves.flatten() {
        places.entry(at).or_default().push(value);
    }
    let point = |(at, values): (u64, Vec<f64>)| Point {
        at,
        spread: Spread::of(&values),
        runs: values.len(),
    };
    places.into_iter().map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::plan;
    use crate::run::{Metrics, Outcome};

    fn summary() -> Summary {
        Summary::empty(&plan("perdura/er", 0), Outcome::Finished)
    }

    fn scores(matrix: Vec<Vec<Option<f64>>>) -> ScenarioSummary {
        ScenarioSummary {
            scenario: "class-il".into(),
            initial: Vec::new(),
            matrix,
            metrics: Metrics::default(),
        }
    }

    /// Three experiences.
    fn three() -> ScenarioSummary {
        let rows = [[1.0, 0.5, 0.25], [0.75, 0.875, 0.5], [0.5, 1.0, 0.75]];
        scores(rows.map(|row| row.map(Some).to_vec()).to_vec())
    }

    fn pairs(points: &[Point]) -> Vec<(u64, f64)> {
        points.iter().map(|p| (p.at, p.spread.mean.unwrap())).collect()
    }

    #[test]
    fn curves_by_hand() {
        let (summary, scores) = (summary(), three());
        let runs = [(0, &summary, &scores)];
        // 1; (0.75 + 0.875) / 2; (0.5 + 1 + 0.75) / 3.
        assert_eq!(pairs(&accuracy_over_time(&runs)), [(1, 1.0), (2, 0.8125), (3, 0.75)]);
        // Peaks 1 and 1, last 0.5 and 1.
        assert_eq!(pairs(&forgetting(&runs)), [(1, 0.5), (2, 0.0)]);
        // (1 + 0.875 + 0.75) / 3; (0.5 + 1) / 2.
        assert_eq!(plasticity_and_stability(&summary, &scores), Some((0.875, 0.75)));
    }

    #[test]
    fn a_union_has_its_last_point_alone() {
        let mut scores = three();
        scores.matrix[..2].iter_mut().for_each(|row| row.fill(None));
        let summary = summary();
        let runs = [(0, &summary, &scores)];
        assert_eq!(pairs(&accuracy_over_time(&runs)), [(3, 0.75)]);
        assert!(forgetting(&runs).is_empty());
        assert_eq!(plasticity_and_stability(&summary, &scores), None);
    }

    #[test]
    fn points_in_time_are_steps_over_all_experiences() {
        let scores = scores(vec![vec![Some(0.25), Some(0.75)], vec![Some(1.0), Some(0.5)]]);
        let summary = Summary { scored_after_steps: Some(vec![40, 80]), ..summary() };
        let runs = [(0, &summary, &scores)];
        assert_eq!(pairs(&accuracy_over_time(&runs)), [(40, 0.5), (80, 0.75)]);
        assert!(forgetting(&runs).is_empty());
        assert_eq!(plasticity_and_stability(&summary, &scores), None);
    }

    #[test]
    fn means_over_runs_are_entry_by_entry() {
        let (mut a, b) = (three().matrix, vec![vec![Some(0.5); 3]; 3]);
        a[0][2] = None;
        let mean = mean_matrix(&[&a, &b]);
        assert_eq!((mean[0][0], mean[0][2], mean[2][2]), (Some(0.75), None, Some(0.625)));
        assert!(mean_matrix(&[]).is_empty());
    }
}
