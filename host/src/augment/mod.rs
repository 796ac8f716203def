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
    /// Per channel; empty where inputs are not normalised.
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
        Pixels { shape, scale, statistics: statistics.to_vec(), train, ssl }
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
        Transform { pixels: self, kind, moved: vec![0; self.shape.len()], room: Room::default() }
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
    /// An image whose pixels were moved.
    moved: Vec<u8>,
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
    /// Makes one input. Only a random transform takes from `rng`.
    ///
    /// # Panics
    /// When `image` or `out` is not one image long.
    pub fn apply(&mut self, image: &[u8], out: &mut [f32], rng: &mut Rng) {
        let Pixels { shape, scale, train, .. } = *self.pixels;
        assert_eq!((image.len(), out.len()), (shape.len(), shape.len()));
        match self.kind {
            Kind::None => self.pixels.normalise(image, out),
            Kind::Train => {
                train.draw(rng).cut(shape, image, &mut self.room, &mut self.moved);
                self.pixels.normalise(&self.moved, out);
            }
            Kind::Ssl { ssl, view, half } => {
                ssl.apply(view, Stored { shape, scale, pixels: image }, out, rng);
                self.pixels.normalise_values(half, out);
            }
        }
    }
}

impl Pixels {
    fn normalise(&self, image: &[u8], out: &mut [f32]) {
        let plane = self.shape.height * self.shape.width;
        let planes = image.chunks_exact(plane).zip(out.chunks_exact_mut(plane));
        for (channel, (from, to)) in planes.enumerate() {
            match self.statistics.get(channel) {
                Some(of) => normalise::standardise(self.scale, *of, from, to),
                None => normalise::divide(self.scale, from, to),
            }
        }
    }

    /// For what a transform has divided by the scale already.
    fn normalise_values(&self, half: bool, out: &mut [f32]) {
        const HALF: ChannelStatistics = ChannelStatistics { mean: 0.5, deviation: 0.5 };
        let plane = self.shape.height * self.shape.width;
        for (channel, values) in out.chunks_exact_mut(plane).enumerate() {
            let of = if half { Some(HALF) } else { self.statistics.get(channel).copied() };
            if let Some(of) = of {
                normalise::standardise_values(of, values);
            }
        }
    }
}

#[cfg(test)]
mod tests;
