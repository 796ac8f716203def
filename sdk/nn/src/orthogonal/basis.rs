//! An orthonormal basis of what must not change, for one vector or for the rows of one layer's
//! matrix. Directions are admitted by modified Gram-Schmidt, carried out twice, and belong to the
//! experience that brought them, so that experiences can be cut to equal quotas later. Pure
//! numbers: networks are `protected.rs`'s subject.

use burn::tensor::{Device, Tensor, TensorData};

use crate::eigen::leading_eigenvectors;
use crate::loops::{add, dot};

/// Rounds of power iteration for the leading direction of a matrix; a gradient of one sample has a
/// single one in a linear layer, where one round is enough.
const ROUNDS_MAX: usize = 30;

/// What bounds a basis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// K_max, directions of all experiences together.
    pub capacity: usize,
    /// τ: what is left of a gradient, as a share of its norm, at which it counts as known.
    pub tau_rank: f32,
}

/// Directions q_1 … q_K, each of `width` numbers. `Q` has them as rows.
#[derive(Clone, Debug)]
pub struct Basis {
    width: usize,
    bounds: Bounds,
    parts: Vec<Part>,
    /// Q as a tensor, for matrices; made again when directions come or go.
    stacked: Option<Tensor<2>>,
}

/// The directions of one experience.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// `[k, width]`.
    pub directions: Vec<f32>,
    /// `[k, k]`: Σ cᵀc over the rows of this experience's gradients, c their coordinates in
    /// `directions`. What its truncated singular value decomposition is made from.
    pub energy: Vec<f32>,
}

impl Basis {
    pub fn new(width: usize, bounds: Bounds) -> Basis {
        Basis { width, bounds, parts: Vec::new(), stacked: None }
    }

    /// K, the number of directions.
    pub fn count(&self) -> usize {
        self.parts.iter().map(|part| part.directions.len() / self.width).sum()
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Directions by experience, first to last.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// A basis of these parts, as they were saved.
    pub fn with_parts(self, parts: Vec<Part>) -> Basis {
        Basis { parts, stacked: None, ..self }
    }

    /// What is admitted from now on belongs to a new experience.
    pub fn open_part(&mut self) {
        self.parts.push(Part::default());
    }

    /// Takes in the directions of a gradient `[rows, width]`: while more than τ of its norm lies
    /// outside the basis, the leading right singular vector of that rest. A gradient of one row has
    /// one direction. Returns how many were admitted; a gradient of zeros has none.
    ///
    /// The basis may grow beyond its capacity until [`Basis::close_part`].
    pub fn admit(&mut self, gradient: &[f32]) -> usize {
        let norm = norm(gradient);
        let mut rest = gradient.to_vec();
        for _ in 0..2 {
            rest.chunks_mut(self.width).for_each(|row| self.remove(row));
        }
        let mut admitted = 0;
        while self::norm(&rest) > f64::from(self.bounds.tau_rank) * norm
            && self.count() < self.width
        {
            let mut direction = leading_row(&rest, self.width);
            for _ in 0..2 {
                self.remove(&mut direction);
                normalise(&mut direction);
            }
            rest.chunks_mut(self.width).for_each(|row| remove_one(row, &direction));
            self.push(&direction);
            admitted += 1;
        }
        self.count_energy(gradient);
        self.stacked = None;
        admitted
    }

    /// Ends an experience: where there are more directions than the capacity, every experience is
    /// cut to its quota. Its directions are then the leading right singular vectors of its
    /// gradients (in what earlier experiences had left of them), which lie in the same span.
    pub fn close_part(&mut self) {
        let lengths: Vec<usize> =
            self.parts.iter().map(|part| part.directions.len() / self.width).collect();
        for (part, quota) in self.parts.iter_mut().zip(quotas(&lengths, self.bounds.capacity)) {
            part.cut(quota, self.width);
        }
        self.stacked = None;
    }

    /// `v ← v − Σ_k q_k (q_k·v)`, direction after direction: each is read from memory once, and a
    /// vector stays in the cache.
    pub fn remove(&self, vector: &mut [f32]) {
        for part in &self.parts {
            for direction in part.directions.chunks_exact(self.width) {
                remove_one(vector, direction);
            }
        }
    }

    /// `G ← G − (G Qᵀ) Q` for a matrix with many rows, by two products of matrices.
    pub fn remove_rows(&mut self, matrix: Tensor<2>, device: &Device) -> Tensor<2> {
        let (count, width) = (self.count(), self.width);
        if count == 0 {
            return matrix;
        }
        let stack = || {
            let all: Vec<f32> = self.parts.iter().flat_map(|p| p.directions.clone()).collect();
            Tensor::from_data(TensorData::new(all, [count, width]), device)
        };
        let q = self.stacked.take().unwrap_or_else(stack);
        let inside = matrix.clone().matmul(q.clone().transpose()).matmul(q.clone());
        self.stacked = Some(q);
        matrix - inside
    }

    /// Adds a direction to the open part, and a row and a column of zeros to its energy.
    fn push(&mut self, direction: &[f32]) {
        let part = self.parts.last_mut().expect("directions are admitted to an open part");
        let old = part.directions.len() / self.width;
        part.directions.extend_from_slice(direction);
        let mut energy = vec![0.0; (old + 1) * (old + 1)];
        for (from, to) in part.energy.chunks(old.max(1)).zip(energy.chunks_mut(old + 1)) {
            to[..old].copy_from_slice(from);
        }
        part.energy = energy;
    }

    /// Of a gradient that was refused, what lies outside the span is not counted.
    fn count_energy(&mut self, gradient: &[f32]) {
        let width = self.width;
        let Some(part) = self.parts.last_mut() else { return };
        let count = part.directions.len() / width;
        if count == 0 {
            return;
        }
        for row in gradient.chunks_exact(width) {
            let directions = part.directions.chunks_exact(width);
            let c: Vec<f32> = directions.map(|direction| dot(direction, row)).collect();
            for (a, sums) in c.iter().zip(part.energy.chunks_mut(count)) {
                sums.iter_mut().zip(&c).for_each(|(sum, b)| *sum += a * b);
            }
        }
    }
}

impl Part {
    /// Keeps the `quota` directions that hold most of the energy.
    fn cut(&mut self, quota: usize, width: usize) {
        let count = self.directions.len() / width;
        if count <= quota {
            return;
        }
        let leading = leading_eigenvectors(&self.energy, count, quota);
        let mut directions = vec![0.0; quota * width];
        for (turned, (_, vector)) in directions.chunks_mut(width).zip(&leading) {
            for (share, direction) in vector.iter().zip(self.directions.chunks_exact(width)) {
                add(turned, direction, *share);
            }
        }
        self.directions = directions;
        self.energy = vec![0.0; quota * quota];
        for (at, (value, _)) in leading.iter().enumerate() {
            self.energy[at * quota + at] = *value;
        }
    }
}

/// Shares of the capacity: equal, but nobody gets more than it has, and what is left over goes to
/// the others, one more to earlier ones where it does not divide. They add up to the smaller of the
/// capacity and the sum of `lengths`.
fn quotas(lengths: &[usize], capacity: usize) -> Vec<usize> {
    let mut quotas = vec![0; lengths.len()];
    let mut left = capacity.min(lengths.iter().sum());
    while left > 0 {
        let open = |&at: &usize| quotas[at] < lengths[at];
        let wanting: Vec<usize> = (0..lengths.len()).filter(open).collect();
        // What does not divide goes to the first ones, one each.
        let each = (left / wanting.len()).max(1);
        for at in wanting {
            let share = each.min(lengths[at] - quotas[at]).min(left);
            quotas[at] += share;
            left -= share;
        }
    }
    quotas
}

/// The leading right singular vector of a matrix `[rows, width]` that is not zero: power iteration
/// from its largest row.
fn leading_row(matrix: &[f32], width: usize) -> Vec<f32> {
    let rows = || matrix.chunks_exact(width);
    let larger = |a: &&[f32], b: &&[f32]| norm(a).total_cmp(&norm(b));
    let mut leading = rows().max_by(larger).expect("a gradient has rows").to_vec();
    normalise(&mut leading);
    if rows().len() == 1 {
        return leading;
    }
    for _ in 0..ROUNDS_MAX {
        let mut next = vec![0.0; width];
        rows().for_each(|row| add(&mut next, row, dot(row, &leading)));
        normalise(&mut next);
        let same = dot(&next, &leading);
        leading = next;
        if same > 1.0 - 1e-6 {
            break;
        }
    }
    leading
}

fn normalise(vector: &mut [f32]) {
    let scale = (1.0 / norm(vector)) as f32;
    vector.iter_mut().for_each(|v| *v *= scale);
}

fn remove_one(vector: &mut [f32], direction: &[f32]) {
    let inside = dot(direction, vector);
    add(vector, direction, -inside);
}

/// Euclidean norm, summed in double precision.
pub fn norm(vector: &[f32]) -> f64 {
    vector.chunks(256).map(|piece| f64::from(dot(piece, piece))).sum::<f64>().sqrt()
}

#[cfg(test)]
#[path = "basis_tests.rs"]
mod tests;
