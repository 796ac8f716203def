//! Means of a learner's scalars over a number of steps, for those who follow a run from outside.

use std::collections::BTreeMap;

use super::standing::Sum;

/// The steps since the last means were told. Not kept in checkpoints: no result comes from it.
#[derive(Default)]
pub struct Window {
    /// `None`: nobody wants them.
    every: Option<u64>,
    sums: BTreeMap<String, Sum>,
}

impl Window {
    pub fn new(every: Option<u64>) -> Window {
        Window { every, sums: BTreeMap::new() }
    }

    /// Takes in what a step reported, the `step`-th of the run counted from 1. Returns the means where
    /// a multiple of the window's length is reached; those that are not finite are `None`.
    pub fn add(
        &mut self,
        step: u64,
        scalars: &BTreeMap<String, f64>,
    ) -> Option<BTreeMap<String, Option<f64>>> {
        let every = self.every?;
        for (name, value) in scalars {
            match self.sums.get_mut(name) {
                Some(sum) => sum.add(*value),
                None => self.sums.entry(name.clone()).or_default().add(*value),
            }
        }
        step.is_multiple_of(every).then(|| {
            let sums = std::mem::take(&mut self.sums).into_iter();
            sums.map(|(name, sum)| (name, Some(sum.mean()).filter(|mean| mean.is_finite())))
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_come_at_multiples_and_begin_anew() {
        let mut window = Window::new(Some(2));
        let mut add = |step, value| window.add(step, &[("loss".to_owned(), value)].into());
        let mean = |value| Some(BTreeMap::from([("loss".to_owned(), value)]));
        assert_eq!([add(1, 0.5), add(2, 1.0)], [None, mean(Some(0.75))]);
        assert_eq!([add(3, f64::MAX), add(4, f64::MAX)], [None, mean(None)]);
        assert_eq!([add(5, 1.0), add(6, 1.0)], [None, mean(Some(1.0))]);
        assert_eq!(Window::new(None).add(2, &BTreeMap::new()), None);
    }
}
