//! The saved state of a learner: safetensors with PyTorch's names and orientation, and one metadata
//! key with sorted JSON. Every framework can read it, and equal states are equal bytes.
//!
//! A state goes out and comes in piece by piece: beside the learner's own parameters there is one
//! copy of it, which grows smaller tensor by tensor.

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, HashMap};

use crate::error::{Error, Result};

/// A header longer than this is not one of ours; safetensors has the same limit.
const HEADER_BYTES_MAX: usize = 100_000_000;
/// Bytes of a tensor that are decoded at a time.
const DECODED_BYTES: usize = 1 << 16;
/// Values for which there is room before the first of them was read.
const CAPACITY_FIRST: usize = 1 << 24;

/// The one metadata key. safetensors keeps metadata in a hash map: several keys would differ in
/// order.
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

    /// Hands the file's bytes over in pieces of at most so many. Each tensor is gone once it was
    /// handed over.
    pub(crate) fn stream(
        self,
        piece_bytes: usize,
        put: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let header = self.header()?;
        let mut all = |bytes: &[u8]| bytes.chunks(piece_bytes).try_for_each(&mut *put);
        all(&header)?;
        for (_, bytes) in self.tensors.into_values() {
            all(&bytes)?;
        }
        Ok(())
    }

    /// The length of the header and the header, as safetensors pads it.
    fn header(&self) -> Result<Vec<u8>> {
        let mut begin = 0;
        let mut infos = Vec::with_capacity(self.tensors.len());
        for (name, (shape, bytes)) in &self.tensors {
            let data_offsets = (begin, begin + bytes.len());
            begin = data_offsets.1;
            let (dtype, shape) = (Dtype::F32, shape.clone());
            infos.push((name.clone(), TensorInfo { dtype, shape, data_offsets }));
        }
        let metadata = serde_json::to_string(&self.metadata)?;
        let metadata = HashMap::from([(METADATA_KEY.to_string(), metadata)]);
        let mut text = serde_json::to_vec(&Metadata::new(Some(metadata), infos)?)?;
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut header = (text.len() as u64).to_le_bytes().to_vec();
        header.append(&mut text);
        Ok(header)
    }

    /// The file's bytes.
    pub fn into_bytes(self) -> Result<Vec<u8>> {
        let mut file = Vec::new();
        let mut put = |piece: &[u8]| {
            file.extend_from_slice(piece);
            Ok(())
        };
        self.stream(usize::MAX, &mut put)?;
        Ok(file)
    }
}

/// Hands a saved state back, each tensor once. What is not read is an error at the end: nothing is
/// lost silently.
pub struct StateReader {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    metadata: BTreeMap<String, serde_json::Value>,
}

/// Bytes that come in pieces.
struct Pieces<'a> {
    next: &'a mut dyn FnMut() -> Result<Option<Vec<u8>>>,
    piece: Vec<u8>,
    /// Read of it so far.
    read: usize,
}

impl Pieces<'_> {
    /// Fills all of `bytes`.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < bytes.len() {
            if !self.more()? {
                return Err(damaged("it ends early"));
            }
            let rest = &self.piece[self.read..];
            let count = rest.len().min(bytes.len() - filled);
            bytes[filled..filled + count].copy_from_slice(&rest[..count]);
            filled += count;
            self.read += count;
        }
        Ok(())
    }

    /// Whether there is anything left.
    fn more(&mut self) -> Result<bool> {
        while self.read == self.piece.len() {
            match (self.next)()? {
                Some(piece) => (self.piece, self.read) = (piece, 0),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

fn damaged(reason: impl std::fmt::Display) -> Error {
    Error::state(format!("not a saved state: {reason}"))
}

impl StateReader {
    /// Reads a file's bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut whole = Some(bytes.to_vec());
        StateReader::from_pieces(&mut || Ok(whole.take()))
    }

    /// Reads a file that comes in pieces; `None` is its end.
    pub(crate) fn from_pieces(next: &mut dyn FnMut() -> Result<Option<Vec<u8>>>) -> Result<Self> {
        let mut pieces = Pieces { next, piece: Vec::new(), read: 0 };
        let mut length = [0; 8];
        pieces.fill(&mut length)?;
        let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > HEADER_BYTES_MAX {
            return Err(damaged(format!("its header has {length} bytes")));
        }
        let mut header = vec![0; length];
        pieces.fill(&mut header)?;
        let header: Metadata = serde_json::from_slice(&header).map_err(damaged)?;
        let text = header.metadata().as_ref().and_then(|m| m.get(METADATA_KEY));
        let text = text.ok_or_else(|| {
            Error::state(format!(
                "not a saved state of a learner: metadata `{METADATA_KEY}` is missing"
            ))
        })?;
        let metadata: BTreeMap<_, _> = serde_json::from_str(text).map_err(damaged)?;
        let mut tensors = BTreeMap::new();
        for name in header.offset_keys() {
            let info = header.info(&name).ok_or_else(|| damaged("a tensor has no place"))?;
            if info.dtype != Dtype::F32 {
                return Err(Error::state(format!("tensor `{name}` is {:?}, not F32", info.dtype)));
            }
            // Reading the header has made sure that shapes fit, and that tensors lie side by side.
            let values = decoded(&mut pieces, info.shape.iter().product())?;
            tensors.insert(name, (info.shape.clone(), values));
        }
        match pieces.more()? {
            true => Err(damaged("it goes on behind its last tensor")),
            false => Ok(StateReader { tensors, metadata }),
        }
    }

    /// A tensor of a known shape, which is handed over.
    pub fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let found = self.shape(name);
        if found != Some(shape) {
            return Err(Error::state(match found {
                None => format!("tensor `{name}` {shape:?} is missing, or was read before"),
                Some(found) => format!("tensor `{name}`: expected {shape:?}, found {found:?}"),
            }));
        }
        Ok(self.tensors.remove(name).map(|(_, values)| values).unwrap_or_default())
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
        match self.tensors.first_key_value() {
            None => Ok(()),
            Some((name, _)) => {
                Err(Error::state(format!("tensor `{name}` is not known to this learner")))
            }
        }
    }
}

/// So many values, decoded as they come.
fn decoded(pieces: &mut Pieces<'_>, values: usize) -> Result<Vec<f32>> {
    // A damaged header must not become a request for all the memory there is.
    let mut decoded = Vec::with_capacity(values.min(CAPACITY_FIRST));
    let mut bytes = [0; DECODED_BYTES];
    while decoded.len() < values {
        let count = (values - decoded.len()).min(DECODED_BYTES / 4);
        let part = &mut bytes[..4 * count];
        pieces.fill(part)?;
        decoded.extend(part.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

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
        assert_eq!(
            message(state.tensor("x", &[1])),
            "tensor `x` [1] is missing, or was read before"
        );
        let left = state.finish().unwrap_err().to_string();
        assert_eq!(left, "tensor `fc1.weight` is not known to this learner");
        for cut in [0, 1, 8, 20, saved().len() - 1] {
            assert!(StateReader::from_bytes(&saved()[..cut]).is_err());
        }
    }

    #[test]
    fn the_bytes_are_those_of_safetensors() {
        let (first, second) = ([1.5f32, -2.0, 0.25], [7.0f32; 5]);
        let bytes =
            |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        let mut state = StateWriter::new();
        state.tensor("b", &[5], &second).unwrap();
        state.tensor("a.weight", &[3, 1], &first).unwrap();
        state.value("steps", &7u64).unwrap();
        let (first, second) = (bytes(&first), bytes(&second));
        let view =
            |shape: &[usize], bytes| TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap();
        let views = [("b", view(&[5], &second)), ("a.weight", view(&[3, 1], &first))];
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), r#"{"steps":7}"#.to_owned())]);
        let expected = safetensors::serialize(views, Some(metadata)).unwrap();
        assert_eq!(state.into_bytes().unwrap(), expected);
    }

    #[test]
    fn a_state_goes_through_in_pieces_of_any_size() {
        let write = || {
            let mut state = StateWriter::new();
            state
                .tensor("x", &[40_000], &(0..40_000).map(|n| n as f32).collect::<Vec<_>>())
                .unwrap();
            state.tensor("y", &[0], &[]).unwrap();
            state
        };
        let whole = write().into_bytes().unwrap();
        for size in [1, 7, 4096, usize::MAX] {
            let mut pieces = std::collections::VecDeque::new();
            let mut put = |piece: &[u8]| {
                assert!(piece.len() <= size);
                pieces.push_back(piece.to_vec());
                Ok(())
            };
            write().stream(size, &mut put).unwrap();
            assert_eq!(pieces.iter().flatten().copied().collect::<Vec<u8>>(), whole);
            let mut state = StateReader::from_pieces(&mut || Ok(pieces.pop_front())).unwrap();
            assert_eq!(state.tensor("x", &[40_000]).unwrap()[39_999], 39_999.0);
            assert!(state.tensor("x", &[40_000]).is_err(), "it was handed over");
            assert!(state.tensor("y", &[0]).unwrap().is_empty());
            state.finish().unwrap();
        }
    }

    #[test]
    fn what_is_not_as_long_as_it_says_is_refused() {
        let refused = |bytes: &[u8]| StateReader::from_bytes(bytes).err().unwrap().to_string();
        let longer = [saved(), vec![0]].concat();
        assert!(refused(&longer).contains("goes on behind its last tensor"));
        assert!(refused(&[0xff; 16]).contains("its header has"));
        assert!(refused(&saved()[..saved().len() - 1]).contains("it ends early"));
    }
}
