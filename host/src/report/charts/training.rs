//! What learners said of their training: their scalars, as means over each epoch.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Chart, Drawing, quantity, slug, tooltip};
use crate::run::EventKind;

/// Scalars that more methods report come first; further ones are left to `events.jsonl`.
const SCALARS_MAX: usize = 6;

/// One panel per scalar.
pub fn charts(drawing: &Drawing<'_>) -> Option<Chart> {
    // By scalar, method and time: the values of runs.
    let mut values: BTreeMap<(String, String), BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
    for run in &drawing.section.runs {
        let method = drawing.names.short(run.record.plan.arm()).to_owned();
        let epochs = u64::from(run.record.plan.stream.epochs).max(1);
        for event in &run.events {
            let EventKind::EpochEnded { experience, epoch, scalars, .. } = &event.what else {
                continue;
            };
            let at = u64::from(*experience) * epochs + u64::from(*epoch) + 1;
            for (scalar, value) in scalars.iter().filter_map(|(k, v)| Some((k, (*v)?))) {
                let curve = values.entry((scalar.clone(), method.clone())).or_default();
                curve.entry(at).or_default().push(value);
            }
        }
    }
    let mut reported: BTreeMap<&str, usize> = BTreeMap::new();
    values.keys().for_each(|(scalar, _)| *reported.entry(scalar).or_default() += 1);
    let mut scalars: Vec<&str> = reported.keys().copied().collect();
    scalars.sort_by_key(|scalar| std::cmp::Reverse(reported[scalar]));
    scalars.truncate(SCALARS_MAX);
    let mut data = Vec::new();
    for ((scalar, method), curve) in values.iter().filter(|(k, _)| scalars.contains(&k.0.as_str()))
    {
        data.extend(curve.iter().map(|(epoch, values)| {
            let mean = crate::stats::mean(values);
            json!({ "scalar": scalar, "method": method, "epoch": epoch, "value": mean,
                "n": values.len() })
        }));
    }
    let hint = [
        ("method", "method"),
        ("scalar", "scalar"),
        ("epoch", "epoch"),
        ("value", "mean"),
        ("n", "runs"),
    ];
    let mut y = quantity("value", "");
    y["title"] = serde_json::Value::Null;
    let spec = json!({
        "data": { "values": data },
        "facet": { "field": "scalar", "type": "nominal", "title": null, "sort": scalars },
        "columns": 3,
        "spec": {
            "width": 280, "height": 170,
            "encoding": {
                "x": { "field": "epoch", "type": "quantitative",
                       "title": "epochs, over all experiences", "axis": { "tickMinStep": 1, "format": "d" } },
                "y": y,
                "color": drawing.color(),
            },
            "layer": [
                { "mark": { "type": "line", "strokeWidth": 1.5 } },
                { "mark": { "type": "point", "filled": true, "size": 18, "opacity": 1 },
                  "encoding": { "tooltip": tooltip(&hint) } },
            ],
        },
        "resolve": { "scale": { "y": "independent" } },
    });
    (!data.is_empty()).then(|| Chart {
        name: slug(&format!("{} training", drawing.section.title())),
        title: "Training".into(),
        caption: "Scalars that learners report, as means over each epoch and over seeds.".into(),
        spec,
        wide: true,
    })
}
