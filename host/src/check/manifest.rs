//! What a plugin says about itself, and whether a learner can be made of it: manifest, schema, defaults,
//! presets, wrong keys.

use perdura_abi::manifest::{Description, Preset};
use serde_json::{Value, json};

use super::finding::{Finding, Kind, require};
use super::trial::Trial;
use super::{Check, Level};
use crate::planning::{complete_config, preset_name};
use crate::worker::FaultKind;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "manifest",
        about: "what the file says about itself is complete, and agrees with what its code says",
        level: Level::Basic,
        needs: &[],
        remedy: "export the learner with `export_learner!`, and fill in `About` and Cargo.toml",
        run: manifest,
    },
    Check {
        name: "create",
        about: "a learner can be made with the default hyper-parameters",
        level: Level::Basic,
        needs: &["manifest"],
        remedy: "choose defaults that work for any number of classes and any input shape",
        run: create,
    },
    Check {
        name: "presets",
        about: "every preset names hyper-parameters that exist, and a learner can be made with it",
        level: Level::Standard,
        needs: &["create"],
        remedy: "correct the preset in presets.toml, or the check of its values in `create`",
        run: presets,
    },
    Check {
        name: "wrong-keys",
        about: "unknown hyper-parameters and values of a wrong type are refused",
        level: Level::Standard,
        needs: &["create"],
        remedy: "declare hyper-parameters with `hyper_parameters!`, which refuses both",
        run: wrong_keys,
    },
];

/// Scenarios that a description may name.
pub(super) const SCENARIOS: [&str; 4] = ["class-il", "task-il", "domain-il", "task-free"];

fn manifest(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let described = trial.subject.description()?;
    let manifest = &trial.subject.found.manifest;
    require(described.id == manifest.id, || {
        format!("the file is `{}`, but its code says it is `{}`", manifest.id, described.id)
    })?;
    require(described.config_default.is_object(), || {
        format!("its default hyper-parameters are no object: {}", described.config_default)
    })?;
    schema_names_the_defaults(described)?;
    require(!described.views.is_empty(), || "it lists no view: there is nothing to score".into())?;
    require(!described.scenarios.is_empty(), || "it lists no scenario".into())?;
    require(!described.devices.is_empty(), || "it lists no device".into())?;
    let unknown = described.scenarios.iter().find(|name| !SCENARIOS.contains(&name.as_str()));
    if let Some(name) = unknown {
        let known = SCENARIOS.join(", ");
        return Err(Finding::fail(format!("scenario `{name}` is unknown; there are: {known}")));
    }
    // A program of another language has neither a way to panic nor a place for its licence.
    if trial.subject.is_program() {
        let summary = described.summary.trim();
        return if summary.is_empty() {
            Err(Finding::warning("it has not a summary"))
        } else {
            Ok(())
        };
    }
    if manifest.panic != "unwind" {
        let cause = format!("built with panic = {:?}: a panic ends the process", manifest.panic);
        let remedy = Some("build it with panic = \"unwind\", the default of cargo".into());
        return Err(Finding { kind: Kind::Warning, cause, remedy });
    }
    let empty = [("a summary", &described.summary), ("a licence", &manifest.licence)];
    match empty.iter().find(|(_, text)| text.trim().is_empty()) {
        Some((what, _)) => Err(Finding::warning(format!("it has not {what}"))),
        None => Ok(()),
    }
}

/// The schema describes exactly the hyper-parameters that have a default.
fn schema_names_the_defaults(described: &Description) -> Result<(), Finding> {
    let properties = described.config_schema.get("properties").and_then(Value::as_object);
    let none = serde_json::Map::new();
    let (properties, defaults) =
        (properties.unwrap_or(&none), described.config_default.as_object().unwrap_or(&none));
    let lacks = |a: &serde_json::Map<String, Value>, b: &serde_json::Map<String, Value>| {
        a.keys().find(|key| !b.contains_key(*key)).cloned()
    };
    if let Some(key) = lacks(defaults, properties) {
        return Err(Finding::fail(format!("its schema does not describe hyper-parameter `{key}`")));
    }
    match lacks(properties, defaults) {
        Some(key) => Err(Finding::fail(format!("hyper-parameter `{key}` has no default"))),
        None => Ok(()),
    }
}

fn create(trial: &mut Trial<'_>) -> Result<(), Finding> {
    trial.open().map(drop)
}

fn presets(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let described = trial.subject.description()?.clone();
    if described.presets.is_empty() {
        return Err(Finding::skipped("it has none"));
    }
    for preset in &described.presets {
        let name = preset_name(preset);
        let config = complete_config(&described, Some(preset), &[])
            .map_err(|e| Finding::fail(e.to_string()).after(format!("preset `{name}`")))?;
        let mut create =
            trial.subject.create_message(&trial.stage().benchmark(), trial.subject.seed);
        create.config = config;
        (create.context.input_shape, create.context.classes) = data_of(preset);
        trial
            .spawn(&create)
            .map_err(|fault| Finding::from(fault).after(format!("preset `{name}`")))?;
    }
    trial.measure("presets", described.presets.len() as f64);
    Ok(())
}

/// Input shape and classes of the data that a preset is for; those of MNIST where they are not known.
fn data_of(preset: &Preset) -> (Vec<usize>, usize) {
    let name = preset.benchmark.split(':').next().unwrap_or_default();
    let recipe = crate::stream::names().iter().find(|recipe| recipe.name == name);
    match recipe.map_or("", |recipe| recipe.data) {
        "digits" => (vec![1, 8, 8], 10),
        "cifar10" | "cifar10-subset" => (vec![3, 32, 32], 10),
        "cifar100" => (vec![3, 32, 32], 100),
        "tinyimagenet" => (vec![3, 64, 64], 200),
        "folder" => (vec![3, 84, 84], 85),
        _ => (vec![1, 28, 28], 10),
    }
}

fn wrong_keys(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let benchmark = trial.stage().benchmark();
    let mut wrong = trial.subject.create_message(&benchmark, trial.subject.seed);
    let Some(right) = wrong.config.as_object().cloned() else {
        return Err(Finding::skipped("it has no hyper-parameters"));
    };
    let unknown = ("no_such_hyper_parameter".to_owned(), json!(1));
    let of_wrong_type = |(key, value): (&String, &Value)| {
        let other = match value {
            // Anything may be the type of what is not there.
            Value::Null => return None,
            Value::String(_) => json!({"no": "text"}),
            _ => json!("no number, list or choice"),
        };
        Some((key.clone(), other))
    };
    let cases: Vec<_> =
        std::iter::once(unknown).chain(right.iter().filter_map(of_wrong_type)).collect();
    for (key, value) in cases {
        let what = format!("{key} = {value}");
        wrong.config = Value::Object(right.clone());
        wrong.config[key] = value;
        match trial.spawn(&wrong) {
            Err(fault) if matches!(fault.kind, FaultKind::Error { .. }) => {}
            Err(fault) => return Err(Finding::from(fault).after(what)),
            Ok(_) => return Err(Finding::fail(format!("a learner was made with {what}"))),
        }
    }
    Ok(())
}
