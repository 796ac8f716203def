//! The comparison as a table for a terminal, and plain for a pipe.

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table};

use super::Comparison;
use super::grid::{
    ACCURACY_COLUMN, Grid, GridRow, LEGEND, NAME_COLUMNS, anytime_legend, grid, mark_legend,
};
use super::sentences::{failure_sentences, pair_sentences, ranking_sentences};

/// Lines above, below and under the header only, in the notation of comfy-table's presets.
const LINES: &str = "  ── ══      ──    ";

/// What the output can show. The default is for a pipe or a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct TerminalStyle {
    /// Bold type by ANSI sequences.
    pub bold: bool,
    /// Columns of the terminal: cells wrap to fit. `None` never wraps.
    pub width: Option<u16>,
}

/// Table, legend, pairs, failures and warnings, with a newline at the end.
pub fn terminal(comparison: &Comparison, style: TerminalStyle) -> String {
    let grid = grid(comparison);
    let mut lines = vec![table(&grid, style).trim_fmt(), LEGEND.to_owned()];
    lines.extend(anytime_legend(comparison));
    if grid.rows.iter().any(|row| row.headline) {
        lines.push("*: the view by which the method is compared".to_owned());
    }
    lines.extend(mark_legend(comparison));
    lines.extend(section(pair_sentences(comparison)));
    lines.extend(section(ranking_sentences(comparison)));
    lines.extend(section(failure_sentences(comparison)));
    let warnings = comparison.warnings.iter().map(|warning| format!("warning: {warning}"));
    lines.extend(section(warnings.collect()));
    lines.join("\n") + "\n"
}

fn table(grid: &Grid, style: TerminalStyle) -> Table {
    let mut table = Table::new();
    table.load_preset(LINES);
    match style.width {
        None => table.set_content_arrangement(ContentArrangement::Disabled),
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
    };
    if style.bold {
        table.enforce_styling();
    }
    table.set_header(&grid.header);
    for row in &grid.rows {
        table.add_row(cells(row, style));
    }
    table
}

fn cells(row: &GridRow, style: TerminalStyle) -> Vec<Cell> {
    let cell = |(index, text): (usize, &String)| {
        let marked = row.headline && index == 1;
        let text = if marked { format!("{text} *") } else { text.clone() };
        let is_number = index >= NAME_COLUMNS && index != ACCURACY_COLUMN;
        let alignment = if is_number { CellAlignment::Right } else { CellAlignment::Left };
        let cell = Cell::new(text).set_alignment(alignment);
        if row.headline && style.bold { cell.add_attribute(Attribute::Bold) } else { cell }
    };
    row.cells.iter().enumerate().map(cell).collect()
}

/// The lines under an empty one; nothing for no lines.
fn section(lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() { lines } else { [vec![String::new()], lines].concat() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn the_example_as_text() {
        let comparison = Comparison::of(&example());
        assert_eq!(
            terminal(&comparison, TerminalStyle::default()),
            include_str!("expected/example.txt")
        );
    }

    #[test]
    fn bold_is_for_terminals_that_ask() {
        let comparison = Comparison::of(&example());
        let plain = terminal(&comparison, TerminalStyle::default());
        assert!(!plain.contains('\u{1b}'));
        let bold = terminal(&comparison, TerminalStyle { bold: true, width: None });
        assert!(bold.contains("\u{1b}[1m stable *"), "{bold}");
        assert!(!bold.contains("\u{1b}[1m working"), "{bold}");
    }

    #[test]
    fn a_narrow_terminal_wraps_cells() {
        let comparison = Comparison::of(&example());
        let style = TerminalStyle { bold: false, width: Some(80) };
        let text = terminal(&comparison, style);
        let table = text.lines().take_while(|line| !line.starts_with("mean"));
        assert!(table.map(|line| line.chars().count()).max() <= Some(80), "{text}");
    }

    #[test]
    fn warnings_are_printed() {
        let warnings = vec!["rows saw different streams".to_owned()];
        let comparison = Comparison { warnings, ..Comparison::of(&[]) };
        let text = terminal(&comparison, TerminalStyle::default());
        assert!(text.ends_with("\n\nwarning: rows saw different streams\n"), "{text}");
    }
}
