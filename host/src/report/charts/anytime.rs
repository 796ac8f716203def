//! What scores between boundaries show: accuracy while training goes on, and how it falls at a switch.

use serde_json::{Value, json};

use super::super::{ReportRun, series};
use super::{Chart, Drawing, interval, quantity, slug, tooltip, with_interval};
use crate::metrics::AccuracyCurve;
use crate::score::curve_of;

/// One chart over all that was known, one over the first experience alone.
pub fn charts(drawing: &Drawing<'_>, scenario: &str) -> Vec<Chart> {
    let curves: Vec<(&str, Vec<AccuracyCurve>)> = drawing
        .named()
        .filter_map(|(name, method)| {
            let view = &method.headline()?.view;
            let own = |run: &&ReportRun| run.record.plan.arm() == method.method;
            let runs = drawing.section.runs.iter().filter(own);
            Some((name, runs.filter_map(|run| curve(run, view, scenario)).collect()))
        })
        .collect();
    let of_begun = |curve: &AccuracyCurve| curve.over_begun().collect::<Vec<_>>();
    let of_first = |curve: &AccuracyCurve| {
        let points = curve.points.iter();
        points.filter_map(|p| Some((p.step, (*p.accuracy.first()?)?))).collect::<Vec<_>>()
    };
    let begun = Kind {
        title: "Accuracy by step",
        caption: "Mean over the experiences that had begun, of snapshots that were scored while \
                  training went on and of the scores at boundaries (dashed); the band is the 95 % \
                  bootstrap interval over seeds.",
        values: &of_begun,
    };
    let first = Kind {
        title: "Accuracy on the first experience by step",
        caption: "How much of the first experience is left at each moment: where it falls right \
                  after a boundary (dashed) and comes back, there is a stability gap.",
        values: &of_first,
    };
    [begun, first].iter().filter_map(|kind| chart(drawing, scenario, kind, &curves)).collect()
}

struct Kind<'a> {
    title: &'a str,
    caption: &'a str,
    /// Steps and accuracies of one run.
    values: &'a dyn Fn(&AccuracyCurve) -> Vec<(u64, f64)>,
}

/// The curve of a finished run.
fn curve(run: &ReportRun, view: &str, scenario: &str) -> Option<AccuracyCurve> {
    let rows = &run.record.scores(view, scenario)?.matrix;
    curve_of(run.anytime.as_ref()?, (view, scenario), rows)
}

fn chart(
    drawing: &Drawing<'_>,
    scenario: &str,
    kind: &Kind<'_>,
    curves: &[(&str, Vec<AccuracyCurve>)],
) -> Option<Chart> {
    let mut data = Vec::new();
    for (name, curves) in curves {
        for point in series::points(curves.iter().map(kind.values)) {
            let datum = json!({ "method": name, "at": point.at, "n": point.runs });
            data.push(with_interval(datum, &point.spread));
        }
    }
    let mut ends: Vec<u64> =
        curves.iter().flat_map(|(_, curves)| curves).flat_map(|c| c.ends.clone()).collect();
    ends.sort_unstable();
    ends.dedup();
    let ends: Vec<Value> = ends.into_iter().map(|at| json!({ "at": at })).collect();
    let hint = [
        ("method", "method"),
        ("at", "steps"),
        ("mean", "mean, %"),
        ("low", "95 % from"),
        ("high", "95 % to"),
        ("n", "seeds"),
    ];
    let x = json!({ "field": "at", "type": "quantitative", "title": "steps" });
    let y = quantity("mean", "accuracy, %");
    let spec = json!({
        "width": "container", "height": 280,
        "data": { "values": data },
        "encoding": { "x": x, "color": drawing.color() },
        "layer": [
            { "data": { "values": ends },
              "mark": { "type": "rule", "strokeDash": [4, 4], "opacity": 0.5 },
              "encoding": { "x": x, "color": { "value": "gray" } } },
            { "mark": { "type": "area", "opacity": 0.18 }, "encoding": interval() },
            { "mark": { "type": "line", "strokeWidth": 1.5 },
              "encoding": { "y": y, "strokeDash": drawing.dash() } },
            { "mark": { "type": "point", "filled": true, "size": 14, "opacity": 1 },
              "encoding": { "y": y, "shape": drawing.shape(), "tooltip": tooltip(&hint) } },
        ],
    });
    (!data.is_empty()).then(|| Chart {
        name: slug(&format!("{} {scenario} {}", drawing.section.title(), kind.title)),
        title: format!("{}, {scenario}", kind.title),
        caption: kind.caption.into(),
        spec,
        wide: true,
    })
}
