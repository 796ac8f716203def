//! Random crop of the padded image and random mirroring: the training augmentation of the CIFAR
//! family. Done together with normalisation, in one pass over the image.

use multiversion::multiversion;

use super::{ChannelStatistics, ImageShape, Stored};
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
    /// Fills `out` with the crop of `image`, normalised by the statistics of each channel.
    ///
    /// A row of the crop is read as if rows wrapped into each other; a mask blackens what does not
    /// belong to it. So no pixel asks where it lies, and normalisation, which is slower than moving
    /// bytes, hides it.
    pub fn apply(
        self,
        image: Stored<'_>,
        statistics: &[ChannelStatistics],
        room: &mut Room,
        out: &mut [f32],
    ) {
        let ImageShape { height, width, .. } = image.shape;
        let rows = self.overlap(self.down, height);
        let columns = self.overlap(self.right, width);
        let (plane, Room { framed, mask }) = (height * width, room);
        framed.resize(plane + 2 * self.padding, 0);
        mask.clear();
        mask.resize(width, 0);
        mask[columns.to..][..columns.count].fill(255);
        if self.flip {
            mask.reverse();
        }
        let planes = image.pixels.chunks_exact(plane).zip(out.chunks_exact_mut(plane));
        for ((from, to), &of) in planes.zip(statistics) {
            framed[self.padding..][..plane].copy_from_slice(from);
            let (above, to) = to.split_at_mut(rows.to * width);
            let (to, below) = to.split_at_mut(rows.count * width);
            let channel = Channel { scale: image.scale, of };
            let black = channel.value(0);
            above.fill(black);
            below.fill(black);
            let from = &framed[rows.from * width + self.right..][..rows.count * width];
            match self.flip {
                false => copy_rows(channel, mask, from, to),
                true => mirror_rows(channel, mask, from, to),
            }
        }
    }

    fn overlap(&self, offset: usize, length: usize) -> Overlap {
        let from = offset.saturating_sub(self.padding).min(length);
        let to = self.padding.saturating_sub(offset).min(length);
        Overlap { from, to, count: length - from.max(to) }
    }
}

/// Normalisation of one channel.
#[derive(Clone, Copy)]
struct Channel {
    scale: f32,
    of: ChannelStatistics,
}

/// Pixels of a row that are handled at a time.
const LANES: usize = 16;

impl Channel {
    #[inline(always)]
    fn value(self, pixel: u8) -> f32 {
        (f32::from(pixel) / self.scale - self.of.mean) / self.of.deviation
    }
}

// The mask is a parameter of its own: as part of a struct it keeps the compiler from using vectors.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn copy_rows(channel: Channel, mask: &[u8], from: &[u8], to: &mut [f32]) {
    let width = mask.len();
    let (mask, mask_rest) = mask.as_chunks::<LANES>();
    for (from, to) in from.chunks_exact(width).zip(to.chunks_exact_mut(width)) {
        let (from, from_rest) = from.as_chunks::<LANES>();
        let (to, to_rest) = to.as_chunks_mut::<LANES>();
        for ((from, mask), to) in from.iter().zip(mask).zip(to) {
            let from: [u8; LANES] = std::array::from_fn(|lane| from[lane] & mask[lane]);
            for (to, from) in to.iter_mut().zip(from) {
                *to = channel.value(from);
            }
        }
        for ((from, mask), to) in from_rest.iter().zip(mask_rest).zip(to_rest) {
            *to = channel.value(from & mask);
        }
    }
}

/// Each row from its end to its beginning.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn mirror_rows(channel: Channel, mask: &[u8], from: &[u8], to: &mut [f32]) {
    let width = mask.len();
    let (mask, mask_rest) = mask.as_chunks::<LANES>();
    for (from, to) in from.chunks_exact(width).zip(to.chunks_exact_mut(width)) {
        let (from_rest, from) = from.as_rchunks::<LANES>();
        let (to, to_rest) = to.as_chunks_mut::<LANES>();
        for ((from, mask), to) in from.iter().rev().zip(mask).zip(to) {
            let turned = |lane: usize| from[LANES - 1 - lane];
            let from: [u8; LANES] = std::array::from_fn(|lane| turned(lane) & mask[lane]);
            for (to, from) in to.iter_mut().zip(from) {
                *to = channel.value(from);
            }
        }
        for ((from, mask), to) in from_rest.iter().rev().zip(mask_rest).zip(to_rest) {
            *to = channel.value(from & mask);
        }
    }
}
