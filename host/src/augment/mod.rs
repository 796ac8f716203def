//! From stored u8 pixels to the f32 inputs of a learner: the random transforms of a profile, then
//! normalisation. One file per transform, each a pure function of what was drawn for it; chance
//! comes from the caller's stream, nothing is kept between samples.
//!
//! Loops are compiled once for each kind of vector instruction and the best is chosen at run time.
//! They add, multiply, divide and take roots in a fixed order, each rounded alike in all of them,
//! so every machine gives the same bytes.

mod blur;
mod colour;
mod motion;
mod noise;
mod normalise;
mod resize;
mod ssl;
mod window;

use perdura_abi::message::Profile;

pub use normalise::ChannelStatistics;
pub use resize::ResizedCrop;
pub use ssl::SslAugment;
pub use window::TrainAugment;

use crate::data::ImageShape;
use crate::rng::Rng;
use window::Room;

/// How a benchmark's images become inputs.
#[derive(Clone, Debug)]
pub struct Pixels {
    shape: ImageShape,
    scale: f32,
    /// Per channel.
    statistics: Vec<ChannelStatistics>,
    train: TrainAugment,
    ssl: Option<SslAugment>,
}

impl Pixels {
    /// Inputs are `pixel / scale`, by division in f32; where statistics are given, one per channel,
    /// they are `(pixel / scale - mean) / deviation`. Without `ssl` the profiles of self-supervised
    /// views are not offered.
    ///
    /// # Panics
    /// When the number of statistics is neither 0 nor that of the channels.
    pub fn new(
        shape: ImageShape,
        scale: f32,
        statistics: &[ChannelStatistics],
        train: TrainAugment,
        ssl: Option<SslAugment>,
    ) -> Pixels {
        assert!(statistics.is_empty() || statistics.len() == shape.channels, "one per channel");
        let statistics = match statistics.is_empty() {
            true => vec![ChannelStatistics::NONE; shape.channels],
            false => statistics.to_vec(),
        };
        Pixels { shape, scale, statistics, train, ssl }
    }

    /// Shape of one image, before and after.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Whether there is a [`Pixels::transform`] of the profile; a caller refuses requests for
    /// others.
    pub fn supports(&self, profile: Profile) -> bool {
        match profile {
            Profile::Train | Profile::None => true,
            Profile::Ssl | Profile::SslHalf => self.ssl.is_some_and(|ssl| ssl.fits(self.shape)),
        }
    }

    /// What makes inputs of a profile. `view` counts the views of one draw: those of
    /// self-supervised learning are not all of one kind.
    ///
    /// # Panics
    /// When the profile is not supported.
    pub fn transform(&self, profile: Profile, view: usize) -> Transform<'_> {
        assert!(self.supports(profile), "the caller refuses profiles that are not supported");
        let kind = match (profile, self.ssl) {
            (Profile::Train, _) if self.train != TrainAugment::default() => Kind::Train,
            (Profile::Train | Profile::None, _) => Kind::None,
            (Profile::Ssl | Profile::SslHalf, ssl) => Kind::Ssl {
                ssl: ssl.expect("a supported profile"),
                view,
                half: profile == Profile::SslHalf,
            },
        };
        Transform { pixels: self, kind, room: Room::default() }
    }
}

/// One image as it is stored: planes of bytes, `scale` being 1.
#[derive(Clone, Copy)]
struct Stored<'a> {
    shape: ImageShape,
    scale: f32,
    pixels: &'a [u8],
}

/// Turns images into inputs, one after another.
pub struct Transform<'a> {
    pixels: &'a Pixels,
    kind: Kind,
    room: Room,
}

#[derive(Clone, Copy)]
enum Kind {
    None,
    Train,
    /// `half`: normalised by 1/2 and 1/2 instead of the benchmark's statistics.
    Ssl {
        ssl: SslAugment,
        view: usize,
        half: bool,
    },
}

impl Transform<'_> {
    /// Whether it takes from a generator.
    pub fn is_random(&self) -> bool {
        !matches!(self.kind, Kind::None)
    }

    /// Makes one input. Only a random transform takes from `rng`.
    ///
    /// # Panics
    /// When `image` or `out` is not one image long.
    pub fn apply(&mut self, image: &[u8], out: &mut [f32], rng: &mut Rng) {
        let Pixels { shape, scale, ref statistics, train, .. } = *self.pixels;
        assert_eq!((image.len(), out.len()), (shape.len(), shape.len()));
        let image = Stored { shape, scale, pixels: image };
        match self.kind {
            Kind::None => normalise(image, statistics, out),
            Kind::Train => train.draw(rng).apply(image, statistics, &mut self.room, out),
            Kind::Ssl { ssl, view, half } => {
                ssl.apply(view, image, out, rng);
                let planes = out.chunks_exact_mut(shape.height * shape.width);
                for (values, &of) in planes.zip(statistics) {
                    let of = if half { ChannelStatistics::HALF } else { of };
                    normalise::standardise_values(of, values);
                }
            }
        }
    }
}

fn normalise(image: Stored<'_>, statistics: &[ChannelStatistics], out: &mut [f32]) {
    let plane = image.shape.height * image.shape.width;
    let planes = image.pixels.chunks_exact(plane).zip(out.chunks_exact_mut(plane));
    for ((from, to), &of) in planes.zip(statistics) {
        match of == ChannelStatistics::NONE {
            true => normalise::divide(image.scale, from, to),
            false => normalise::standardise(image.scale, of, from, to),
        }
    }
}

#[cfg(test)]
mod tests;
