//! What is known of the likeness between groups, and the controls that an experiment about it
//! needs.

use perdura_sdk::hyper_parameters;
use serde::{Deserialize, Serialize};

/// Running means of the calibrated similarities measured between groups. Symmetric; a group is like
/// itself by definition; what was never measured is 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupSimilarities {
    /// `(g, h)` with g < h, sum and number of measurements.
    pairs: Vec<(usize, usize, f64, u32)>,
}

/// Which similarities a method is given (algorithms 3.0.6). A claim that similarity helps needs the
/// true ones to beat the other four.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Control {
    True,
    /// `s(g, h')` for `s(g, h)`, where h' follows h in the list of groups: the right values in
    /// wrong places.
    Permuted,
    /// `1 − s`.
    Inverted,
    /// The mean over all pairs, a group with itself included.
    Constant,
    /// 1 within a group, this between groups.
    Oracle(f32),
}

hyper_parameters! {
    /// Which similarities between groups a method is given. Grouping always uses measured ones.
    pub enum SimilarityGiven {
        /// The measured ones.
        #[default]
        True,
        /// The measured ones, in the wrong places.
        Permuted,
        /// 1 minus the measured ones.
        Inverted,
        /// The mean of the measured ones.
        Constant,
        /// 1 within a group, `oracle_across` between groups.
        Oracle,
    }
}

impl SimilarityGiven {
    /// As a control; `across` counts for `oracle` alone.
    pub fn control(self, across: f64) -> Control {
        match self {
            SimilarityGiven::True => Control::True,
            SimilarityGiven::Permuted => Control::Permuted,
            SimilarityGiven::Inverted => Control::Inverted,
            SimilarityGiven::Constant => Control::Constant,
            SimilarityGiven::Oracle => Control::Oracle(across as f32),
        }
    }
}

impl GroupSimilarities {
    /// Takes in one measurement, in [0, 1]. One of a group with itself is passed over.
    pub fn record(&mut self, g: usize, h: usize, similarity: f32) {
        let (g, h) = (g.min(h), g.max(h));
        if g == h {
            return;
        }
        let known = self.pairs.iter_mut().find(|(a, b, ..)| (*a, *b) == (g, h));
        match known {
            Some((_, _, sum, count)) => {
                (*sum, *count) = (*sum + f64::from(similarity), *count + 1);
            }
            None => self.pairs.push((g, h, f64::from(similarity), 1)),
        }
    }

    /// The mean of what was measured.
    pub fn get(&self, g: usize, h: usize) -> f32 {
        if g == h {
            return 1.0;
        }
        let (g, h) = (g.min(h), g.max(h));
        let found = self.pairs.iter().find(|(a, b, ..)| (*a, *b) == (g, h));
        found.map_or(0.0, |(_, _, sum, count)| (sum / f64::from(*count)) as f32)
    }

    /// Group `from` becomes part of `into`, measurements and all.
    pub fn merge(&mut self, from: usize, into: usize) {
        let (moved, kept) = self.pairs.iter().partition(|(a, b, ..)| *a == from || *b == from);
        self.pairs = kept;
        let moved: Vec<(usize, usize, f64, u32)> = moved;
        for (a, b, sum, count) in moved {
            let other = if a == from { b } else { a };
            let (g, h) = (other.min(into), other.max(into));
            if g == h {
                continue;
            }
            match self.pairs.iter_mut().find(|(a, b, ..)| (*a, *b) == (g, h)) {
                Some((_, _, s, c)) => (*s, *c) = (*s + sum, *c + count),
                None => self.pairs.push((g, h, sum, count)),
            }
        }
    }

    /// The similarities between `groups` under a control, row-major `[groups, groups]`.
    pub fn matrix(&self, groups: &[usize], control: Control) -> Vec<f32> {
        let count = groups.len();
        let pairs = || (0..count).flat_map(|i| (0..count).map(move |j| (i, j)));
        let known = |i: usize, j: usize| self.get(groups[i], groups[j]);
        let mean = pairs().map(|(i, j)| known(i, j)).sum::<f32>() / (count * count).max(1) as f32;
        let of = |(i, j): (usize, usize)| match control {
            Control::True => known(i, j),
            Control::Permuted => known(i, (j + 1) % count),
            Control::Inverted => 1.0 - known(i, j),
            Control::Constant => mean,
            Control::Oracle(across) => {
                if i == j {
                    1.0
                } else {
                    across
                }
            }
        };
        pairs().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> GroupSimilarities {
        let mut known = GroupSimilarities::default();
        known.record(0, 2, 0.2);
        known.record(2, 0, 0.4);
        known.record(2, 5, 0.9);
        known.record(2, 2, 0.1);
        known
    }

    #[test]
    fn measurements_are_averaged_and_symmetric() {
        let known = known();
        assert!((known.get(0, 2) - 0.3).abs() < 1e-6);
        assert_eq!(known.get(0, 2), known.get(2, 0));
        assert_eq!((known.get(2, 2), known.get(0, 5)), (1.0, 0.0));
    }

    /// s = [[1, .3, 0], [.3, 1, .9], [0, .9, 1]]; its mean is 5.4/9.
    #[test]
    fn controls_by_hand() {
        let near = |control, expected: [f32; 9]| {
            let found = known().matrix(&[0, 2, 5], control);
            let close = found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-6);
            assert!(close, "{control:?}: {found:?}");
        };
        near(Control::True, [1.0, 0.3, 0.0, 0.3, 1.0, 0.9, 0.0, 0.9, 1.0]);
        near(Control::Permuted, [0.3, 0.0, 1.0, 1.0, 0.9, 0.3, 0.9, 1.0, 0.0]);
        near(Control::Inverted, [0.0, 0.7, 1.0, 0.7, 0.0, 0.1, 1.0, 0.1, 0.0]);
        near(Control::Constant, [0.6; 9]);
        near(Control::Oracle(0.2), [1.0, 0.2, 0.2, 0.2, 1.0, 0.2, 0.2, 0.2, 1.0]);
    }

    #[test]
    fn one_group_is_like_itself_under_true_similarity() {
        let none = GroupSimilarities::default();
        assert_eq!(none.matrix(&[3], Control::True), [1.0]);
        assert_eq!(none.matrix(&[3], Control::Permuted), [1.0]);
        assert!(none.matrix(&[], Control::Constant).is_empty());
    }

    #[test]
    fn a_merged_group_brings_its_measurements() {
        let mut known = known();
        known.record(0, 5, 0.1);
        known.merge(5, 0);
        assert!((known.get(0, 2) - (0.2 + 0.4 + 0.9) / 3.0).abs() < 1e-6);
        assert_eq!(known.get(2, 5), 0.0);
    }
}
