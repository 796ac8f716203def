//! What was learned and kept: final accuracy, accuracy over time, matrices, forgetting, and
//! plasticity against stability.

use serde_json::{Value, json};

use super::super::series;
use super::{
    Chart, Drawing, interval, number, percent, places, quantity, slug, tooltip, with_interval,
};

/// Room for panels side by side, in pixels.
const PAGE_WIDTH: usize = 1200;

/// A matrix is drawn with numbers up to so many experiences.
const NUMBERED_MAX: usize = 10;

pub fn charts(drawing: &Drawing<'_>, scenario: &str) -> Vec<Chart> {
    let charts = [
        final_accuracy(drawing, scenario),
        over_time(drawing, scenario),
        forgetting(drawing, scenario),
        trade_off(drawing, scenario),
        recency(drawing, scenario),
        matrices(drawing, scenario),
    ];
    charts.into_iter().flatten().collect()
}

/// Dots with intervals, a faint one per seed.
fn final_accuracy(drawing: &Drawing<'_>, scenario: &str) -> Option<Chart> {
    let (mut means, mut seeds) = (Vec::new(), Vec::new());
    for ranked in drawing.section.comparison.rankings.iter().filter(|r| r.scenario == scenario) {
        for rank in &ranked.ranks {
            let rows = &drawing.section.comparison.rows;
            let row = rows
                .iter()
                .find(|r| r.headline && r.method == rank.method && r.scenario == scenario)?;
            let method = drawing.names.short(&rank.method);
            let datum = json!({ "method": method, "groups": rank.groups, "n": row.n });
            means.push(with_interval(datum, &row.average_accuracy));
        }
    }
    for (name, method) in drawing.named() {
        for (seed, _, scores) in series::headline_scores(method, scenario) {
            if let Some(value) = scores.metrics.average_accuracy {
                seeds.push(json!({ "method": name, "seed": seed, "value": percent(value) }));
            }
        }
    }
    let order: Vec<Value> = means.iter().map(|datum| datum["method"].clone()).collect();
    let seed_hint = [("method", "method"), ("seed", "seed"), ("value", "accuracy, %")];
    let hint = [
        ("method", "method"),
        ("mean", "mean, %"),
        ("low", "95 % from"),
        ("high", "95 % to"),
        ("n", "seeds"),
        ("groups", "rank group"),
    ];
    let spec = json!({
        "width": "container", "height": 30 * means.len(),
        "data": { "values": means },
        "encoding": {
            "y": { "field": "method", "type": "nominal", "sort": order, "title": null },
            "color": drawing.color_without_legend(),
        },
        "layer": [
            { "data": { "values": seeds },
              "mark": { "type": "tick", "opacity": 0.55, "thickness": 1.5, "bandSize": 12 },
              "encoding": { "x": number("value"), "tooltip": tooltip(&seed_hint) } },
            { "mark": { "type": "rule", "strokeWidth": 2.5 },
              "encoding": { "x": number("low"), "x2": { "field": "high" } } },
            { "mark": { "type": "point", "filled": true, "size": 110, "opacity": 1 },
              "encoding": { "x": quantity("mean", "average accuracy, %"),
                            "tooltip": tooltip(&hint) } },
        ],
    });
    let caption = "Mean over seeds with its 95 % bootstrap interval; a stroke for each seed.";
    (!means.is_empty()).then(|| chart(drawing, scenario, "Final accuracy", caption, spec))
}

fn over_time(drawing: &Drawing<'_>, scenario: &str) -> Option<Chart> {
    let mut data = Vec::new();
    let mut by_steps = false;
    for (name, method) in drawing.named() {
        let scores = series::headline_scores(method, scenario);
        by_steps |= scores.iter().any(|(_, summary, _)| summary.scored_after_steps.is_some());
        for point in series::accuracy_over_time(&scores) {
            let datum = json!({ "method": name, "at": point.at, "n": point.runs });
            data.push(with_interval(datum, &point.spread));
        }
    }
    let (title, kind) = match by_steps {
        true => ("steps", "quantitative"),
        false => ("experiences learned", "ordinal"),
    };
    let y = quantity("mean", "accuracy so far, %");
    let hint = [
        ("method", "method"),
        ("at", title),
        ("mean", "mean, %"),
        ("low", "95 % from"),
        ("high", "95 % to"),
        ("n", "seeds"),
    ];
    let spec = json!({
        "width": "container", "height": 260,
        "data": { "values": data },
        "encoding": {
            "x": { "field": "at", "type": kind, "title": title, "axis": { "labelAngle": 0 } },
            "color": drawing.color(),
        },
        "layer": [
            { "mark": { "type": "area", "opacity": 0.18 },
              "encoding": interval() },
            { "mark": { "type": "line", "strokeWidth": 2 },
              "encoding": { "y": y, "strokeDash": drawing.dash() } },
            { "mark": { "type": "point", "filled": true, "size": 50, "opacity": 1 },
              "encoding": { "y": y, "shape": drawing.shape(), "tooltip": tooltip(&hint) } },
        ],
    });
    let caption = match by_steps {
        true => {
            "Mean over all experiences at each scored step; the band is the 95 % bootstrap interval \
             over seeds."
        }
        false => {
            "Mean over the experiences learned so far; the band is the 95 % bootstrap interval over \
             seeds."
        }
    };
    (!data.is_empty()).then(|| chart(drawing, scenario, "Accuracy over time", caption, spec))
}

fn forgetting(drawing: &Drawing<'_>, scenario: &str) -> Option<Chart> {
    let mut data = Vec::new();
    for (name, method) in drawing.named() {
        for point in series::forgetting(&series::headline_scores(method, scenario)) {
            let datum = json!({ "method": name, "experience": point.at, "n": point.runs });
            data.push(with_interval(datum, &point.spread));
        }
    }
    let offset = {
        let mut offset = drawing.color();
        offset.as_object_mut()?.remove("title");
        offset
    };
    let hint = [
        ("method", "method"),
        ("experience", "experience"),
        ("mean", "forgotten, points"),
        ("low", "95 % from"),
        ("high", "95 % to"),
        ("n", "seeds"),
    ];
    // From zero: the length of a bar is what it says.
    let forgotten =
        json!({ "field": "mean", "type": "quantitative", "title": "forgotten, points" });
    let spec = json!({
        "width": "container", "height": 260,
        "data": { "values": data },
        "encoding": {
            "x": places("experience", "experience"),
            "xOffset": offset,
        },
        "layer": [
            { "mark": { "type": "bar" },
              "encoding": { "color": drawing.color(), "tooltip": tooltip(&hint), "y": forgotten } },
            { "mark": { "type": "rule", "opacity": 0.8 },
              "encoding": interval() },
        ],
    });
    let caption = "Best accuracy since an experience was learned, minus the accuracy at the end, \
                   with the 95 % bootstrap interval over seeds.";
    (!data.is_empty())
        .then(|| chart(drawing, scenario, "Forgetting of each experience", caption, spec))
}

fn trade_off(drawing: &Drawing<'_>, scenario: &str) -> Option<Chart> {
    let (mut runs, mut means) = (Vec::new(), Vec::new());
    for (name, method) in drawing.named() {
        let scores = series::headline_scores(method, scenario);
        let both = scores.iter().filter_map(|(seed, summary, scores)| {
            series::plasticity_and_stability(summary, scores).map(|both| (*seed, both))
        });
        let both: Vec<(u64, (f64, f64))> = both.collect();
        let datum = |(plasticity, stability): (f64, f64)| {
            json!({ "method": name,
            "plasticity": percent(plasticity), "stability": percent(stability) })
        };
        runs.extend(both.iter().map(|(seed, values)| {
            let mut datum = datum(*values);
            datum["seed"] = json!(seed);
            datum
        }));
        let mean = |get: fn(&(f64, f64)) -> f64| {
            crate::stats::mean(&both.iter().map(|(_, v)| get(v)).collect::<Vec<_>>())
        };
        means.extend(mean(|v| v.0).zip(mean(|v| v.1)).map(datum));
    }
    let axis = |field: &str, title: &str| {
        json!({ "field": field, "type": "quantitative",
        "title": title, "scale": { "zero": false, "padding": 12 } })
    };
    let hint =
        [("method", "method"), ("plasticity", "plasticity, %"), ("stability", "stability, %")];
    let seed_hint = [hint.as_slice(), &[("seed", "seed")]].concat();
    let spec = json!({
        "width": "container", "height": 260,
        "encoding": {
            "x": axis("stability", "stability, %"), "y": axis("plasticity", "plasticity, %"),
            "color": drawing.color(), "shape": drawing.shape(),
        },
        "layer": [
            { "data": { "values": runs }, "mark": { "type": "point", "size": 30, "opacity": 0.6 },
              "encoding": { "tooltip": tooltip(&seed_hint) } },
            { "data": { "values": means }, "mark": { "type": "point", "filled": true, "size": 170,
                "opacity": 1 },
              "encoding": { "tooltip": tooltip(&hint) } },
        ],
    });
    let caption = "Plasticity: mean accuracy on each experience right after it was learned. \
                   Stability: mean accuracy at the end on all but the last. Large: mean over seeds.";
    (!means.is_empty())
        .then(|| chart(drawing, scenario, "Plasticity against stability", caption, spec))
}

fn recency(drawing: &Drawing<'_>, scenario: &str) -> Option<Chart> {
    let mut data = Vec::new();
    for (name, method) in drawing.named() {
        let scores = series::headline_scores(method, scenario);
        let shares: Vec<&Vec<f64>> =
            scores.iter().filter_map(|(_, _, s)| s.metrics.task_recency.as_ref()).collect();
        let experiences = shares.iter().map(|shares| shares.len()).min().unwrap_or(0);
        for experience in 0..experiences {
            let values: Vec<f64> = shares.iter().map(|shares| shares[experience]).collect();
            let datum = json!({ "method": name, "experience": experience + 1 });
            data.push(with_interval(datum, &crate::stats::Spread::of(&values)));
        }
    }
    let hint = [
        ("method", "method"),
        ("experience", "experience"),
        ("mean", "share, %"),
        ("low", "95 % from"),
        ("high", "95 % to"),
    ];
    let spec = json!({
        "width": "container", "height": 260,
        "data": { "values": data },
        "encoding": {
            "x": places("experience", "experience"),
            "color": drawing.color(),
            "y": { "field": "mean", "type": "quantitative", "title": "share of predictions, %" },
        },
        "layer": [
            { "mark": { "type": "line", "strokeWidth": 2 }, "encoding": {
                "strokeDash": drawing.dash() } },
            { "mark": { "type": "point", "filled": true, "size": 50, "opacity": 1 },
              "encoding": { "shape": drawing.shape(), "tooltip": tooltip(&hint) } },
        ],
    });
    let caption = "Where predictions fall at the end, whatever is true: the share that names a \
                   class of each experience. Without bias towards recent ones all shares are those \
                   of the test set.";
    (!data.is_empty()).then(|| chart(drawing, scenario, "Recency bias", caption, spec))
}

/// A heat map for every method and view.
fn matrices(drawing: &Drawing<'_>, scenario: &str) -> Option<Chart> {
    let (mut data, mut size, mut by_steps) = (Vec::new(), 0, false);
    let rows = drawing.section.comparison.rows.iter();
    for row in rows.filter(|row| row.scenario == scenario && row.n > 0) {
        let view = row.view.as_deref().unwrap_or_default();
        let method = drawing.methods.iter().find(|m| m.method == row.method)?;
        let finished = method
            .runs
            .iter()
            .filter_map(|run| Some((run.finished()?, run.scores(view, scenario)?)));
        let (summaries, scores): (Vec<_>, Vec<_>) = finished.map(|(a, b)| (a, &b.matrix)).unzip();
        let steps = summaries.first().and_then(|summary| summary.scored_after_steps.as_ref());
        by_steps |= steps.is_some();
        let matrix = series::mean_matrix(&scores);
        size = size.max(matrix.len());
        for (trained, entries) in matrix.iter().enumerate() {
            let after = match steps {
                Some(steps) => steps.get(trained).copied().unwrap_or_default(),
                None => trained as u64 + 1,
            };
            for (tested, value) in entries.iter().enumerate() {
                let panel = format!("{} · {view}", drawing.names.short(&row.method));
                let value = value.map(|value| (value * 1e3).round() / 10.0);
                data.push(json!({ "panel": panel, "after": after, "tested": tested + 1,
                    "accuracy": value }));
            }
        }
    }
    // In the order of the tables: methods, and views as declared.
    let mut panels: Vec<&str> = data.iter().filter_map(|datum| datum["panel"].as_str()).collect();
    panels.dedup();
    let after = if by_steps { "after steps" } else { "after learning" };
    let step = if size <= NUMBERED_MAX { 34 } else { 14 };
    let hint = [
        ("panel", "method · view"),
        ("after", after),
        ("tested", "tested on"),
        ("accuracy", "accuracy, %"),
    ];
    let mut layers = vec![json!({
        "mark": { "type": "rect" },
        "encoding": {
            "color": { "field": "accuracy", "type": "quantitative", "title": "accuracy, %",
                       "scale": { "scheme": "viridis", "domain": [0, 100] } },
            "tooltip": tooltip(&hint),
        },
    })];
    if size <= NUMBERED_MAX {
        layers.push(json!({
            "transform": [{ "filter": "isValid(datum.accuracy)" }],
            "mark": { "type": "text", "fontSize": 11 },
            "encoding": {
                "text": { "field": "accuracy", "type": "quantitative", "format": ".0f" },
                "color": { "condition": { "test": "datum.accuracy > 55", "value": "#111" },
                           "value": "#fff" },
                "tooltip": tooltip(&hint),
            },
        }));
    }
    let spec = json!({
        "data": { "values": data },
        "facet": { "field": "panel", "type": "nominal", "title": null, "sort": panels },
        "columns": (PAGE_WIDTH / (size * step + 56)).max(1),
        "spec": {
            "width": { "step": step }, "height": { "step": step },
            "encoding": {
                "x": places("tested", "tested on"),
                "y": { "field": "after", "type": "ordinal", "title": after },
            },
            "layer": layers,
        },
    });
    let caption = "Accuracy on each experience after each, mean over seeds, by method and view.";
    let chart = chart(drawing, scenario, "Accuracy matrices", caption, spec);
    (!data.is_empty()).then_some(Chart { wide: true, ..chart })
}

fn chart(drawing: &Drawing<'_>, scenario: &str, title: &str, caption: &str, spec: Value) -> Chart {
    let name = slug(&format!("{} {scenario} {title}", drawing.section.title()));
    Chart {
        name,
        title: format!("{title}, {scenario}"),
        caption: caption.into(),
        spec,
        wide: false,
    }
}
