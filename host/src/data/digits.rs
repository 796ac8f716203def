//! The digits compiled into the binary, so that a demonstration needs neither network nor folder.
//! Origin and licence are in `digits/ATTRIBUTION.md`. A worker is the same binary: [`forget`] takes them out
//! of its memory, or every plugin would hold the test labels of this benchmark.

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use std::io::Read;
use std::path::Path;

use super::{DataError, DataPair, Dataset, ImageShape};

const FILE_BYTES: usize = include_bytes!("digits/digits.csv.gz").len();
/// The pages it lies on hold nothing else: the type is aligned to pages, so its size is too.
static FILE: Pages = Pages { file: *include_bytes!("digits/digits.csv.gz") };

#[cfg_attr(target_arch = "x86_64", repr(align(4096)))]
// Other architectures have pages of up to 64 KiB.
#[cfg_attr(not(target_arch = "x86_64"), repr(align(65536)))]
struct Pages {
    file: [u8; FILE_BYTES],
}
const SHAPE: ImageShape = ImageShape { channels: 1, height: 8, width: 8 };
const CLASSES: usize = 10;
const PIXEL_MAX: u8 = 16;
/// The first rows train, the rest tests.
const TRAIN_ROWS: usize = 1347;

/// Replaces the digits by zeros in the memory of this process; from then on they cannot be loaded.
pub fn forget() -> std::io::Result<()> {
    let start = std::ptr::from_ref(&FILE).cast_mut().cast();
    let (access, place) = (ProtFlags::READ, MapFlags::PRIVATE | MapFlags::FIXED);
    // SAFETY: the range is all of `FILE` and nothing but it, so no other object changes, and the new
    // pages can be read like the old ones. Any bytes are a valid `FILE`; `load` refuses these.
    unsafe { mmap_anonymous(start, size_of::<Pages>(), access, place) }?;
    Ok(())
}

/// Unpacks and splits the digits.
pub(super) fn load() -> Result<DataPair, DataError> {
    let path = Path::new("digits.csv.gz (compiled in)");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&FILE.file[..])
        .read_to_string(&mut text)
        .map_err(|source| DataError::Unreadable { path: path.to_owned(), source })?;
    let mut train = Part::default();
    let mut test = Part::default();
    for (row, line) in text.lines().enumerate() {
        let part = if row < TRAIN_ROWS { &mut train } else { &mut test };
        push_row(part, line).map_err(|found| {
            let expected = format!("64 pixels up to {PIXEL_MAX} and a digit in row {}", row + 1);
            DataError::damaged(path, expected, found)
        })?;
    }
    let (train, test) = (train.dataset(), test.dataset());
    Ok(DataPair { name: "digits".into(), train, test, scale: f32::from(PIXEL_MAX) })
}

/// Rows read so far.
#[derive(Default)]
struct Part {
    pixels: Vec<u8>,
    labels: Vec<u32>,
}

impl Part {
    fn dataset(self) -> Dataset {
        let (images, labels) = (self.pixels.into(), self.labels);
        Dataset { images, labels, shape: SHAPE, classes: CLASSES }
    }
}

fn push_row(part: &mut Part, line: &str) -> Result<(), String> {
    let values: Result<Vec<u8>, _> = line.split(',').map(str::parse).collect();
    let values = values.map_err(|error| format!("`{line}` ({error})"))?;
    match values.split_last() {
        Some((&label, pixels))
            if pixels.len() == SHAPE.len()
                && usize::from(label) < CLASSES
                && pixels.iter().all(|&pixel| pixel <= PIXEL_MAX) =>
        {
            part.pixels.extend_from_slice(pixels);
            part.labels.push(u32::from(label));
            Ok(())
        }
        _ => Err(format!("`{line}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_is_in_file_order() {
        let digits = load().unwrap();
        assert_eq!((digits.train.len(), digits.test.len()), (1347, 450));
        assert_eq!(digits.train.images.len(), 1347 * 64);
        assert_eq!(digits.train.labels[..4], [0, 1, 2, 3]);
        // The top rows of the first image, a zero, as they stand in the file.
        assert_eq!(digits.train.image(0)[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
        // Counted with another program over the same file.
        let count = |part: &Dataset, class| part.labels.iter().filter(|&&l| l == class).count();
        assert_eq!((count(&digits.train, 5), count(&digits.test, 8)), (137, 41));
        let parts = [&digits.train, &digits.test];
        let sum: u64 = parts.iter().flat_map(|p| p.images.iter()).map(|&v| u64::from(v)).sum();
        assert_eq!(sum, 561_718);
    }

    #[test]
    fn a_bad_row_is_refused() {
        let row = |pixel: &str, label: &str, pixels: usize| {
            let mut cells = vec![pixel; pixels];
            cells.push(label);
            push_row(&mut Part::default(), &cells.join(","))
        };
        assert!(row("16", "9", 64).is_ok());
        assert!(row("17", "9", 64).is_err());
        assert!(row("16", "10", 64).is_err());
        assert!(row("16", "9", 63).is_err());
        assert!(row("x", "9", 64).is_err());
    }
}
