//! What it took: time by activity.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Chart, Drawing, slug, tooltip};

/// Mean seconds of each activity, stacked.
pub fn charts(drawing: &Drawing<'_>) -> Option<Chart> {
    let mut data = Vec::new();
    for (name, method) in drawing.named() {
        let ledgers: Vec<&BTreeMap<String, f64>> = method
            .runs
            .iter()
            .filter(|run| run.finished().is_some())
            .filter_map(|run| Some(&run.resources.as_ref()?.ledger))
            .collect();
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        for (activity, seconds) in ledgers.iter().flat_map(|ledger| ledger.iter()) {
            *sums.entry(activity).or_default() += seconds;
        }
        data.extend(sums.into_iter().map(|(activity, sum)| {
            let seconds = sum / ledgers.len() as f64;
            json!({ "method": name, "activity": activity,
                "seconds": (seconds * 1e3).round() / 1e3 })
        }));
    }
    let hint = [("method", "method"), ("activity", "activity"), ("seconds", "seconds")];
    let spec = json!({
        "width": "container", "height": 26 * drawing.methods.len(),
        "data": { "values": data },
        "mark": "bar",
        "encoding": {
            "y": { "field": "method", "type": "nominal", "title": null, "sort": null },
            "x": { "field": "seconds", "type": "quantitative", "title": "seconds, mean over runs" },
            "color": { "field": "activity", "type": "nominal", "title": null,
                       "scale": { "scheme": "tableau10" } },
            "order": { "field": "activity" },
            "tooltip": tooltip(&hint),
        },
    });
    (!data.is_empty()).then(|| Chart {
        name: slug(&format!("{} time", drawing.section.title())),
        title: "Where the time went".into(),
        caption: "By the host's clock; parts that a learner tells of its steps are called \
                  `learner.<part>`; `evaluation` includes the throw-away instances."
            .into(),
        spec,
        wide: true,
    })
}
