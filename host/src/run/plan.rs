//! The plan of a run: resolved settings, nothing left to a default. Two runs with equal plans have
//! equal summaries and predictions, so nothing of tier, machine or date belongs here.

use std::path::{Path, PathBuf};

use perdura_abi::message::InsertionPolicy;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{RunError, files};
use crate::stream::{ClassOrder, ParseOptionError, ScoreOn, StreamOptions};

/// `plan.json`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RunPlan {
    /// [`RunPlan::FORMAT`].
    pub format: u32,
    /// Full id, `lab/method`.
    pub method: String,
    /// Name of these settings in a comparison of several settings of one method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// The arm whose compute this one is to have: `stream.epochs` was chosen for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equal_compute: Option<String>,
    pub plugin: PluginFile,
    /// Hyper-parameters, complete.
    pub config: serde_json::Value,
    /// The preset that filled `config` and `stream`, before the settings of the command line.
    pub preset: Option<PresetUsed>,
    pub benchmark: String,
    /// Scenario the learner is trained in.
    pub scenario: String,
    pub stream: StreamSettings,
    /// Size of the replay memory; `None` for a run without one.
    pub memory: Option<MemorySize>,
    /// Which samples the memory keeps: as the user or else the learner wished; `None` where no memory is used.
    pub policy: Option<InsertionPolicy>,
    pub seed: u64,
    /// Thread budget of the learner.
    pub threads: usize,
    pub device: String,
    pub host: HostBuild,
}

/// The plugin file that was used.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PluginFile {
    pub version: String,
    /// Of the file, 64 hexadecimal digits.
    pub sha256: String,
    pub abi: String,
    /// File name without folders, for people.
    pub file: String,
}

/// Which preset was applied.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PresetUsed {
    /// As `--preset` names it.
    pub name: String,
    pub benchmark: String,
    /// Memory in samples that the preset is for; `None` fits every size.
    pub memory: Option<u64>,
    /// Where its values come from.
    pub source: String,
}

/// Settings of the stream, all resolved.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct StreamSettings {
    pub epochs: u32,
    pub batch: u32,
    pub drop_last: bool,
    /// Original class at each position.
    pub class_order: Vec<u32>,
    /// `all` or `seen`.
    pub eval_head: String,
    /// Fraction of the training data held out.
    pub validation: f64,
    /// Which samples are scored. Not written for the test part.
    #[serde(default, skip_serializing_if = "is_test")]
    pub score_on: ScoreOn,
    pub online: bool,
    /// Steps between two scores; `None` where scores come at boundaries alone.
    pub score_every: Option<u64>,
    /// Hash of class order, sample ids, transforms and phases, as `perdura benchmarks lock` has it.
    pub sha256: String,
}

/// Size of the replay memory: `{"samples": 200}` or `{"bytes": 65536}`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum MemorySize {
    Samples(u64),
    Bytes(u64),
}

/// For tables: `200`, `65536 bytes`, or `-` for none.
pub fn memory_text(memory: Option<MemorySize>) -> String {
    match memory {
        None => "-".into(),
        Some(MemorySize::Samples(samples)) => samples.to_string(),
        Some(MemorySize::Bytes(bytes)) => format!("{bytes} bytes"),
    }
}

/// The build of the host.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct HostBuild {
    pub version: String,
    /// `None` where the binary was built outside a checkout.
    pub commit: Option<String>,
}

fn is_test(score_on: &ScoreOn) -> bool {
    *score_on == ScoreOn::Test
}

impl StreamSettings {
    /// The options that make this stream again.
    pub fn options(&self) -> Result<StreamOptions, ParseOptionError> {
        Ok(StreamOptions {
            epochs: Some(self.epochs),
            batch: Some(self.batch),
            drop_last: Some(self.drop_last),
            class_order: ClassOrder::List(self.class_order.clone()),
            eval_head: self.eval_head.parse()?,
            validation: self.validation,
            score_on: self.score_on,
            online: self.online,
            score_every: self.score_every,
        })
    }
}

impl RunPlan {
    pub const FORMAT: u32 = 1;

    /// The text of `plan.json`: pretty-printed, with a newline at the end.
    pub fn to_json(&self) -> String {
        files::json_text(self)
    }

    /// Reads a `plan.json`; unknown fields and other formats are errors.
    pub fn read(path: &Path) -> Result<RunPlan, RunError> {
        files::read_json(path, Self::FORMAT)
    }

    /// SHA-256 of the text of `plan.json`, 64 hexadecimal digits.
    pub fn sha256(&self) -> String {
        let digest = Sha256::digest(self.to_json().as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// In what another plan differs from this one, both values in each; empty for equal plans.
    pub fn differences(&self, other: &RunPlan) -> Vec<String> {
        let value = |plan: &RunPlan| serde_json::to_value(plan).expect("string keys serialise");
        let mut found = Vec::new();
        differences("", &value(self), &value(other), &mut found);
        found
    }

    /// Where plans lie that differ from this one, but not in benchmark, method and memory.
    pub fn neighbours(&self) -> PathBuf {
        self.folder_name().parent().expect("a run lies in a folder").to_owned()
    }

    /// What the run is called in a comparison: its arm, or the method.
    pub fn arm(&self) -> &str {
        self.arm.as_deref().unwrap_or(&self.method)
    }

    /// Where the run lies below the output folder:
    /// `<benchmark>/<lab>-<method>/m<memory>/seed<seed>-<8 digits of the plan's hash>`.
    pub fn folder_name(&self) -> PathBuf {
        let memory = match self.memory {
            None => "m0".to_owned(),
            Some(MemorySize::Samples(samples)) => format!("m{samples}"),
            Some(MemorySize::Bytes(bytes)) => format!("m{bytes}bytes"),
        };
        [
            file_name(&self.benchmark),
            file_name(&self.method),
            memory,
            format!("seed{}-{}", self.seed, &self.sha256()[..8]),
        ]
        .iter()
        .collect()
    }
}

/// Notes `path: a and b` for every value in which two objects differ.
fn differences(path: &str, a: &serde_json::Value, b: &serde_json::Value, found: &mut Vec<String>) {
    use serde_json::Value;
    match (a, b) {
        _ if a == b => {}
        (Value::Object(of_a), Value::Object(of_b)) => {
            let keys: std::collections::BTreeSet<&String> =
                of_a.keys().chain(of_b.keys()).collect();
            for key in keys {
                let value = |of: &serde_json::Map<String, Value>| of.get(key).cloned();
                let dot = if path.is_empty() { "" } else { "." };
                let (a, b) = (value(of_a).unwrap_or_default(), value(of_b).unwrap_or_default());
                differences(&format!("{path}{dot}{key}"), &a, &b, found);
            }
        }
        _ => found.push(format!("{path}: {a} and {b}")),
    }
}

/// Names longer than this are cut: a benchmark's name may hold a path.
const NAME_CHARS_MAX: usize = 80;

/// The name with everything that is not plain in a file name as `-`. Two names may meet; the hash
/// of the plan keeps their runs apart.
fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    name.chars().take(NAME_CHARS_MAX).map(|c| if plain(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan;
    use super::*;

    fn read(text: &str) -> Result<RunPlan, RunError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        std::fs::write(&path, text).unwrap();
        RunPlan::read(&path)
    }

    #[test]
    fn a_plan_survives_its_file() {
        let plan = plan("perdura/er", 3);
        assert!(plan.to_json().ends_with("}\n"));
        assert!(plan.to_json().contains("\"samples\": 200"));
        assert_eq!(read(&plan.to_json()).unwrap(), plan);
    }

    #[test]
    fn unknown_fields_are_refused() {
        let text = plan("perdura/er", 3).to_json().replacen("\"seed\"", "\"sead\"", 1);
        let error = read(&text).unwrap_err().to_string();
        assert!(
            error.contains("plan.json is damaged or was edited: unknown field `sead`"),
            "{error}"
        );
    }

    #[test]
    fn another_format_is_named() {
        let text = plan("perdura/er", 3).to_json().replacen("\"format\": 1", "\"format\": 2", 1);
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains("has format 2, this build reads format 1"), "{error}");
    }

    #[test]
    fn differences_name_the_setting_and_both_values() {
        let (one, mut two) = (plan("perdura/er", 3), plan("perdura/er", 3));
        assert_eq!(one.differences(&two), [""; 0]);
        two.seed = 4;
        two.config["lr"] = 0.5.into();
        two.memory = None;
        two.arm = Some("slow".into());
        assert_eq!(
            one.differences(&two),
            [
                r#"arm: null and "slow""#,
                "config.lr: 0.1 and 0.5",
                r#"memory: {"samples":200} and null"#,
                "seed: 3 and 4"
            ]
        );
    }

    #[test]
    fn folders_tell_runs_apart() {
        let mut plan = plan("perdura/er", 3);
        let hash = plan.sha256()[..8].to_owned();
        let expected = format!("split-digits/perdura-er/m200/seed3-{hash}");
        assert_eq!(plan.folder_name(), PathBuf::from(expected));

        plan.config["lr"] = 0.5.into();
        assert_ne!(plan.sha256()[..8], hash);
        plan.memory = Some(MemorySize::Bytes(4096));
        plan.method = "../../etc".into();
        assert!(plan.folder_name().starts_with("split-digits/------etc/m4096bytes"));
        plan.memory = None;
        assert!(plan.folder_name().starts_with("split-digits/------etc/m0"));
        plan.benchmark = format!("split-folder:path={}", "a".repeat(300));
        let cut = format!("split-folder-path-{}", "a".repeat(62));
        assert!(plan.folder_name().starts_with(cut));
    }
}
