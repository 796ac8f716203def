//! Logits of samples by their identity.

use burn::tensor::Tensor;
use perdura_sdk::{Error, Result, StateReader, StateWriter};
use std::collections::BTreeMap;

/// One row of logits for each sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    rows: BTreeMap<u64, Vec<f32>>,
}

impl Answers {
    /// Adds a row of `logits`, `[n, C]`, for each of n samples.
    pub fn add(&mut self, uids: &[u64], logits: Tensor<2>) {
        let [_, width] = logits.dims();
        let data = logits.into_data();
        let values = data.as_slice::<f32>().expect("networks compute in f32");
        let rows = values.chunks(width).map(<[f32]>::to_vec);
        self.rows.extend(uids.iter().copied().zip(rows));
    }

    /// Logits of samples, row-major `[n, C]`.
    ///
    /// # Errors
    /// A sample that was not there when the answers were recorded.
    pub fn of(&self, uids: &[u64], width: usize) -> Result<Vec<f32>> {
        let mut values = Vec::with_capacity(uids.len() * width);
        for uid in uids {
            let row = self.rows.get(uid).ok_or_else(|| {
                Error::new(format!("sample {uid} was not there when the experience began"))
            })?;
            values.extend(row);
        }
        Ok(values)
    }

    /// Bytes held: logits and identities.
    pub fn bytes(&self) -> u64 {
        self.rows.values().map(|row| (4 * row.len() + 8) as u64).sum()
    }

    /// Saves rows of `width` logits: tensor `answers`, and the identities as a value.
    pub fn save(&self, width: usize, out: &mut StateWriter) -> Result<()> {
        let uids: Vec<u64> = self.rows.keys().copied().collect();
        let values: Vec<f32> = self.rows.values().flatten().copied().collect();
        out.value("answered", &uids)?;
        out.tensor("answers", &[uids.len(), width], &values)
    }

    /// Loads what [`save`](Answers::save) wrote.
    pub fn load(width: usize, saved: &mut StateReader) -> Result<Self> {
        let uids: Vec<u64> = saved.value("answered")?;
        let values = saved.tensor("answers", &[uids.len(), width])?;
        let rows = values.chunks(width).map(<[f32]>::to_vec);
        Ok(Answers { rows: uids.into_iter().zip(rows).collect() })
    }
}
