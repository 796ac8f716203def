//! Charts as Vega-Lite specifications: values and what they are drawn as. Colours, type and light
//! or dark come from the page (`assets/page.js`), so that one method has one colour everywhere.

mod accuracy;
mod anytime;
mod confusion;
mod cost;
mod growth;
mod training;

use serde_json::{Value, json};

use super::Section;
use crate::compare::{MethodRuns, Names, scenario_rank};
use crate::stats::Spread;

/// One chart.
pub struct Chart {
    /// Unique in the page: the name of its file when it is saved.
    pub name: String,
    pub title: String,
    /// What is drawn, and how it is defined.
    pub caption: String,
    pub spec: Value,
    /// It takes the whole width of the page.
    pub wide: bool,
}

/// All charts of a section that have something to show.
pub fn charts(section: &Section) -> Vec<Chart> {
    let drawing = Drawing::of(section);
    let mut charts = Vec::new();
    for scenario in drawing.scenarios() {
        charts.extend(accuracy::charts(&drawing, &scenario));
        charts.extend(anytime::charts(&drawing, &scenario));
    }
    charts.extend(confusion::charts(&drawing));
    charts.extend(growth::charts(&drawing));
    charts.extend(training::charts(&drawing));
    charts.extend(cost::charts(&drawing));
    charts
}

/// What the charts of a section share.
struct Drawing<'a> {
    section: &'a Section,
    methods: Vec<MethodRuns<'a>>,
    names: Names<'a>,
}

impl<'a> Drawing<'a> {
    fn of(section: &'a Section) -> Self {
        let names = Names::of(&section.comparison);
        Drawing { section, methods: section.methods(), names }
    }

    /// Methods with their names, in the order of colours.
    fn named(&self) -> impl Iterator<Item = (&str, &MethodRuns<'a>)> {
        self.methods.iter().map(|method| (self.names.short(method.method), method))
    }

    fn scenarios(&self) -> Vec<String> {
        let rows = self.section.comparison.rows.iter().filter(|row| row.n > 0 && row.headline);
        let mut scenarios: Vec<String> = rows.map(|row| row.scenario.clone()).collect();
        scenarios.sort_by_key(|scenario| scenario_rank(scenario));
        scenarios.dedup();
        scenarios
    }

    /// Colour by method. All methods are named, so that a method has one colour in every chart.
    fn color(&self) -> Value {
        let domain: Vec<&str> = self.named().map(|(name, _)| name).collect();
        json!({ "field": "method", "type": "nominal", "title": null, "scale": {
            "domain": domain } })
    }

    /// Colour where the method stands beside it.
    fn color_without_legend(&self) -> Value {
        let mut color = self.color();
        color["legend"] = Value::Null;
        color
    }

    /// Shape by method, beside the colour, for those who do not see it.
    fn shape(&self) -> Value {
        let mut shape = self.color();
        let shapes = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"];
        let range: Vec<&str> = shapes.iter().cycle().take(self.methods.len()).copied().collect();
        shape["scale"]["range"] = json!(range);
        shape
    }

    /// Whole lines for the first methods, dashes where colours come around, and for upper bounds.
    fn dash(&self) -> Value {
        let mut dash = self.color();
        let of = |(index, (_, method)): (usize, (&str, &MethodRuns<'_>))| {
            let bound = method.headline().is_some_and(|view| view.upper_bound);
            match (bound, index / COLOURS) {
                (true, _) => json!([2, 3]),
                (false, 0) => json!([1, 0]),
                (false, _) => json!([7, 3]),
            }
        };
        dash["scale"]["range"] = self.named().enumerate().map(of).collect();
        dash
    }
}

/// Colours of the page's palette.
const COLOURS: usize = 8;

/// An accuracy as a percentage, rounded to what a reader can use.
fn percent(value: f64) -> f64 {
    (value * 1e5).round() / 1e3
}

/// Mean and interval in percent, as fields of a datum. Without an interval both ends are the mean.
fn with_interval(mut datum: Value, spread: &Spread) -> Value {
    let mean = spread.mean.map(percent);
    datum["mean"] = json!(mean);
    datum["low"] = json!(spread.ci95.map(|ci| percent(ci[0])).or(mean));
    datum["high"] = json!(spread.ci95.map(|ci| percent(ci[1])).or(mean));
    datum
}

/// A number on an axis whose ends fit the data.
fn quantity(field: &str, title: &str) -> Value {
    json!({ "field": field, "type": "quantitative", "title": title, "scale": { "zero": false } })
}

/// A number on an axis that another layer describes.
fn number(field: &str) -> Value {
    json!({ "field": field, "type": "quantitative" })
}

/// Places in order, such as experiences, on an axis.
fn places(field: &str, title: &str) -> Value {
    json!({ "field": field, "type": "ordinal", "title": title, "axis": { "labelAngle": 0 } })
}

/// From the lower to the upper end of an interval.
fn interval() -> Value {
    json!({ "y": { "field": "low", "type": "quantitative" }, "y2": { "field": "high" } })
}

/// Fields in a tooltip: name and title.
fn tooltip(fields: &[(&str, &str)]) -> Value {
    let field = |(field, title): &(&str, &str)| json!({ "field": field, "title": title });
    fields.iter().map(field).collect()
}

/// The text as part of a file name.
fn slug(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    text.chars().map(plain).collect()
}
