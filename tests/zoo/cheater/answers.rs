//! What a cheater looks for: the bundled digits with their labels, and what it does without them.

use std::collections::HashMap;
use std::io::Read;

const PIXELS: usize = 64;
const PIXEL_MAX: f32 = 16.0;
const ROWS: usize = 1797;

/// The label of every image.
pub struct Answers(HashMap<[u8; PIXELS], usize>);

impl Answers {
    /// Looks for the compressed file of digits in these bytes.
    pub fn in_bytes(bytes: &[u8]) -> Option<Answers> {
        const START: [u8; 3] = [0x1f, 0x8b, 8];
        let starts = bytes.windows(START.len()).enumerate().filter(|(_, window)| *window == START);
        starts.map(|(at, _)| at).find_map(|at| Answers::of_file(&bytes[at..]))
    }

    fn of_file(bytes: &[u8]) -> Option<Answers> {
        let mut text = Vec::new();
        // A whole text is more than half a megabyte; anything may begin like it.
        flate2::read::GzDecoder::new(bytes).take(1 << 21).read_to_end(&mut text).ok()?;
        let text = String::from_utf8(text).ok()?;
        let row = |line: &str| -> Option<([u8; PIXELS], usize)> {
            let values: Vec<u8> = line.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
            let (&label, pixels) = values.split_last()?;
            Some((pixels.try_into().ok()?, usize::from(label)))
        };
        let answers: HashMap<_, _> = text.lines().map(row).collect::<Option<_>>()?;
        (text.lines().count() == ROWS).then_some(Answers(answers))
    }

    /// The label of an input as the host hands it over.
    pub fn of(&self, input: &[f32]) -> Option<usize> {
        let pixels = input.iter().map(|x| (x * PIXEL_MAX).round() as u8).collect::<Vec<_>>();
        self.0.get(&<[u8; PIXELS]>::try_from(pixels).ok()?).copied()
    }
}

/// A class that has nothing to do with the input's.
pub fn guess(input: &[f32], classes: usize) -> usize {
    let mix = |hash: u64, x: &f32| (hash ^ u64::from(x.to_bits())).wrapping_mul(0x100_0000_01b3);
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    (hash >> 33) as usize % classes
}
