//! Loading of data sets from disk: an image folder decoded for the first time and mapped after
//! that, and CIFAR's records. Limits (issue of the loaders): a second start at the scale of Tiny-ImageNet
//! in less than 1 s. Made-up images; `FULL=1` makes as many as Tiny-ImageNet has (2 GB of temporary
//! files), else a tenth. Run: `FULL=1 cargo bench -p perdura --bench loading`.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use jpeg_encoder::{ColorType, Encoder};
use perdura::data::{self, DataPair, FolderOptions};
use perdura::rng::{Rng, below, keyed};

const CLASSES: usize = 200;
const SIDE: u16 = 64;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let full = std::env::var_os("FULL").is_some();
    let (train, test) = if full { (500, 50) } else { (50, 5) };
    make_images(&folder.path().join("images/train"), train);
    make_images(&folder.path().join("images/test"), test);
    let options = FolderOptions::new(folder.path().join("images"));
    let cache = folder.path().join("cache");
    let load = || data::load_folder_in(&options, &cache).expect("the images are good");
    let images = CLASSES * (train + test);
    println!("{images} JPEG images of {SIDE} x {SIDE}");
    let data = timed("  decoded for the first time", load);
    assert_eq!(data.train.len() + data.test.len(), images);
    for _ in 0..3 {
        let data = timed("  second start", load);
        timed("    all pixels read once after it", || sum(&data));
    }

    make_cifar(&folder.path().join("cifar-10-batches-bin"));
    for _ in 0..3 {
        let load = || data::load("cifar10", Some(folder.path())).expect("the records are good");
        timed("CIFAR-10 loaded", load);
    }
}

fn timed<R>(what: &str, work: impl FnOnce() -> R) -> R {
    let begun = Instant::now();
    let result = black_box(work());
    println!("{what}: {:.3} s", begun.elapsed().as_secs_f64());
    result
}

fn sum(data: &DataPair) -> u64 {
    data.train.images.iter().map(|&pixel| u64::from(pixel)).sum()
}

/// Smooth images with some noise, about 2 kB each, as photographs of that size are.
fn make_images(part: &Path, per_class: usize) {
    let mut rng = keyed(0, "bench", &[per_class as u64]);
    let side = usize::from(SIDE);
    for class in 0..CLASSES {
        let folder = part.join(format!("n{class:03}"));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        for number in 0..per_class {
            let pixels = picture(side, &mut rng);
            let path = folder.join(format!("{number}.jpg"));
            let encoder = Encoder::new_file(path, 80).expect("a temporary file");
            encoder.encode(&pixels, SIDE, SIDE, ColorType::Rgb).expect("the sizes agree");
        }
    }
}

fn picture(side: usize, rng: &mut Rng) -> Vec<u8> {
    let mut level = || below(rng, 120) as usize;
    let (start, down, right) = (level(), level(), level());
    let mut pixels = Vec::with_capacity(3 * side * side);
    for place in 0..side * side {
        let slope = start + down * (place / side) / side + right * (place % side) / side;
        let noise = below(rng, 30) as usize;
        pixels.extend([slope, slope / 2 + 40, 255 - slope / 2].map(|v| (v + noise).min(255) as u8));
    }
    pixels
}

fn make_cifar(folder: &Path) {
    std::fs::create_dir(folder).expect("a temporary folder");
    let records: Vec<u8> = (0..10_000u32)
        .flat_map(|row| [vec![(row % 10) as u8], vec![(row % 251) as u8; 3072]].concat())
        .collect();
    let names = (1..=5).map(|number| format!("data_batch_{number}.bin"));
    for name in names.chain(["test_batch.bin".into()]) {
        std::fs::write(folder.join(name), &records).expect("a temporary file");
    }
}
