//! What an experience does to the images of a data set: rotating, then moving pixels. Both move whole
//! pixels, so a transform is one table of places, and images stay u8.

use std::sync::Arc;

use multiversion::multiversion;

use crate::data::ImageShape;
use crate::rng::{Rng, shuffle};

/// Place in [`Transform::places`] of a pixel that comes from outside the image and is zero.
const OUTSIDE: u32 = u32::MAX;

/// Rotation, then permutation, of every image; the same in all channels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transform {
    /// Counter-clockwise.
    degrees: f64,
    /// Pixel `p` of the result is pixel `permutation[p]` of the rotated image; empty where pixels
    /// stay.
    permutation: Arc<[u32]>,
    /// Both together: where each pixel of the result lies in the image; empty where nothing moves.
    places: Arc<[u32]>,
}

impl Transform {
    /// A transform of images of this shape. `permutation` is empty or has one place per pixel of a
    /// channel.
    pub fn new(shape: ImageShape, degrees: f64, permutation: Arc<[u32]>) -> Transform {
        let rotated = Rotation::new(degrees, shape).places();
        let places: Vec<u32> = match permutation.is_empty() {
            true => rotated,
            false => permutation.iter().map(|&place| rotated[place as usize]).collect(),
        };
        let moves = places.iter().enumerate().any(|(place, &source)| source as usize != place);
        let places = if moves { places.into() } else { Arc::default() };
        Transform { degrees, permutation, places }
    }

    /// Counter-clockwise.
    pub fn degrees(&self) -> f64 {
        self.degrees
    }

    /// Empty where pixels stay where the rotation puts them.
    pub fn permutation(&self) -> &[u32] {
        &self.permutation
    }

    /// `None` where nothing moves.
    pub(super) fn apply(&self, shape: ImageShape, image: &[u8]) -> Option<Vec<u8>> {
        if self.places.is_empty() {
            return None;
        }
        Some(gather(image, shape, &self.places))
    }
}

/// Planes up to this size are copied where a place needs no check; the last byte stays zero.
const PADDED_BYTES: usize = 2048;

/// Every channel with its pixels moved. Every image of a stream goes through here, so small ones, such
/// as those of MNIST, are looked up without a check of bounds.
fn gather(image: &[u8], shape: ImageShape, places: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(image.len());
    for plane in image.chunks_exact(shape.height * shape.width) {
        if plane.len() < PADDED_BYTES {
            let mut padded = [0u8; PADDED_BYTES];
            padded[..plane.len()].copy_from_slice(plane);
            // Outside is the last byte.
            out.extend(places.iter().map(|&place| padded[place as usize % PADDED_BYTES]));
        } else {
            let pixel = |&place: &u32| plane.get(place as usize).copied().unwrap_or(0);
            out.extend(places.iter().map(pixel));
        }
    }
    out
}

/// A permutation of the pixels of one channel, drawn uniformly.
pub(super) fn draw_permutation(shape: ImageShape, rng: &mut Rng) -> Arc<[u32]> {
    let mut places: Vec<u32> = (0..(shape.height * shape.width) as u32).collect();
    shuffle(rng, &mut places);
    places.into()
}

/// An image rotated about its centre: counter-clockwise, nearest pixel, zero outside, size kept.
pub(super) fn rotate(image: &[u8], shape: ImageShape, degrees: f64) -> Vec<u8> {
    gather(image, shape, &Rotation::new(degrees, shape).places())
}

/// The map from pixels of the result to pixels of the image, as Pillow computes it for
/// `Image.rotate(degrees)` and torchvision hands through (`PIL/Image.py`, `libImaging/Geometry.c`):
/// pixel centres lie at half numbers, the matrix has 15 decimals, coordinates are fixed-point numbers
/// with 16 bits behind the point and are rounded down. Published streams were made so; another
/// rounding moves single pixels.
struct Rotation {
    shape: ImageShape,
    /// Of pixel (0, 0) of the result: x and y.
    start: [i32; 2],
    /// What one pixel to the right, and one down, adds.
    right: [i32; 2],
    down: [i32; 2],
}

impl Rotation {
    fn new(degrees: f64, shape: ImageShape) -> Rotation {
        let radians = -(degrees.rem_euclid(360.0)).to_radians();
        let decimals = |value: f64| (value * 1e15).round() / 1e15;
        let (cos, sin) = (decimals(radians.cos()), decimals(radians.sin()));
        let (x, y) = (shape.width as f64 / 2.0, shape.height as f64 / 2.0);
        // Of the corner of pixel (0, 0): the centre of the image stays where it is.
        let corner = [-x * cos - y * sin + x, x * sin - y * cos + y];
        // Pillow's own numbers have 32 bits, too.
        let fixed = |value: f64| (value * 65536.0 + 0.5).floor() as i32;
        Rotation {
            shape,
            start: [
                fixed(corner[0] + 0.5 * cos + 0.5 * sin),
                fixed(corner[1] - 0.5 * sin + 0.5 * cos),
            ],
            right: [fixed(cos), fixed(-sin)],
            down: [fixed(sin), fixed(cos)],
        }
    }

    /// For each pixel of the result its place in a channel of the image.
    fn places(&self) -> Vec<u32> {
        let ImageShape { height, width, .. } = self.shape;
        let mut places = vec![OUTSIDE; height * width];
        for (row, places) in places.chunks_exact_mut(width).enumerate() {
            let start = |axis: usize| self.start[axis] + row as i32 * self.down[axis];
            row_places([start(0), start(1)], self.right, [width as u32, height as u32], places);
        }
        places
    }
}

// Compiled once for each kind of vector instruction: a stream that turns its images one by one comes
// here for every sample.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn row_places(start: [i32; 2], right: [i32; 2], [width, height]: [u32; 2], places: &mut [u32]) {
    for (column, place) in places.iter_mut().enumerate() {
        let column = column as i32;
        // Left of or above the image is a large number.
        let x = ((start[0] + column * right[0]) >> 16) as u32;
        let y = ((start[1] + column * right[1]) >> 16) as u32;
        let inside = (x < width) & (y < height);
        *place = if inside { y.wrapping_mul(width).wrapping_add(x) } else { OUTSIDE };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(height: usize, width: usize) -> ImageShape {
        ImageShape { channels: 1, height, width }
    }

    #[test]
    fn quarter_turns_are_exact() {
        // 1 2 3        3 6 9
        // 4 5 6  ->    2 5 8  a quarter turn counter-clockwise.
        // 7 8 9        1 4 7
        let image = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(rotate(&image, shape(3, 3), 90.0), [3, 6, 9, 2, 5, 8, 1, 4, 7]);
        assert_eq!(rotate(&image, shape(3, 3), 180.0), [9, 8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(rotate(&image, shape(3, 3), 270.0), [7, 4, 1, 8, 5, 2, 9, 6, 3]);
        assert_eq!(rotate(&image, shape(3, 3), -90.0), rotate(&image, shape(3, 3), 270.0));
        assert_eq!(rotate(&image, shape(3, 3), 360.0), image);
        // An even size turns about the corner between the four middle pixels.
        assert_eq!(rotate(&[1, 2, 3, 4], shape(2, 2), 90.0), [2, 4, 1, 3]);
        // Four quarter turns of a picture with no symmetry give it back.
        let image: Vec<u8> = (0..784u32).map(|p| (p * p % 251) as u8).collect();
        let turned = (0..4).fold(image.clone(), |image, _| rotate(&image, shape(28, 28), 90.0));
        assert_eq!(turned, image);
    }

    #[test]
    fn an_eighth_turn_takes_the_nearest_pixel_and_fills_with_zero() {
        // Pixel (row 0, column 0) of the result has its centre at (-1, -1) from the middle; turned
        // back it lies at (0, -1.41), in row -1: outside. (0, 1) at (0, -1) comes from (0.71, -0.71),
        // nearest (1, -1): pixel 3; and so on round the ring.
        let image = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(rotate(&image, shape(3, 3), 45.0), [2, 3, 6, 1, 5, 9, 4, 7, 8]);
        // On 5x5 the corners come from 2.83 pixels away from the middle: outside.
        let image = [7; 25];
        let turned = rotate(&image, shape(5, 5), 45.0);
        let zeros: Vec<usize> = (0..25).filter(|&place| turned[place] == 0).collect();
        assert_eq!(zeros, [0, 4, 20, 24]);
    }

    /// Golden number made with Pillow 13.0.0: for every tenth of a degree of a 28x28 image in mode
    /// `I` that holds 1 to 784, `h = h * 31 + v` over the values of `image.rotate(degrees)`.
    #[test]
    fn every_tenth_of_a_degree_is_as_in_pillow() {
        let mut hash = 0u32;
        for tenth in 0..3600 {
            for place in Rotation::new(f64::from(tenth) / 10.0, shape(28, 28)).places() {
                // Outside is the largest number: one more is 0.
                hash = hash.wrapping_mul(31).wrapping_add(place.wrapping_add(1));
            }
        }
        assert_eq!(hash, 1_664_877_882);
    }

    #[test]
    fn pixels_move_after_the_rotation() {
        let image = [1, 2, 3, 4];
        let permutation: Arc<[u32]> = [3, 2, 1, 0].into();
        // Rotated: 2 4 1 3. Reversed: 3 1 4 2.
        let transform = Transform::new(shape(2, 2), 90.0, permutation.clone());
        assert_eq!(transform.apply(shape(2, 2), &image).unwrap(), [3, 1, 4, 2]);
        let transform = Transform::new(shape(2, 2), 0.0, permutation);
        assert_eq!(transform.apply(shape(2, 2), &image).unwrap(), [4, 3, 2, 1]);
        let nothing = Transform::new(shape(2, 2), 0.0, Arc::default());
        assert_eq!(nothing.apply(shape(2, 2), &image), None);
    }

    #[test]
    fn a_large_image_moves_like_a_small_one() {
        // 64x64 pixels have no room in the padded copy.
        let image: Vec<u8> = (0..4096u32).map(|p| (p * p % 251) as u8).collect();
        let turned = (0..4).fold(image.clone(), |image, _| rotate(&image, shape(64, 64), 90.0));
        assert_eq!(turned, image);
        assert_eq!(rotate(&image, shape(64, 64), 45.0)[0], 0, "a corner comes from outside");
    }

    #[test]
    fn all_channels_move_alike() {
        let two = ImageShape { channels: 2, height: 2, width: 2 };
        let transform = Transform::new(two, 90.0, Arc::default());
        assert_eq!(
            transform.apply(two, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap(),
            [2, 4, 1, 3, 6, 8, 5, 7]
        );
    }
}
