//! Gaussian blur with a kernel of 3 x 3; the image is mirrored at its edges, as torchvision does.

use multiversion::multiversion;

/// Weights of a pixel and of each of its two neighbours along one axis; they sum to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kernel {
    centre: f32,
    side: f32,
}

impl Kernel {
    /// `sigma` in pixels.
    pub fn new(sigma: f64) -> Kernel {
        let side = libm::exp(-0.5 / (sigma * sigma));
        let sum = 1.0 + 2.0 * side;
        Kernel { centre: (1.0 / sum) as f32, side: (side / sum) as f32 }
    }
}

/// Blurs one plane in place.
pub(super) fn blur(kernel: Kernel, width: usize, plane: &mut [f32]) {
    let mut wide = vec![0.0; plane.len()];
    blur_rows(kernel, width, plane, &mut wide);
    let rows = plane.len() / width;
    let row = |number: usize| &wide[number * width..][..width];
    for (number, to) in plane.chunks_exact_mut(width).enumerate() {
        let [above, below] = neighbours(number, rows);
        mix(kernel, row(number), row(above), row(below), to);
    }
}

/// The places before and after one, mirrored at the ends; of a single place, itself.
fn neighbours(place: usize, count: usize) -> [usize; 2] {
    let last = count - 1;
    let before = if place == 0 { 1.min(last) } else { place - 1 };
    let after = if place == last { last.saturating_sub(1) } else { place + 1 };
    [before, after]
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn blur_rows(kernel: Kernel, width: usize, from: &[f32], to: &mut [f32]) {
    for (from, to) in from.chunks_exact(width).zip(to.chunks_exact_mut(width)) {
        for (to, near) in to.iter_mut().skip(1).zip(from.windows(3)) {
            *to = kernel.centre * near[1] + kernel.side * (near[0] + near[2]);
        }
        for place in [0, width - 1] {
            let [before, after] = neighbours(place, width);
            to[place] = kernel.centre * from[place] + kernel.side * (from[before] + from[after]);
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn mix(kernel: Kernel, row: &[f32], above: &[f32], below: &[f32], to: &mut [f32]) {
    for (((to, row), above), below) in to.iter_mut().zip(row).zip(above).zip(below) {
        *to = kernel.centre * row + kernel.side * (above + below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Kernel = Kernel { centre: 0.5, side: 0.25 };

    /// With `exp(-1 / (2 sigma^2)) = 1/2` the weights are 1/4, 1/2, 1/4.
    #[test]
    fn weights_follow_the_normal_density() {
        let kernel = Kernel::new(1.0 / (2.0 * 2f64.ln()).sqrt());
        assert!((kernel.centre - 0.5).abs() < 1e-7 && (kernel.side - 0.25).abs() < 1e-7);
        // exp(-50): nothing is blurred.
        assert!(Kernel::new(0.1).centre == 1.0 && Kernel::new(0.1).side < 1e-21);
    }

    #[test]
    fn a_single_bright_pixel_shows_the_kernel() {
        let mut plane = [0.0; 25];
        plane[12] = 16.0;
        blur(HALF, 5, &mut plane);
        #[rustfmt::skip]
        let expected = [
            0.0, 0.0, 0.0, 0.0, 0.0,
            0.0, 1.0, 2.0, 1.0, 0.0,
            0.0, 2.0, 4.0, 2.0, 0.0,
            0.0, 1.0, 2.0, 1.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0,
        ];
        assert_eq!(plane, expected);
    }

    /// In a corner the two neighbours are one and the same pixel.
    #[test]
    fn edges_are_mirrored() {
        let mut plane = [0.0, 16.0, 0.0, 0.0, 0.0, 0.0];
        blur(HALF, 3, &mut plane);
        assert_eq!(plane, [4.0, 4.0, 4.0, 4.0, 4.0, 4.0]);
        let mut even = [7.0; 12];
        blur(HALF, 4, &mut even);
        assert_eq!(even, [7.0; 12]);
        let mut single = [3.0];
        blur(HALF, 1, &mut single);
        assert_eq!(single, [3.0]);
    }
}
