//! Accuracies between boundaries: taken every so many steps while training goes on, and kept as
//! counts of right answers. `anytime.safetensors`, one file per run.
//!
//! | tensor | type and shape | content |
//! |---|---|---|
//! | `every` | u64 `[1]` | steps between two points |
//! | `ends` | u64 `[experiences that ended]` | step after which each experience ended |
//! | `samples` | u32 `[experiences]` | test samples of each experience |
//! | `steps` | u64 `[points]` | steps that were done at each point, rising |
//! | `right.<view>.<scenario>` | u32 `[points, experiences]` | right answers; 2^32 - 1 for none |
//!
//! At a boundary the row of the matrix is the point: it is not in here.

use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;

use super::predictions::{bytes, check_view, column};
use super::{RunError, files};

/// Right answers where none were asked for, or the view was not open.
const ABSENT: u32 = u32::MAX;

/// What was scored while training went on.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
pub struct Anytime {
    /// Steps between two points.
    pub every: u64,
    /// Step after which each experience ended; those that did not end are missing.
    pub ends: Vec<u64>,
    /// Test samples of each experience.
    pub samples: Vec<u32>,
    /// Steps that were done at each point, rising.
    pub steps: Vec<u64>,
    pub curves: Vec<AnytimeCurve>,
}

/// Right answers of one view in one scenario.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct AnytimeCurve {
    pub view: String,
    pub scenario: String,
    /// By point, then experience; `None` for an experience that had not begun, and while the view
    /// was not open.
    pub right: Vec<Vec<Option<u32>>>,
}

impl Anytime {
    /// The curve of a view in a scenario.
    pub fn curve(&self, view: &str, scenario: &str) -> Option<&AnytimeCurve> {
        self.curves.iter().find(|curve| curve.view == view && curve.scenario == scenario)
    }

    /// Accuracies of a curve at each point, as fractions.
    pub fn accuracies(&self, curve: &AnytimeCurve) -> Vec<Vec<Option<f64>>> {
        let share = |(right, samples): (&Option<u32>, &u32)| {
            right.filter(|_| *samples > 0).map(|right| f64::from(right) / f64::from(*samples))
        };
        let row = |row: &Vec<Option<u32>>| row.iter().zip(&self.samples).map(share).collect();
        curve.right.iter().map(row).collect()
    }

    /// # Errors
    /// A view whose name cannot be part of the file.
    pub(super) fn write(&self, path: &Path) -> Result<(), RunError> {
        let mut columns = Vec::new();
        for AnytimeCurve { view, scenario, right } in &self.curves {
            check_view(view)?;
            let flat = right.iter().flatten().map(|right| right.unwrap_or(ABSENT));
            columns.push((format!("right.{view}.{scenario}"), flat.collect::<Vec<u32>>()));
        }
        let tensor = |dtype, shape: Vec<usize>, bytes| {
            TensorView::new(dtype, shape, bytes).expect("the bytes fit type and shape")
        };
        let (points, experiences) = (self.steps.len(), self.samples.len());
        let every = [self.every];
        let mut tensors = vec![
            ("every".to_owned(), tensor(Dtype::U64, vec![1], bytes(&every))),
            ("ends".to_owned(), tensor(Dtype::U64, vec![self.ends.len()], bytes(&self.ends))),
            ("samples".to_owned(), tensor(Dtype::U32, vec![experiences], bytes(&self.samples))),
            ("steps".to_owned(), tensor(Dtype::U64, vec![points], bytes(&self.steps))),
        ];
        tensors.extend(columns.iter().map(|(name, right)| {
            (name.clone(), tensor(Dtype::U32, vec![points, experiences], bytes(right)))
        }));
        let content = safetensors::serialize(tensors, None).expect("small names fit a header");
        files::write(path, &content)
    }

    pub(super) fn read(path: &Path) -> Result<Anytime, RunError> {
        let content = files::read(path)?;
        let damaged = |reason: String| RunError::Damaged { path: path.to_owned(), reason };
        let tensors = SafeTensors::deserialize(&content).map_err(|e| damaged(e.to_string()))?;
        Anytime::of(&tensors).map_err(damaged)
    }

    fn of(tensors: &SafeTensors<'_>) -> Result<Anytime, String> {
        let every: Vec<u64> = column(tensors, "every", Dtype::U64, 1)?;
        let [every] = every[..] else { return Err("`every` is not one number".into()) };
        let samples: Vec<u32> = column(tensors, "samples", Dtype::U32, 1)?;
        let steps: Vec<u64> = column(tensors, "steps", Dtype::U64, 1)?;
        let mut names: Vec<String> = tensors.names().iter().map(|name| name.to_string()).collect();
        names.sort_unstable();
        let mut curves = Vec::new();
        for name in names.iter().filter(|name| name.starts_with("right.")) {
            let place = name.split('.').collect::<Vec<_>>();
            let [_, view, scenario] = place[..] else {
                return Err(format!("`{name}` names no view and scenario"));
            };
            let right: Vec<u32> = column(tensors, name, Dtype::U32, 2)?;
            let (expected, found) = (steps.len() * samples.len(), right.len());
            if found != expected {
                return Err(format!("`{name}` has {found} values, expected {expected}"));
            }
            let known = |right: &u32| (*right != ABSENT).then_some(*right);
            let rows = right.chunks(samples.len().max(1));
            let right = rows.map(|row| row.iter().map(known).collect()).collect();
            let (view, scenario) = (view.to_owned(), scenario.to_owned());
            curves.push(AnytimeCurve { view, scenario, right });
        }
        let ends = column(tensors, "ends", Dtype::U64, 1)?;
        Ok(Anytime { every, ends, samples, steps, curves })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Anytime {
        let curve = |scenario: &str, right: Vec<Vec<Option<u32>>>| AnytimeCurve {
            view: "main".into(),
            scenario: scenario.into(),
            right,
        };
        Anytime {
            every: 20,
            ends: vec![50],
            samples: vec![4, 8],
            steps: vec![20, 60],
            curves: vec![
                curve("class-il", vec![vec![Some(1), None], vec![Some(3), Some(2)]]),
                curve("task-il", vec![vec![None, None], vec![Some(4), Some(8)]]),
            ],
        }
    }

    #[test]
    fn they_survive_their_file_and_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["a", "b"].map(|name| folder.path().join(name));
        for anytime in [two(), Anytime { every: 1, ..Anytime::default() }] {
            anytime.write(&first).unwrap();
            anytime.write(&second).unwrap();
            assert_eq!(Anytime::read(&first).unwrap(), anytime);
            assert_eq!(files::read(&first).unwrap(), files::read(&second).unwrap());
        }
    }

    #[test]
    fn accuracies_are_shares_of_the_samples() {
        let two = two();
        let curve = two.curve("main", "class-il").unwrap();
        let expected = [vec![Some(0.25), None], vec![Some(0.75), Some(0.25)]];
        assert_eq!(two.accuracies(curve), expected);
        assert_eq!(two.curve("main", "domain-il"), None);
    }

    #[test]
    fn damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        two().write(&path).unwrap();
        let content = files::read(&path).unwrap();
        for cut in [0, 7, 100, content.len() - 1] {
            std::fs::write(&path, &content[..cut]).unwrap();
            let error = Anytime::read(&path).unwrap_err();
            assert!(matches!(error, RunError::Damaged { .. }), "{cut}: {error}");
        }
        let right: Vec<u32> = vec![1, 2];
        let one = |dtype, bytes| TensorView::new(dtype, vec![1], bytes).unwrap();
        let (every, samples) = ([1u64], [2u32]);
        let tensors = [
            ("every", one(Dtype::U64, bytes(&every))),
            ("samples", one(Dtype::U32, bytes(&samples))),
            ("steps", one(Dtype::U64, bytes(&every))),
            ("ends", one(Dtype::U64, bytes(&every))),
            ("right.main.x", TensorView::new(Dtype::U32, vec![2, 1], bytes(&right)).unwrap()),
        ];
        std::fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
        let error = Anytime::read(&path).unwrap_err().to_string();
        assert!(error.contains("`right.main.x` has 2 values, expected 1"), "{error}");
    }
}
