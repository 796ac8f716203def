//! Rotation about the centre followed by a shift of whole pixels, for images of one colour on a
//! background of zeros.

use super::{ImageShape, Stored, normalise};
use crate::rng::{Rng, below, between};

/// How an image is moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Motion {
    /// Sine and cosine of the angle, counter-clockwise.
    pub sine: f32,
    pub cosine: f32,
    /// Pixels.
    pub down: i32,
    pub right: i32,
}

impl Motion {
    /// An angle within `degrees_max` either way, shifts within `shift_max` pixels either way.
    pub fn draw(degrees_max: f64, shift_max: u32, rng: &mut Rng) -> Motion {
        let angle = between(rng, [-degrees_max, degrees_max]).to_radians();
        let (sine, cosine) = libm::sincos(angle);
        let mut shift = || below(rng, 2 * u64::from(shift_max) + 1) as i32 - shift_max as i32;
        Motion { sine: sine as f32, cosine: cosine as f32, down: shift(), right: shift() }
    }

    /// Moves all planes of an image, by bilinear interpolation. Values are `pixel / scale`.
    pub fn apply(self, image: Stored<'_>, out: &mut [f32]) {
        let ImageShape { height, width, .. } = image.shape;
        // A frame of zeros: whatever is looked up outside lands on it.
        let framed_width = width + 2;
        let mut framed = vec![0.0; (height + 2) * framed_width];
        let planes = image.pixels.chunks_exact(height * width);
        for (from, to) in planes.zip(out.chunks_exact_mut(height * width)) {
            let inner = framed.chunks_exact_mut(framed_width).skip(1);
            for (from, to) in from.chunks_exact(width).zip(inner) {
                normalise::divide(image.scale, from, &mut to[1..=width]);
            }
            self.look_up(image.shape, &framed, to);
        }
    }

    /// Goes back from each pixel to where it comes from, along a row by steps in fixed point: that
    /// takes half the time of floats, and puts a pixel off by its column over 2^17 at most.
    fn look_up(self, shape: ImageShape, framed: &[f32], to: &mut [f32]) {
        let ImageShape { height, width, .. } = shape;
        let framed_width = width + 2;
        let (step_x, step_y) = (fixed(self.cosine), fixed(self.sine));
        let (middle_y, middle_x) = ((height - 1) as f32 / 2.0, (width - 1) as f32 / 2.0);
        let u = -middle_x - self.right as f32;
        for (row, to) in to.chunks_exact_mut(width).enumerate() {
            let v = row as f32 - middle_y - self.down as f32;
            let mut x = fixed(self.cosine * u - self.sine * v + middle_x);
            let mut y = fixed(self.sine * u + self.cosine * v + middle_y);
            for to in to {
                let (left, weight_x) = place(x, width);
                let (top, weight_y) = place(y, height);
                let near = &framed[top * framed_width + left..][..framed_width + 2];
                let mix = |a: f32, b: f32, weight: f32| a + weight * (b - a);
                let above = mix(near[0], near[1], weight_x);
                let below = mix(near[framed_width], near[framed_width + 1], weight_x);
                *to = mix(above, below, weight_y);
                (x, y) = (x + step_x, y + step_y);
            }
        }
    }
}

/// In units of 2^-16.
fn fixed(value: f32) -> i64 {
    (value * 65_536.0).round_ties_even() as i64
}

/// Pixel of the frame before a coordinate in fixed point, and how far the coordinate lies beyond
/// it.
#[inline(always)]
fn place(at: i64, length: usize) -> (usize, f32) {
    let at = (at + (1 << 16)).clamp(0, ((length + 1) << 16) as i64);
    let before = (at >> 16).min(length as i64);
    (before as usize, (at - (before << 16)) as f32 / 65_536.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::keyed;

    const SHAPE: ImageShape = ImageShape { channels: 1, height: 3, width: 3 };
    const IMAGE: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    const STILL: Motion = Motion { sine: 0.0, cosine: 1.0, down: 0, right: 0 };

    fn moved(motion: Motion) -> [f32; 9] {
        let mut out = [f32::NAN; 9];
        motion.apply(Stored { shape: SHAPE, scale: 1.0, pixels: &IMAGE }, &mut out);
        out
    }

    #[test]
    fn no_motion_is_the_image() {
        assert_eq!(moved(STILL), IMAGE.map(f32::from));
        let shape = ImageShape { channels: 3, height: 4, width: 6 };
        let image: Vec<u8> = (0..72).map(|i| 3 * i).collect();
        let mut out = vec![f32::NAN; 72];
        STILL.apply(Stored { shape, scale: 255.0, pixels: &image }, &mut out);
        let same = |(value, &pixel): (&f32, &u8)| *value == f32::from(pixel) / 255.0;
        assert!(out.iter().zip(&image).all(same));
    }

    #[test]
    fn shifts_leave_zeros_behind() {
        let down = moved(Motion { down: 1, ..STILL });
        assert_eq!(down, [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let far = moved(Motion { down: -1, right: 2, ..STILL });
        assert_eq!(far, [0.0, 0.0, 4.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0]);
        assert_eq!(moved(Motion { right: 9, ..STILL }), [0.0; 9]);
    }

    #[test]
    fn a_quarter_turn_is_counter_clockwise() {
        let turn = Motion { sine: 1.0, cosine: 0.0, ..STILL };
        assert_eq!(moved(turn), [3.0, 6.0, 9.0, 2.0, 5.0, 8.0, 1.0, 4.0, 7.0]);
        // The shift comes after the turn.
        let and_down = moved(Motion { down: 1, ..turn });
        assert_eq!(and_down, [0.0, 0.0, 0.0, 3.0, 6.0, 9.0, 2.0, 5.0, 8.0]);
    }

    /// With sine 0 and cosine 1/2 the image is magnified twice about its centre.
    #[test]
    fn places_between_pixels_are_mixed() {
        let out = moved(Motion { sine: 0.0, cosine: 0.5, ..STILL });
        assert_eq!(out, [3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0]);
    }

    #[test]
    fn every_shift_is_drawn_and_angles_stay_in_their_range() {
        let mut rng = keyed(0, "motion", &[]);
        let mut shifts = std::collections::BTreeSet::new();
        let mut sines = [0.0f32; 2];
        for _ in 0..1_000 {
            let motion = Motion::draw(15.0, 2, &mut rng);
            shifts.insert((motion.down, motion.right));
            sines = [sines[0].min(motion.sine), sines[1].max(motion.sine)];
            assert!((motion.sine.hypot(motion.cosine) - 1.0).abs() < 1e-6);
        }
        assert_eq!(shifts, (0..25).map(|i| (i / 5 - 2, i % 5 - 2)).collect());
        // The sine of 15 degrees is 0.2588.
        assert!((-0.2589..-0.255).contains(&sines[0]) && (0.255..0.2589).contains(&sines[1]));
    }
}
