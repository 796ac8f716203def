//! A preset in a file of its own, as `perdura tune` writes it and `--preset FILE` reads it, together
//! with what it was chosen by.

use std::path::{Path, PathBuf};

use perdura_abi::manifest::Preset;
use serde::{Deserialize, Serialize};

use crate::tune::Trial;

/// The file.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PresetFile {
    /// Full id of the method.
    pub method: String,
    pub preset: Preset,
    /// All settings that were tried, on the same held-out samples.
    #[serde(default)]
    pub trial: Vec<Trial>,
}

/// Why a preset file was refused.
#[derive(Debug, thiserror::Error)]
pub enum PresetFileError {
    #[error("--preset {}: cannot be read", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("--preset {}: {reason}", .path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("--preset {} is for {found}, not for {expected}", .path.display())]
    Method { path: PathBuf, found: String, expected: String },
}

impl PresetFile {
    /// The text of the file.
    pub fn to_toml(&self) -> String {
        let text = toml::to_string_pretty(self).expect("tables with text keys");
        format!("# Chosen by `perdura tune`; `--preset FILE` applies it.\n\n{text}")
    }

    /// Reads a preset for a method.
    pub fn read(path: &Path, method: &str) -> Result<PresetFile, PresetFileError> {
        let path = || path.to_owned();
        let text = std::fs::read_to_string(path())
            .map_err(|source| PresetFileError::Read { path: path(), source })?;
        let file: PresetFile = toml::from_str(&text)
            .map_err(|e| PresetFileError::Damaged { path: path(), reason: e.to_string() })?;
        match file.method == method {
            true => Ok(file),
            false => Err(PresetFileError::Method {
                path: path(),
                found: file.method,
                expected: method.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Spread;
    use serde_json::json;

    fn file() -> PresetFile {
        let settings = vec![("lr".to_owned(), json!(0.1))];
        let method = [("hidden".to_owned(), json!([10, 20])), ("lr".to_owned(), json!(0.1))];
        let preset = Preset {
            benchmark: "split-digits".into(),
            memory: Some(50),
            source: "perdura tune".into(),
            method: method.into(),
            ..Preset::default()
        };
        let trial = vec![Trial::of(&settings, Spread::of(&[0.5, 0.75]), 2, 0)];
        PresetFile { method: "perdura/er".into(), preset, trial }
    }

    #[test]
    fn a_preset_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("er.toml");
        std::fs::write(&path, file().to_toml()).unwrap();
        assert_eq!(PresetFile::read(&path, "perdura/er").unwrap(), file());
    }

    #[test]
    fn other_methods_and_damage_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("er.toml");
        let message = || PresetFile::read(&path, "perdura/sgd").unwrap_err().to_string();
        assert!(message().ends_with("er.toml: cannot be read"));
        std::fs::write(&path, file().to_toml()).unwrap();
        assert!(message().ends_with("er.toml is for perdura/er, not for perdura/sgd"));
        std::fs::write(&path, file().to_toml().replace("benchmark", "benchmrk")).unwrap();
        assert!(message().contains("unknown field `benchmrk`"), "{}", message());
    }
}
