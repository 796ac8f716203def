//! The page: tables, charts and plans in one file that needs no network. What comes from plugins
//! and plans is escaped by `maud`.

use maud::{DOCTYPE, Markup, PreEscaped, html as page};

use super::charts::{Chart, charts};
use super::ledger::ledger_table;
use super::{Report, ReportRun, Section};
use crate::compare::{
    self, AnytimeSpread, Comparison, Names, Row, anytime_legend, failure_sentences, interval,
    mark_legend, pair_sentences, plus_minus, points, printable, ranking_sentences,
};
use crate::run::{Fault, MemorySize, Outcome, Resources, RunPlan, Summary, memory_text};
use crate::stats::Spread;

pub const VEGA: &str = include_str!("assets/vega.min.js");
pub const VEGA_LITE: &str = include_str!("assets/vega-lite.min.js");
pub const VEGA_EMBED: &str = include_str!("assets/vega-embed.min.js");
const LICENSE: &str = include_str!("assets/LICENSE-vega.txt");
const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");

/// The page.
pub fn html(report: &Report) -> String {
    let sections = &report.sections;
    let runs: usize = sections.iter().map(|section| section.runs.len()).sum();
    let text = page! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Perdura report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Perdura report" }
                    p {
                        (runs) " runs · host " (env!("CARGO_PKG_VERSION")) " · " (machines(sections))
                    }
                    @if sections.len() > 1 {
                        nav { @for (index, section) in sections.iter().enumerate() {
                            a href=(format!("#section-{index}")) { (section.title()) } " "
                        } }
                    }
                    @for run in &report.unread { p.warning { "Not read: " (run) } }
                    @for file in &report.damaged { p.warning { "Read in part: " (file) } }
                    noscript { p.note {
                        "Charts are drawn by a script in this file; tables need none." } }
                }
                main { @for (index, section) in sections.iter().enumerate() {
                    section id=(format!("section-{index}")) { (part(section)) }
                } }
                footer { details {
                    summary { "Charts: Vega, Vega-Lite and Vega-Embed, BSD-3-Clause" }
                    pre { (LICENSE) }
                } }
                @for library in [VEGA, VEGA_LITE, VEGA_EMBED,
                    SCRIPT] { script { (PreEscaped(library)) } }
            }
        }
    };
    text.into_string()
}

fn part(section: &Section) -> Markup {
    let comparison = &section.comparison;
    page! {
        h2 { (section.title()) }
        @for warning in &comparison.warnings { p.warning { "Warning: " (warning) } }
        h3 { "Comparison" }
        (comparison_table(comparison))
        p.note {
            "Mean ± standard deviation over n seeds, in percent, with the 95 % bootstrap interval of \
             the mean (10,000 draws). Methods that share a letter in a scenario cannot be separated \
             by paired t-tests (Holm-corrected, 5 %). Bold: the view by which a method is compared."
        }
        ul.sentences { @for sentence in ranking_sentences(comparison) { li { (sentence) } } }
        div.charts { @for chart in charts(section) { (figure(&chart)) } }
        h3 { "Pairs of methods" }
        (pair_table(comparison))
        h3 { "Resources" }
        (resource_table(section))
        h3 { "Time by activity" }
        (ledger_table(section))
        h3 { "Failures" }
        (failures(section))
        h3 { "Runs and their plans" }
        (runs(section))
    }
}

/// Name and value of a column about scores between boundaries.
type AnytimeColumn = (&'static str, fn(&AnytimeSpread) -> Spread);

const ANYTIME_COLUMNS: [AnytimeColumn; 5] = [
    ("anytime acc", |anytime| anytime.average_anytime_accuracy),
    ("min acc", |anytime| anytime.minimum_accuracy),
    ("worst case", |anytime| anytime.worst_case_accuracy),
    ("acc after switch", |anytime| anytime.accuracy_after_switch),
    ("stability gap", |anytime| anytime.stability_gap),
];

fn comparison_table(comparison: &Comparison) -> Markup {
    let names = Names::of(comparison);
    let mut columns = vec![
        "method",
        "view",
        "scenario",
        "n",
        "failed",
        "accuracy",
        "group",
        "forgetting",
        "backward transfer",
        "learning accuracy",
    ];
    let legend = anytime_legend(comparison);
    if legend.is_some() {
        columns.extend(ANYTIME_COLUMNS.map(|(name, _)| name));
    }
    page! {
        div.scroll { table {
            thead { tr { @for column in columns { th { (column) } } } }
            tbody { @for row in &comparison.rows {
                tr.headline[row.headline && row.n > 0] {
                    td {
                        (swatch(names.short(&row.method)))
                        @if row.upper_bound { " (upper bound)" }
                        @if row.is_marked() { " †" }
                    }
                    td { (row.view.as_deref().unwrap_or("-")) @if row.oracle { " (oracle)" } }
                    td { (row.scenario) }
                    td { (row.n) }
                    td { (row.failed) }
                    td { (interval(row.average_accuracy)) }
                    td { (group(comparison, row)) }
                    td { (in_percent(row.forgetting_from_peak)) }
                    td { (in_percent(row.backward_transfer)) }
                    td { (in_percent(row.learning_accuracy)) }
                    @if legend.is_some() { @for (_, get) in ANYTIME_COLUMNS {
                        td { (in_percent(row.anytime.as_ref().map(get).unwrap_or_default())) }
                    } }
                }
            } }
        } }
        @if let Some(legend) = &legend { p.note { (legend) } }
        @if let Some(legend) = mark_legend(comparison) { p { (legend) } }
    }
}

/// A method with its colour, which `assets/page.js` fills in.
fn swatch(method: &str) -> Markup {
    page! { span.swatch data-method=(method) {} (method) }
}

/// The letters of a headline row.
fn group<'a>(comparison: &'a Comparison, row: &Row) -> &'a str {
    let rankings =
        comparison.rankings.iter().filter(|r| row.headline && r.scenario == row.scenario);
    let mut ranks = rankings.flat_map(|ranking| &ranking.ranks);
    ranks.find(|rank| rank.method == row.method).map_or("", |rank| &rank.groups)
}

fn pair_table(comparison: &Comparison) -> Markup {
    let names = Names::of(comparison);
    let p = |p: Option<f64>| p.map_or("-".into(), |p| format!("{p:.4}"));
    let columns = [
        "metric",
        "scenario",
        "a",
        "b",
        "n",
        "a − b, points",
        "95 % interval",
        "paired t, p",
        "Wilcoxon, p",
        "P(a > b)",
    ];
    page! {
        ul.sentences { @for sentence in pair_sentences(comparison) { li { (sentence) } } }
        @if !comparison.pairs.is_empty() { details {
            summary { "All numbers" }
            div.scroll { table {
                thead { tr { @for column in columns { th { (column) } } } }
                tbody { @for pair in &comparison.pairs { tr {
                    td { (pair.metric.replace('_', " ")) }
                    td { (pair.scenario) }
                    td { (names.short(&pair.a.method)) }
                    td { (names.short(&pair.b.method)) }
                    td { (pair.n) }
                    td { (pair.difference.mean.map_or("-".into(), points)) }
                    td { (pair.difference.ci95.map_or("-".into(), |[low, high]| {
                        format!("{} to {}", points(low), points(high))
                    })) }
                    td { (p(pair.p_holm)) }
                    td { (p(pair.wilcoxon_holm)) }
                    td { (pair.probability_a_above_b.map_or("-".into(), |p| format!("{p:.2}"))) }
                } } }
            } }
            p.note {
                "p-values are Holm-corrected over the pairs of one metric and scenario; P(a > b) is \
                 the probability of improvement over all pairs of runs."
            }
        } }
    }
}

fn resource_table(section: &Section) -> Markup {
    let names = Names::of(&section.comparison);
    let columns = [
        "method",
        "memory",
        "memory, bytes",
        "claimed, bytes",
        "saved state, bytes",
        "peak memory, MiB",
        "seconds",
        "CPU seconds",
        "learner, CPU seconds",
        "per step, CPU ms",
        "steps/s",
    ];
    page! { div.scroll { table {
        thead { tr { @for column in columns { th { (column) } } } }
        tbody { @for method in section.methods() {
            @let finished: Vec<(&RunPlan, &Summary, &Resources)> = method.runs.iter()
                .filter_map(|run| Some((&run.plan, run.finished()?,
                    run.resources.as_ref()?))).collect();
            @let over = |get: &dyn Fn(&Summary, &Resources) -> Option<f64>, decimals| {
                let values: Vec<f64> = finished.iter().filter_map(|(_, s, r)| get(s, r)).collect();
                plus_minus(Spread::of(&values), 1.0, decimals)
            };
            @if !finished.is_empty() { tr {
                td { (swatch(names.short(method.method))) }
                td { (memory(&finished)) }
                td { (over(&|s, _| Some(s.memory_bytes as f64), 0)) }
                td { (over(&|s, _| Some(s.claimed_bytes.values().sum::<u64>() as f64), 0)) }
                td { (over(&|s, _| Some(s.state_bytes as f64), 0)) }
                td { (over(&|_, r| r.peak_pss_bytes.map(|b| b as f64 / 1048576.0), 0)) }
                td { (over(&|_, r| Some(r.seconds), 1)) }
                td { (over(&|_, r| Some(r.cpu_seconds), 1)) }
                td { (over(&|_, r| r.learner_cpu_seconds, 2)) }
                td { (over(&|s, r| per_step_ms(s, r), 3)) }
                td { (over(&|_, r| steps_per_second(r), 0)) }
            } }
        } }
    } }
    p.note {
        "Compute is the CPU time of the learner's process in training, as the host measures it: \
         without saving, scoring and the host's own work. Only runs on one kind of machine compare."
    } }
}

/// CPU time of the learner per step.
fn per_step_ms(summary: &Summary, resources: &Resources) -> Option<f64> {
    let seconds = resources.learner_cpu_seconds.filter(|_| summary.steps > 0)?;
    Some(1e3 * seconds / summary.steps as f64)
}

fn memory(runs: &[(&RunPlan, &Summary, &Resources)]) -> String {
    let memory: Vec<Option<MemorySize>> = runs.iter().map(|(plan, _, _)| plan.memory).collect();
    match memory.windows(2).all(|pair| pair[0] == pair[1]) {
        true => memory_text(memory.first().copied().flatten()),
        false => "several".into(),
    }
}

/// Mean over the experiences of a run.
fn steps_per_second(resources: &Resources) -> Option<f64> {
    let speeds: Vec<f64> = resources.steps_per_second.iter().copied().flatten().collect();
    crate::stats::mean(&speeds)
}

fn failures(section: &Section) -> Markup {
    let failed =
        section.runs.iter().filter_map(|run| match &run.record.summary.as_ref()?.outcome {
            Outcome::Failed(fault) => {
                Some((run, last_words(fault, &run.record.traces().backtrace)))
            }
            _ => None,
        });
    let sentences = failure_sentences(&section.comparison);
    page! {
        @if sentences.is_empty() { p { "None." } }
        ul.sentences { @for sentence in sentences { li { (sentence) } } }
        @for (run, lines) in failed.filter(|(_, lines)| !lines.is_empty()) { details {
            summary { "Last words of " (run.record.plan.arm()) ", seed " (run.record.plan.seed) }
            pre { @for line in &lines { (printable(line)) "\n" } }
        } }
    }
}

/// What a plugin printed last, and where it panicked.
fn last_words(fault: &Fault, backtrace: &[String]) -> Vec<String> {
    fault.last_log.iter().chain(backtrace).cloned().collect()
}

fn runs(section: &Section) -> Markup {
    let columns = ["method", "seed", "state", "started", "steps", "plugin", "stream", "plan"];
    page! { div.scroll { table.plans {
        thead { tr { @for column in columns { th { (column) } } } }
        tbody { @for run in &section.runs { tr { (run_cells(run)) } } }
    } } }
}

fn run_cells(run: &ReportRun) -> Markup {
    let ReportRun { folder, record, .. } = run;
    let plan = &record.plan;
    let started = record.resources.as_ref().map_or("-", |resources| &resources.started);
    let digits = |hash: &str| hash.chars().take(8).collect::<String>();
    page! {
        td { (plan.arm()) }
        td { (plan.seed) }
        td { (record.status()) }
        td { (started) }
        td { (record.summary.as_ref().map_or("-".into(), |summary| summary.steps.to_string())) }
        td { (plan.plugin.version) " " code { (digits(&plan.plugin.sha256)) } }
        td { code { (digits(&plan.stream.sha256)) } }
        td { details { summary { (folder.display()) } pre { (plan.to_json()) } } }
    }
}

/// A chart and the values it is drawn from, which `assets/page.js` reads.
fn figure(chart: &Chart) -> Markup {
    // `<` would end the script element if it stood in a name.
    let spec = chart.spec.to_string().replace('<', "\\u003c");
    page! {
        figure.wide[chart.wide] {
            h4 { (chart.title) }
            div.chart data-name=(chart.name) aria-label=(chart.title) { "Drawing…" }
            script type="application/json" { (PreEscaped(spec)) }
            figcaption { (chart.caption) }
        }
    }
}

fn in_percent(spread: Spread) -> String {
    compare::plus_minus(spread, 100.0, 2)
}

/// CPUs of the runs, each once.
fn machines(sections: &[Section]) -> String {
    let runs = sections.iter().flat_map(|section| &section.runs);
    let machines = runs.filter_map(|run| run.record.resources.as_ref().map(|r| &r.machine));
    let names: std::collections::BTreeSet<String> =
        machines.map(|m| format!("{}, {} cores", m.cpu, m.cores)).collect();
    names.into_iter().collect::<Vec<_>>().join("; ")
}
