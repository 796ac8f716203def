//! Changes of colour: brightness, contrast, saturation, hue and greyness, as torchvision defines
//! them for images of floats in [0, 1]. An image is three planes: red, green, blue.

use multiversion::multiversion;

use crate::rng::{Rng, between, shuffle};

/// One change with its strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    /// Multiplies by the factor.
    Brightness(f32),
    /// Away from the mean grey by the factor.
    Contrast(f32),
    /// Away from each pixel's own grey by the factor.
    Saturation(f32),
    /// Around the colour circle by this part of a turn, -1 to 1.
    Hue(f32),
}

/// `ColorJitter(0.4, 0.4, 0.2, 0.1)` (algorithms section 2.2): each change once, in random order.
pub(super) fn draw_jitter(rng: &mut Rng) -> [Change; 4] {
    let mut about_one = |strength: f64| between(rng, [1.0 - strength, 1.0 + strength]) as f32;
    let mut changes = [
        Change::Brightness(about_one(0.4)),
        Change::Contrast(about_one(0.4)),
        Change::Saturation(about_one(0.2)),
        Change::Hue(between(rng, [-0.1, 0.1]) as f32),
    ];
    shuffle(rng, &mut changes);
    changes
}

/// Changes an image in place; values stay within [0, 1].
pub(super) fn change(image: &mut [f32], change: Change) {
    match change {
        Change::Brightness(factor) => blend_with(image, factor, 0.0),
        Change::Contrast(factor) => {
            let mean = mean_grey(planes(image));
            blend_with(image, factor, mean);
        }
        Change::Saturation(factor) => saturate(planes(image), factor),
        Change::Hue(turn) => rotate_hue(planes(image), turn),
    }
}

/// Makes all channels equal to the grey of each pixel.
pub(super) fn grey(image: &mut [f32]) {
    saturate(planes(image), 0.0);
}

fn planes(image: &mut [f32]) -> [&mut [f32]; 3] {
    let plane = image.len() / 3;
    let (red, rest) = image.split_at_mut(plane);
    let (green, blue) = rest.split_at_mut(plane);
    [red, green, blue]
}

/// Luma of ITU-R BT.601.
#[inline(always)]
fn luma(red: f32, green: f32, blue: f32) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn blend_with(values: &mut [f32], factor: f32, other: f32) {
    let rest = (1.0 - factor) * other;
    for value in values {
        *value = (factor * *value + rest).clamp(0.0, 1.0);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn saturate(planes: [&mut [f32]; 3], factor: f32) {
    let [red, green, blue] = planes;
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        let rest = (1.0 - factor) * luma(*red, *green, *blue);
        for value in [red, green, blue] {
            *value = (factor * *value + rest).clamp(0.0, 1.0);
        }
    }
}

/// Sixteen sums side by side, so that the order of additions, and with it the last bit, is the same
/// for vectors of every length.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn mean_grey(planes: [&mut [f32]; 3]) -> f32 {
    let [red, green, blue] = planes;
    let mut sums = [0.0; 16];
    for ((red, green), blue) in red.chunks(16).zip(green.chunks(16)).zip(blue.chunks(16)) {
        for (((sum, red), green), blue) in sums.iter_mut().zip(red).zip(green).zip(blue) {
            *sum += luma(*red, *green, *blue);
        }
    }
    sums.iter().sum::<f32>() / red.len() as f32
}

/// Through hue, chroma and value: with hue `h` in sixths of a turn, channel `n` is
/// `value - chroma * clamp(min(k, 4 - k), 0, 1)`, `k = (n + h) mod 6`, `n` = 5, 3, 1 for red,
/// green, blue.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn rotate_hue(planes: [&mut [f32]; 3], turn: f32) {
    let [red, green, blue] = planes;
    let sixths = 6.0 * if turn < 0.0 { turn + 1.0 } else { turn };
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        let (r, g, b) = (*red, *green, *blue);
        let value = r.max(g).max(b);
        let chroma = value - r.min(g).min(b);
        let per_chroma = 1.0 / if chroma > 0.0 { chroma } else { 1.0 };
        let green_or_blue = match value == g {
            true => 2.0 + (b - r) * per_chroma,
            false => 4.0 + (r - g) * per_chroma,
        };
        let hue = if value == r { (g - b) * per_chroma } else { green_or_blue } + sixths;
        let channel = |n: f32| {
            // The hue was -1 to 5 and has been turned by less than 6.
            let k = n + hue;
            let k = if k >= 12.0 { k - 12.0 } else { k };
            let k = if k >= 6.0 { k - 6.0 } else { k };
            value - chroma * k.min(4.0 - k).clamp(0.0, 1.0)
        };
        (*red, *green, *blue) = (channel(5.0), channel(3.0), channel(1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::keyed;

    /// Two pixels: (0.2, 0.4, 0.6) and (1, 0, 0.5).
    const IMAGE: [f32; 6] = [0.2, 1.0, 0.4, 0.0, 0.6, 0.5];

    fn check(what: Change, expected: [f32; 6]) {
        let mut image = IMAGE;
        change(&mut image, what);
        for (found, expected) in image.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{what:?}: {image:?}");
        }
    }

    #[test]
    fn brightness_multiplies_and_stops_at_white() {
        check(Change::Brightness(1.5), [0.3, 1.0, 0.6, 0.0, 0.9, 0.75]);
        check(Change::Brightness(0.0), [0.0; 6]);
        check(Change::Brightness(1.0), IMAGE);
    }

    /// Greys: 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6 = 0.363 and 0.299 + 0.114 / 2 = 0.356.
    const GREYS: [f32; 2] = [0.363, 0.356];

    #[test]
    fn contrast_moves_away_from_the_mean_grey() {
        check(Change::Contrast(0.0), [(GREYS[0] + GREYS[1]) / 2.0; 6]);
        // 0.5 x + 0.5 * 0.3595.
        check(Change::Contrast(0.5), IMAGE.map(|x| 0.5 * x + 0.17975));
        check(Change::Contrast(1.0), IMAGE);
    }

    #[test]
    fn saturation_moves_away_from_each_pixels_grey() {
        let [one, two] = GREYS;
        check(Change::Saturation(0.0), [one, two, one, two, one, two]);
        // 1.2 x - 0.2 grey, held within [0, 1].
        check(Change::Saturation(1.2), [0.1674, 1.0, 0.4074, 0.0, 0.6474, 0.5288]);
        let mut image = IMAGE;
        grey(&mut image);
        assert!((image[2] - one).abs() < 1e-6 && image[0] == image[4] && image[1] == image[5]);
    }

    #[test]
    fn hue_turns_around_the_colour_circle() {
        let turned = |pixel: [f32; 3], turn| {
            let mut image = pixel;
            change(&mut image, Change::Hue(turn));
            image
        };
        let close = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 3e-6);
        let (red, green, blue) = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]);
        assert!(close(turned(red, 1.0 / 3.0), green));
        assert!(close(turned(red, -1.0 / 3.0), blue));
        assert!(close(turned(blue, 1.0 / 3.0), red));
        assert!(close(turned(green, 0.5), [1.0, 0.0, 1.0]));
        assert!(close(turned([0.5, 0.25, 0.25], 1.0 / 6.0), [0.5, 0.5, 0.25]));
        assert_eq!(turned([0.3; 3], 0.4), [0.3; 3]);
        // Turns of 0 and of 1/2 twice change nothing, whichever channel is largest.
        for pixel in [[0.9, 0.5, 0.1], [0.2, 0.7, 0.6], [0.3, 0.1, 0.8], [0.6, 0.1, 0.5]] {
            assert!(close(turned(pixel, 0.0), pixel));
            assert!(close(turned(turned(pixel, 0.5), -0.5), pixel));
        }
    }

    #[test]
    fn jitter_has_every_change_once_in_every_order() {
        let mut rng = keyed(0, "jitter", &[]);
        let mut orders = std::collections::BTreeSet::new();
        for _ in 0..1_000 {
            let changes = draw_jitter(&mut rng);
            let mut order = [0; 4];
            for (place, change) in changes.iter().enumerate() {
                let (number, value, range) = match *change {
                    Change::Brightness(f) => (0, f, 0.6..=1.4),
                    Change::Contrast(f) => (1, f, 0.6..=1.4),
                    Change::Saturation(f) => (2, f, 0.8..=1.2),
                    Change::Hue(turn) => (3, turn, -0.1..=0.1),
                };
                assert!(range.contains(&value), "{change:?}");
                order[number] = place;
            }
            orders.insert(order);
        }
        assert_eq!(orders.len(), 24);
    }
}
