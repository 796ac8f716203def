//! Reads a golden trajectory. Included with `#[path]` by the tests of the methods that have one.
//!
//! Cases lie beside this file; `PERDURA_GOLDEN` names another folder of the same layout.

use perdura_sdk::testing::Samples;
use safetensors::{Dtype, SafeTensors};
use std::path::{Path, PathBuf};

/// One trajectory: its tensors, its hyper-parameters and scalars.
pub struct Golden {
    bytes: Vec<u8>,
    pub json: serde_json::Value,
}

impl Golden {
    /// The case called `name`. Panics when a file is missing: the cases are part of the tree.
    pub fn read(name: &str) -> Golden {
        let named = std::env::var_os("PERDURA_GOLDEN").map(PathBuf::from);
        let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let beside = || above.map(|f| f.join("tests/golden")).find(|f| f.is_dir());
        let folder = named.or_else(beside).expect("the cases are part of the tree");
        let file = |extension| {
            let path = folder.join(format!("{name}.{extension}"));
            std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        let json = serde_json::from_slice(&file("json")).expect("the description is JSON");
        Golden { bytes: file("safetensors"), json }
    }

    /// A hyper-parameter of the case.
    pub fn hyper(&self, key: &str) -> serde_json::Value {
        self.json["hyper"][key].clone()
    }

    /// Number of steps.
    pub fn steps(&self) -> u64 {
        self.hyper("steps").as_u64().expect("`steps` is a number")
    }

    /// The current and the replayed batch of a step, counted from 1.
    pub fn step(&self, step: u64) -> (Samples, Samples) {
        let samples = |path: &str| {
            let at = |part| format!("step{step}/{path}{part}");
            Samples::new(&self.floats(&at("x")), &self.labels(&at("y")))
        };
        (samples(""), samples("replay/"))
    }

    /// A tensor of numbers.
    pub fn floats(&self, name: &str) -> Vec<f32> {
        let words = self.words(name, Dtype::F32);
        words.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    /// A tensor of labels.
    pub fn labels(&self, name: &str) -> Vec<u32> {
        self.words(name, Dtype::I64).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    /// Names and shapes of the tensors whose name starts with `prefix`, the prefix cut off.
    pub fn under(&self, prefix: &str) -> Vec<(String, Vec<usize>)> {
        let file = self.file();
        let named = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            Some((name.strip_prefix(prefix)?.to_string(), view.shape().to_vec()))
        };
        let mut found: Vec<_> = file.tensors().into_iter().filter_map(named).collect();
        found.sort();
        found
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("the case is a safetensors file")
    }

    fn words(&self, name: &str, dtype: Dtype) -> std::vec::IntoIter<Vec<u8>> {
        let file = self.file();
        let view = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(view.dtype(), dtype, "{name}");
        let size = dtype.bitsize() / 8;
        view.data().chunks_exact(size).map(<[u8]>::to_vec).collect::<Vec<_>>().into_iter()
    }
}

/// Parameters: at most 2e-6 apart.
pub fn assert_parameters(name: &str, found: &[f32], expected: &[f32]) {
    assert_parameters_within(2e-6, name, found, expected);
}

/// Parameters at most `limit` apart: 2e-6 for MLPs, 2e-5 for the ResNet.
pub fn assert_parameters_within(limit: f32, name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let distance = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(distance <= limit, "{name}: {distance:e} apart");
}

/// Scalars and logits: at most 1e-5 + 1e-5·|value| apart.
pub fn assert_values(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-5 + 1e-5 * b.abs(), "{name}: {a}, expected {b}");
    }
}
