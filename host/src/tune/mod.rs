//! Choosing hyper-parameters on held-out training samples: which settings are tried, and which of
//! them is kept. Trials are ordinary runs that are scored on the held-out part instead of the test
//! part, which they never see; carrying them out is the command line's business.

mod space;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::stats::Spread;

pub use space::{Axis, SpaceError, Values, trials};

/// Hyper-parameters with their values, in the order in which they were asked for.
pub type Settings = Vec<(String, Value)>;

/// How settings did.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Trial {
    pub settings: toml::Table,
    /// Mean accuracy on held-out samples over seeds, and its deviation; none where a run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<f64>,
    /// Seeds that finished, and that did not.
    pub n: usize,
    pub failed: usize,
}

impl Trial {
    /// A trial that lost a run has no accuracy: a mean over the seeds that lived would favour it.
    pub fn of(settings: &Settings, spread: Spread, n: usize, failed: usize) -> Trial {
        let (accuracy, std) = if failed == 0 { (spread.mean, spread.std) } else { (None, None) };
        Trial { settings: table(settings), accuracy, std, n, failed }
    }
}

/// The trial with the highest accuracy, the first of equals.
pub fn best(trials: &[Trial]) -> Option<usize> {
    let known = trials.iter().enumerate().filter_map(|(index, t)| Some((index, t.accuracy?)));
    known.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(index, _)| index)
}

/// `lr=0.1, replay=10`, as people read it.
pub fn text(settings: &Settings) -> String {
    let texts: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    texts.join(", ")
}

/// For a TOML file, which knows no null.
pub fn table(settings: &[(String, Value)]) -> toml::Table {
    let entry = |(key, value): &(String, Value)| {
        toml::Value::try_from(value).ok().map(|value| (key.clone(), value))
    };
    settings.iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn trial(accuracy: f64, failed: usize) -> Trial {
        Trial::of(&vec![("lr".into(), json!(0.1))], Spread::of(&[accuracy]), 1, failed)
    }

    #[test]
    fn the_best_trial_finished_everywhere() {
        let trials = [trial(0.5, 0), trial(0.9, 1), trial(0.7, 0), trial(0.7, 0)];
        assert_eq!(best(&trials), Some(2));
        assert_eq!(trials[1].accuracy, None);
        assert_eq!(best(&[trial(0.5, 1)]), None);
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn settings_as_text_and_table() {
        let settings = vec![
            ("lr".to_owned(), json!(0.1)),
            ("hidden".into(), json!([10, 20])),
            ("x".into(), Value::Null),
        ];
        assert_eq!(text(&settings), "lr=0.1, hidden=[10,20], x=null");
        assert_eq!(table(&settings).to_string(), "hidden = [10, 20]\nlr = 0.1\n");
    }
}
