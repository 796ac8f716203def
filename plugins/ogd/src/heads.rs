//! Which classes compete for a sample: those of its own experience, where heads are task-aware.

use burn::tensor::{Bool, Tensor, TensorData};
use std::collections::BTreeMap;

/// Logit of a class that a sample's experience does not have: its probability is exactly 0, and
/// hosts want finite numbers.
const ELSEWHERE: f32 = -1e9;

/// Classes of each experience seen so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heads {
    pub classes_of: BTreeMap<u32, Vec<u32>>,
}

impl Heads {
    /// Logits `[n, classes]` of samples of these experiences, others' classes out of the way. All
    /// compete for a sample whose experience is not known.
    pub fn restrict(&self, logits: Tensor<2>, experiences: &[u32]) -> Tensor<2> {
        let [samples, classes] = logits.dims();
        assert_eq!(samples, experiences.len(), "each sample comes with an experience");
        let mut away = Vec::with_capacity(samples * classes);
        for experience in experiences {
            let own = self.classes_of.get(experience);
            let elsewhere = |class: u32| own.is_some_and(|own| !own.contains(&class));
            away.extend((0..classes as u32).map(elsewhere));
        }
        let device = logits.device().without_autodiff();
        let away = TensorData::new(away, [samples, classes]);
        logits.mask_fill(Tensor::<2, Bool>::from_data(away, &device), ELSEWHERE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_experiences_have_no_part() {
        let device = perdura_nn::device("flex", 0).unwrap();
        let heads = Heads { classes_of: [(0, vec![0, 1]), (1, vec![2])].into() };
        let logits = Tensor::<2>::from_data([[1.0, 2.0, 3.0]; 3], &device);
        let found = heads.restrict(logits, &[0, 1, 7]).into_data();
        let a = ELSEWHERE;
        assert_eq!(found.as_slice::<f32>().unwrap(), [1.0, 2.0, a, a, a, 3.0, 1.0, 2.0, 3.0]);
    }
}
