//! The comparison as Markdown, for README files.

use super::Comparison;
use super::grid::{Grid, GridRow, LEGEND, NAME_COLUMNS, anytime_legend, grid, mark_legend};
use super::sentences::{failure_sentences, pair_sentences, ranking_sentences};

/// A table and, below it, pairs, failures and warnings as a list. Headline views are bold.
pub fn markdown(comparison: &Comparison) -> String {
    let Grid { header, rows } = grid(comparison);
    let rule = (0..header.len()).map(|index| if index < NAME_COLUMNS { "---" } else { "--:" });
    let mut lines = vec![line(&header), line(rule)];
    lines.extend(rows.iter().map(|row| line(cells(row))));
    lines.extend(LEGEND.lines().map(|legend| format!("\n{legend}.")));
    lines.extend(anytime_legend(comparison).map(|legend| format!("\n{legend}.")));
    lines.extend(mark_legend(comparison).map(|legend| format!("\n{legend}.")));
    let mut items = pair_sentences(comparison);
    items.extend(ranking_sentences(comparison));
    items.extend(failure_sentences(comparison));
    items.extend(comparison.warnings.iter().map(|warning| format!("Warning: {warning}")));
    if !items.is_empty() {
        lines.push(String::new());
        lines.extend(items.iter().map(|item| format!("- {item}")));
    }
    lines.join("\n") + "\n"
}

fn line<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    let cells: Vec<String> =
        cells.into_iter().map(|cell| cell.as_ref().replace('|', "\\|")).collect();
    format!("| {} |", cells.join(" | "))
}

fn cells(row: &GridRow) -> Vec<String> {
    let cell = |(index, text): (usize, &String)| {
        if row.headline && index == 1 { format!("**{text}**") } else { text.clone() }
    };
    row.cells.iter().enumerate().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn the_example_as_text() {
        let comparison = Comparison::of(&example());
        assert_eq!(markdown(&comparison), include_str!("expected/example.md"));
    }

    #[test]
    fn bars_in_cells_are_escaped() {
        assert_eq!(line(["a|b", "c"]), "| a\\|b | c |");
    }
}
