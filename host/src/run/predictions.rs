//! Predictions of one view on the test samples, kept so that a metric can be computed later without
//! training. A safetensors file with one tensor per column, one entry per sample.

use std::path::Path;

use bytemuck::{AnyBitPattern, NoUninit, pod_collect_to_vec};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::{RunError, files};

/// `task_class` of a sample for which there is no Task-IL prediction, `class` of one for which only
/// that exists.
pub const ABSENT_CLASS: u16 = u16::MAX;

/// When predictions were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// Before training.
    Initial,
    /// After training on this experience, counted from zero.
    Experience(usize),
    /// After so many steps of a stream that tells no boundaries.
    Step(u64),
}

/// The columns, all of one length. Classes are positions in the class order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// Id of the sample: the row of the test set; where experiences show one data set in another way
    /// each, `experience * rows + row`; where they are drawn, the number of
    /// the draw.
    pub sample: Vec<u32>,
    /// Experience whose test set the sample is taken from: streams that transform one data set have
    /// every sample in each.
    pub experience: Vec<u16>,
    /// True class.
    pub label: Vec<u16>,
    /// Predicted among all classes.
    pub class: Vec<u16>,
    /// Predicted among the classes of the experience, or [`ABSENT_CLASS`].
    pub task_class: Vec<u16>,
    /// Softmax probability of `class`.
    pub top_probability: Vec<f32>,
    /// Natural logarithm of the softmax probability of the true class.
    pub true_log_probability: Vec<f32>,
}

/// `after-<i|initial|step-n>.<view>.safetensors`.
pub(super) fn file_name(after: After, view: &str) -> Result<String, RunError> {
    check_view(view)?;
    Ok(match after {
        After::Initial => format!("after-initial.{view}.safetensors"),
        After::Experience(index) => format!("after-{index}.{view}.safetensors"),
        After::Step(step) => format!("after-step-{step}.{view}.safetensors"),
    })
}

/// Refuses a view whose name cannot be part of a file name.
pub(super) fn check_view(view: &str) -> Result<(), RunError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match (1..=64).contains(&view.len()) && view.chars().all(plain) {
        true => Ok(()),
        false => Err(RunError::ViewName(view.to_owned())),
    }
}

impl Predictions {
    pub(super) fn write(&self, path: &Path, view: &str) -> Result<(), RunError> {
        self.check(view)?;
        let shape = vec![self.sample.len()];
        let tensor = |dtype, bytes| {
            TensorView::new(dtype, shape.clone(), bytes).expect("the bytes fit type and shape")
        };
        let tensors = [
            ("sample", tensor(Dtype::U32, bytes(&self.sample))),
            ("experience", tensor(Dtype::U16, bytes(&self.experience))),
            ("label", tensor(Dtype::U16, bytes(&self.label))),
            ("class", tensor(Dtype::U16, bytes(&self.class))),
            ("task_class", tensor(Dtype::U16, bytes(&self.task_class))),
            ("top_probability", tensor(Dtype::F32, bytes(&self.top_probability))),
            ("true_log_probability", tensor(Dtype::F32, bytes(&self.true_log_probability))),
        ];
        let content =
            safetensors::serialize(tensors, None).expect("seven small names fit a header");
        files::write(path, &content)
    }

    pub(super) fn read(path: &Path, view: &str) -> Result<Predictions, RunError> {
        let content = files::read(path)?;
        let damaged = |reason: String| RunError::Damaged {
            path: path.to_owned(),
            reason: reason.to_string(),
        };
        let tensors = SafeTensors::deserialize(&content).map_err(|e| damaged(e.to_string()))?;
        let predictions = Predictions {
            sample: column(&tensors, "sample", Dtype::U32, 1).map_err(damaged)?,
            experience: column(&tensors, "experience", Dtype::U16, 1).map_err(damaged)?,
            label: column(&tensors, "label", Dtype::U16, 1).map_err(damaged)?,
            class: column(&tensors, "class", Dtype::U16, 1).map_err(damaged)?,
            task_class: column(&tensors, "task_class", Dtype::U16, 1).map_err(damaged)?,
            top_probability: column(&tensors, "top_probability", Dtype::F32, 1).map_err(damaged)?,
            true_log_probability: column(&tensors, "true_log_probability", Dtype::F32, 1)
                .map_err(damaged)?,
        };
        predictions.check(view)?;
        Ok(predictions)
    }

    fn check(&self, view: &str) -> Result<(), RunError> {
        let expected = self.sample.len();
        let lengths = [
            ("experience", self.experience.len()),
            ("label", self.label.len()),
            ("class", self.class.len()),
            ("task_class", self.task_class.len()),
            ("top_probability", self.top_probability.len()),
            ("true_log_probability", self.true_log_probability.len()),
        ];
        match lengths.into_iter().find(|(_, found)| *found != expected) {
            None => Ok(()),
            Some((column, found)) => {
                Err(RunError::Ragged { view: view.to_owned(), column, found, expected })
            }
        }
    }
}

/// Safetensors is little-endian, and so is every target Perdura is built for.
pub(super) fn bytes<T: NoUninit>(values: &[T]) -> &[u8] {
    const { assert!(cfg!(target_endian = "little")) };
    bytemuck::cast_slice(values)
}

/// The values of a tensor with so many axes.
pub(super) fn column<T: AnyBitPattern + NoUninit>(
    tensors: &SafeTensors<'_>,
    name: &str,
    dtype: Dtype,
    axes: usize,
) -> Result<Vec<T>, String> {
    let tensor = tensors.tensor(name).map_err(|_| format!("it has no tensor `{name}`"))?;
    if tensor.dtype() != dtype || tensor.shape().len() != axes {
        let (found, shape) = (tensor.dtype(), tensor.shape());
        let expected = if axes == 1 { "one axis".into() } else { format!("{axes} axes") };
        return Err(format!("`{name}` is {found:?} {shape:?}, expected {expected} of {dtype:?}"));
    }
    Ok(pod_collect_to_vec(tensor.data()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Predictions {
        Predictions {
            sample: vec![7, 70_000],
            experience: vec![0, 1],
            label: vec![1, 3],
            class: vec![1, 2],
            task_class: vec![ABSENT_CLASS, 3],
            top_probability: vec![0.5, 0.25],
            true_log_probability: vec![-0.5, f32::NEG_INFINITY],
        }
    }

    #[test]
    fn predictions_survive_their_file_and_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["a", "b"].map(|name| folder.path().join(name));
        two().write(&first, "main").unwrap();
        two().write(&second, "main").unwrap();
        assert_eq!(Predictions::read(&first, "main").unwrap(), two());
        assert_eq!(files::read(&first).unwrap(), files::read(&second).unwrap());
    }

    #[test]
    fn nothing_predicted_is_a_file_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        Predictions::default().write(&path, "main").unwrap();
        assert_eq!(Predictions::read(&path, "main").unwrap(), Predictions::default());
    }

    #[test]
    fn ragged_columns_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let ragged = Predictions { class: vec![1], ..two() };
        let error = ragged.write(&folder.path().join("a"), "main").unwrap_err().to_string();
        assert_eq!(
            error,
            "predictions of view `main` have 1 values in `class`, expected 2 as in `sample`"
        );
    }

    #[test]
    fn damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        two().write(&path, "main").unwrap();
        let content = files::read(&path).unwrap();
        for cut in [0, 7, 100, content.len() - 1] {
            std::fs::write(&path, &content[..cut]).unwrap();
            let error = Predictions::read(&path, "main").unwrap_err();
            assert!(matches!(error, RunError::Damaged { .. }), "{cut}: {error}");
        }
        let tensor = TensorView::new(Dtype::U8, vec![1], &[1]).unwrap();
        std::fs::write(&path, safetensors::serialize([("sample", tensor)], None).unwrap()).unwrap();
        let error = Predictions::read(&path, "main").unwrap_err().to_string();
        assert!(error.contains("`sample` is U8 [1], expected one axis of U32"), "{error}");
    }

    #[test]
    fn names() {
        assert_eq!(file_name(After::Initial, "main").unwrap(), "after-initial.main.safetensors");
        assert_eq!(file_name(After::Experience(4), "ema-2").unwrap(), "after-4.ema-2.safetensors");
        assert_eq!(file_name(After::Step(50), "main").unwrap(), "after-step-50.main.safetensors");
        for name in ["", "../main", "a/b", "a.b", "é", &"a".repeat(65)] {
            assert!(
                matches!(file_name(After::Initial, name), Err(RunError::ViewName(_))),
                "{name}"
            );
        }
    }
}
