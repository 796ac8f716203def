//! From stored u8 pixels to the f32 inputs of a learner: crop and flip where the benchmark says so,
//! then normalise through a table. Chance comes from the caller's stream; nothing is kept between
//! samples.

use multiversion::multiversion;
use perdura_abi::message::Profile;

use crate::data::ImageShape;
use crate::rng::{Rng, below};

/// The value of every pixel, per channel.
type Table = [f32; 256];

/// Random transforms of the profile `train`; the default has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrainAugment {
    /// The image is padded by so many zero pixels on each side, then cropped at random to its own
    /// size.
    pub crop_padding: usize,
    /// Mirrored left to right with probability 1/2.
    pub flip: bool,
}

/// Mean and standard deviation of one channel, in units of `pixel / scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelStatistics {
    pub mean: f32,
    pub deviation: f32,
}

/// How a benchmark's images become inputs.
#[derive(Clone, Debug)]
pub struct Pixels {
    shape: ImageShape,
    scale: f32,
    /// Per channel; empty where inputs are not normalised.
    statistics: Vec<ChannelStatistics>,
    tables: Vec<Table>,
    train: TrainAugment,
}

impl Pixels {
    /// Inputs are `pixel / scale`, by division in f32; where statistics are given, one per channel,
    /// they are `(pixel / scale - mean) / deviation`.
    ///
    /// # Panics
    /// When the number of statistics is neither 0 nor that of the channels.
    pub fn new(
        shape: ImageShape,
        scale: f32,
        statistics: &[ChannelStatistics],
        train: TrainAugment,
    ) -> Pixels {
        assert!(statistics.is_empty() || statistics.len() == shape.channels, "one per channel");
        let tables = (0..shape.channels)
            .map(|channel| {
                std::array::from_fn(|pixel| {
                    let value = pixel as f32 / scale;
                    match statistics.get(channel) {
                        Some(of) => (value - of.mean) / of.deviation,
                        None => value,
                    }
                })
            })
            .collect();
        Pixels { shape, scale, statistics: statistics.to_vec(), tables, train }
    }

    /// Shape of one image, before and after.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Whether [`Pixels::apply`] knows the profile; a caller refuses a request for another one.
    pub fn supports(&self, profile: Profile) -> bool {
        match profile {
            Profile::Train | Profile::None => true,
            Profile::Ssl => false,
        }
    }

    /// Turns one image into one input. Only a random transform takes from `rng`.
    ///
    /// # Panics
    /// When `image` or `out` is not one image long, or the profile is not supported.
    pub fn apply(&self, profile: Profile, image: &[u8], out: &mut [f32], rng: &mut Rng) {
        assert_eq!((image.len(), out.len()), (self.shape.len(), self.shape.len()));
        assert!(self.supports(profile), "the caller refuses profiles that are not supported");
        if profile == Profile::None || self.train == TrainAugment::default() {
            self.normalise(image, out);
        } else {
            let window = self.draw_window(rng);
            self.normalise_window(window, image, out);
        }
    }

    fn draw_window(&self, rng: &mut Rng) -> Window {
        let padding = self.train.crop_padding;
        let mut offset = || match padding {
            0 => 0,
            _ => below(rng, 2 * padding as u64 + 1) as usize,
        };
        let (down, right) = (offset(), offset());
        Window { padding, down, right, flip: self.train.flip && below(rng, 2) == 1 }
    }

    /// Whole planes are computed: vector instructions beat the table where no pixel moves.
    fn normalise(&self, image: &[u8], out: &mut [f32]) {
        let plane = self.shape.height * self.shape.width;
        let planes = image.chunks_exact(plane).zip(out.chunks_exact_mut(plane));
        for (channel, (from, to)) in planes.enumerate() {
            match self.statistics.get(channel) {
                Some(of) => standardise(self.scale, *of, from, to),
                None => divide(self.scale, from, to),
            }
        }
    }

    /// Upright, the pixels that crop and image share are looked up in one run from the first to the
    /// last; what wraps from row to row falls on the border, which is filled afterwards. So no
    /// pixel asks where it lies.
    fn normalise_window(&self, window: Window, image: &[u8], out: &mut [f32]) {
        let ImageShape { height, width, .. } = self.shape;
        let rows = window.overlap(window.down, height);
        let columns = window.overlap(window.right, width);
        if rows.count == 0 || columns.count == 0 {
            let planes = out.chunks_exact_mut(height * width);
            planes.zip(&self.tables).for_each(|(plane, table)| plane.fill(table[0]));
            return;
        }
        let start = match window.flip {
            false => columns.to,
            true => width - columns.to - columns.count,
        };
        let run = (rows.count - 1) * width + columns.count;
        let planes = image.chunks_exact(height * width).zip(out.chunks_exact_mut(height * width));
        for (table, (from, to)) in self.tables.iter().zip(planes) {
            let zero = table[0];
            to[..rows.to * width].fill(zero);
            to[(rows.to + rows.count) * width..].fill(zero);
            let from = &from[rows.from * width + columns.from..][..run];
            let to = &mut to[rows.to * width..][..rows.count * width];
            match window.flip {
                false => look_up(table, from, &mut to[start..][..run]),
                true => {
                    for (from, to) in from.chunks(width).zip(to.chunks_exact_mut(width)) {
                        let (from, to) = (&from[..columns.count], &mut to[start..]);
                        look_up_reversed(table, from, &mut to[..columns.count]);
                    }
                }
            }
            for border in (0..start).chain(start + columns.count..width) {
                to.iter_mut().skip(border).step_by(width).for_each(|pixel| *pixel = zero);
            }
        }
    }
}

/// Where a crop lies in the padded image, and whether it is mirrored afterwards.
#[derive(Clone, Copy, Debug)]
struct Window {
    padding: usize,
    /// Row and column of the padded image at which the crop starts, 0 to twice the padding.
    down: usize,
    right: usize,
    flip: bool,
}

/// The part of one axis that the crop shares with the image.
struct Overlap {
    /// First place in the image, first place in the crop, length.
    from: usize,
    to: usize,
    count: usize,
}

impl Window {
    fn overlap(&self, offset: usize, length: usize) -> Overlap {
        let from = offset.saturating_sub(self.padding).min(length);
        let to = self.padding.saturating_sub(offset).min(length);
        Overlap { from, to, count: length - from.max(to) }
    }
}

// Compiled once for each kind of vector instruction, the best is chosen at run time. Division and
// subtraction are exact to the last bit in all of them, so they agree with the table.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn divide(scale: f32, from: &[u8], to: &mut [f32]) {
    for (to, &pixel) in to.iter_mut().zip(from) {
        *to = f32::from(pixel) / scale;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn standardise(scale: f32, of: ChannelStatistics, from: &[u8], to: &mut [f32]) {
    for (to, &pixel) in to.iter_mut().zip(from) {
        *to = (f32::from(pixel) / scale - of.mean) / of.deviation;
    }
}

/// Eight pixels at a time, read as one word; where they do not come out even, the last eight
/// overlap the ones before. Measured on CIFAR rows: twice as fast as pixel by pixel when reversed.
#[inline(always)]
fn look_up(table: &Table, from: &[u8], to: &mut [f32]) {
    let words = from.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
    for (word, to) in words.zip(to.as_chunks_mut::<8>().0) {
        spread(table, word, to);
    }
    match (from.last_chunk(), to.last_chunk_mut()) {
        _ if from.len().is_multiple_of(8) => {}
        (Some(word), Some(to)) => spread(table, u64::from_le_bytes(*word), to),
        _ => to.iter_mut().zip(from).for_each(|(to, &pixel)| *to = table[usize::from(pixel)]),
    }
}

/// The same with the order turned round, by reading each word from its other end.
#[inline(always)]
fn look_up_reversed(table: &Table, from: &[u8], to: &mut [f32]) {
    let words = from.as_rchunks::<8>().1.iter().rev().map(|word| u64::from_be_bytes(*word));
    for (word, to) in words.zip(to.as_chunks_mut::<8>().0) {
        spread(table, word, to);
    }
    match (from.first_chunk(), to.last_chunk_mut()) {
        _ if from.len().is_multiple_of(8) => {}
        (Some(word), Some(to)) => spread(table, u64::from_be_bytes(*word), to),
        _ => to.iter_mut().zip(from.iter().rev()).for_each(|(to, &p)| *to = table[usize::from(p)]),
    }
}

/// Two values are put together before they are stored, which halves the stores.
#[inline(always)]
fn spread(table: &Table, word: u64, to: &mut [f32; 8]) {
    let bits = |place: usize| u64::from(table[usize::from((word >> (8 * place)) as u8)].to_bits());
    for (pair, to) in to.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let both = bits(2 * pair) | bits(2 * pair + 1) << 32;
        *to = [f32::from_bits(both as u32), f32::from_bits((both >> 32) as u32)];
    }
}

#[cfg(test)]
mod tests;
