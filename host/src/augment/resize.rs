//! Random resized crop: a window of random size and shape, stretched to the size of the image. The
//! choice of the window follows torchvision's `RandomResizedCrop.get_params`.

use multiversion::multiversion;

use super::{ImageShape, Stored};
use crate::rng::{Rng, below, between};

/// Which windows of an image are cropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResizedCrop {
    /// Least and greatest share of the image's area.
    pub area: [f64; 2],
    /// Least and greatest width over height; uniform in its logarithm.
    pub ratio: [f64; 2],
}

/// Windows that do not fit into the image are drawn again, so many times at most.
const TRIES: usize = 10;

impl ResizedCrop {
    /// torchvision's defaults.
    pub const TORCHVISION: ResizedCrop =
        ResizedCrop { area: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] };

    /// A crop of `side` pixels of a square image that was enlarged to `whole` pixels before, seen
    /// from the image as it is stored: a window of one size, `side / whole` of its sides.
    pub const fn of_enlarged(side: usize, whole: usize) -> ResizedCrop {
        let share = side as f64 / whole as f64;
        ResizedCrop { area: [share * share, share * share], ratio: [1.0, 1.0] }
    }

    /// A window within an image.
    pub(super) fn draw(&self, shape: ImageShape, rng: &mut Rng) -> Crop {
        let (height, width) = (shape.height as f64, shape.width as f64);
        for _ in 0..TRIES {
            let area = height * width * between(rng, self.area);
            let ratio = libm::exp(between(rng, self.ratio.map(libm::log)));
            let crop_width = libm::sqrt(area * ratio).round_ties_even();
            let crop_height = libm::sqrt(area / ratio).round_ties_even();
            let fits = |side: f64, limit: f64| side >= 1.0 && side <= limit;
            if fits(crop_width, width) && fits(crop_height, height) {
                let (height, width) = (crop_height as usize, crop_width as usize);
                let mut place = |free: usize| below(rng, free as u64 + 1) as usize;
                let (top, left) = (place(shape.height - height), place(shape.width - width));
                return Crop { top, left, height, width, flip: false };
            }
        }
        self.centre(shape)
    }

    /// The largest window in the middle whose ratio is allowed.
    fn centre(&self, shape: ImageShape) -> Crop {
        let (height, width) = (shape.height as f64, shape.width as f64);
        let ratio = (width / height).clamp(self.ratio[0], self.ratio[1]);
        let side = |length: f64, limit: usize| (length.round_ties_even() as usize).clamp(1, limit);
        let (height, width) =
            (side(width / ratio, shape.height), side(height * ratio, shape.width));
        let (top, left) = ((shape.height - height) / 2, (shape.width - width) / 2);
        Crop { top, left, height, width, flip: false }
    }
}

/// A window of an image, in pixels, and whether what it shows is mirrored left to right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crop {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
    pub flip: bool,
}

/// One place between two pixels of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tap {
    first: usize,
    second: usize,
    /// Share of the second.
    weight: f32,
}

/// Stretches the crop of an image to the size of the image, by bilinear interpolation between the
/// centres of pixels; pixels outside the crop have no influence. Values are `pixel / scale`.
pub(super) fn stretch(image: Stored<'_>, crop: Crop, out: &mut [f32]) {
    let ImageShape { height, width, .. } = image.shape;
    let mut across = taps(crop.width, width);
    if crop.flip {
        across.reverse();
    }
    let down = taps(crop.height, height);
    let mut wide = vec![0.0; crop.height * width];
    let planes = image.pixels.chunks_exact(height * width);
    for (from, to) in planes.zip(out.chunks_exact_mut(height * width)) {
        let rows = from.chunks_exact(width).skip(crop.top);
        for (row, to) in rows.zip(wide.chunks_exact_mut(width)) {
            stretch_row(&across, &row[crop.left..][..crop.width], to);
        }
        for (tap, to) in down.iter().zip(to.chunks_exact_mut(width)) {
            let row = |number: usize| &wide[number * width..][..width];
            mix(row(tap.first), row(tap.second), tap.weight, image.scale, to);
        }
    }
}

/// Where `to` places, evenly spread, lie among `from` pixels.
fn taps(from: usize, to: usize) -> Vec<Tap> {
    let step = from as f64 / to as f64;
    let tap = |place: usize| {
        let at = ((place as f64 + 0.5) * step - 0.5).clamp(0.0, (from - 1) as f64);
        let first = at as usize;
        Tap { first, second: (first + 1).min(from - 1), weight: (at - first as f64) as f32 }
    };
    (0..to).map(tap).collect()
}

fn stretch_row(taps: &[Tap], from: &[u8], to: &mut [f32]) {
    for (tap, to) in taps.iter().zip(to) {
        let (first, second) = (f32::from(from[tap.first]), f32::from(from[tap.second]));
        *to = first + tap.weight * (second - first);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn mix(first: &[f32], second: &[f32], weight: f32, scale: f32, to: &mut [f32]) {
    for ((to, &first), &second) in to.iter_mut().zip(first).zip(second) {
        *to = (first + weight * (second - first)) / scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::keyed;

    const SQUARE: ImageShape = ImageShape { channels: 1, height: 84, width: 84 };

    #[test]
    fn the_whole_image_is_the_image() {
        let shape = ImageShape { channels: 2, height: 2, width: 3 };
        let image: Vec<u8> = (1..=12).collect();
        let whole = Crop { top: 0, left: 0, height: 2, width: 3, flip: false };
        let mut out = [f32::NAN; 12];
        stretch(Stored { shape, scale: 2.0, pixels: &image }, whole, &mut out);
        assert_eq!(out, [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0]);
        stretch(
            Stored { shape, scale: 1.0, pixels: &image },
            Crop { flip: true, ..whole },
            &mut out,
        );
        assert_eq!(out, [3.0, 2.0, 1.0, 6.0, 5.0, 4.0, 9.0, 8.0, 7.0, 12.0, 11.0, 10.0]);
    }

    /// Two pixels over four places: centres at -1/4, 1/4, 3/4 and 5/4 of the way, ends held.
    #[test]
    fn places_between_pixels_are_mixed() {
        let shape = ImageShape { channels: 1, height: 4, width: 4 };
        let mut image = [255; 16];
        (image[5], image[6], image[9], image[10]) = (0, 8, 16, 24);
        let middle = Crop { top: 1, left: 1, height: 2, width: 2, flip: false };
        let image = Stored { shape, scale: 1.0, pixels: &image };
        let mut out = [f32::NAN; 16];
        stretch(image, middle, &mut out);
        let (x, y) = ([0.0, 2.0, 6.0, 8.0], [0.0, 4.0, 12.0, 16.0]);
        let expected: Vec<f32> = y.iter().flat_map(|y| x.map(|x| x + y)).collect();
        assert_eq!(out.as_slice(), expected);
        let single = Crop { top: 2, left: 2, height: 1, width: 1, flip: false };
        stretch(image, single, &mut out);
        assert_eq!(out, [24.0; 16]);
    }

    #[test]
    fn a_crop_of_an_enlarged_image_has_one_size_and_every_place() {
        let mut rng = keyed(0, "crop", &[]);
        let mut lefts = std::collections::BTreeSet::new();
        for _ in 0..2_000 {
            let crop = ResizedCrop::of_enlarged(84, 128).draw(SQUARE, &mut rng);
            // 84 * 84 / 128 = 55.1.
            assert_eq!((crop.height, crop.width), (55, 55));
            lefts.insert(crop.left);
        }
        assert_eq!(lefts, (0..=84 - 55).collect());
    }

    #[test]
    fn areas_and_ratios_spread_over_their_ranges() {
        let mut rng = keyed(0, "crop", &[]);
        let crops: Vec<Crop> =
            (0..4_000).map(|_| ResizedCrop::TORCHVISION.draw(SQUARE, &mut rng)).collect();
        let area = |c: &Crop| (c.height * c.width) as f64 / 7056.0;
        let ratio = |c: &Crop| c.width as f64 / c.height as f64;
        assert!(crops.iter().all(|c| c.top + c.height <= 84 && c.left + c.width <= 84));
        // Sides are rounded, which moves small areas by up to 4 %.
        assert!(crops.iter().all(|c| (0.075..=1.0).contains(&area(c))));
        assert!(crops.iter().all(|c| (0.71..=1.4).contains(&ratio(c))));
        let share = |passes: &dyn Fn(&Crop) -> bool| {
            crops.iter().filter(|c| passes(c)).count() as f64 / crops.len() as f64
        };
        // The area is uniform, 0.22 / 0.92 of it below 0.3, but of the windows above 0.75 only
        // 0.475 fit (mean of `-ln area / ln 4/3`): 0.239 / (1 - 0.525 * 0.25 / 0.92) = 0.279.
        assert!((0.25..0.31).contains(&share(&|c| area(c) < 0.3)));
        let (wide, tall) = (share(&|c| ratio(c) > 1.0), share(&|c| ratio(c) < 1.0));
        assert!((wide - tall).abs() < 0.05, "{wide} {tall}");
    }

    #[test]
    fn where_no_window_fits_the_middle_is_taken() {
        let shape = ImageShape { channels: 1, height: 2, width: 20 };
        let wide = ResizedCrop { area: [1.0, 1.0], ratio: [2.0, 2.0] };
        let crop = wide.draw(shape, &mut keyed(0, "crop", &[]));
        assert_eq!(crop, Crop { top: 0, left: 8, height: 2, width: 4, flip: false });
    }
}
