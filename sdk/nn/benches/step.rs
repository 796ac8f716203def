//! Times of whole training steps of the networks of the papers, and of the parts that were in
//! question.
//!
//! `RAYON_NUM_THREADS=1 cargo bench -p perdura-nn`

use burn::tensor::{Device, Tensor};
use divan::Bencher;
use perdura_nn::losses::{self, Terms};
use perdura_nn::{BackboneConfig, BackboneKind, Net, NetShape, Network, rows};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn main() {
    divan::main();
}

struct Bench {
    device: Device,
    rng: ChaCha8Rng,
}

impl Bench {
    fn new() -> Self {
        let device = perdura_nn::device("flex", 0).unwrap();
        Bench { device, rng: ChaCha8Rng::seed_from_u64(1) }
    }

    fn network(&mut self) -> Net {
        let (backbone, input) = (BackboneConfig::default(), vec![784]);
        let shape = NetShape { backbone, input, classes: 10 };
        Net::new(&shape, &mut self.rng, &self.device).unwrap()
    }

    fn resnet18(&mut self, width: usize) -> Net {
        let kind = BackboneKind::Resnet18;
        let backbone = BackboneConfig { kind, width, ..BackboneConfig::default() };
        let shape = NetShape { backbone, input: vec![3, 32, 32], classes: 10 };
        Net::new(&shape, &mut self.rng, &self.device).unwrap()
    }

    fn samples(&mut self, count: usize) -> (Vec<f32>, Vec<u32>) {
        self.samples_of(784, count)
    }

    fn samples_of(&mut self, width: usize, count: usize) -> (Vec<f32>, Vec<u32>) {
        let pixel = |_| (self.rng.next_u32() >> 24) as f32 / 255.0;
        let inputs = (0..count * width).map(pixel).collect();
        (inputs, (0..count as u32).map(|i| i % 10).collect())
    }
}

/// Forward, cross-entropy, backward and update.
fn step(network: &mut Net, x: &[f32], y: &[u32]) -> f32 {
    let mut tracked = network.tracked();
    let logits = tracked.forward_train(network.rows(&[x])).unwrap();
    let loss = losses::cross_entropy(logits, network.labels(&[y]));
    let value: f32 = loss.clone().into_scalar();
    network.descend(tracked, loss.backward(), 0.03);
    value
}

/// A step of the MLP over `count` rows.
#[divan::bench(args = [10, 20, 138])]
fn sgd(bencher: Bencher, count: usize) {
    let mut bench = Bench::new();
    let mut network = bench.network();
    let (x, y) = bench.samples(count);
    bencher.bench_local(|| step(&mut network, &x, &y));
}

/// A step of a ResNet-18 of this width over 64 images of 32x32.
#[divan::bench(args = [8, 20, 64], sample_count = 5, sample_size = 1)]
fn resnet18(bencher: Bencher, width: usize) {
    let mut bench = Bench::new();
    let mut network = bench.resnet18(width);
    let (x, y) = bench.samples_of(3 * 32 * 32, 64);
    bencher.bench_local(|| step(&mut network, &x, &y));
}

/// Logits of 50 images in evaluation mode.
#[divan::bench(args = [8, 20], sample_count = 5, sample_size = 1)]
fn resnet18_forward(bencher: Bencher, width: usize) {
    let mut bench = Bench::new();
    let network = bench.resnet18(width);
    let (x, _) = bench.samples_of(3 * 32 * 32, 50);
    bencher.bench_local(|| network.forward(network.rows(&[&x])));
}

/// CLS-ER's step: 10 rows of the stream, 128 of the memory.
#[divan::bench]
fn cls_er(bencher: Bencher) {
    let mut bench = Bench::new();
    let mut working = bench.network();
    let (mut plastic, mut stable) = (bench.network(), bench.network());
    let (x, y) = bench.samples(10);
    let (xm, ym) = bench.samples(128);
    bencher.bench_local(|| {
        let inputs = rows(&[&x, &xm], 784, &bench.device);
        let replay = inputs.clone().narrow(0, 10, 128);
        let labels = perdura_nn::labels(&[&ym], 10, &bench.device);
        let (z_s, z_p) = (stable.forward(replay.clone()), plastic.forward(replay));
        let p_s = losses::label_log_probability(z_s.clone(), labels.clone());
        let p_p = losses::label_log_probability(z_p.clone(), labels);
        let choose = p_s.greater(p_p).unsqueeze_dim::<2>(1).expand([128, 10]);
        let target = z_p.mask_where(choose, z_s).into_data();
        let mut tracked = working.tracked();
        let logits = tracked.forward_train(inputs).unwrap();
        let mut terms = Terms::of(&logits);
        terms.cross_entropy(0..138, &[&y[..], &ym].concat(), 1.0);
        terms.squared_error(10..138, target.as_slice().unwrap(), None, 2.0);
        let value = terms.value();
        working.descend(tracked, terms.into_loss(logits).backward(), 0.03);
        working.lead(&mut [(&mut plastic, 0.99), (&mut stable, 0.99)]);
        value
    });
}

#[divan::bench(args = [10, 128, 138])]
fn forward(bencher: Bencher, count: usize) {
    let mut bench = Bench::new();
    let network = bench.network();
    let (x, _) = bench.samples(count);
    let x = rows(&[&x], 784, &bench.device);
    bencher.bench_local(|| network.forward(x.clone()));
}

#[divan::bench]
fn convert(bencher: Bencher) {
    let mut bench = Bench::new();
    let (x, _) = bench.samples(138);
    bencher.bench_local(|| rows(&[&x], 784, &bench.device));
}

#[divan::bench]
fn average_by_parameter(bencher: Bencher) {
    let mut bench = Bench::new();
    let (mut a, b) = (bench.network(), bench.network());
    bencher.bench_local(|| a.average(&b, 0.99));
}

/// Five networks follow one, one by one and in a single pass.
#[divan::bench(args = [true, false])]
fn five_averages(bencher: Bencher, together: bool) {
    let mut bench = Bench::new();
    let mut leader = bench.network();
    let mut followers: Vec<Net> = (0..5).map(|_| bench.network()).collect();
    bencher.bench_local(|| match together {
        true => leader.lead(&mut followers.iter_mut().map(|f| (f, 0.99)).collect::<Vec<_>>()),
        false => followers.iter_mut().for_each(|follower| follower.average(&leader, 0.99)),
    });
}

#[divan::bench]
fn average_flat(bencher: Bencher) {
    let bench = Bench::new();
    let mut a = Tensor::<1>::zeros([89_610], &bench.device);
    let b = Tensor::<1>::ones([89_610], &bench.device);
    bencher.bench_local(|| {
        a.inplace(|a| a.mul_scalar(0.99) + b.clone().mul_scalar(0.01));
    });
}
