//! Where the time of each method went, as a table of the page.

use maud::{Markup, html as page};
use std::collections::BTreeSet;

use super::Section;
use crate::bench::LedgerTable;
use crate::compare::{Names, RunRecord};

/// A row for each method, a column for each activity, in percent of its time; medians over seeds.
pub(super) fn ledger_table(section: &Section) -> Markup {
    let names = Names::of(&section.comparison);
    let mut tables = Vec::new();
    for method in section.methods() {
        let finished = method.runs.iter().filter(|run| run.finished().is_some());
        let finished: Vec<RunRecord> = finished.map(|run| (*run).clone()).collect();
        if let Some(table) = LedgerTable::of(&finished) {
            tables.push((names.short(method.method).to_owned(), table));
        }
    }
    let activities: BTreeSet<&str> =
        tables.iter().flat_map(|(_, t)| &t.lines).map(|line| line.activity.as_str()).collect();
    page! {
        div.scroll { table {
            thead { tr {
                th { "method" } th { "µs per step" }
                @for activity in &activities { th { (activity) } }
            } }
            tbody { @for (method, table) in &tables { tr {
                td { (method) }
                td { (format!("{:.0}", 1e6 * table.seconds / table.steps.max(1) as f64)) }
                @for activity in &activities { td { (share(table, activity)) } }
            } } }
        } }
        p.note {
            "Percent of a run's time by the host's own clocks. learner: training steps, of which it \
             tells parts (learner.forward) by its own clock; hand_over: between host and worker in \
             training steps; evaluation: fresh instances and their answers; scoring: the host's side \
             of that; host: what no activity accounts for."
        }
    }
}

fn share(table: &LedgerTable, activity: &str) -> String {
    let line = table.lines.iter().find(|line| line.activity == activity);
    line.map_or("-".into(), |line| format!("{:.1}", 100.0 * line.share))
}
