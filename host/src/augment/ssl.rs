//! Views for self-supervised learning: which transforms an image goes through, with which
//! probabilities. All chance is drawn here; the transforms themselves are pure functions.

use super::motion::Motion;
use super::resize::{self, Crop, ResizedCrop};
use super::{ImageShape, Stored, blur, colour, noise};
use crate::rng::{Rng, below, between};

/// Random transforms of the profile `ssl`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SslAugment {
    /// For images of three channels (algorithms section 2.2): crop, mirroring with probability 1/2,
    /// colour jitter (0.4, 0.4, 0.2, 0.1) with 0.8, grey with 0.2, Gaussian blur 3 x 3 of sigma 0.1
    /// to 2 pixels, always in the first view and with 0.1 in the others.
    Colour { crop: ResizedCrop },
    /// For images on a background of zeros, such as MNIST (algorithms section 2.13): rotation,
    /// shift of whole pixels and Gaussian noise, which may leave the range of the pixels.
    Plain {
        rotation_degrees: f64,
        shift: u32,
        /// Standard deviation in units of `pixel / scale`.
        noise: f32,
    },
}

impl SslAugment {
    /// DualNet's views of miniImageNet: crops of 84 pixels out of 128.
    pub const DUALNET: SslAugment = SslAugment::Colour { crop: ResizedCrop::of_enlarged(84, 128) };
    /// Views of MNIST.
    pub const MNIST: SslAugment =
        SslAugment::Plain { rotation_degrees: 15.0, shift: 2, noise: 0.1 };

    /// Whether images of this shape can be transformed.
    pub(super) fn fits(&self, shape: ImageShape) -> bool {
        matches!(self, SslAugment::Plain { .. }) || shape.channels == 3
    }

    /// One view of an image, in units of `pixel / scale`. `view` counts the views of one draw.
    pub(super) fn apply(&self, view: usize, image: Stored<'_>, out: &mut [f32], rng: &mut Rng) {
        match *self {
            SslAugment::Plain { rotation_degrees, shift, noise } => {
                Motion::draw(rotation_degrees, shift, rng).apply(image, out);
                noise::add(out, noise, rng);
            }
            SslAugment::Colour { crop } => {
                let crop = Crop { flip: chance(rng, 50), ..crop.draw(image.shape, rng) };
                resize::stretch(image, crop, out);
                recolour(view, image.shape, out, rng);
            }
        }
    }
}

fn recolour(view: usize, shape: ImageShape, out: &mut [f32], rng: &mut Rng) {
    if chance(rng, 80) {
        for change in colour::draw_jitter(rng) {
            colour::change(out, change);
        }
    }
    if chance(rng, 20) {
        colour::grey(out);
    }
    if view == 0 || chance(rng, 10) {
        let kernel = blur::Kernel::new(between(rng, [0.1, 2.0]));
        for plane in out.chunks_exact_mut(shape.height * shape.width) {
            blur::blur(kernel, shape.width, plane);
        }
    }
}

fn chance(rng: &mut Rng, percent: u64) -> bool {
    below(rng, 100) < percent
}
