//! The accuracy matrix of one view in one scenario.

use serde::{Deserialize, Serialize};

/// Accuracies as fractions. An entry is `None` where no score was taken or the view was not open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccuracyMatrix {
    /// `initial[j]`: on experience j before any training.
    pub initial: Vec<Option<f64>>,
    /// `rows[i][j]`: on experience j after training experience i, for every j, also those not
    /// trained yet.
    pub rows: Vec<Vec<Option<f64>>>,
}

impl AccuracyMatrix {
    /// A square matrix and its initial row, all undefined.
    pub fn new(experiences: usize) -> AccuracyMatrix {
        let row = vec![None; experiences];
        AccuracyMatrix { rows: vec![row.clone(); experiences], initial: row }
    }

    /// T: the number of columns.
    pub fn experiences(&self) -> usize {
        let rows = self.rows.iter().map(Vec::len);
        rows.chain([self.initial.len()]).max().unwrap_or(0)
    }

    /// `rows[i][j]`, counted from 0; `None` also for what lies outside.
    pub fn after(&self, trained: usize, tested: usize) -> Option<f64> {
        *self.rows.get(trained)?.get(tested)?
    }

    /// `initial[j]`, counted from 0; `None` also for what lies outside.
    pub fn before(&self, tested: usize) -> Option<f64> {
        *self.initial.get(tested)?
    }
}

/// Matrices worked out by hand in the tests of several metrics.
#[cfg(test)]
pub(super) mod fixtures {
    use super::AccuracyMatrix;

    /// Three experiences, every entry defined.
    pub fn three() -> AccuracyMatrix {
        let some = |row: [f64; 3]| row.map(Some).to_vec();
        AccuracyMatrix {
            initial: some([0.5, 0.25, 0.375]),
            rows: vec![some([1.0, 0.5, 0.25]), some([0.75, 0.875, 0.5]), some([0.5, 1.0, 0.75])],
        }
    }

    /// Only the last row, as a stream of the union leaves it.
    pub fn last_row() -> AccuracyMatrix {
        let mut matrix = AccuracyMatrix::new(3);
        matrix.rows[2] = three().rows[2].clone();
        matrix
    }

    /// One experience.
    pub fn one() -> AccuracyMatrix {
        AccuracyMatrix { initial: vec![Some(0.5)], rows: vec![vec![Some(0.75)]] }
    }

    /// The last experience has not been trained.
    pub fn unfinished() -> AccuracyMatrix {
        let mut matrix = three();
        matrix.rows.truncate(2);
        matrix
    }
}

#[cfg(test)]
mod tests {
    use super::{AccuracyMatrix, fixtures};

    #[test]
    fn entries_outside_are_undefined() {
        let matrix = fixtures::three();
        assert_eq!(matrix.experiences(), 3);
        assert_eq!((matrix.after(1, 2), matrix.before(1)), (Some(0.5), Some(0.25)));
        assert_eq!((matrix.after(3, 0), matrix.after(0, 3), matrix.before(3)), (None, None, None));
        assert_eq!(AccuracyMatrix::default().experiences(), 0);
    }

    #[test]
    fn undefined_entries_are_null_in_json() {
        let json = serde_json::to_string(&AccuracyMatrix::new(1)).unwrap();
        assert_eq!(json, r#"{"initial":[null],"rows":[[null]]}"#);
        assert_eq!(serde_json::from_str::<AccuracyMatrix>(&json).unwrap(), AccuracyMatrix::new(1));
    }
}
