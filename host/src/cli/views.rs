//! `perdura benchmarks views`: a sheet of self-supervised views to look at. A row is a sample: the
//! image, four first views, four second views.

use perdura_abi::message::Profile;
use std::path::{Path, PathBuf};

use super::error::CliError;
use crate::rng::keyed;
use crate::stream::Benchmark;

const SAMPLES: usize = 8;
/// Of each kind.
const VIEWS: usize = 4;
/// Pixels between images.
const GAP: usize = 2;

/// Writes `views.ppm` into a folder, which is made where it is missing.
///
/// # Errors
/// A benchmark without views, a file that cannot be written.
pub fn write(benchmark: &Benchmark, seed: u64, folder: &Path) -> Result<PathBuf, CliError> {
    if !benchmark.pixels.supports(Profile::SslHalf) {
        let name = &benchmark.name;
        return Err(CliError::input(format!("benchmark `{name}` offers no self-supervised views")));
    }
    let path = folder.join("views.ppm");
    let bytes = sheet(benchmark, seed).ppm();
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, bytes))
        .map_err(|source| CliError::File { path: path.display().to_string(), source })?;
    Ok(path)
}

fn sheet(benchmark: &Benchmark, seed: u64) -> Sheet {
    let shape = benchmark.pixels.shape();
    let mut sheet = Sheet {
        height: SAMPLES * (shape.height + GAP),
        width: (1 + 2 * VIEWS) * (shape.width + GAP),
        pixels: Vec::new(),
    };
    sheet.pixels.resize(sheet.height * sheet.width, [128; 3]);
    // One sample of each experience in turn.
    let experiences = &benchmark.experiences;
    for row in 0..SAMPLES {
        let experience = row % experiences.len();
        let samples = &experiences[experience].train;
        let index = samples[(row * samples.len() / SAMPLES).min(samples.len() - 1)];
        let image = benchmark.train_image(index);
        for column in 0..=2 * VIEWS {
            // Normalised by 1/2 and 1/2: inputs are -1 to 1. Column 0 is the image itself.
            let (view, number) = ((column.max(1) - 1) / VIEWS, column as u64);
            let values: Vec<u8> = match column {
                0 => {
                    let scale = 255.0 / benchmark.data.scale;
                    image.iter().map(|&p| (f32::from(p) * scale) as u8).collect()
                }
                _ => {
                    let mut input = vec![0.0; shape.len()];
                    let mut rng = keyed(seed, "views", &[row as u64, number]);
                    let mut transform = benchmark.pixels.transform(Profile::SslHalf, view);
                    transform.apply(&image, &mut input, &mut rng);
                    input.iter().map(|x| (127.5 * (x + 1.0)).round() as u8).collect()
                }
            };
            let corner = (row * (shape.height + GAP), column * (shape.width + GAP));
            sheet.paste(corner, (shape.channels, shape.width), &values);
        }
    }
    sheet
}

/// An image of bytes, red, green, blue.
struct Sheet {
    height: usize,
    width: usize,
    pixels: Vec<[u8; 3]>,
}

impl Sheet {
    /// Puts an image of planes somewhere; without three channels its first one is shown.
    fn paste(
        &mut self,
        (top, left): (usize, usize),
        (channels, width): (usize, usize),
        planes: &[u8],
    ) {
        let plane = planes.len() / channels;
        for place in 0..plane {
            let value = |channel: usize| match channels {
                3 => planes[channel * plane + place],
                _ => planes[place],
            };
            let at = (top + place / width) * self.width + left + place % width;
            self.pixels[at] = [value(0), value(1), value(2)];
        }
    }

    /// The format that needs no library.
    fn ppm(&self) -> Vec<u8> {
        let mut bytes = format!("P6\n{} {}\n255\n", self.width, self.height).into_bytes();
        bytes.extend_from_slice(self.pixels.as_flattened());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{self, StreamOptions};

    #[test]
    fn the_sheet_shows_samples_and_their_views() {
        let benchmark = stream::build("split-digits", None, &StreamOptions::default(), 0).unwrap();
        let sheet = sheet(&benchmark, 0);
        assert_eq!((sheet.height, sheet.width), (8 * 10, 9 * 10));
        let image = benchmark.train_image(benchmark.experiences[0].train[0]);
        let first: Vec<u8> = (0..64).map(|p| sheet.pixels[p / 8 * 90 + p % 8][0]).collect();
        // The digits have 17 levels: 16 is white.
        let expected: Vec<u8> = image.iter().map(|&p| (f32::from(p) * 15.9375) as u8).collect();
        assert_eq!(first, expected);
        let at = |column: usize| sheet.pixels[10 * column..][..8].to_vec();
        assert!((1..9).all(|column| at(column) != at(0)));
        assert_eq!(sheet.pixels[8], [128; 3]);
        let bytes = sheet.ppm();
        assert!(bytes.starts_with(b"P6\n90 80\n255\n"));
        assert_eq!(bytes.len(), 13 + 90 * 80 * 3);
    }

    #[test]
    fn a_benchmark_without_views_and_a_folder_that_is_a_file_are_refused() {
        let mut benchmark =
            stream::build("split-digits", None, &StreamOptions::default(), 0).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = write(&benchmark, 0, file.path()).unwrap_err().to_string();
        assert!(error.contains("views.ppm cannot be read or written"), "{error}");
        let shape = benchmark.pixels.shape();
        benchmark.pixels = crate::augment::Pixels::new(shape, 16.0, &[], Default::default(), None);
        let error = write(&benchmark, 0, file.path()).unwrap_err().to_string();
        assert_eq!(error, "benchmark `split-digits` offers no self-supervised views");
    }
}
