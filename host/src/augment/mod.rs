//! From stored u8 pixels to the f32 inputs of a learner: crop and flip where the benchmark says so, then
//! normalise through a table. Chance comes from the caller's stream; nothing is kept between samples.

use perdura_abi::message::Profile;

use crate::data::ImageShape;
use crate::rng::{Rng, below};

/// The value of every pixel, per channel.
type Table = [f32; 256];

/// Random transforms of the profile `train`; the default has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrainAugment {
    /// The image is padded by so many zero pixels on each side, then cropped at random to its own size.
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
    tables: Vec<Table>,
    train: TrainAugment,
}

impl Pixels {
    /// Inputs are `pixel / scale`, by division in f32; where statistics are given, one per channel, they are
    /// `(pixel / scale - mean) / deviation`.
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
        Pixels { shape, tables, train }
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

    fn normalise(&self, image: &[u8], out: &mut [f32]) {
        let plane = self.shape.height * self.shape.width;
        let planes = image.chunks_exact(plane).zip(out.chunks_exact_mut(plane));
        for (table, (from, to)) in self.tables.iter().zip(planes) {
            look_up(table, from, to);
        }
    }

    /// Row by row: the border is filled, the rest looked up, so that no pixel asks where it lies.
    fn normalise_window(&self, window: Window, image: &[u8], out: &mut [f32]) {
        let ImageShape { height, width, .. } = self.shape;
        let rows = window.overlap(window.down, height);
        let columns = window.overlap(window.right, width);
        let planes = image.chunks_exact(height * width).zip(out.chunks_exact_mut(height * width));
        for (table, (from, to)) in self.tables.iter().zip(planes) {
            let zero = table[0];
            to[..rows.to * width].fill(zero);
            to[(rows.to + rows.count) * width..].fill(zero);
            let from = from[rows.from * width..].chunks_exact(width);
            let to = to[rows.to * width..].chunks_exact_mut(width);
            for (from, to) in from.zip(to).take(rows.count) {
                let from = &from[columns.from..columns.from + columns.count];
                let start = match window.flip {
                    false => columns.to,
                    true => width - columns.to - columns.count,
                };
                to[..start].fill(zero);
                to[start + columns.count..].fill(zero);
                let to = &mut to[start..start + columns.count];
                match window.flip {
                    false => look_up(table, from, to),
                    true => look_up_reversed(table, from, to),
                }
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

fn look_up(table: &Table, from: &[u8], to: &mut [f32]) {
    for (to, &pixel) in to.iter_mut().zip(from) {
        *to = table[usize::from(pixel)];
    }
}

fn look_up_reversed(table: &Table, from: &[u8], to: &mut [f32]) {
    for (to, &pixel) in to.iter_mut().zip(from.iter().rev()) {
        *to = table[usize::from(pixel)];
    }
}

#[cfg(test)]
mod tests;
