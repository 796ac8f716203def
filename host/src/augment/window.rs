//! Random crop of the padded image and random mirroring: the training augmentation of the CIFAR
//! family. Pixels are only moved, as bytes, so that normalisation stays one pass over whole planes.

use super::ImageShape;
use crate::rng::{Rng, below};

/// Random transforms of the profile `train`; the default has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrainAugment {
    /// The image is padded by so many zero pixels on each side, then cropped at random to its own
    /// size.
    pub crop_padding: usize,
    /// Mirrored left to right with probability 1/2.
    pub flip: bool,
}

impl TrainAugment {
    pub(super) fn draw(self, rng: &mut Rng) -> Window {
        let padding = self.crop_padding;
        let mut offset = || match padding {
            0 => 0,
            _ => below(rng, 2 * padding as u64 + 1) as usize,
        };
        let (down, right) = (offset(), offset());
        Window { padding, down, right, flip: self.flip && below(rng, 2) == 1 }
    }
}

/// Where a crop lies in the padded image, and whether it is mirrored afterwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub padding: usize,
    /// Row and column of the padded image at which the crop starts, 0 to twice the padding.
    pub down: usize,
    pub right: usize,
    pub flip: bool,
}

/// The part of one axis that the crop shares with the image.
struct Overlap {
    /// First place in the image, first place in the crop, length.
    from: usize,
    to: usize,
    count: usize,
}

/// Room to work in, used again from image to image.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// A plane with so many bytes before and after it as the padding.
    framed: Vec<u8>,
    /// 255 for each column of the result that shows the image, 0 for the others.
    mask: Vec<u8>,
}

impl Window {
    /// Fills `out` with the crop of `image`.
    ///
    /// A row of the crop is read as if rows wrapped into each other; a mask blackens what does not
    /// belong to it. So no pixel asks where it lies.
    pub fn cut(self, shape: ImageShape, image: &[u8], room: &mut Room, out: &mut [u8]) {
        let ImageShape { height, width, .. } = shape;
        let rows = self.overlap(self.down, height);
        let columns = self.overlap(self.right, width);
        if rows.count == 0 || columns.count == 0 {
            return out.fill(0);
        }
        let (plane, Room { framed, mask }) = (height * width, room);
        framed.resize(plane + 2 * self.padding, 0);
        mask.clear();
        mask.resize(width, 0);
        mask[columns.to..][..columns.count].fill(255);
        if self.flip {
            mask.reverse();
        }
        for (from, to) in image.chunks_exact(plane).zip(out.chunks_exact_mut(plane)) {
            framed[self.padding..][..plane].copy_from_slice(from);
            let (above, to) = to.split_at_mut(rows.to * width);
            let (to, below) = to.split_at_mut(rows.count * width);
            above.fill(0);
            below.fill(0);
            let from = framed[rows.from * width + self.right..].chunks_exact(width);
            let pairs = from.zip(to.chunks_exact_mut(width));
            match self.flip {
                false => pairs.for_each(|(from, to)| copy(from, mask, to)),
                true => pairs.for_each(|(from, to)| mirror(from, mask, to)),
            }
        }
    }

    fn overlap(&self, offset: usize, length: usize) -> Overlap {
        let from = offset.saturating_sub(self.padding).min(length);
        let to = self.padding.saturating_sub(offset).min(length);
        Overlap { from, to, count: length - from.max(to) }
    }
}

/// Copies a row under a mask, eight pixels at a time.
#[inline(always)]
fn copy(from: &[u8], mask: &[u8], to: &mut [u8]) {
    let ((from, from_rest), (mask, mask_rest)) = (from.as_chunks(), mask.as_chunks());
    let (to, to_rest) = to.as_chunks_mut();
    for ((from, mask), to) in from.iter().zip(mask).zip(to) {
        *to = (u64::from_le_bytes(*from) & u64::from_le_bytes(*mask)).to_le_bytes();
    }
    for ((from, mask), to) in from_rest.iter().zip(mask_rest).zip(to_rest) {
        *to = from & mask;
    }
}

/// The same from the end of the row to its beginning.
#[inline(always)]
fn mirror(from: &[u8], mask: &[u8], to: &mut [u8]) {
    let ((from_rest, from), (mask, mask_rest)) = (from.as_rchunks(), mask.as_chunks());
    let (to, to_rest) = to.as_chunks_mut();
    for ((from, mask), to) in from.iter().rev().zip(mask).zip(to) {
        *to = (u64::from_be_bytes(*from) & u64::from_le_bytes(*mask)).to_le_bytes();
    }
    for ((from, mask), to) in from_rest.iter().rev().zip(mask_rest).zip(to_rest) {
        *to = from & mask;
    }
}
