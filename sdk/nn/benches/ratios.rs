//! Step times for comparisons, one JSON document on standard output: with burn's own matrix
//! products on the same shapes, and on a ResNet-18 for each device. `tests/peers` sets them beside
//! other frameworks.
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo bench -p perdura-nn --bench ratios -- mlp ROWS
//! cargo bench -p perdura-nn --bench ratios -- resnet18 DEVICE WIDTH STEPS
//! ```

use std::hint::black_box;
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use perdura_nn::{BackboneConfig, BackboneKind, Net, NetShape, Network, losses};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

const CLASSES: usize = 10;

fn main() {
    let given: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = given.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse().expect("a number");
    let document = match words[..] {
        [] => serde_json::json!({ "mlp": mlp(20), "resnet18": resnet18("flex", 8, 5) }),
        ["mlp", rows] => mlp(number(rows)),
        ["resnet18", device, width, steps] => resnet18(device, number(width), number(steps)),
        _ => panic!("expected `mlp ROWS` or `resnet18 DEVICE WIDTH STEPS`, found {words:?}"),
    };
    println!("{document}");
}

/// A step of ER on the MLP of the papers beside the matrix products that it cannot do without: one
/// per layer forward, one for its weights' gradient, one for its inputs' gradient but in the first
/// layer. They take turns; medians.
fn mlp(rows: usize) -> serde_json::Value {
    let device = perdura_nn::device("flex", 0).expect("every build has it");
    let (mut net, x, y) = task(BackboneConfig::default(), vec![784], rows, "flex");
    let widths = [784, 100, 100, CLASSES];
    let pairs: Vec<_> =
        widths.windows(2).flat_map(|w| products(rows, w[0], w[1], &device)).collect();
    // The first layer's inputs need no gradient.
    let pairs: Vec<_> = pairs.into_iter().enumerate().filter(|(i, _)| *i != 2).collect();
    let (mut steps, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..2000 {
        steps.push(seconds(|| {
            step(&mut net, &x, &y);
        }));
        floors.push(seconds(|| {
            for (_, (a, b)) in &pairs {
                black_box(a.clone().matmul(b.clone()));
            }
        }));
    }
    let (step, floor) = (median(steps), median(floors));
    serde_json::json!({
        "rows": rows, "step_us": 1e6 * step, "matmul_us": 1e6 * floor, "ratio": step / floor,
    })
}

/// `X·W`, `Xᵀ·G` and `G·Wᵀ` of a layer.
fn products(n: usize, inputs: usize, outputs: usize, on: &Device) -> [(Tensor<2>, Tensor<2>); 3] {
    let x = Tensor::<2>::ones([n, inputs], on);
    let w = Tensor::<2>::ones([inputs, outputs], on);
    let g = Tensor::<2>::ones([n, outputs], on);
    [(x.clone(), w.clone()), (x.transpose(), g.clone()), (g, w.transpose())]
}

/// A step of ER over 64 images of 32x32, and its three parts.
fn resnet18(device: &str, width: usize, count: usize) -> serde_json::Value {
    let kind = BackboneKind::Resnet18;
    let backbone = BackboneConfig { kind, width, ..BackboneConfig::default() };
    let (mut net, x, y) = task(backbone, vec![3, 32, 32], 64, device);
    step(&mut net, &x, &y);
    let before = cpu_seconds();
    let steps: Vec<[f64; 3]> = (0..count).map(|_| step(&mut net, &x, &y)).collect();
    let cpu = (cpu_seconds() - before) / count as f64;
    let part = |i: usize| median(steps.iter().map(|parts| parts[i]).collect());
    let times: Vec<f64> = steps.iter().map(|parts| parts.iter().sum()).collect();
    let fastest = times.iter().copied().fold(f64::INFINITY, f64::min);
    serde_json::json!({
        "device": device, "width": width, "median_s": median(times), "fastest_s": fastest,
        "cpu_s": cpu, "forward_s": part(0), "backward_s": part(1), "update_s": part(2),
    })
}

fn task(
    backbone: BackboneConfig,
    input: Vec<usize>,
    rows: usize,
    device: &str,
) -> (Net, Vec<f32>, Vec<u32>) {
    let (device, precision) = perdura_nn::device_and_precision(device, 0).expect("a device");
    let width: usize = input.iter().product();
    let shape = NetShape { backbone, input, classes: CLASSES };
    let mut net = Net::new(&shape, &mut ChaCha8Rng::seed_from_u64(1), &device).expect("a network");
    net.backbone.compute_in(precision).expect("a ResNet, or f32");
    let x = (0..rows * width).map(|i| (i * 37 % 256) as f32 / 255.0).collect();
    (net, x, (0..rows as u32).map(|i| i % CLASSES as u32).collect())
}

/// Seconds of forward with cross-entropy, backward, and update.
fn step(net: &mut Net, x: &[f32], y: &[u32]) -> [f64; 3] {
    let began = Instant::now();
    let mut tracked = net.tracked();
    let logits = tracked.forward_train(net.rows(&[x])).expect("a batch that can be normalised");
    let loss = losses::cross_entropy(logits, net.labels(&[y]));
    black_box(loss.clone().into_scalar::<f32>());
    let forward = began.elapsed();
    let gradients = loss.backward();
    let backward = began.elapsed();
    net.descend(tracked, gradients, 0.03);
    [forward, backward - forward, began.elapsed() - backward].map(|of| of.as_secs_f64())
}

fn seconds(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64()
}

/// CPU time of this process in all its threads, which other load leaves as it is; in hundredths.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // Behind the name in brackets, user and system time are the 12th and 13th.
    let (_, rest) = text.rsplit_once(')').expect("a name in brackets");
    let ticks = rest.split_whitespace().skip(11).take(2);
    ticks.map(|of| of.parse::<f64>().expect("a number") / 100.0).sum()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
