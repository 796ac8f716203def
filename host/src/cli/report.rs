//! `perdura report`: pages and tables about runs that lie in folders.

use std::path::{Path, PathBuf};

use super::DONE;
use super::error::CliError;
use super::output::say;
use super::result_args::ReportArgs;
use crate::report::{Report, ReportFormat, write};

/// A page goes into a file; everything else is printed where no file is named.
pub fn carry_out(args: &ReportArgs) -> Result<u8, CliError> {
    let report = Report::of(&args.runs)?;
    report.unread.iter().for_each(|run| eprintln!("warning: not read: {run}"));
    report.damaged.iter().for_each(|file| eprintln!("warning: read in part: {file}"));
    let text = write(&report, args.format);
    match file(args) {
        None => say!("{}", text.trim_end_matches('\n')),
        Some(path) => {
            save(&path, &text)?;
            eprintln!("Report: {}", path.display());
        }
    }
    Ok(DONE)
}

fn file(args: &ReportArgs) -> Option<PathBuf> {
    let page = || (args.format == ReportFormat::Html).then(|| args.runs[0].join("report.html"));
    args.out.clone().or_else(page)
}

fn save(path: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(path, text)
        .map_err(|source| CliError::File { path: path.display().to_string(), source })
}
