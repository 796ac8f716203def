//! What a plugin says about itself: a static part that is read from the file without running code,
//! and a described part that is asked for once in a worker.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::message::ViewNeeds;

/// ELF section that holds the static manifest as JSON text.
pub const SECTION: &str = ".perdura";

/// The static part. Written by `export_learner!`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct StaticManifest {
    /// `lab/method`.
    pub id: String,
    pub version: String,
    pub authors: String,
    pub licence: String,
    /// Equal to [`crate::ABI`] of the host, or the file is refused.
    pub abi: String,
    pub abi_stable: String,
    pub rustc: String,
    pub target: String,
    /// `unwind` or `abort`.
    pub panic: String,
    /// Native libraries the plugin wants, separated by spaces.
    pub native: String,
}

/// The described part, computed by the plugin's code.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
pub struct Description {
    /// Repeats the static id: a file whose two parts disagree is refused.
    pub id: String,
    pub summary: String,
    /// Reference of the publication, if there is one.
    pub paper: String,
    pub scenarios: Vec<String>,
    /// JSON Schema of the hyper-parameters, defaults and units included.
    pub config_schema: serde_json::Value,
    /// Every hyper-parameter with its default.
    pub config_default: serde_json::Value,
    pub presets: Vec<Preset>,
    pub devices: Vec<String>,
    pub views: Vec<DescribedView>,
    pub state_format: u32,
}

/// A view of a learner as the manifest lists it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct DescribedView {
    pub name: String,
    pub needs: ViewNeeds,
}

/// Published settings for one benchmark and memory size.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    pub benchmark: String,
    /// Memory in samples; `None` fits every size (and methods without memory).
    #[serde(default)]
    pub memory: Option<u64>,
    /// Where the values come from.
    pub source: String,
    /// Settings of the stream.
    #[serde(default)]
    pub stream: StreamPreset,
    /// Hyper-parameters; those not named keep their default.
    #[serde(default)]
    pub method: BTreeMap<String, serde_json::Value>,
}

/// Settings of the stream that a preset may fix.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(deny_unknown_fields)]
pub struct StreamPreset {
    #[serde(default)]
    pub epochs: Option<u32>,
    #[serde(default)]
    pub batch: Option<u32>,
    #[serde(default)]
    pub drop_last: Option<bool>,
}
