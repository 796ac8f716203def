//! What a step costs with a full basis, next to one with none: 200 directions of an MLP of 100 and
//! 100 on MNIST are 72 MB that every step reads once.
//!
//! `RAYON_NUM_THREADS=1 cargo bench -p perdura-nn --bench projection`

use perdura_nn::orthogonal::{Basis, Bounds};
use std::time::Instant;

/// Parameters of 784-100-100-10.
const WIDTH: usize = 89_610;
const ROUNDS: usize = 50;

fn main() {
    let bounds = Bounds { capacity: 200, tau_rank: 0.1 };
    let mut basis = Basis::new(WIDTH, bounds);
    basis.open_part();
    let number = |i: usize| ((i.wrapping_mul(2654435761) >> 9) % 2048) as f32 / 1024.0 - 1.0;
    let gradient = |k: usize| (0..WIDTH).map(|i| number(i + k * WIDTH)).collect::<Vec<_>>();
    for directions in [0, 10, 50, 100, 200] {
        while basis.count() < directions {
            basis.admit(&gradient(basis.count()));
        }
        let source = gradient(1000);
        let mut left = 0.0;
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            let mut vector = source.clone();
            basis.remove(&mut vector);
            left += vector[0];
        }
        let each = begun.elapsed().as_secs_f64() * 1e6 / ROUNDS as f64;
        println!("{directions:4} directions: {each:8.0} us for one projection ({left:.1})");
    }
}
