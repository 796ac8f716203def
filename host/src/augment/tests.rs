use super::*;
use crate::rng::keyed;

const SHAPE: ImageShape = ImageShape { channels: 1, height: 2, width: 3 };
const IMAGE: [u8; 6] = [1, 2, 3, 4, 5, 6];

/// No scaling, so that outputs can be read as pixels.
fn plain(train: TrainAugment) -> Pixels {
    Pixels::new(SHAPE, 1.0, &[], train)
}

fn window(down: usize, right: usize, flip: bool) -> [f32; 6] {
    let mut out = [f32::NAN; 6];
    let window = Window { padding: 1, down, right, flip };
    plain(TrainAugment::default()).normalise_window(window, &IMAGE, &mut out);
    out
}

#[test]
fn pixels_are_divided_by_the_scale() {
    let shape = ImageShape { channels: 1, height: 16, width: 16 };
    let pixels = Pixels::new(shape, 255.0, &[], TrainAugment::default());
    let image: Vec<u8> = (0..=255).collect();
    let mut out = [f32::NAN; 256];
    pixels.apply(Profile::Train, &image, &mut out, &mut keyed(0, "augment", &[]));
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
    let pixels = Pixels::new(shape, 4.0, &statistics, TrainAugment::default());
    let mut out = [0.0; 2];
    pixels.apply(Profile::None, &[4, 0], &mut out, &mut keyed(0, "augment", &[]));
    // (4/4 - 0.5) / 0.25 and (0/4 - 1) / 2.
    assert_eq!(out, [2.0, -0.5]);
}

#[test]
fn windows_move_and_mirror_the_image() {
    assert_eq!(window(1, 1, false), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(window(1, 1, true), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    // Up and left of the image: its first row becomes the second, its first column the second.
    assert_eq!(window(0, 0, false), [0.0, 0.0, 0.0, 0.0, 1.0, 2.0]);
    assert_eq!(window(0, 0, true), [0.0, 0.0, 0.0, 2.0, 1.0, 0.0]);
    // Down and right of it.
    assert_eq!(window(2, 2, false), [5.0, 6.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(window(2, 2, true), [0.0, 6.0, 5.0, 0.0, 0.0, 0.0]);
    assert_eq!(window(2, 0, false), [0.0, 4.0, 5.0, 0.0, 0.0, 0.0]);
}

/// Wide enough for whole words, with and without a rest, against one pixel at a time.
#[test]
fn windows_of_every_width_equal_the_definition() {
    for width in 1..20usize {
        let shape = ImageShape { channels: 2, height: 4, width };
        let image: Vec<u8> = (1..=shape.len() as u8).collect();
        let pixels = Pixels::new(shape, 1.0, &[], TrainAugment::default());
        for (down, right, flip) in (0..50).map(|i| (i / 10, i / 2 % 5, i % 2 == 1)) {
            let window = Window { padding: 2, down, right, flip };
            let mut out = vec![f32::NAN; shape.len()];
            pixels.normalise_window(window, &image, &mut out);
            for (place, &value) in out.iter().enumerate() {
                let (plane, y, x) = (place / (4 * width), place / width % 4, place % width);
                let x = if flip { width - 1 - x } else { x };
                let inside = (2..6).contains(&(y + down)) && (2..2 + width).contains(&(x + right));
                let expected = match inside {
                    true => image[(plane * 4 + y + down - 2) * width + x + right - 2],
                    false => 0,
                };
                assert_eq!(value, f32::from(expected), "{window:?}, width {width}, place {place}");
            }
        }
    }
}

#[test]
fn padding_is_the_pixel_zero_before_normalisation() {
    let statistics = [ChannelStatistics { mean: 1.0, deviation: 0.5 }];
    let pixels = Pixels::new(SHAPE, 1.0, &statistics, TrainAugment::default());
    let mut out = [f32::NAN; 6];
    let outside = Window { padding: 9, down: 0, right: 0, flip: false };
    pixels.normalise_window(outside, &IMAGE, &mut out);
    assert_eq!(out, [-2.0; 6]);
}

#[test]
fn every_window_is_drawn_and_no_other() {
    let train = TrainAugment { crop_padding: 1, flip: true };
    let pixels = plain(train);
    let mut rng = keyed(0, "augment", &[]);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        let mut out = [f32::NAN; 6];
        pixels.apply(Profile::Train, &IMAGE, &mut out, &mut rng);
        seen.insert(out.map(f32::to_bits));
    }
    let mut expected = std::collections::BTreeSet::new();
    for (down, right) in (0..9).map(|i| (i / 3, i % 3)) {
        expected.insert(window(down, right, false).map(f32::to_bits));
        expected.insert(window(down, right, true).map(f32::to_bits));
    }
    assert_eq!(seen, expected);
}

#[test]
fn the_profile_none_takes_no_chance() {
    let pixels = plain(TrainAugment { crop_padding: 1, flip: true });
    let mut rng = keyed(0, "augment", &[]);
    let mut out = [f32::NAN; 6];
    pixels.apply(Profile::None, &IMAGE, &mut out, &mut rng);
    assert_eq!(out, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(rng, keyed(0, "augment", &[]));
}

#[test]
fn the_profile_ssl_is_not_supported_yet() {
    let pixels = plain(TrainAugment::default());
    assert!(pixels.supports(Profile::Train) && pixels.supports(Profile::None));
    assert!(!pixels.supports(Profile::Ssl));
}
