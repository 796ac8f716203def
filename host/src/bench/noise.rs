//! Data sets of noise in the formats of MNIST and CIFAR-10: the suite trains on them, because times do not
//! depend on what an image shows, and everybody has them.

use std::io;
use std::path::Path;

const TRAIN_MNIST: u32 = 2_000;
const TEST_MNIST: u32 = 500;
const TRAIN_CIFAR: u32 = 200;
const TEST_CIFAR: u32 = 50;

/// Writes `mnist` and `cifar10-subset` below a folder: labels 0 to 9 in turn.
pub fn write(folder: &Path) -> io::Result<()> {
    let mnist = folder.join("mnist");
    std::fs::create_dir_all(&mnist)?;
    for (part, count) in [("train", TRAIN_MNIST), ("t10k", TEST_MNIST)] {
        let head = |magic: u32, sizes: &[u32]| -> Vec<u8> {
            [magic].iter().chain(sizes).flat_map(|n| n.to_be_bytes()).collect()
        };
        let mut images = head(2051, &[count, 28, 28]);
        images.extend(pixels(count as usize * 28 * 28));
        std::fs::write(mnist.join(format!("{part}-images-idx3-ubyte")), images)?;
        let mut labels = head(2049, &[count]);
        labels.extend((0..count).map(|i| (i % 10) as u8));
        std::fs::write(mnist.join(format!("{part}-labels-idx1-ubyte")), labels)?;
    }
    let cifar = folder.join("cifar-10-subset");
    std::fs::create_dir_all(&cifar)?;
    for (file, count) in [("data_batch_1.bin", TRAIN_CIFAR), ("test_batch.bin", TEST_CIFAR)] {
        let pixels: Vec<u8> = pixels(count as usize * 3 * 32 * 32).collect();
        let images = pixels.chunks_exact(3 * 32 * 32).enumerate();
        let records = images.flat_map(|(i, image)| [&[(i % 10) as u8][..], image].concat());
        std::fs::write(cifar.join(file), records.collect::<Vec<u8>>())?;
    }
    Ok(())
}

fn pixels(count: usize) -> impl Iterator<Item = u8> {
    (0..count as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
}

#[cfg(test)]
mod tests {
    use crate::data::load;

    #[test]
    fn the_host_reads_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        super::write(folder.path()).unwrap();
        let mnist = load("mnist", Some(folder.path())).unwrap();
        assert_eq!((mnist.train.len(), mnist.test.len()), (2_000, 500));
        let cifar = load("cifar10-subset", Some(folder.path())).unwrap();
        assert_eq!((cifar.train.len(), cifar.test.len(), cifar.train.labels[13]), (200, 50, 3));
    }
}
