//! The settings that are tried: every combination of listed values, or seeded draws.

use std::collections::BTreeSet;
use std::str::FromStr;

use rand::RngExt;
use serde_json::Value;

use super::Settings;
use crate::rng::{Rng, keyed};

/// One hyper-parameter and what it may be: `lr=0.01,0.1`, `lr=0.001..0.1:log`, `er:replay=8..64`.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// For this method only, as `er:lr=...`.
    pub method: Option<String>,
    pub key: String,
    pub values: Values,
}

/// Values of a hyper-parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    List(Vec<Value>),
    /// Both ends belong to it.
    Range {
        low: f64,
        high: f64,
        log: bool,
        whole: bool,
    },
}

/// What was typed is no axis, or axes make nothing to try.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    #[error(
        "--grid `{0}`: expected key=value,value,... or key=low..high, with `:log` behind it for \
         values of several sizes"
    )]
    Axis(String),
    #[error("--grid `{0}`: the range is empty, or not above 0 for `:log`")]
    Range(String),
    #[error("{0} stands twice in --grid")]
    Twice(String),
    #[error("--budget 0: expected at least one trial")]
    NoBudget,
}

impl FromStr for Axis {
    type Err = SpaceError;

    fn from_str(text: &str) -> Result<Axis, SpaceError> {
        let wrong = || SpaceError::Axis(text.to_owned());
        let (name, values) = text.split_once('=').ok_or_else(wrong)?;
        let (method, key) = match name.split_once(':') {
            Some((method, key)) => (Some(method.trim().to_owned()), key.trim()),
            None => (None, name.trim()),
        };
        if key.is_empty() || values.trim().is_empty() {
            return Err(wrong());
        }
        let values = match values.split_once("..") {
            Some((low, high)) => range(low, high).ok_or_else(wrong)?,
            None => Values::List(list(values)),
        };
        match values {
            Values::Range { low, high, log, .. } if low >= high || (log && low <= 0.0) => {
                Err(SpaceError::Range(text.to_owned()))
            }
            values => Ok(Axis { method, key: key.to_owned(), values }),
        }
    }
}

/// Values with commas between them; lists and texts as JSON has them.
fn list(text: &str) -> Vec<Value> {
    let single = |text: &str| {
        serde_json::from_str(text.trim()).unwrap_or_else(|_| Value::String(text.trim().to_owned()))
    };
    serde_json::from_str::<Vec<Value>>(&format!("[{text}]"))
        .unwrap_or_else(|_| text.split(',').map(single).collect())
}

fn range(low: &str, high: &str) -> Option<Values> {
    let (high, log) = match high.strip_suffix(":log") {
        Some(high) => (high, true),
        None => (high, false),
    };
    let whole = [low, high].iter().all(|text| text.trim().parse::<i64>().is_ok());
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    Some(Values::Range { low: number(low)?, high: number(high)?, log, whole })
}

/// Settings to try, at most `budget`: all combinations where only values are listed and they are no
/// more than that, otherwise as many different ones, drawn by the seed.
///
/// # Errors
/// A hyper-parameter that stands twice, no budget.
pub fn trials(axes: &[&Axis], budget: usize, seed: u64) -> Result<Vec<Settings>, SpaceError> {
    let mut keys: Vec<&str> = axes.iter().map(|axis| axis.key.as_str()).collect();
    keys.sort_unstable();
    if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(SpaceError::Twice(pair[0].to_owned()));
    }
    if budget == 0 {
        return Err(SpaceError::NoBudget);
    }
    match combinations(axes).filter(|count| *count <= budget) {
        Some(count) => Ok((0..count).map(|number| combination(axes, number)).collect()),
        None => Ok(drawn(axes, budget, seed)),
    }
}

/// How many there are; `None` with a range among them, or for more than fit.
fn combinations(axes: &[&Axis]) -> Option<usize> {
    axes.iter().try_fold(1_usize, |count, axis| match &axis.values {
        Values::List(values) => count.checked_mul(values.len()),
        Values::Range { .. } => None,
    })
}

/// The last axis changes first.
fn combination(axes: &[&Axis], mut number: usize) -> Settings {
    let mut settings: Settings = Vec::new();
    for axis in axes.iter().rev() {
        let Values::List(values) = &axis.values else { unreachable!("ranges are not counted") };
        settings.push((axis.key.clone(), values[number % values.len()].clone()));
        number /= values.len();
    }
    settings.reverse();
    settings
}

/// Draws until there are enough different ones. A range of few whole numbers may hold fewer: then
/// the search ends after many draws in vain.
fn drawn(axes: &[&Axis], budget: usize, seed: u64) -> Vec<Settings> {
    let mut rng = keyed(seed, "tune", &[]);
    let (mut seen, mut drawn) = (BTreeSet::new(), Vec::new());
    for _ in 0..100 * budget {
        let settings: Settings =
            axes.iter().map(|axis| (axis.key.clone(), draw(&axis.values, &mut rng))).collect();
        if drawn.len() < budget && seen.insert(super::text(&settings)) {
            drawn.push(settings);
        }
    }
    drawn
}

fn draw(values: &Values, rng: &mut Rng) -> Value {
    match *values {
        Values::List(ref values) => {
            values[rng.random_range(0..values.len() as u64) as usize].clone()
        }
        Values::Range { low, high, whole: true, log: false } => {
            Value::from(rng.random_range(low as i64..=high as i64))
        }
        Values::Range { low, high, log, whole } => {
            let share: f64 = rng.random();
            let value = match log {
                true => (low.ln() + share * (high.ln() - low.ln())).exp(),
                false => low + share * (high - low),
            };
            match whole {
                true => Value::from(value.round() as i64),
                false => Value::from(rounded(value).clamp(low, high)),
            }
        }
    }
}

/// Three digits are as many as a person wants to read in a preset.
fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().expect("a number in the notation that was asked for")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn axis(text: &str) -> Axis {
        text.parse().unwrap()
    }

    #[test]
    fn axes_are_lists_or_ranges() {
        let list = |text: &str| match axis(text).values {
            Values::List(values) => values,
            range => panic!("{range:?}"),
        };
        assert_eq!(list("lr=0.01,0.1"), [json!(0.01), json!(0.1)]);
        assert_eq!(list("hidden=[10],[10,20]"), [json!([10]), json!([10, 20])]);
        assert_eq!(list("backbone=mlp,resnet18"), [json!("mlp"), json!("resnet18")]);
        let range = Values::Range { low: 0.001, high: 0.1, log: true, whole: false };
        let expected = Axis { method: Some("er".into()), key: "lr".into(), values: range };
        assert_eq!(axis("er:lr=1e-3..0.1:log"), expected);
        let whole = Values::Range { low: 8.0, high: 64.0, log: false, whole: true };
        assert_eq!(axis("replay=8..64").values, whole);
    }

    #[test]
    fn what_is_no_axis_is_refused() {
        for wrong in ["lr", "=1", "lr=", "lr=a..b", "lr=0..inf"] {
            let error = wrong.parse::<Axis>().unwrap_err();
            assert_eq!(error, SpaceError::Axis(wrong.into()), "{wrong}");
        }
        for wrong in ["lr=2..1", "lr=1..1", "lr=0..1:log"] {
            assert_eq!(wrong.parse::<Axis>(), Err(SpaceError::Range(wrong.into())));
        }
    }

    #[test]
    fn a_grid_within_the_budget_is_tried_whole() {
        let (a, b) = (axis("a=1,2"), axis("b=x,y"));
        let texts = |budget| {
            let trials = trials(&[&a, &b], budget, 0).unwrap();
            trials.iter().map(super::super::text).collect::<Vec<_>>()
        };
        let expected = ["a=1, b=\"x\"", "a=1, b=\"y\"", "a=2, b=\"x\"", "a=2, b=\"y\""];
        assert_eq!(texts(4), expected);
        let some = texts(3);
        let different: BTreeSet<&String> = some.iter().collect();
        assert_eq!((some.len(), different.len()), (3, 3));
        assert!(some.iter().all(|text| expected.contains(&text.as_str())));
        assert_eq!(texts(3), some, "the same seed draws the same");
        assert_eq!(trials(&[], 5, 0).unwrap(), [Settings::new()], "nothing to vary is one trial");
    }

    #[test]
    fn draws_stay_in_their_range_and_cover_it() {
        let (lr, replay) = (axis("lr=0.001..0.1:log"), axis("replay=1..3"));
        let trials = trials(&[&lr, &replay], 200, 7).unwrap();
        assert_eq!(trials.len(), 200);
        let rates: Vec<f64> = trials.iter().map(|trial| trial[0].1.as_f64().unwrap()).collect();
        assert!(rates.iter().all(|rate| (0.001..=0.1).contains(rate)));
        // As many below the geometric middle as above it: 100 of 200, give or take 4 deviations of
        // 7.
        let below = rates.iter().filter(|rate| **rate < 0.01).count();
        assert!((72..=128).contains(&below), "{below}");
        for value in 1..=3 {
            assert!(trials.iter().any(|trial| trial[1].1 == json!(value)));
        }
    }

    #[test]
    fn few_different_settings_end_the_search() {
        assert_eq!(trials(&[&axis("replay=1..3")], 50, 0).unwrap().len(), 3);
    }

    #[test]
    fn mistakes_are_named() {
        let twice = trials(&[&axis("lr=1"), &axis("er:lr=2")], 5, 0);
        assert_eq!(twice, Err(SpaceError::Twice("lr".into())));
        assert_eq!(trials(&[&axis("lr=1")], 0, 0), Err(SpaceError::NoBudget));
    }
}
