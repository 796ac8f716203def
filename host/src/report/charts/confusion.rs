//! What is taken for what at the end, from the stored predictions of the headline view.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Chart, Drawing, places, slug, tooltip};
use crate::run::{ABSENT_CLASS, After, Outcome, Predictions, RunFolder};

/// Benchmarks with more classes have a picture that says nothing.
const CLASSES_MAX: usize = 20;

/// Counts of (true, predicted) classes of one method.
type Counts = BTreeMap<(u16, u16), u64>;

pub fn charts(drawing: &Drawing<'_>) -> Option<Chart> {
    let mut data = Vec::new();
    for (name, method) in drawing.named() {
        let Some(view) = method.headline().map(|view| view.view.clone()) else { continue };
        let mut counts = Counts::new();
        let own = drawing.section.runs.iter().filter(|run| run.record.plan.arm() == method.method);
        for predictions in own.filter_map(|run| last_predictions(run, &view)) {
            count(&predictions, &mut counts);
        }
        if counts.keys().any(|(truth, class)| usize::from(*truth.max(class)) >= CLASSES_MAX) {
            return None;
        }
        data.extend(shares(&counts).into_iter().map(|(truth, class, share)| {
            let share = (share * 1e3).round() / 10.0;
            json!({ "method": name, "true": truth, "predicted": class, "share": share })
        }));
    }
    let hint = [
        ("method", "method"),
        ("true", "true class"),
        ("predicted", "predicted"),
        ("share", "share, %"),
    ];
    let spec = json!({
        "data": { "values": data },
        "facet": { "field": "method", "type": "nominal", "title": null, "sort": null },
        "columns": 4,
        "spec": {
            "width": { "step": 18 }, "height": { "step": 18 },
            "mark": "rect",
            "encoding": {
                "x": places("predicted", "predicted"),
                "y": { "field": "true", "type": "ordinal" },
                "color": { "field": "share", "type": "quantitative", "title": "share, %",
                           "scale": { "scheme": "viridis", "domain": [0, 100] } },
                "tooltip": tooltip(&hint),
            },
        },
    });
    (!data.is_empty()).then(|| Chart {
        name: slug(&format!("{} confusion", drawing.section.title())),
        title: "What is taken for what".into(),
        caption: "Shares of the predictions for each true class at the end, all seeds together; \
                  classes by their place in the class order."
            .into(),
        spec,
        wide: true,
    })
}

/// The predictions behind the last row of the matrix, where they are kept and readable.
fn last_predictions(run: &super::super::ReportRun, view: &str) -> Option<Predictions> {
    let summary = run.record.summary.as_ref()?;
    if summary.outcome != Outcome::Finished || summary.scenario == "task-il" {
        return None;
    }
    let after = match &summary.scored_after_steps {
        Some(steps) => After::Step(*steps.last()?),
        None => {
            let view = summary.views.iter().find(|known| known.view == view)?;
            After::Experience(view.scenarios.first()?.matrix.len().checked_sub(1)?)
        }
    };
    RunFolder::open(&run.folder).ok()?.predictions(after, view).ok()
}

/// The share of each prediction among those of a true class, zeros included.
fn shares(counts: &Counts) -> Vec<(u16, u16, f64)> {
    let mut totals: BTreeMap<u16, u64> = BTreeMap::new();
    counts.iter().for_each(|((truth, _), n)| *totals.entry(*truth).or_default() += n);
    let classes = counts.keys().map(|(truth, class)| truth.max(class) + 1).max().unwrap_or(0);
    let share = |truth: u16, total: u64| {
        (0..classes).map(move |class| {
            let n = counts.get(&(truth, class)).copied().unwrap_or(0);
            (truth, class, n as f64 / total as f64)
        })
    };
    totals.iter().flat_map(|(truth, total)| share(*truth, *total)).collect()
}

fn count(predictions: &Predictions, counts: &mut Counts) {
    for (truth, class) in predictions.label.iter().zip(&predictions.class) {
        if *class != ABSENT_CLASS {
            *counts.entry((*truth, *class)).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_a_true_class() {
        let predictions = Predictions {
            label: vec![0, 0, 0, 0, 1, 1],
            class: vec![0, 0, 0, 1, 1, ABSENT_CLASS],
            ..Predictions::default()
        };
        let mut counts = Counts::new();
        count(&predictions, &mut counts);
        assert_eq!(shares(&counts), [(0, 0, 0.75), (0, 1, 0.25), (1, 0, 0.0), (1, 1, 1.0)]);
    }
}
