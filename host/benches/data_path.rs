//! The path of a sample from memory to a learner's input, without the learner. Targets (design
//! section 7 and the issue that set them): a CIFAR sample gathered, cropped, flipped and normalised
//! in less than 1 us; 32 offers to a reservoir of 500 MNIST samples after 10,000 offers in less
//! than 1 us together; 32 MNIST samples drawn and normalised in less than 40 us; a self-supervised
//! view of 32x32x3 in less than 25 us, of 84x84x3 in less than 120 us. Run: `cargo bench -p perdura
//! --bench data_path`.

use divan::{Bencher, black_box};
use perdura::augment::{ChannelStatistics, Pixels, ResizedCrop, SslAugment, TrainAugment};
use perdura::data::ImageShape;
use perdura::memory::{Capacity, Now, ReplayMemory, Sample};
use perdura::rng::{Rng, below, keyed};
use perdura_abi::message::{Filter, Profile};

const CIFAR: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };
const MNIST: ImageShape = ImageShape { channels: 1, height: 28, width: 28 };
/// Samples to take from at random, more than the cache nearest to a core holds.
const POOL: usize = 2_000;

fn main() {
    divan::main();
}

fn pool(shape: ImageShape, rng: &mut Rng) -> Vec<u8> {
    (0..POOL * shape.len()).map(|_| below(rng, 256) as u8).collect()
}

/// Source of the statistics: algorithms section 1.7.
fn cifar_pixels(train: TrainAugment) -> Pixels {
    let statistics = [(0.4914, 0.2470), (0.4822, 0.2435), (0.4465, 0.2615)]
        .map(|(mean, deviation)| ChannelStatistics { mean, deviation });
    Pixels::new(CIFAR, 255.0, &statistics, train, Some(SslAugment::DUALNET))
}

fn transform_cifar(bencher: Bencher, train: TrainAugment) {
    let mut rng = keyed(0, "bench", &[]);
    let images = pool(CIFAR, &mut rng);
    let pixels = cifar_pixels(train);
    let mut transform = pixels.transform(Profile::Train, 0);
    let mut out = vec![0.0; CIFAR.len()];
    bencher.bench_local(|| {
        let row = below(&mut rng, POOL as u64) as usize;
        let image = &images[row * CIFAR.len()..][..CIFAR.len()];
        transform.apply(black_box(image), &mut out, &mut rng);
        black_box(&mut out);
    });
}

/// One sample: gather, crop, flip, normalise.
#[divan::bench(sample_count = 200, sample_size = 2000)]
fn cifar_crop_flip_normalise(bencher: Bencher) {
    transform_cifar(bencher, TrainAugment { crop_padding: 4, flip: true });
}

/// One sample: gather, normalise.
#[divan::bench(sample_count = 200, sample_size = 2000)]
fn cifar_normalise(bencher: Bencher) {
    transform_cifar(bencher, TrainAugment::default());
}

fn ssl_view(bencher: Bencher, shape: ImageShape, ssl: SslAugment) {
    let mut rng = keyed(0, "bench", &[]);
    let images = pool(shape, &mut rng);
    let statistics = vec![ChannelStatistics { mean: 0.5, deviation: 0.25 }; shape.channels];
    let statistics = if shape.channels == 1 { &[] } else { statistics.as_slice() };
    let pixels = Pixels::new(shape, 255.0, statistics, TrainAugment::default(), Some(ssl));
    // The first view is the slower one: it is always blurred.
    let mut transform = pixels.transform(Profile::Ssl, 0);
    let mut out = vec![0.0; shape.len()];
    bencher.bench_local(|| {
        let row = below(&mut rng, POOL as u64) as usize;
        let image = &images[row * shape.len()..][..shape.len()];
        transform.apply(black_box(image), &mut out, &mut rng);
        black_box(&mut out);
    });
}

const RESIZED: SslAugment = SslAugment::Colour { crop: ResizedCrop::TORCHVISION };

/// The first view of a CIFAR sample.
#[divan::bench(sample_count = 200, sample_size = 200)]
fn ssl_view_32x32x3(bencher: Bencher) {
    ssl_view(bencher, CIFAR, RESIZED);
}

/// The first view of a miniImageNet sample.
#[divan::bench(sample_count = 100, sample_size = 100)]
fn ssl_view_84x84x3(bencher: Bencher) {
    ssl_view(bencher, ImageShape { channels: 3, height: 84, width: 84 }, SslAugment::DUALNET);
}

/// A view of an MNIST sample.
#[divan::bench(sample_count = 200, sample_size = 200)]
fn ssl_view_28x28x1(bencher: Bencher) {
    ssl_view(bencher, MNIST, SslAugment::MNIST);
}

/// A memory that `offers` samples were offered to.
fn memory(capacity: usize, offers: usize, images: &[u8], rng: &mut Rng) -> ReplayMemory {
    let mut memory = ReplayMemory::new(Capacity::Samples(capacity), MNIST.len(), &[])
        .expect("the capacity is not 0");
    for uid in 0..offers {
        memory.offer(sample(images, uid), rng);
    }
    memory
}

fn sample(images: &[u8], uid: usize) -> Sample<'_> {
    let image = &images[uid % POOL * MNIST.len()..][..MNIST.len()];
    Sample { image, label: 0, uid: uid as u64, experience: 0, group: 0 }
}

/// Ten rounds of 32 offers, on a fresh copy each time, so that the share kept stays that after
/// 10,000 offers. The target is for one round: a tenth of what is printed.
#[divan::bench(sample_count = 500)]
fn reservoir_10_times_32_after_10_000(bencher: Bencher) {
    let mut rng = keyed(0, "bench", &[]);
    let images = pool(MNIST, &mut rng);
    let filled = memory(500, 10_000, &images, &mut rng);
    bencher.with_inputs(|| filled.clone()).bench_local_refs(|memory| {
        for uid in 0..10 * 32 {
            black_box(memory.offer(sample(&images, 10_000 + uid), &mut rng));
        }
    });
}

fn draw_mnist(bencher: Bencher, held: usize, count: usize) {
    let mut rng = keyed(0, "bench", &[]);
    let images = pool(MNIST, &mut rng);
    let memory = memory(held, held, &images, &mut rng);
    let pixels = Pixels::new(MNIST, 255.0, &[], TrainAugment::default(), None);
    let mut slots = Vec::new();
    let mut out = vec![0.0; count * MNIST.len()];
    bencher.bench_local(|| {
        let candidates = memory.select(Filter::All, Now::default());
        memory.draw(&candidates, count, false, &mut rng, &mut slots);
        let mut transform = pixels.transform(Profile::Train, 0);
        for (&slot, out) in slots.iter().zip(out.chunks_exact_mut(MNIST.len())) {
            transform.apply(memory.image(slot), out, &mut rng);
        }
        black_box(&mut out);
    });
}

/// Draw and normalise 32 of 500.
#[divan::bench(sample_count = 200, sample_size = 100)]
fn draw_32_of_500_mnist(bencher: Bencher) {
    draw_mnist(bencher, 500, 32);
}

/// Draw and normalise 128 of 200.
#[divan::bench(sample_count = 200, sample_size = 100)]
fn draw_128_of_200_mnist(bencher: Bencher) {
    draw_mnist(bencher, 200, 128);
}

/// The draw alone, by each of the two ways.
#[divan::bench(sample_count = 200, sample_size = 100, args = [200, 5120])]
fn draw_128_slots(bencher: Bencher, held: usize) {
    let mut rng = keyed(0, "bench", &[]);
    let images = pool(MNIST, &mut rng);
    let memory = memory(held, held, &images, &mut rng);
    let mut slots = Vec::new();
    bencher.bench_local(|| {
        let candidates = memory.select(Filter::All, Now::default());
        memory.draw(&candidates, 128, false, &mut rng, &mut slots);
        black_box(&mut slots);
    });
}
