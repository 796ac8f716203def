//! A comparison as cells of text, the same for every kind of table.

use super::{AnytimeSpread, Comparison, Failure, Row};
use crate::metrics::GAP_STEPS;
use crate::run::Fault;
use crate::stats::Spread;

const MIB: f64 = 1024.0 * 1024.0;

/// Where the names end and the numbers begin.
pub const NAME_COLUMNS: usize = 3;
/// The column of the accuracy, which is long and set from the left.
pub const ACCURACY_COLUMN: usize = 4;

/// What the numbers of a table are.
pub const LEGEND: &str = "mean ± standard deviation [95 % interval] over n seeds, accuracies and \
                          forgetting in percent; p: paired t-test, Holm-corrected\n\
                          learner CPU: seconds of CPU time of the learner in training";

/// What the columns about scores between boundaries are; `None` where there are none.
pub fn anytime_legend(comparison: &Comparison) -> Option<String> {
    has_anytime(comparison).then(|| {
        format!(
            "anytime acc: mean over time; worst case: last experience, and the lowest that each \
             other one ever had after its own; stability gap: mean fall of the accuracy on what \
             was known in the first {GAP_STEPS} steps after a switch"
        )
    })
}

fn has_anytime(comparison: &Comparison) -> bool {
    comparison.rows.iter().any(|row| row.anytime.is_some())
}

/// What the mark of a method means; `None` where no method has it.
pub fn mark_legend(comparison: &Comparison) -> Option<String> {
    let marked = comparison.rows.iter().filter(|row| row.is_marked());
    let mut tiers: Vec<&str> = marked.filter_map(|row| row.tier.as_deref()).collect();
    tiers.sort_unstable();
    tiers.dedup();
    (!tiers.is_empty()).then(|| {
        format!(
            "†: ran outside the sandbox (tier {}); honest only if its plugin is",
            tiers.join(", ")
        )
    })
}

/// A table of text.
pub struct Grid {
    pub header: Vec<&'static str>,
    pub rows: Vec<GridRow>,
}

/// One line of a table.
pub struct GridRow {
    pub cells: Vec<String>,
    /// The view by which the method is compared, where it has several.
    pub headline: bool,
}

/// The table: rows with results, then ways of failing, method by method. Columns about scores
/// between boundaries are there where such scores are.
pub fn grid(comparison: &Comparison) -> Grid {
    let names = Names::of(comparison);
    let anytime = has_anytime(comparison);
    let mut header =
        vec!["method", "view", "scenario", "n", "accuracy", "forgetting", "learning acc"];
    if anytime {
        header.extend(["anytime acc", "worst case", "stability gap"]);
    }
    header.extend(["seconds", "learner CPU", "peak memory"]);
    let mut grid = Vec::new();
    for (index, row) in comparison.rows.iter().enumerate() {
        if row.n > 0 {
            let several = comparison.rows.iter().any(|r| r.method == row.method && !r.headline);
            let headline = row.headline && several;
            grid.push(GridRow { cells: result_cells(row, &names, anytime), headline });
        }
        let last = comparison.rows.get(index + 1).is_none_or(|next| next.method != row.method);
        let failures = comparison.failures.iter().filter(|f| last && f.method == row.method);
        let columns = header.len();
        grid.extend(failures.map(|failure| {
            let cells = failure_cells(failure, &names, columns);
            GridRow { cells, headline: false }
        }));
    }
    Grid { header, rows: grid }
}

/// Method names without the lab where that is enough to tell them apart.
pub struct Names<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Names<'a> {
    pub fn of(comparison: &'a Comparison) -> Names<'a> {
        let mut ids: Vec<&str> = comparison.rows.iter().map(|row| row.method.as_str()).collect();
        ids.dedup();
        let unique = |id: &str| {
            ids.iter().filter(|other| without_lab(other) == without_lab(id)).count() == 1
        };
        let names =
            ids.iter().map(|id| (*id, if unique(id) { without_lab(id) } else { id })).collect();
        Names(names)
    }

    pub fn short<'b>(&'b self, method: &'b str) -> &'b str {
        self.0.iter().find(|(id, _)| *id == method).map_or(method, |(_, name)| name)
    }
}

fn without_lab(id: &str) -> &str {
    id.rsplit_once('/').map_or(id, |(_, name)| name)
}

/// A fraction in percentage points with one decimal.
pub fn points(fraction: f64) -> String {
    fixed(fraction * 100.0, 1)
}

/// A plugin's words on one line, without sequences that steer a terminal.
pub fn printable(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn result_cells(row: &Row, names: &Names<'_>, anytime: bool) -> Vec<String> {
    let method = names.short(&row.method);
    let view = row.view.as_deref().unwrap_or("-");
    let upper_bound = if row.upper_bound { " (upper bound)" } else { "" };
    let mark = if row.is_marked() { " †" } else { "" };
    let mut cells = vec![
        format!("{method}{upper_bound}{mark}"),
        if row.oracle { format!("{view} (oracle)") } else { view.to_owned() },
        row.scenario.clone(),
        row.n.to_string(),
        interval(row.average_accuracy),
        plus_minus(row.forgetting_from_peak, 100.0, 2),
        plus_minus(row.learning_accuracy, 100.0, 2),
    ];
    if anytime {
        let of = |get: fn(&AnytimeSpread) -> Spread| {
            plus_minus(row.anytime.as_ref().map(get).unwrap_or_default(), 100.0, 2)
        };
        cells.extend([
            of(|anytime| anytime.average_anytime_accuracy),
            of(|anytime| anytime.worst_case_accuracy),
            of(|anytime| anytime.stability_gap),
        ]);
    }
    cells.extend([
        plus_minus(row.seconds, 1.0, 1),
        plus_minus(row.learner_cpu_seconds, 1.0, 2),
        row.peak_pss_bytes.mean.map_or("-".into(), |bytes| format!("{:.0} MiB", bytes / MIB)),
    ]);
    cells
}

/// The message is said below the table, where there is room for it.
fn failure_cells(failure: &Failure, names: &Names<'_>, columns: usize) -> Vec<String> {
    let Fault { code, kind, call, .. } = &failure.fault;
    let call = if call.is_empty() { String::new() } else { format!(" in {call}") };
    let (failed, code) = (failure.seeds.len(), code.name());
    let words = format!("{failed} of {} failed [{code}]: {kind}{call}", failure.runs);
    let peak = failure.traces.peak_memory_bytes;
    let mut cells = vec!["-".to_owned(); columns];
    cells[0] = names.short(&failure.method).to_owned();
    cells[ACCURACY_COLUMN] = printable(&words);
    cells[columns - 1] = peak.map_or("-".into(), |bytes| format!("{:.0} MiB", bytes as f64 / MIB));
    cells
}

/// `91.23 ± 0.45 [90.80, 91.70]` of a fraction, in percent.
pub fn interval(spread: Spread) -> String {
    let text = plus_minus(spread, 100.0, 2);
    match spread.ci95 {
        None => text,
        Some([low, high]) => {
            format!("{text} [{}, {}]", fixed(low * 100.0, 2), fixed(high * 100.0, 2))
        }
    }
}

/// `91.23 ± 0.45`, without deviation for a single value, `-` if undefined.
pub fn plus_minus(spread: Spread, scale: f64, decimals: usize) -> String {
    let mean = spread.mean.map(|mean| fixed(mean * scale, decimals));
    match (mean, spread.std) {
        (None, _) => "-".to_owned(),
        (Some(mean), None) => mean,
        (Some(mean), Some(std)) => format!("{mean} ± {}", fixed(std * scale, decimals)),
    }
}

/// With this many decimals; what rounds to zero has no sign.
pub fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let is_zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
    if is_zero { text.trim_start_matches('-').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_text() {
        let spread = Spread { mean: Some(0.91234), std: Some(0.0045), ci95: Some([0.908, 0.917]) };
        assert_eq!(interval(spread), "91.23 ± 0.45 [90.80, 91.70]");
        let single = Spread { mean: Some(0.5), std: None, ci95: None };
        assert_eq!(interval(single), "50.00");
        assert_eq!(interval(Spread::default()), "-");
        assert_eq!(points(-0.0001), "0.0");
        assert_eq!(points(-0.123), "-12.3");
    }
}
