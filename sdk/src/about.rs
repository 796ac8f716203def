//! What a plugin says about its method.

use perdura_abi::manifest::Preset;
use serde::Deserialize;

/// The described part of the manifest, as far as only the author knows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// One sentence.
    pub summary: String,
    /// Reference of the publication; empty if there is none.
    pub paper: String,
    /// Of `class-il`, `task-il`, `domain-il`, `task-free`.
    pub scenarios: Vec<String>,
    /// TOML text: `[[preset]]` tables with `benchmark`, `memory`, `source`, `[preset.stream]`,
    /// `[preset.method]`. Empty if there are none.
    pub presets: String,
    /// Devices this build supports.
    pub devices: Vec<String>,
    /// Number of the state format; raise it when `load` can no longer read old states.
    pub state_format: u32,
}

impl About {
    /// A method of all scenarios on `flex`, without presets.
    pub fn new(summary: &str) -> Self {
        About {
            summary: summary.into(),
            paper: String::new(),
            scenarios: ["class-il", "task-il", "domain-il", "task-free"].map(Into::into).into(),
            presets: String::new(),
            devices: vec!["flex".into()],
            state_format: 1,
        }
    }

    /// Of `class-il`, `task-il`, `domain-il`, `task-free`, those it can learn in; the host refuses the
    /// others before it starts.
    pub fn scenarios(self, names: &[&str]) -> Self {
        About { scenarios: names.iter().map(|name| name.to_string()).collect(), ..self }
    }

    pub fn paper(self, paper: &str) -> Self {
        About { paper: paper.into(), ..self }
    }

    pub fn presets(self, toml: &str) -> Self {
        About { presets: toml.into(), ..self }
    }

    /// Devices this build supports, the default first.
    pub fn devices(self, names: &[&str]) -> Self {
        About { devices: names.iter().map(|name| name.to_string()).collect(), ..self }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Presets {
    #[serde(default)]
    preset: Vec<Preset>,
}

/// Reads the preset tables.
pub(crate) fn parse_presets(text: &str) -> Result<Vec<Preset>, toml::de::Error> {
    toml::from_str::<Presets>(text).map(|presets| presets.preset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_read() {
        let text = r#"
            [[preset]]
            benchmark = "split-mnist"
            memory = 200
            source = "table 3"
            [preset.stream]
            epochs = 1
            [preset.method]
            lr = 0.03
        "#;
        let presets = parse_presets(text).unwrap();
        assert_eq!(presets[0].memory, Some(200));
        assert_eq!(presets[0].stream.epochs, Some(1));
        assert_eq!(presets[0].method["lr"], serde_json::json!(0.03));
        assert!(parse_presets("[[preset]]\nbenchmrk = \"x\"").is_err());
    }
}
