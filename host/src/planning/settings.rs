//! Hyper-parameters: defaults of the plugin, then the preset, then what the user sets. Unknown keys are refused.

use perdura_abi::manifest::{Description, Preset};
use serde_json::Value;

use super::PlanError;
use crate::names::{did_you_mean, list};

/// The complete hyper-parameters.
pub fn config(
    description: &Description,
    preset: Option<&Preset>,
    set: &[(String, Value)],
) -> Result<Value, PlanError> {
    let mut config = description.config_default.clone();
    let id = &description.id;
    for (key, value) in preset.iter().flat_map(|p| &p.method) {
        let of = format!("preset of {id}");
        put(&mut config, key, value.clone(), &of)?;
    }
    for (key, value) in set {
        put(&mut config, key, value.clone(), id)?;
    }
    Ok(config)
}

/// Sets `a.b.c` in nested objects that have this key already.
fn put(config: &mut Value, key: &str, value: Value, of: &str) -> Result<(), PlanError> {
    let mut place = config;
    for part in key.split('.') {
        let names: Vec<String> = match place.as_object() {
            Some(object) => object.keys().cloned().collect(),
            None => Vec::new(),
        };
        place = match place.get_mut(part) {
            Some(inner) => inner,
            None => {
                let (method, found) = (of.to_owned(), key.to_owned());
                let (hint, known) = (did_you_mean(part, &names), list(&names));
                return Err(PlanError::HyperParameter { method, found, hint, known });
            }
        };
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn description() -> Description {
        let config_default = json!({"lr": 0.1, "hidden": [100], "teacher": {"rate": 1.0}});
        Description { id: "lab/x".into(), config_default, ..Description::default() }
    }

    #[test]
    fn later_settings_win() {
        let method = [("lr".to_string(), json!(0.03))].into();
        let preset = Preset { method, ..Preset::default() };
        let set =
            [("hidden".to_string(), json!([10, 20])), ("teacher.rate".to_string(), json!(0.5))];
        let config = config(&description(), Some(&preset), &set).unwrap();
        assert_eq!(config, json!({"lr": 0.03, "hidden": [10, 20], "teacher": {"rate": 0.5}}));
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest() {
        let message = |key: &str| {
            let set = [(key.to_string(), json!(1))];
            config(&description(), None, &set).unwrap_err().to_string()
        };
        assert_eq!(
            message("hiden"),
            "lab/x has no hyper-parameter `hiden` (did you mean `hidden`?); \
             it has: hidden, lr, teacher"
        );
        assert!(message("lr.x").starts_with("lab/x has no hyper-parameter `lr.x`; it has: none"));
    }
}
