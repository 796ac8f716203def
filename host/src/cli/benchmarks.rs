//! `perdura benchmarks`.

use std::path::Path;

use super::args::Format;
use super::error::CliError;
use super::output::say;
use super::tool_args::{BenchmarksCommand, MakingArgs};
use super::{DONE, resolve, views};
use crate::stream::{self, Benchmark, Lock, LockedStream};

/// Two streams are not the same.
const DIFFERENT: u8 = 1;

pub fn carry_out(command: &BenchmarksCommand) -> Result<u8, CliError> {
    match command {
        BenchmarksCommand::List { format } => list(*format),
        BenchmarksCommand::Inspect { name, making, format } => {
            let inspection = stream::inspect(&build(name, making, making.seed)?);
            match format {
                Format::Json => say!("{}", json(&inspection)),
                _ => show(&inspection),
            }
        }
        BenchmarksCommand::Lock { name, seeds, out, making } => {
            let seeds = seeds.as_deref().map_or(Ok(vec![making.seed]), resolve::seeds)?;
            let text = json(&Lock::new(streams(name, making, &seeds)?)) + "\n";
            match out {
                None => say!("{}", text.trim_end()),
                Some(path) => std::fs::write(path, text).map_err(|source| CliError::File {
                    path: path.display().to_string(),
                    source,
                })?,
            }
        }
        BenchmarksCommand::Diff { a, b, making } => return diff(a, b, making),
        BenchmarksCommand::Views { name, out, data_dir, seed } => {
            let options = stream::StreamOptions::default();
            let benchmark = stream::build(name, data_dir.as_deref(), &options, *seed)?;
            say!("{}", views::write(&benchmark, *seed, out)?.display());
        }
    }
    Ok(DONE)
}

fn build(name: &str, making: &MakingArgs, seed: u64) -> Result<Benchmark, CliError> {
    let options = resolve::stream_options(&making.stream)?;
    Ok(stream::build(name, making.data_dir.as_deref(), &options, seed)?)
}

fn streams(name: &str, making: &MakingArgs, seeds: &[u64]) -> Result<Vec<LockedStream>, CliError> {
    let locked = |&seed| Ok(LockedStream::of(&build(name, making, seed)?, seed));
    seeds.iter().map(locked).collect()
}

/// Compares two sides, seed by seed where both are files; the streams of a benchmark are made for the
/// seeds of the file on the other side.
fn diff(a: &str, b: &str, making: &MakingArgs) -> Result<u8, CliError> {
    let (file_a, file_b) = (lock_file(a)?, lock_file(b)?);
    let seeds = |other: &Option<Vec<LockedStream>>| match other {
        Some(streams) => streams.iter().map(|locked| locked.seed).collect(),
        None => vec![making.seed],
    };
    let (of_a, of_b) = (seeds(&file_b), seeds(&file_a));
    let a_side = file_a.map_or_else(|| streams(a, making, &of_a), Ok)?;
    let b_side = file_b.map_or_else(|| streams(b, making, &of_b), Ok)?;
    let find = |side: &[LockedStream], seed| side.iter().find(|s| s.seed == seed).cloned();
    let mut found = Vec::new();
    for first in &a_side {
        match find(&b_side, first.seed) {
            None => found.push(format!("seed {}: only in {a}", first.seed)),
            Some(second) => {
                let differences = first.stream.differences(&second.stream).into_iter();
                found.extend(differences.map(|text| format!("seed {}: {text}", first.seed)));
            }
        }
    }
    for second in b_side.iter().filter(|second| find(&a_side, second.seed).is_none()) {
        found.push(format!("seed {}: only in {b}", second.seed));
    }
    if found.is_empty() {
        let hashes: Vec<&str> = a_side.iter().map(|stream| stream.sha256.as_str()).collect();
        say!("equal: {}", hashes.join(", "));
        return Ok(DONE);
    }
    found.iter().for_each(|line| say!("{line}"));
    Ok(DIFFERENT)
}

/// The streams of a lock file; `None` for what is the name of a benchmark.
fn lock_file(side: &str) -> Result<Option<Vec<LockedStream>>, CliError> {
    let path = Path::new(side);
    // Parameters may follow a name, and a path may stand in them.
    let base = side.split(':').next().unwrap_or(side);
    let named = stream::names().iter().any(|recipe| recipe.name == base);
    // What is neither is refused as a name, with the nearest one.
    match !named && (path.exists() || side.contains('/')) {
        true => Ok(Some(Lock::read(path)?.streams)),
        false => Ok(None),
    }
}

fn list(format: Format) {
    let recipes = stream::names();
    if format == Format::Json {
        let entry = |r: &stream::Recipe| serde_json::json!({"name": r.name, "about": r.about});
        let entries: Vec<_> = recipes.iter().map(entry).collect();
        say!("{}", json(&entries));
        return;
    }
    for recipe in recipes {
        say!("{:24} {}", recipe.name, recipe.about);
    }
}

fn show(i: &stream::Inspection) {
    say!("{}: {}, {} classes, input {:?}", i.name, i.scenario, i.classes, i.input_shape);
    say!("class order: {:?}", i.class_order);
    say!("epochs {}, batch {}", i.default_epochs, i.default_batch);
    say!("hash: {}", i.sha256);
    for (number, e) in i.experiences.iter().enumerate() {
        say!(
            "experience {}: classes {:?}, {} training, {} held out, {} test samples{}",
            number + 1,
            e.classes,
            e.train,
            e.validation,
            e.test,
            shown(e)
        );
    }
}

/// How an experience shows its images, where it changes them.
fn shown(e: &stream::ExperienceInspection) -> String {
    let mut text = String::new();
    if e.degrees != 0.0 {
        text += &format!(", rotated by {:.2} degrees", e.degrees);
    }
    if !e.first_permutation.is_empty() {
        text += &format!(", pixels permuted {:?}...", e.first_permutation);
    }
    if let Some(group) = e.group {
        text += &format!(", group {group}");
    }
    text
}

/// Pretty JSON text of something that cannot fail to be written.
pub fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).expect("plain data with string keys")
}
