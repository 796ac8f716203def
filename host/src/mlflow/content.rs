//! What a server is told of a run: pure functions of its plan and of what it left.

use serde_json::Value;
use std::path::Path;

use super::now_ms;
use super::outbox::{Opening, Pairs};
use crate::compare::RunRecord;
use crate::run::{RunPlan, memory_text};

/// Longer values of parameters are refused by some servers; the plan in the folder holds them whole.
const PARAM_CHARS_MAX: usize = 500;
/// Of tags.
const TAG_CHARS_MAX: usize = 4_000;
/// Of names of parameters and metrics.
const KEY_CHARS_MAX: usize = 250;

/// The experiment is the benchmark; tags say what the run is made from and where it lies.
pub fn opening(plan: &RunPlan, name: &str, (folder, tags): (&Path, &[String])) -> Opening {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let commit = plan.host.commit.clone().unwrap_or_default();
    let own = [
        ("seed", plan.seed.to_string()),
        ("method", plan.method.clone()),
        ("plugin_sha256", plan.plugin.sha256.clone()),
        ("plugin_version", plan.plugin.version.clone()),
        ("stream_sha256", plan.stream.sha256.clone()),
        ("plan_sha256", plan.sha256()),
        ("commit", commit.clone()),
        ("host_version", plan.host.version.clone()),
        ("folder", folder.display().to_string()),
        ("tags", tags.join(" ")),
    ];
    let own = own.map(|(key, value)| (format!("perdura.{key}"), value));
    let source = [
        ("mlflow.source.name".to_owned(), "perdura".to_owned()),
        ("mlflow.source.type".to_owned(), "LOCAL".to_owned()),
        ("mlflow.source.git.commit".to_owned(), commit),
    ];
    let tags = own.into_iter().chain(source).filter(|(_, value)| !value.is_empty());
    Opening {
        experiment: format!("perdura/{}", plan.benchmark),
        name: name.to_owned(),
        begun_ms: now_ms(),
        tags: tags.map(|(key, value)| (key, cut(&value, TAG_CHARS_MAX))).collect(),
    }
}

/// The settings: hyper-parameters as `config.<name>`, those of the stream as `stream.<name>`.
pub fn params(plan: &RunPlan) -> Pairs {
    let mut params = vec![
        ("method".to_owned(), plan.method.clone()),
        ("benchmark".to_owned(), plan.benchmark.clone()),
        ("scenario".to_owned(), plan.scenario.clone()),
        ("memory".to_owned(), memory_text(plan.memory)),
        ("seed".to_owned(), plan.seed.to_string()),
        ("threads".to_owned(), plan.threads.to_string()),
        ("device".to_owned(), plan.device.clone()),
    ];
    params.extend(plan.arm.clone().map(|arm| ("arm".to_owned(), arm)));
    params.extend(plan.preset.clone().map(|preset| ("preset".to_owned(), preset.name)));
    let policy = plan.policy.map(|policy| serde_json::json!(policy));
    params.extend(policy.map(|policy| ("policy".to_owned(), text(&policy))));
    let stream = serde_json::to_value(&plan.stream).expect("settings are plain data");
    for (group, values) in [("config", &plan.config), ("stream", &stream)] {
        let values = values.as_object().into_iter().flatten();
        params.extend(values.map(|(key, value)| (format!("{group}.{key}"), text(value))));
    }
    let limited = |(key, value): (String, String)| (plain_key(&key), cut(&value, PARAM_CHARS_MAX));
    params.into_iter().map(limited).collect()
}

/// The metrics of the summary as `final/<scenario>/<view>/<metric>`, and what the run took.
pub fn final_values(record: &RunRecord) -> Vec<(String, f64)> {
    let mut values = Vec::new();
    if let Some(summary) = &record.summary {
        for view in &summary.views {
            for scores in &view.scenarios {
                let metrics = serde_json::to_value(&scores.metrics).expect("plain numbers");
                let metrics = metrics.as_object().into_iter().flatten();
                let numbers = metrics.filter_map(|(name, value)| Some((name, value.as_f64()?)));
                let place = format!("final/{}/{}", scores.scenario, view.view);
                values.extend(numbers.map(|(name, value)| (format!("{place}/{name}"), value)));
            }
        }
        values.push(("final/memory_bytes".into(), summary.memory_bytes as f64));
        values.push(("final/state_bytes".into(), summary.state_bytes as f64));
    }
    if let Some(resources) = &record.resources {
        values.push(("final/seconds".into(), resources.seconds));
        values.push(("final/cpu_seconds".into(), resources.cpu_seconds));
        let peak = resources.peak_pss_bytes.map(|bytes| bytes as f64);
        values.extend(peak.map(|bytes| ("final/peak_pss_bytes".into(), bytes)));
    }
    values
}

/// Why a run failed; the tier it ran in.
pub fn end_tags(record: &RunRecord) -> Pairs {
    let fault = record.fault().map(|fault| {
        let text = format!("{}: {}: {}", fault.call, fault.kind, fault.message);
        ("perdura.fault".to_owned(), cut(&text, TAG_CHARS_MAX))
    });
    let tier = record.resources.as_ref().map(|resources| resources.tier.clone());
    let tier = tier.filter(|tier| !tier.is_empty()).map(|tier| ("perdura.tier".to_owned(), tier));
    fault.into_iter().chain(tier).collect()
}

/// A name that MLflow takes: letters, digits, `_`, `-`, `.`, `/`, space.
pub fn plain_key(key: &str) -> String {
    let plain = |c: char| match c {
        c if c.is_ascii_alphanumeric() || "_-./ ".contains(c) => c,
        _ => '_',
    };
    key.chars().take(KEY_CHARS_MAX).map(plain).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.chars().count() > chars_max {
        true => text.chars().take(chars_max - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests::{failed, finished, view};
    use crate::run::tests::plan;

    fn get<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
        pairs.iter().find(|pair| pair.0 == key).map(|pair| pair.1.as_str())
    }

    #[test]
    fn a_plan_becomes_an_experiment_tags_and_parameters() {
        let mut plan = plan("perdura/er", 7);
        plan.stream.class_order = (0..1000).collect();
        let tags = ["paper".to_owned(), "v2".to_owned()];
        let opening = opening(&plan, "er seed 7", (Path::new("runs/a"), &tags));
        assert_eq!(
            (opening.experiment.as_str(), opening.name.as_str()),
            ("perdura/split-digits", "er seed 7")
        );
        assert_eq!(get(&opening.tags, "perdura.plugin_sha256"), Some("ab".repeat(32).as_str()));
        assert_eq!(get(&opening.tags, "perdura.seed"), Some("7"));
        assert_eq!(get(&opening.tags, "perdura.tags"), Some("paper v2"));
        assert_eq!(get(&opening.tags, "perdura.commit"), None, "the build knows none");
        plan.host.commit = Some("abc".into());
        let opening = super::opening(&plan, "", (Path::new("runs/a"), &[]));
        assert_eq!(get(&opening.tags, "mlflow.source.git.commit"), Some("abc"));
        let params = params(&plan);
        assert_eq!(get(&params, "config.lr"), Some("0.1"));
        assert_eq!(get(&params, "stream.epochs"), Some("10"));
        assert_eq!(
            (get(&params, "memory"), get(&params, "policy")),
            (Some("200"), Some("reservoir"))
        );
        let order = get(&params, "stream.class_order").unwrap();
        assert!(order.starts_with("[0,1,2,") && order.ends_with('…'), "{order}");
        assert_eq!(order.chars().count(), PARAM_CHARS_MAX);
    }

    #[test]
    fn what_a_run_brought_becomes_values() {
        let values = final_values(&finished("a/x", 0, vec![view("main", 0.5)]));
        let value = |key: &str| values.iter().find(|value| value.0 == key).map(|value| value.1);
        assert_eq!(value("final/class-il/main/average_accuracy"), Some(0.5));
        assert!(value("final/seconds").is_some());
        assert!(
            end_tags(&finished("a/x", 0, Vec::new())).iter().all(|tag| tag.0 != "perdura.fault")
        );
        let tags = end_tags(&failed("a/x", 0));
        assert!(get(&tags, "perdura.fault").unwrap().contains("panic"), "{tags:?}");
    }

    #[test]
    fn names_are_made_plain() {
        assert_eq!(plain_key("training/loß (mean)"), "training/lo_ _mean_");
        assert_eq!(plain_key(&"x".repeat(300)).len(), KEY_CHARS_MAX);
    }
}
