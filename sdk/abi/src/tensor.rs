//! Tensors as they cross the boundary: borrowed, dense, read-only views of plain numbers.

use abi_stable::{StableAbi, std_types::RSlice};

/// Type of the elements of a tensor. An integer newtype, so that an unknown value is an error
/// and not undefined behaviour.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, PartialEq, Eq, Debug)]
pub struct DType(pub u32);

impl DType {
    pub const F32: DType = DType(1);
    pub const U8: DType = DType(2);
    pub const U32: DType = DType(3);
    pub const U64: DType = DType(4);
    pub const I64: DType = DType(5);

    /// Size of one element in bytes; `None` for a number this version does not know.
    pub fn size_bytes(self) -> Option<usize> {
        match self {
            DType::U8 => Some(1),
            DType::F32 | DType::U32 => Some(4),
            DType::U64 | DType::I64 => Some(8),
            _ => None,
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match *self {
            DType::F32 => "f32",
            DType::U8 => "u8",
            DType::U32 => "u32",
            DType::U64 => "u64",
            DType::I64 => "i64",
            _ => "unknown",
        })
    }
}

/// A number that may be the element of a tensor.
pub trait Element: bytemuck::Pod {
    const DTYPE: DType;
}
impl Element for f32 {
    const DTYPE: DType = DType::F32;
}
impl Element for u8 {
    const DTYPE: DType = DType::U8;
}
impl Element for u32 {
    const DTYPE: DType = DType::U32;
}
impl Element for u64 {
    const DTYPE: DType = DType::U64;
}
impl Element for i64 {
    const DTYPE: DType = DType::I64;
}

/// A borrowed tensor, valid for the call it came with.
///
/// Field order follows DLPack's `DLTensor`. The data start at a multiple of 64 bytes when the host made
/// them. `strides` counts elements; empty means row-major, which is all that this version sends.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct TensorView<'a> {
    pub data: RSlice<'a, u8>,
    /// 0 = main memory; nothing else is defined yet.
    pub device: u32,
    pub dtype: DType,
    pub shape: RSlice<'a, u64>,
    pub strides: RSlice<'a, i64>,
}

/// Why a tensor could not be read as what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorError(pub String);

impl std::fmt::Display for TensorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for TensorError {}

impl<'a> TensorView<'a> {
    /// The elements, if they are of type `T`, dense, and as many as the shape says.
    pub fn elements<T: Element>(&self) -> Result<&'a [T], TensorError> {
        if self.dtype != T::DTYPE {
            return Err(TensorError(format!("tensor holds {}, expected {}", self.dtype, T::DTYPE)));
        }
        if self.device != 0 || !self.strides.is_empty() {
            return Err(TensorError("tensor is not dense in main memory".into()));
        }
        let count = element_count(self.shape.as_slice())?;
        let bytes = self.data.as_slice();
        if count.checked_mul(size_of::<T>()) != Some(bytes.len()) {
            let (shape, len) = (self.shape.as_slice(), bytes.len());
            return Err(TensorError(format!("tensor of shape {shape:?} has {len} bytes")));
        }
        if count == 0 {
            return Ok(&[]);
        }
        bytemuck::try_cast_slice(bytes).map_err(|e| TensorError(format!("tensor data: {e}")))
    }

    pub fn shape_usize(&self) -> Vec<usize> {
        self.shape.iter().map(|&d| d as usize).collect()
    }
}

/// Product of the dimensions, checked against overflow.
pub fn element_count(shape: &[u64]) -> Result<usize, TensorError> {
    shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?))
        .ok_or_else(|| TensorError(format!("shape {shape:?} is too large")))
}
