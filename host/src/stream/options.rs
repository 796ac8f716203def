//! What a user may change about a benchmark. What is left open comes from the recipe.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::StreamError;
use crate::rng::{keyed, shuffle};

/// Overrides of a recipe, as given on the command line, by a preset or in a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamOptions {
    /// Passes over each experience.
    pub epochs: Option<u32>,
    /// Samples per step.
    pub batch: Option<u32>,
    /// Leave out the last batch of an epoch where it is smaller.
    pub drop_last: Option<bool>,
    pub class_order: ClassOrder,
    pub eval_head: EvalHead,
    /// Fraction of the training samples of each experience that is held out, 0 to below 1.
    pub validation: f64,
    /// Which samples are scored.
    pub score_on: ScoreOn,
    /// No second pass over a finished experience.
    pub online: bool,
    /// Steps between two scores, besides those at boundaries.
    pub score_every: Option<u64>,
}

/// In which order classes appear. The label of a sample is the position of its class in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClassOrder {
    /// 0, 1, 2, ...
    #[default]
    Natural,
    /// Drawn from the run seed.
    Seeded,
    /// Each class of the data set once.
    List(Vec<u32>),
}

impl ClassOrder {
    /// The order itself.
    ///
    /// # Errors
    /// A class of a list that is repeated, missing or unknown.
    pub fn resolve(&self, classes: usize, seed: u64) -> Result<Vec<u32>, StreamError> {
        let mut order: Vec<u32> = (0..classes as u32).collect();
        match self {
            ClassOrder::Natural => {}
            ClassOrder::Seeded => shuffle(&mut keyed(seed, "class-order", &[]), &mut order),
            ClassOrder::List(list) => {
                check_permutation(list, classes)?;
                order.clone_from(list);
            }
        }
        Ok(order)
    }
}

fn check_permutation(list: &[u32], classes: usize) -> Result<(), StreamError> {
    let last = classes.saturating_sub(1);
    let mut stands = vec![false; classes];
    for &class in list {
        match stands.get_mut(class as usize) {
            None => return Err(StreamError::ClassUnknown { class, last }),
            Some(true) => return Err(StreamError::ClassRepeated { class, last }),
            Some(stands) => *stands = true,
        }
    }
    match stands.iter().position(|&stands| !stands) {
        Some(class) => Err(StreamError::ClassMissing { class: class as u32, last }),
        None => Ok(()),
    }
}

/// Which outputs take part when a Class-IL prediction is scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvalHead {
    /// Every class of the benchmark.
    #[default]
    All,
    /// The classes of the experiences trained so far.
    Seen,
}

/// Which samples are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScoreOn {
    /// The test part of the data set.
    #[default]
    Test,
    /// The held-out training samples, for choosing hyper-parameters. The benchmark has no other test
    /// part then.
    Validation,
}

/// An option's text is not one of its values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {option}; expected {expected}")]
pub struct ParseOptionError {
    option: &'static str,
    expected: &'static str,
    text: String,
}

impl FromStr for ClassOrder {
    type Err = ParseOptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "natural" => return Ok(ClassOrder::Natural),
            "seeded" => return Ok(ClassOrder::Seeded),
            _ => {}
        }
        let list: Result<_, _> = text.split(',').map(|class| class.trim().parse()).collect();
        list.map(ClassOrder::List).map_err(|_| ParseOptionError {
            option: "class order",
            expected: "`natural`, `seeded` or classes with commas between them, such as 1,0,2",
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for ClassOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClassOrder::Natural => f.write_str("natural"),
            ClassOrder::Seeded => f.write_str("seeded"),
            ClassOrder::List(list) => {
                let list: Vec<_> = list.iter().map(u32::to_string).collect();
                f.write_str(&list.join(","))
            }
        }
    }
}

impl TryFrom<String> for ClassOrder {
    type Error = ParseOptionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ClassOrder> for String {
    fn from(order: ClassOrder) -> String {
        order.to_string()
    }
}

impl FromStr for EvalHead {
    type Err = ParseOptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(EvalHead::All),
            "seen" => Ok(EvalHead::Seen),
            _ => Err(ParseOptionError {
                option: "evaluation head",
                expected: "`all` or `seen`",
                text: text.to_owned(),
            }),
        }
    }
}

impl FromStr for ScoreOn {
    type Err = ParseOptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "test" => Ok(ScoreOn::Test),
            "validation" => Ok(ScoreOn::Validation),
            _ => Err(ParseOptionError {
                option: "part to be scored",
                expected: "`test` or `validation`",
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for EvalHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EvalHead::All => "all",
            EvalHead::Seen => "seen",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_orders_are_read_and_written() {
        for (text, order) in [
            ("natural", ClassOrder::Natural),
            ("seeded", ClassOrder::Seeded),
            ("2,0,1", ClassOrder::List(vec![2, 0, 1])),
        ] {
            assert_eq!(text.parse(), Ok(order.clone()));
            assert_eq!(order.to_string(), text);
            let json = serde_json::to_string(&order).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<ClassOrder>(&json).unwrap(), order);
        }
        for wrong in ["", "sorted", "1,,2", "1;2", "-1,0"] {
            let message = wrong.parse::<ClassOrder>().unwrap_err().to_string();
            assert!(message.contains("`seeded`"), "{message}");
        }
    }

    #[test]
    fn evaluation_heads_are_read_and_written() {
        for head in [EvalHead::All, EvalHead::Seen] {
            assert_eq!(head.to_string().parse(), Ok(head));
            assert_eq!(serde_json::to_value(head).unwrap(), head.to_string());
        }
        assert!("some".parse::<EvalHead>().unwrap_err().to_string().contains("`all` or `seen`"));
    }

    #[test]
    fn parts_to_be_scored_are_read() {
        assert_eq!("validation".parse(), Ok(ScoreOn::Validation));
        assert_eq!("test".parse(), Ok(ScoreOn::default()));
        let message = "train".parse::<ScoreOn>().unwrap_err().to_string();
        assert_eq!(message, "`train` is no part to be scored; expected `test` or `validation`");
    }

    #[test]
    fn a_list_must_be_a_permutation() {
        let resolve = |list: &[u32]| ClassOrder::List(list.to_vec()).resolve(3, 0);
        assert_eq!(resolve(&[2, 0, 1]).unwrap(), [2, 0, 1]);
        let message = |list: &[u32]| resolve(list).unwrap_err().to_string();
        assert!(message(&[2, 2, 1]).starts_with("class 2 stands twice"), "{}", message(&[2, 2, 1]));
        assert!(message(&[2, 0]).starts_with("class 1 is missing"), "{}", message(&[2, 0]));
        assert!(message(&[2, 0, 3]).starts_with("class 3 in the class order does not exist"));
    }

    #[test]
    fn the_seeded_order_follows_the_seed() {
        let order = |seed| ClassOrder::Seeded.resolve(10, seed).unwrap();
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let mut sorted = order(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10).collect::<Vec<u32>>());
    }

    #[test]
    fn unknown_keys_are_refused() {
        let options: StreamOptions = serde_json::from_str(r#"{"batch": 4}"#).unwrap();
        assert_eq!(options, StreamOptions { batch: Some(4), ..StreamOptions::default() });
        assert!(serde_json::from_str::<StreamOptions>(r#"{"bach": 4}"#).is_err());
    }
}
