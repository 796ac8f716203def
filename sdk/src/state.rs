//! The saved state of a learner: safetensors with PyTorch's names and orientation, and one metadata key
//! with sorted JSON. Every framework can read it, and equal states are equal bytes.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::error::{Error, Result};

/// The one metadata key. safetensors keeps metadata in a hash map: several keys would differ in order.
const METADATA_KEY: &str = "perdura";

/// Collects what a learner saves.
#[derive(Default)]
pub struct StateWriter {
    tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
    metadata: BTreeMap<String, serde_json::Value>,
}

impl StateWriter {
    pub fn new() -> Self {
        Self::default()
    }

    /// Saves a tensor (row-major). A linear weight is `[out, in]`, as in PyTorch.
    pub fn tensor(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<()> {
        if shape.iter().product::<usize>() != values.len() {
            let found = values.len();
            return Err(Error::state(format!("tensor `{name}` {shape:?} has {found} values")));
        }
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        match self.tensors.insert(name.into(), (shape.into(), bytes)) {
            None => Ok(()),
            Some(_) => Err(Error::state(format!("tensor `{name}` was saved twice"))),
        }
    }

    /// Saves a small value: counters, names, choices.
    pub fn value<T: Serialize>(&mut self, key: &str, value: &T) -> Result<()> {
        self.metadata.insert(key.into(), serde_json::to_value(value)?);
        Ok(())
    }

    /// The file's bytes.
    pub fn into_bytes(self) -> Result<Vec<u8>> {
        let mut views = Vec::with_capacity(self.tensors.len());
        for (name, (shape, bytes)) in &self.tensors {
            views.push((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?));
        }
        let metadata = serde_json::to_string(&self.metadata)?;
        let metadata = HashMap::from([(METADATA_KEY.to_string(), metadata)]);
        Ok(safetensors::serialize(views, Some(metadata))?)
    }
}

/// Hands a saved state back. What is not read is an error at the end: nothing is lost silently.
pub struct StateReader {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    metadata: BTreeMap<String, serde_json::Value>,
    unread: BTreeSet<String>,
}

impl StateReader {
    /// Reads a file's bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let damaged = |e: &dyn std::fmt::Display| Error::state(format!("not a saved state: {e}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
        let text =
            header.metadata().as_ref().and_then(|m| m.get(METADATA_KEY)).ok_or_else(|| {
                Error::state(format!(
                    "not a saved state of a learner: metadata `{METADATA_KEY}` is missing"
                ))
            })?;
        let metadata: BTreeMap<_, _> = serde_json::from_str(text).map_err(|e| damaged(&e))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            if view.dtype() != Dtype::F32 {
                return Err(Error::state(format!(
                    "tensor `{name}` is {:?}, not F32",
                    view.dtype()
                )));
            }
            let word = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            let values = view.data().chunks_exact(4).map(word).collect();
            tensors.insert(name, (view.shape().to_vec(), values));
        }
        let unread = tensors.keys().cloned().collect();
        Ok(StateReader { tensors, metadata, unread })
    }

    /// A tensor of a known shape.
    pub fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let Some((found, values)) = self.tensors.get(name) else {
            return Err(Error::state(format!("tensor `{name}` {shape:?} is missing")));
        };
        if found != shape {
            return Err(Error::state(format!(
                "tensor `{name}`: expected {shape:?}, found {found:?}"
            )));
        }
        self.unread.remove(name);
        Ok(values.clone())
    }

    /// Shape of a tensor, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|(shape, _)| shape.as_slice())
    }

    /// A small value.
    pub fn value<T: DeserializeOwned>(&mut self, key: &str) -> Result<T> {
        let value = self.metadata.get(key).cloned();
        let value = value.ok_or_else(|| Error::state(format!("value `{key}` is missing")))?;
        serde_json::from_value(value).map_err(|e| Error::state(format!("value `{key}`: {e}")))
    }

    /// Checks that every tensor was read.
    pub(crate) fn finish(self) -> Result<()> {
        match self.unread.first() {
            None => Ok(()),
            Some(name) => {
                Err(Error::state(format!("tensor `{name}` is not known to this learner")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Vec<u8> {
        let mut state = StateWriter::new();
        state.tensor("fc1.weight", &[2, 1], &[1.0, -2.0]).unwrap();
        state.value("steps", &7u64).unwrap();
        state.value("a", &"x").unwrap();
        state.into_bytes().unwrap()
    }

    #[test]
    fn what_is_saved_comes_back() {
        let bytes = saved();
        assert_eq!(bytes, saved());
        let mut state = StateReader::from_bytes(&bytes).unwrap();
        assert_eq!(state.value::<u64>("steps").unwrap(), 7);
        assert_eq!(state.tensor("fc1.weight", &[2, 1]).unwrap(), [1.0, -2.0]);
        state.finish().unwrap();
    }

    #[test]
    fn damage_is_named() {
        let message = |r: Result<Vec<f32>>| r.unwrap_err().to_string();
        let mut state = StateReader::from_bytes(&saved()).unwrap();
        let wrong = message(state.tensor("fc1.weight", &[1, 2]));
        assert_eq!(wrong, "tensor `fc1.weight`: expected [1, 2], found [2, 1]");
        assert_eq!(message(state.tensor("x", &[1])), "tensor `x` [1] is missing");
        let left = state.finish().unwrap_err().to_string();
        assert_eq!(left, "tensor `fc1.weight` is not known to this learner");
        for cut in [0, 1, 8, 20, saved().len() - 1] {
            assert!(StateReader::from_bytes(&saved()[..cut]).is_err());
        }
    }
}
