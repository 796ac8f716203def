//! `perdura benchmarks`.

use super::args::{BenchmarksCommand, Format};
use super::error::CliError;
use super::output::say;
use super::{DONE, resolve};
use crate::stream;

pub fn carry_out(command: &BenchmarksCommand) -> Result<u8, CliError> {
    match command {
        BenchmarksCommand::List { format } => list(*format),
        BenchmarksCommand::Inspect { name, data_dir, seed, stream, format } => {
            let options = resolve::stream_options(stream)?;
            let benchmark = stream::build(name, data_dir.as_deref(), &options, *seed)?;
            let inspection = stream::inspect(&benchmark);
            match format {
                Format::Json => say!("{}", json(&inspection)),
                _ => show(&inspection),
            }
        }
    }
    Ok(DONE)
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
