//! The comparison as LaTeX tables with the package booktabs: a line per method, by its headline
//! view, and a pair of columns per scenario.

use super::Section;
use crate::compare::{AnytimeSpread, Names, Row, fixed};
use crate::stats::Spread;

/// One table per section. The best methods that cannot be separated are bold.
pub fn latex(sections: &[Section]) -> String {
    let tables: Vec<String> = sections.iter().map(table).collect();
    format!("% Needs \\usepackage{{booktabs}}.\n{}", tables.join("\n"))
}

fn table(section: &Section) -> String {
    let comparison = &section.comparison;
    let names = Names::of(comparison);
    let shown: Vec<&Row> = comparison.rows.iter().filter(|r| r.headline && r.n > 0).collect();
    let mut scenarios: Vec<&str> = shown.iter().map(|row| row.scenario.as_str()).collect();
    scenarios.sort_by_key(|scenario| crate::compare::scenario_rank(scenario));
    scenarios.dedup();
    let mut methods: Vec<&str> = shown.iter().map(|row| row.method.as_str()).collect();
    methods.dedup();
    let upper_bound = |method: &&str| shown.iter().any(|r| r.method == **method && r.upper_bound);
    let (bounds, learners): (Vec<&str>, Vec<&str>) = methods.into_iter().partition(upper_bound);
    // Ran outside the sandbox; the caption says so.
    let marked = |method: &str| shown.iter().any(|r| r.method == method && r.is_marked());
    let mark = |method: &str| if marked(method) { "$^\\dagger$" } else { "" };
    let anytime = shown.iter().any(|row| row.anytime.is_some());
    let columns = if anytime { 4 } else { 2 };
    let line = |method: &&str| {
        let cells = scenarios.iter().flat_map(|scenario| {
            let row = shown.iter().find(|r| r.method == **method && r.scenario == *scenario);
            cells(section, row.copied(), anytime)
        });
        let cells: Vec<String> =
            std::iter::once(escaped(names.short(method)) + mark(method)).chain(cells).collect();
        format!("  {} \\\\\n", cells.join(" & "))
    };
    let body: String = learners.iter().map(line).collect();
    let bounds: String = bounds.iter().map(line).collect();
    let rule = if bounds.is_empty() || body.is_empty() { "" } else { "  \\midrule\n" };
    format!(
        "\\begin{{table}}[t]\n  \\centering\n  \\caption{{{}}}\n  \\begin{{tabular}}{{l{}}}\n  \
         \\toprule\n{}  \\midrule\n{body}{rule}{bounds}  \\bottomrule\n  \\end{{tabular}}\n\
         \\end{{table}}\n",
        caption(section, &shown),
        "r".repeat(columns * scenarios.len()),
        header(&scenarios, columns),
    )
}

/// Scenarios over so many columns each.
fn header(scenarios: &[&str], columns: usize) -> String {
    let span = |s: &&str| format!(" & \\multicolumn{{{columns}}}{{c}}{{{}}}", escaped(s));
    let spans = scenarios.iter().map(span);
    let first = |index: usize| columns * index + 2;
    let rules = (0..scenarios.len())
        .map(|index| format!("\\cmidrule(lr){{{}-{}}}", first(index), first(index) + columns - 1));
    let names = match columns {
        2 => " & accuracy & forgetting",
        _ => " & accuracy & forgetting & worst case & stability gap",
    };
    let columns = scenarios.iter().map(|_| names);
    format!(
        "  {} \\\\\n  {}\n  Method{} \\\\\n",
        spans.collect::<String>(),
        rules.collect::<Vec<_>>().join(" "),
        columns.collect::<String>()
    )
}

/// Two cells, or four where there are scores between boundaries.
fn cells(section: &Section, row: Option<&Row>, anytime: bool) -> Vec<String> {
    let none = || "--".to_owned();
    let Some(row) = row else { return vec![none(); if anytime { 4 } else { 2 }] };
    let best = is_best(section, row);
    let accuracy = plus_minus(row.average_accuracy);
    let accuracy = if best { format!("$\\mathbf{{{accuracy}}}$") } else { format!("${accuracy}$") };
    let cell = |spread: Spread| match spread.mean {
        None => none(),
        Some(_) => format!("${}$", plus_minus(spread)),
    };
    let mut cells = vec![accuracy, cell(row.forgetting_from_peak)];
    if anytime {
        let of = |get: fn(&AnytimeSpread) -> Spread| {
            row.anytime.as_ref().map_or_else(none, |a| cell(get(a)))
        };
        cells.extend([of(|a| a.worst_case_accuracy), of(|a| a.stability_gap)]);
    }
    cells
}

/// Whether nothing separates a learner from the best one; upper bounds do not compete.
fn is_best(section: &Section, row: &Row) -> bool {
    let rows = &section.comparison.rows;
    let bound = |method: &str| rows.iter().any(|r| r.method == method && r.upper_bound);
    let rankings = section.comparison.rankings.iter().filter(|r| r.scenario == row.scenario);
    let mut learners = rankings.flat_map(|ranking| &ranking.ranks).filter(|r| !bound(&r.method));
    let Some(first) = learners.next() else { return false };
    // The best group of the best learner.
    let Some(letter) = first.groups.chars().next() else { return false };
    first.method == row.method
        || learners.any(|r| r.method == row.method && r.groups.contains(letter))
}

fn caption(section: &Section, shown: &[&Row]) -> String {
    let n = shown.iter().map(|row| row.n).collect::<std::collections::BTreeSet<_>>();
    let n: Vec<String> = n.iter().map(usize::to_string).collect();
    let marked = shown.iter().any(|row| row.is_marked());
    let mark = if marked { " $\\dagger$: ran outside the sandbox." } else { "" };
    format!(
        "{}. Mean $\\pm$ standard deviation over $n = {}$ seeds, in percent. Bold: the best \
         methods, which paired t-tests (Holm-corrected, $p < 0.05$) cannot separate.{mark}",
        escaped(&section.title()),
        n.join(", ")
    )
}

/// `87.61 \pm 1.25`, in percent.
fn plus_minus(spread: Spread) -> String {
    let percent = |value: f64| fixed(value * 100.0, 2);
    match (spread.mean, spread.std) {
        (None, _) => "\\text{--}".into(),
        (Some(mean), None) => percent(mean),
        (Some(mean), Some(std)) => format!("{} \\pm {}", percent(mean), percent(std)),
    }
}

/// Text with what has a meaning in LaTeX made plain.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', c]),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '\\' => escaped.push_str("\\textbackslash{}"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_with_a_meaning_are_escaped() {
        assert_eq!(
            escaped("er_ace & 5%\\x^2~"),
            "er\\_ace \\& 5\\%\\textbackslash{}x\\textasciicircum{}2\\textasciitilde{}"
        );
    }
}
