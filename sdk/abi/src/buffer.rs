//! A message under construction: header and tensors in memory that is reused from call to call.

use abi_stable::std_types::RSlice;
use bytemuck::{Pod, Zeroable};
use serde::Serialize;

use crate::message::TensorId;
use crate::table::Message;
use crate::tensor::{DType, Element, TensorView};

/// Alignment of every tensor in a message: a cache line, and enough for any vector instruction.
pub const ALIGNMENT_BYTES: usize = 64;

/// The unit that the arena grows by, so that it starts at a multiple of its size.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; ALIGNMENT_BYTES]);

/// Where one tensor lies in the arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub dtype: DType,
    pub shape: Vec<u64>,
    pub offset_bytes: usize,
    pub len_bytes: usize,
}

/// An owned message. All tensors lie in one arena, so that it can be copied in one piece.
pub struct MessageBuf {
    header: Vec<u8>,
    slots: Vec<Slot>,
    arena: Vec<Line>,
    used_bytes: usize,
}

impl Default for MessageBuf {
    fn default() -> Self {
        let (header, slots) = (Vec::new(), Vec::new());
        MessageBuf { header, slots, arena: Vec::new(), used_bytes: 0 }
    }
}

impl MessageBuf {
    pub fn new() -> Self {
        Self::default()
    }

    /// A message of a header alone.
    pub fn of_header<T: Serialize>(header: &T) -> Self {
        let mut message = Self::new();
        message.set_header(header);
        message
    }

    /// Forgets the content and keeps the memory.
    pub fn clear(&mut self) {
        self.header.clear();
        self.slots.clear();
        self.used_bytes = 0;
    }

    /// Writes `header` as JSON.
    pub fn set_header<T: Serialize>(&mut self, header: &T) {
        self.header.clear();
        serde_json::to_writer(&mut self.header, header)
            .expect("message headers are plain data with string keys");
    }

    /// Takes over a header that is already JSON text.
    pub fn set_header_bytes(&mut self, header: &[u8]) {
        self.header.clear();
        self.header.extend_from_slice(header);
    }

    /// Appends a tensor and lets `fill` write it. The memory may hold old values: write all of it.
    pub fn push_with<T: Element>(
        &mut self,
        shape: &[usize],
        fill: impl FnOnce(&mut [T]),
    ) -> TensorId {
        let count: usize = shape.iter().product();
        let shape = shape.iter().map(|&d| d as u64).collect();
        let range = self.reserve(T::DTYPE, shape, count * size_of::<T>());
        fill(bytemuck::cast_slice_mut(&mut self.bytes_mut()[range]));
        TensorId(self.slots.len() as u32 - 1)
    }

    /// Appends a copy of `values`.
    pub fn push<T: Element>(&mut self, shape: &[usize], values: &[T]) -> TensorId {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "shape and values must agree");
        self.push_with(shape, |out: &mut [T]| out.copy_from_slice(values))
    }

    /// Appends a tensor of any type from its bytes.
    pub fn push_bytes(&mut self, dtype: DType, shape: Vec<u64>, bytes: &[u8]) -> TensorId {
        let range = self.reserve(dtype, shape, bytes.len());
        self.bytes_mut()[range].copy_from_slice(bytes);
        TensorId(self.slots.len() as u32 - 1)
    }

    fn reserve(
        &mut self,
        dtype: DType,
        shape: Vec<u64>,
        len_bytes: usize,
    ) -> std::ops::Range<usize> {
        let offset_bytes = self.used_bytes.next_multiple_of(ALIGNMENT_BYTES);
        let end = offset_bytes + len_bytes;
        let lines = end.div_ceil(ALIGNMENT_BYTES);
        if self.arena.len() < lines {
            self.arena.resize(lines.next_power_of_two(), Line::zeroed());
        }
        self.used_bytes = end;
        self.slots.push(Slot { dtype, shape, offset_bytes, len_bytes });
        offset_bytes..end
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.arena)
    }

    pub fn header(&self) -> &[u8] {
        &self.header
    }

    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// All tensors in one piece; offsets as in [`MessageBuf::slots`].
    pub fn arena(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.arena)[..self.used_bytes]
    }

    /// Borrowed views of the tensors, in order.
    pub fn views(&self) -> Vec<TensorView<'_>> {
        views_of(&self.slots, self.arena())
    }

    /// Hands the message to `receive`.
    pub fn with<R>(&self, receive: impl FnOnce(Message<'_>) -> R) -> R {
        let views = self.views();
        let (header, tensors) = (RSlice::from_slice(&self.header), RSlice::from_slice(&views));
        receive(Message { header, tensors })
    }
}

/// Views of tensors that lie in `arena` as `slots` says. Panics when a slot points outside.
pub fn views_of<'a>(slots: &'a [Slot], arena: &'a [u8]) -> Vec<TensorView<'a>> {
    let view = |slot: &'a Slot| TensorView {
        data: RSlice::from_slice(&arena[slot.offset_bytes..slot.offset_bytes + slot.len_bytes]),
        device: 0,
        dtype: slot.dtype,
        shape: RSlice::from_slice(&slot.shape),
        strides: RSlice::from_slice(&[]),
    };
    slots.iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_aligned_and_read_back() {
        let mut message = MessageBuf::new();
        for _ in 0..2 {
            message.clear();
            message.push(&[3], &[1u8, 2, 3]);
            message.push(&[2, 2], &[1.0f32, 2.0, 3.0, 4.0]);
            let views = message.views();
            assert_eq!(views[0].elements::<u8>().unwrap(), &[1, 2, 3]);
            assert_eq!(views[1].elements::<f32>().unwrap(), &[1.0, 2.0, 3.0, 4.0]);
            assert_eq!(views[1].data.as_ptr() as usize % ALIGNMENT_BYTES, 0);
        }
    }

    #[test]
    fn wrong_type_is_an_error() {
        let mut message = MessageBuf::new();
        message.push(&[1], &[1u8]);
        let error = message.views()[0].elements::<f32>().unwrap_err();
        assert_eq!(error.to_string(), "tensor holds u8, expected f32");
    }
}
