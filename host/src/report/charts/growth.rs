//! How learners grew: networks over time, groups of experiences, and similarities between them.

use perdura_abi::growth::GrowthEvent;
use serde_json::{Value, json};

use super::{Chart, Drawing, places, slug, tooltip};
use crate::run::LearnerEvent;

pub fn charts(drawing: &Drawing<'_>) -> Vec<Chart> {
    [networks(drawing), groups(drawing), similarities(drawing)].into_iter().flatten().collect()
}

/// Steps of a line per run.
fn networks(drawing: &Drawing<'_>) -> Option<Chart> {
    let mut data = Vec::new();
    for (name, method) in drawing.named() {
        for run in &method.runs {
            let Some(summary) = run.finished().filter(|s| !s.growth.is_empty()) else { continue };
            let datum = |step: u64, networks: u32| {
                json!({ "method": name, "seed": run.plan.seed,
                "step": step, "networks": networks })
            };
            data.extend(summary.growth.iter().map(|growth| datum(growth.step, growth.networks)));
            data.extend(summary.growth.last().map(|last| datum(summary.steps, last.networks)));
        }
    }
    let hint = [("method", "method"), ("seed", "seed"), ("step", "step"), ("networks", "networks")];
    let spec = json!({
        "width": "container", "height": 220,
        "data": { "values": data },
        "mark": { "type": "line", "interpolate": "step-after", "point": true, "opacity": 0.7 },
        "encoding": {
            "x": { "field": "step", "type": "quantitative" },
            "y": { "field": "networks", "type": "quantitative",
                   "axis": { "tickMinStep": 1, "format": "d" } },
            "color": drawing.color(), "detail": { "field": "seed", "type": "nominal" },
            "tooltip": tooltip(&hint),
        },
    });
    let caption = "Networks of each run over its steps.";
    (!data.is_empty()).then(|| chart(drawing, "Growth", caption, spec))
}

/// The group of each experience, a row per run.
fn groups(drawing: &Drawing<'_>) -> Option<Chart> {
    let (mut data, mut runs) = (Vec::new(), 0);
    for (name, method) in drawing.named() {
        for run in &method.runs {
            let Some(grouping) = run.finished().and_then(|s| s.grouping.as_ref()) else { continue };
            runs += 1;
            let index = grouping.ari.map_or("-".into(), |ari| format!("{ari:.2}"));
            for (experience, group) in grouping.of_experience.iter().enumerate() {
                let run = format!("{name}, seed {}", run.plan.seed);
                data.push(json!({ "run": run, "experience": experience + 1, "group": group,
                    "index": index }));
            }
        }
    }
    let hint = [
        ("run", "run"),
        ("experience", "experience"),
        ("group", "group"),
        ("index", "adjusted Rand index"),
    ];
    let spec = json!({
        "width": "container", "height": 24 * runs,
        "data": { "values": data },
        "encoding": {
            "x": places("experience", "experience"),
            "y": { "field": "run", "type": "nominal", "title": null, "sort": null },
            "tooltip": tooltip(&hint),
        },
        "layer": [
            { "mark": "rect", "encoding": { "color": { "field": "group", "type": "nominal",
                "legend": null } } },
            { "mark": { "type": "text", "color": "#111" },
              "encoding": { "text": { "field": "group", "type": "nominal" } } },
        ],
    });
    let caption = "The group in which each experience ended; numbers are the learner's own names.";
    (!data.is_empty()).then(|| chart(drawing, "Groups of experiences", caption, spec))
}

/// For the first run of each method that tells them: similarity of what came to each group.
fn similarities(drawing: &Drawing<'_>) -> Option<Chart> {
    let mut data = Vec::new();
    for (name, method) in drawing.named() {
        let found = method.runs.iter().find_map(|run| {
            let events = run.finished()?.events.iter();
            let decisions: Vec<Decision> = events.filter_map(Decision::of).collect();
            let tells = decisions.iter().any(|decision| !decision.similarities.is_empty());
            tells.then_some((run.plan.seed, decisions))
        });
        let Some((seed, decisions)) = found else { continue };
        for Decision { step, chosen, similarities } in decisions {
            for (group, similarity) in similarities {
                let similarity = (f64::from(similarity) * 1e3).round() / 1e3;
                data.push(json!({
                    "panel": format!("{name}, seed {seed}"), "step": step, "group": group,
                    "similarity": similarity, "chosen": group == chosen,
                }));
            }
        }
    }
    let hint = [
        ("panel", "run"),
        ("step", "step"),
        ("group", "group"),
        ("similarity", "similarity"),
        ("chosen", "chosen"),
    ];
    let spec = json!({
        "data": { "values": data },
        "facet": { "field": "panel", "type": "nominal", "title": null, "sort": null },
        "columns": 2,
        "spec": {
            "width": { "step": 42 }, "height": { "step": 28 },
            "encoding": {
                "x": { "field": "step", "type": "ordinal", "axis": { "labelAngle": -45 } },
                "y": { "field": "group", "type": "ordinal" },
                "tooltip": tooltip(&hint),
            },
            "layer": [
                { "mark": "rect", "encoding": { "color": {
                    "field": "similarity", "type": "quantitative",
                    "scale": { "scheme": "viridis", "zero": true } } } },
                { "transform": [{ "filter": "datum.chosen" }],
                  "mark": { "type": "point", "shape": "circle", "filled": true, "size": 60,
                            "color": "#fff", "stroke": "#111" } },
            ],
        },
    });
    let caption = "Similarity to each group when the learner decided where an experience belongs; \
                   a dot marks the group that was chosen.";
    (!data.is_empty()).then(|| chart(drawing, "Similarities", caption, spec))
}

/// Where a learner decided that something belongs.
struct Decision {
    step: u64,
    chosen: u32,
    similarities: Vec<(u32, f32)>,
}

impl Decision {
    fn of(event: &LearnerEvent) -> Option<Decision> {
        match GrowthEvent::read(&event.event)? {
            GrowthEvent::Grouped { group, similarities } => {
                Some(Decision { step: event.step, chosen: group, similarities })
            }
            _ => None,
        }
    }
}

fn chart(drawing: &Drawing<'_>, title: &str, caption: &str, spec: Value) -> Chart {
    let name = slug(&format!("{} {title}", drawing.section.title()));
    Chart { name, title: title.into(), caption: caption.into(), spec, wide: true }
}
