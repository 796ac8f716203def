//! Reports about runs that lie in folders: one page to look at, and the same numbers for papers,
//! tables and programs. Nothing here trains or decides what a number means: metrics come from the
//! summaries, comparisons from `compare`.
//!
//! ```text
//! folders -> Report::of -> html | markdown | csv | json | latex
//! ```

mod charts;
mod csv;
mod event_file;
mod html;
mod json;
mod latex;
mod ledger;
mod section;
mod series;

pub use csv::csv;
pub use event_file::EventFile;
pub use html::html;
pub use json::json;
pub use latex::latex;
pub use section::{Report, ReportRun, Section};

use crate::compare;

/// What a report is written as.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// One page with charts that opens without a network.
    Html,
    /// The comparison as a table and sentences.
    Markdown,
    /// One number per line, for other programs.
    Csv,
    /// Everything, as one document.
    Json,
    /// Tables for a paper, with the package booktabs.
    Latex,
}

/// The text of a report.
pub fn write(report: &Report, format: ReportFormat) -> String {
    let sections = &report.sections;
    match format {
        ReportFormat::Html => html(report),
        ReportFormat::Csv => csv(sections),
        ReportFormat::Json => json(sections),
        ReportFormat::Latex => latex(sections),
        ReportFormat::Markdown => {
            let text = |section: &Section| {
                format!("## {}\n\n{}", section.title(), compare::markdown(&section.comparison))
            };
            sections.iter().map(text).collect::<Vec<_>>().join("\n")
        }
    }
}

#[cfg(test)]
mod tests;
