use sha2::{Digest, Sha256};

use super::window::{Room, Window};
use super::*;
use crate::rng::keyed;

const SHAPE: ImageShape = ImageShape { channels: 1, height: 2, width: 3 };
const IMAGE: [u8; 6] = [1, 2, 3, 4, 5, 6];

/// No scaling, so that outputs can be read as pixels.
fn plain(train: TrainAugment) -> Pixels {
    Pixels::new(SHAPE, 1.0, &[], train, None)
}

/// The pixels of a crop.
fn cut(window: Window, shape: ImageShape, pixels: &[u8], room: &mut Room) -> Vec<u8> {
    let mut out = vec![f32::NAN; shape.len()];
    let statistics = vec![ChannelStatistics::NONE; shape.channels];
    window.apply(Stored { shape, scale: 1.0, pixels }, &statistics, room, &mut out);
    assert!(out.iter().all(|value| !value.is_nan()), "every place is written");
    out.iter().map(|&value| value as u8).collect()
}

fn window(down: usize, right: usize, flip: bool) -> [u8; 6] {
    let window = Window { padding: 1, down, right, flip };
    cut(window, SHAPE, &IMAGE, &mut Room::default()).try_into().unwrap()
}

#[test]
fn pixels_are_divided_by_the_scale() {
    let shape = ImageShape { channels: 1, height: 16, width: 16 };
    let pixels = Pixels::new(shape, 255.0, &[], TrainAugment::default(), None);
    let image: Vec<u8> = (0..=255).collect();
    let mut out = [f32::NAN; 256];
    pixels.transform(Profile::Train, 0).apply(&image, &mut out, &mut keyed(0, "augment", &[]));
    for (value, &pixel) in out.iter().zip(&image) {
        assert_eq!(value.to_bits(), (f32::from(pixel) / 255.0).to_bits());
    }
}

#[test]
fn channels_are_normalised_by_their_own_statistics() {
    let shape = ImageShape { channels: 2, height: 1, width: 1 };
    let statistics = [
        ChannelStatistics { mean: 0.5, deviation: 0.25 },
        ChannelStatistics { mean: 1.0, deviation: 2.0 },
    ];
    let pixels = Pixels::new(shape, 4.0, &statistics, TrainAugment::default(), None);
    let mut out = [0.0; 2];
    pixels.transform(Profile::None, 0).apply(&[4, 0], &mut out, &mut keyed(0, "augment", &[]));
    // (4/4 - 0.5) / 0.25 and (0/4 - 1) / 2.
    assert_eq!(out, [2.0, -0.5]);
}

#[test]
fn windows_move_and_mirror_the_image() {
    assert_eq!(window(1, 1, false), [1, 2, 3, 4, 5, 6]);
    assert_eq!(window(1, 1, true), [3, 2, 1, 6, 5, 4]);
    // Up and left of the image: its first row becomes the second, its first column the second.
    assert_eq!(window(0, 0, false), [0, 0, 0, 0, 1, 2]);
    assert_eq!(window(0, 0, true), [0, 0, 0, 2, 1, 0]);
    // Down and right of it.
    assert_eq!(window(2, 2, false), [5, 6, 0, 0, 0, 0]);
    assert_eq!(window(2, 2, true), [0, 6, 5, 0, 0, 0]);
    assert_eq!(window(2, 0, false), [0, 4, 5, 0, 0, 0]);
}

/// Wide enough for whole words, with and without a rest, against one pixel at a time.
#[test]
fn windows_of_every_width_equal_the_definition() {
    let mut room = Room::default();
    for width in 1..40usize {
        let shape = ImageShape { channels: 2, height: 3, width };
        let image: Vec<u8> = (1..=shape.len() as u8).collect();
        for (down, right, flip) in (0..50).map(|i| (i / 10, i / 2 % 5, i % 2 == 1)) {
            let window = Window { padding: 2, down, right, flip };
            let out = cut(window, shape, &image, &mut room);
            for (place, &value) in out.iter().enumerate() {
                let (plane, y, x) = (place / (3 * width), place / width % 3, place % width);
                let x = if flip { width - 1 - x } else { x };
                let inside = (2..5).contains(&(y + down)) && (2..2 + width).contains(&(x + right));
                let expected = match inside {
                    true => image[(plane * 3 + y + down - 2) * width + x + right - 2],
                    false => 0,
                };
                assert_eq!(value, expected, "{window:?}, width {width}, place {place}");
            }
        }
    }
}

#[test]
fn padding_is_the_pixel_zero_before_normalisation() {
    let outside = Window { padding: 9, down: 0, right: 0, flip: false };
    assert_eq!(cut(outside, SHAPE, &IMAGE, &mut Room::default()), [0; 6]);
    let statistics = [ChannelStatistics { mean: 1.0, deviation: 0.5 }];
    let train = TrainAugment { crop_padding: 30, flip: false };
    let pixels = Pixels::new(SHAPE, 1.0, &statistics, train, None);
    let mut transform = pixels.transform(Profile::Train, 0);
    let mut rng = keyed(0, "augment", &[]);
    let mut out = [f32::NAN; 6];
    // Nearly all windows lie outside the image.
    let outside = (0..100).filter(|_| {
        transform.apply(&IMAGE, &mut out, &mut rng);
        out == [-2.0; 6]
    });
    assert!(outside.count() > 90);
}

/// To the bit, for the shape and statistics of CIFAR.
#[test]
fn the_profile_train_is_the_normalised_window() {
    let shape = ImageShape { channels: 3, height: 32, width: 32 };
    let statistics = [(0.4914, 0.2470), (0.4822, 0.2435), (0.4465, 0.2615)]
        .map(|(mean, deviation)| ChannelStatistics { mean, deviation });
    let train = TrainAugment { crop_padding: 4, flip: true };
    let pixels = Pixels::new(shape, 255.0, &statistics, train, None);
    let mut transform = pixels.transform(Profile::Train, 0);
    let image: Vec<u8> =
        (0..3072u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (mut rng, mut same) = (keyed(0, "augment", &[]), keyed(0, "augment", &[]));
    let mut out = vec![f32::NAN; 3072];
    let mut room = Room::default();
    for _ in 0..200 {
        transform.apply(&image, &mut out, &mut rng);
        let pixels = cut(train.draw(&mut same), shape, &image, &mut room);
        for (place, (value, &pixel)) in out.iter().zip(&pixels).enumerate() {
            let of = statistics[place / 1024];
            let expected = (f32::from(pixel) / 255.0 - of.mean) / of.deviation;
            assert_eq!(value.to_bits(), expected.to_bits());
        }
    }
    assert_eq!(rng, same);
}

#[test]
fn every_window_is_drawn_and_no_other() {
    let train = TrainAugment { crop_padding: 1, flip: true };
    let pixels = plain(train);
    let mut rng = keyed(0, "augment", &[]);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        let mut out = [f32::NAN; 6];
        pixels.transform(Profile::Train, 0).apply(&IMAGE, &mut out, &mut rng);
        seen.insert(out.map(|value| value as u8));
    }
    let mut expected = std::collections::BTreeSet::new();
    for (down, right) in (0..9).map(|i| (i / 3, i % 3)) {
        expected.insert(window(down, right, false));
        expected.insert(window(down, right, true));
    }
    assert_eq!(seen, expected);
}

#[test]
fn the_profile_none_takes_no_chance() {
    let pixels = plain(TrainAugment { crop_padding: 1, flip: true });
    let mut rng = keyed(0, "augment", &[]);
    let mut out = [f32::NAN; 6];
    pixels.transform(Profile::None, 0).apply(&IMAGE, &mut out, &mut rng);
    assert_eq!(out, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(rng, keyed(0, "augment", &[]));
}

#[test]
fn ssl_is_offered_where_the_benchmark_has_transforms_that_fit() {
    let offered = |channels, ssl| {
        let shape = ImageShape { channels, height: 4, width: 4 };
        let pixels = Pixels::new(shape, 1.0, &[], TrainAugment::default(), ssl);
        assert!(pixels.supports(Profile::Train) && pixels.supports(Profile::None));
        assert_eq!(pixels.supports(Profile::Ssl), pixels.supports(Profile::SslHalf));
        pixels.supports(Profile::Ssl)
    };
    assert!(!offered(1, None) && !offered(3, None));
    assert!(offered(1, Some(SslAugment::MNIST)) && offered(3, Some(SslAugment::MNIST)));
    assert!(!offered(1, Some(SslAugment::DUALNET)) && offered(3, Some(SslAugment::DUALNET)));
}

const STATISTICS: [ChannelStatistics; 3] = [
    ChannelStatistics { mean: 0.5, deviation: 0.25 },
    ChannelStatistics { mean: 0.25, deviation: 0.5 },
    ChannelStatistics { mean: 0.0, deviation: 2.0 },
];

/// Of every image the whole, upright.
fn colour(height: usize, width: usize) -> Pixels {
    let shape = ImageShape { channels: 3, height, width };
    let crop = ResizedCrop { area: [1.0, 1.0], ratio: [1.0, 1.0] };
    let ssl = Some(SslAugment::Colour { crop });
    Pixels::new(shape, 255.0, &STATISTICS, TrainAugment::default(), ssl)
}

fn view(pixels: &Pixels, profile: Profile, number: usize, image: &[u8], key: u64) -> Vec<f32> {
    let mut out = vec![f32::NAN; image.len()];
    let mut rng = keyed(0, "view", &[key]);
    pixels.transform(profile, number).apply(image, &mut out, &mut rng);
    out
}

#[test]
fn views_are_made_again_from_their_key_and_differ_otherwise() {
    let image: Vec<u8> = (0..192).collect();
    let pixels = colour(8, 8);
    let one = |key| view(&pixels, Profile::Ssl, 0, &image, key);
    assert_eq!(one(1), one(1));
    assert!((2..50).all(|key| one(key) != one(1)));
    // A transform that has made other inputs before gives the same.
    let mut transform = pixels.transform(Profile::Ssl, 0);
    let mut out = vec![f32::NAN; 192];
    transform.apply(&image, &mut out, &mut keyed(0, "view", &[7]));
    transform.apply(&image, &mut out, &mut keyed(0, "view", &[1]));
    assert_eq!(out, one(1));
}

/// The same view by the other statistics: `x s + m` is what was normalised.
#[test]
fn ssl_inputs_are_normalised_as_the_profile_says() {
    let image: Vec<u8> = (0..192).collect();
    let pixels = colour(8, 8);
    for key in 0..20 {
        let own = view(&pixels, Profile::Ssl, 0, &image, key);
        let half = view(&pixels, Profile::SslHalf, 0, &image, key);
        for (place, (own, half)) in own.iter().zip(half).enumerate() {
            let of = STATISTICS[place / 64];
            let value = own * of.deviation + of.mean;
            assert!((-1e-6..=1.000_001).contains(&value));
            assert!((value - (half * 0.5 + 0.5)).abs() < 1e-6);
        }
    }
}

/// On a red image with one black column in eight, counted over many views: grey ones, mirrored
/// ones, blurred ones.
#[test]
fn each_transform_comes_as_often_as_it_should() {
    let mut image = [0; 192];
    for (place, pixel) in image[..64].iter_mut().enumerate() {
        *pixel = if place % 8 == 1 { 0 } else { 255 };
    }
    let pixels = colour(8, 8);
    let share = |number, holds: &dyn Fn(&[f32]) -> bool| {
        let views = (0..2_000).map(|key| {
            let half = view(&pixels, Profile::SslHalf, number, &image, key);
            half.iter().map(|x| x * 0.5 + 0.5).collect::<Vec<f32>>()
        });
        views.filter(|values| holds(values)).count() as f64 / 2_000.0
    };
    let grey = |v: &[f32]| v[..64] == v[64..128] && v[..64] == v[128..];
    // Standard errors are 0.009 for 0.2 and 0.011 for 1/2.
    assert!((share(0, &grey) - 0.2).abs() < 0.04);
    let mirrored = |v: &[f32]| v[6] + v[70] + v[134] < v[1] + v[65] + v[129];
    assert!((share(1, &mirrored) - 0.5).abs() < 0.05);
    // Away from the column all pixels of a row are one colour unless the column was blurred; below
    // a sigma of 0.3 or so that cannot be seen.
    let blurred = |v: &[f32]| {
        let next = |at: usize| (v[at] - v[at + 2]).abs() > 1e-3;
        next(2) || next(3)
    };
    let (first, second) = (share(0, &blurred), share(1, &blurred));
    assert!((0.8..0.95).contains(&first) && (0.06..0.13).contains(&second), "{first} {second}");
}

#[test]
fn plain_views_move_the_image_and_add_noise() {
    let shape = ImageShape { channels: 1, height: 28, width: 28 };
    let pixels = Pixels::new(shape, 255.0, &[], TrainAugment::default(), Some(SslAugment::MNIST));
    let mut image = [0; 784];
    for row in 10..18 {
        image[row * 28..][10..18].fill(255);
    }
    let mut moved = 0;
    for key in 0..100 {
        let out = view(&pixels, Profile::Ssl, 0, &image, key);
        let (mut sum, mut down, mut right) = (0.0, 0.0, 0.0);
        for row in 6..22 {
            for column in 6..22 {
                let value = out[row * 28 + column];
                sum += value;
                down += value * (row as f32 - 13.5);
                right += value * (column as f32 - 13.5);
            }
        }
        // 64 bright pixels; noise of 256 others has a deviation of 1.6 in the sum.
        assert!((sum - 64.0).abs() < 8.0, "{sum}");
        // The centre moves by up to 2 pixels; noise moves it by 0.12 or so.
        let centre = [down / sum, right / sum];
        assert!(centre.iter().all(|at| at.abs() < 2.6), "{centre:?}");
        moved += usize::from(centre.iter().any(|at| at.abs() > 1.5));
        let far: Vec<f32> = (0..5 * 28).map(|place| out[place]).collect();
        let square = far.iter().map(|x| x * x).sum::<f32>() / 140.0;
        assert!((0.07..0.13).contains(&square.sqrt()), "{square}");
    }
    // 16 of 25 shifts have a part of 2 pixels.
    assert!((45..82).contains(&moved), "{moved}");
}

/// Made once with AVX-512, AVX2 and SSE2, which agree. Another value is a change of every result
/// that rests on views, or a machine that does not compute as the others.
#[test]
fn views_have_the_same_bytes_on_every_machine() {
    let hash = |pixels: &Pixels, profile| {
        let image: Vec<u8> =
            (0..pixels.shape().len() as u32).map(|i| (i * i % 251) as u8).collect();
        let mut hash = Sha256::new();
        for key in 0..100 {
            for value in view(pixels, profile, key as usize % 2, &image, key) {
                hash.update(value.to_le_bytes());
            }
        }
        format!("{:02x?}", &hash.finalize()[..4])
    };
    let train = TrainAugment { crop_padding: 4, flip: true };
    let shape = ImageShape { channels: 3, height: 19, width: 21 };
    let crop = ResizedCrop::TORCHVISION;
    let ssl = Some(SslAugment::Colour { crop });
    let colour = Pixels::new(shape, 255.0, &STATISTICS, train, ssl);
    let shape = ImageShape { channels: 1, ..shape };
    let plain = Pixels::new(shape, 255.0, &[], train, Some(SslAugment::MNIST));
    let hashes =
        [hash(&colour, Profile::Train), hash(&colour, Profile::Ssl), hash(&plain, Profile::Ssl)];
    assert_eq!(hashes, ["[17, d0, 2a, 24]", "[db, 44, 8a, 86]", "[fe, 7f, 40, 3b]"]);
}
