//! `perdura runs`: what lies in an output folder, found by its index.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use comfy_table::{CellAlignment, Table};

use super::DONE;
use super::args::Format;
use super::compare::show;
use super::error::CliError;
use super::output::say;
use super::result_args::{FilterArgs, RunsArgs, RunsCommand};
use crate::compare::{Comparison, RunRecord};
use crate::index::{Entry, Filter, Index};
use crate::run::{RunFolder, Status, check_tag, memory_text};

pub fn carry_out(args: &RunsArgs) -> Result<u8, CliError> {
    let mut index = Index::open(&args.out)?;
    match &args.command {
        RunsCommand::List { filter, format } => list(&entries(&mut index, filter)?, *format),
        RunsCommand::Compare { filter, format } => {
            let entries = entries(&mut index, filter)?;
            compare(&args.out, &entries, *format)?;
        }
        RunsCommand::Show { folder, format } => show_run(&index.folder(folder)?, *format)?,
        RunsCommand::Tag { folder, tags, remove } => tag(&mut index, folder, tags, remove)?,
        RunsCommand::Rm { folders, force } => remove(&mut index, folders, *force)?,
        RunsCommand::Reindex => say!("{} runs", index.rebuild()?),
    }
    Ok(DONE)
}

fn entries(index: &mut Index, args: &FilterArgs) -> Result<Vec<Entry>, CliError> {
    let FilterArgs { method, benchmark, memory, tag, status, since, until } = args.clone();
    let filter = Filter { method, benchmark, memory, tag, status, since, until }.checked()?;
    index.refresh()?;
    Ok(index.list(&filter)?)
}

const HEADER: [&str; 10] = [
    "method",
    "benchmark",
    "memory",
    "seed",
    "status",
    "accuracy",
    "seconds",
    "started",
    "tags",
    "folder",
];

fn list(entries: &[Entry], format: Format) {
    match format {
        Format::Json => say!("{}", super::benchmarks::json(&entries)),
        Format::Markdown => {
            say!("| {} |", HEADER.join(" | "));
            say!("|{}", " --- |".repeat(HEADER.len()));
            entries.iter().for_each(|entry| say!("| {} |", cells(entry).join(" | ")));
        }
        Format::Text => {
            let mut table = Table::new();
            table.load_preset(comfy_table::presets::NOTHING).set_header(HEADER);
            table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
            for column in [3, 5, 6] {
                let column = table.column_mut(column).expect("there are ten");
                column.set_cell_alignment(CellAlignment::Right);
            }
            table.add_rows(entries.iter().map(cells));
            say!("{}", table.trim_fmt());
        }
    }
}

fn cells(entry: &Entry) -> [String; 10] {
    let number = |value: Option<f64>, scale: f64, decimals: usize| {
        value.map_or("-".into(), |value| format!("{:.decimals$}", value * scale))
    };
    [
        entry.arm.clone(),
        entry.benchmark.clone(),
        entry.memory.clone(),
        entry.seed.to_string(),
        entry.status.clone(),
        number(entry.accuracy, 100.0, 2),
        number(entry.seconds, 1.0, 1),
        entry.started.clone().unwrap_or_else(|| "-".into()),
        entry.tags.join(" "),
        entry.folder.clone(),
    ]
}

/// Runs of several benchmarks are no comparison.
fn compare(out: &Path, entries: &[Entry], format: Format) -> Result<(), CliError> {
    let mut settings: Vec<String> = entries.iter().map(|entry| entry.benchmark.clone()).collect();
    settings.sort();
    settings.dedup();
    if settings.len() != 1 {
        let found = if settings.is_empty() { "none".into() } else { settings.join(", ") };
        let message = format!(
            "the runs that fit are of these benchmarks: {found}; choose one with --benchmark"
        );
        return Err(CliError::input(message));
    }
    let read = |entry: &Entry| RunRecord::read(&RunFolder::open(&out.join(&entry.folder))?);
    let records: Vec<RunRecord> = entries.iter().map(read).collect::<Result<_, _>>()?;
    show(&Comparison::of(&records), format);
    Ok(())
}

fn show_run(folder: &RunFolder, format: Format) -> Result<(), CliError> {
    let record = RunRecord::read(folder)?;
    let tags = folder.tags()?;
    if format == Format::Json {
        let document = serde_json::json!({
            "folder": folder.path(), "tags": tags, "plan": record.plan,
            "summary": record.summary, "resources": record.resources,
        });
        say!("{document:#}");
        return Ok(());
    }
    let plan = &record.plan;
    show(&Comparison::of(std::slice::from_ref(&record)), format);
    say!("folder     {}", folder.path().display());
    say!("benchmark  {}, stream {}", plan.benchmark, plan.stream.sha256);
    say!("memory     {}", memory_text(plan.memory));
    say!("seed       {}", plan.seed);
    say!("plugin     {} {}, {}", plan.plugin.file, plan.plugin.version, plan.plugin.sha256);
    say!("config     {}", plan.config);
    if let Some(preset) = &plan.preset {
        say!("preset     {}: {}", preset.name, preset.source);
    }
    if let Some(resources) = &record.resources {
        let machine = &resources.machine;
        say!("started    {} on {}, {}", resources.started, machine.cpu, machine.system);
    }
    if !tags.is_empty() {
        say!("tags       {}", tags.join(" "));
    }
    Ok(())
}

fn tag(
    index: &mut Index,
    folder: &Path,
    tags: &[String],
    remove: &[String],
) -> Result<(), CliError> {
    tags.iter().chain(remove).try_for_each(|tag| check_tag(tag))?;
    let folder = index.folder(folder)?;
    let mut all = folder.tags()?;
    all.extend(tags.iter().cloned());
    all.retain(|tag| !remove.contains(tag));
    folder.set_tags(&all)?;
    index.update([folder.path()])?;
    say!("{}", folder.tags()?.join(" "));
    Ok(())
}

/// Looks at all folders before the first is deleted.
fn remove(index: &mut Index, folders: &[PathBuf], force: bool) -> Result<(), CliError> {
    let mut found = Vec::new();
    for folder in folders {
        let folder = index.folder(folder)?;
        // One whose files are damaged has come to its end.
        if !force && folder.status().is_ok_and(|status| status == Status::Unfinished) {
            let path = folder.path().display();
            return Err(CliError::input(format!(
                "{path} has no summary: the run goes on, or was killed; --force deletes it all the \
                 same"
            )));
        }
        found.push(folder.path().to_owned());
    }
    for path in &found {
        std::fs::remove_dir_all(path)
            .map_err(|source| CliError::File { path: path.display().to_string(), source })?;
    }
    index.update(found.iter().map(PathBuf::as_path))?;
    if std::io::stderr().is_terminal() {
        eprintln!("{} runs deleted", found.len());
    }
    Ok(())
}
