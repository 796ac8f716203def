//! What must not change, as bases over the parameters of a network: one over all of them, or one
//! for each layer.

use burn::tensor::{Device, Tensor, TensorData};
use perdura_sdk::{Error, Result, StateReader, StateWriter, hyper_parameters};
use std::borrow::Cow;
use std::ops::Range;

use super::basis::{Basis, Bounds, Part, norm};
use crate::{Network, TensorMut, copy_out, numbers};

hyper_parameters! {
    /// What one basis is about.
    pub enum BasisKind {
        /// All parameters as one vector (the paper).
        #[default]
        Network,
        /// The rows of each layer's matrix: small enough for convolutional networks, and stricter.
        Layers,
    }
}

/// Bases, and which numbers of a gradient each is about. What no basis is about is free.
#[derive(Clone, Debug)]
pub struct Protected {
    pieces: Vec<Piece>,
    device: Device,
}

#[derive(Clone, Debug)]
struct Piece {
    /// In the saved state.
    name: String,
    /// One after another; a layer has one.
    ranges: Vec<Range<usize>>,
    /// Memory holds the matrix as `[width, rows]`.
    transposed: bool,
    basis: Basis,
}

impl Protected {
    /// Nothing yet, over the parameters of `network` whose names are `taken`: at least one.
    pub fn new<N: Network>(
        network: &N,
        kind: BasisKind,
        bounds: Bounds,
        taken: impl Fn(&str) -> bool,
    ) -> Protected {
        let blocks = numbers::blocks(network).into_iter().filter(|block| taken(&block.name));
        let piece = |name: String, ranges: Vec<Range<usize>>, transposed, width| Piece {
            name,
            ranges,
            transposed,
            basis: Basis::new(width, bounds),
        };
        let pieces: Vec<Piece> = match kind {
            BasisKind::Network => {
                let ranges = joined(blocks.map(|block| block.range));
                let width = ranges.iter().map(Range::len).sum();
                vec![piece("network".into(), ranges, false, width)]
            }
            BasisKind::Layers => blocks
                .map(|block| {
                    let width = block.range.len() / block.outputs;
                    piece(block.name, vec![block.range], block.transposed, width)
                })
                .collect(),
        };
        let all_have_some = pieces.iter().all(|piece| piece.basis.width() > 0);
        assert!(!pieces.is_empty() && all_have_some, "a basis is about at least one parameter");
        Protected { pieces, device: device_of(network) }
    }

    /// Directions of all bases together.
    pub fn directions(&self) -> usize {
        self.pieces.iter().map(|piece| piece.basis.count()).sum()
    }

    /// Bytes of all directions (f32).
    pub fn bytes(&self) -> u64 {
        let numbers = |piece: &Piece| piece.basis.count() * piece.basis.width();
        self.pieces.iter().map(numbers).sum::<usize>() as u64 * size_of::<f32>() as u64
    }

    /// What is admitted from now on belongs to a new experience.
    pub fn open_part(&mut self) {
        self.pieces.iter_mut().for_each(|piece| piece.basis.open_part());
    }

    /// Takes in the directions of a gradient, `[parameter_count]`; returns how many they are. A
    /// gradient that is not finite is an error: everything after it would be lost.
    pub fn admit(&mut self, gradient: &[f32]) -> Result<usize> {
        if !gradient.iter().all(|v| v.is_finite()) {
            return Err(Error::new(
                "a gradient that later training is to spare is not finite: the network has \
                 diverged; lower `lr`",
            ));
        }
        let mut admitted = 0;
        for piece in &mut self.pieces {
            let (values, width) = (piece.part_of(gradient), piece.basis.width());
            admitted += match piece.transposed {
                true => piece.basis.admit(&transpose(&values, width)),
                false => piece.basis.admit(&values),
            };
        }
        Ok(admitted)
    }

    /// Ends an experience: cuts what is beyond the capacity of a basis.
    pub fn close_part(&mut self) {
        self.pieces.iter_mut().for_each(|piece| piece.basis.close_part());
    }

    /// `g̃ = g − Q Qᵀ g`, in place. A layer's gradient as a matrix loses what lies in the span of
    /// the directions of its rows.
    pub fn project(&mut self, gradient: &mut [f32]) {
        for piece in &mut self.pieces {
            if let [range] = &piece.ranges[..] {
                let values = &mut gradient[range.clone()];
                match values.len() == piece.basis.width() {
                    true => piece.basis.remove(values),
                    false => piece.project_rows(values, &self.device),
                }
                continue;
            }
            let mut values = piece.part_of(gradient).into_owned();
            piece.basis.remove(&mut values);
            let mut rest = &values[..];
            for range in &piece.ranges {
                let (here, after) = rest.split_at(range.len());
                gradient[range.clone()].copy_from_slice(here);
                rest = after;
            }
        }
    }

    /// `‖Qᵀg‖ / ‖g‖` over the protected parameters: the share of a gradient that cannot be
    /// followed. `None` for a gradient of zeros.
    pub fn coverage(&mut self, gradient: &[f32]) -> Option<f64> {
        let mut outside = gradient.to_vec();
        self.project(&mut outside);
        let square = |of: &[f32]| {
            self.pieces.iter().map(|piece| norm(&piece.part_of(of)).powi(2)).sum::<f64>()
        };
        let (all, outside) = (square(gradient), square(&outside));
        (all > 0.0).then(|| ((all - outside).max(0.0) / all).sqrt())
    }

    /// Saves every direction as `basis.<piece>.<experience>.directions`, with its `energy`.
    pub fn save(&self, out: &mut StateWriter) -> Result<()> {
        let counts = |piece: &Piece| -> Vec<usize> {
            let width = piece.basis.width();
            piece.basis.parts().iter().map(|part| part.directions.len() / width).collect()
        };
        let counts: Vec<Vec<usize>> = self.pieces.iter().map(counts).collect();
        out.value("directions", &counts)?;
        for piece in &self.pieces {
            let width = piece.basis.width();
            for (number, part) in piece.basis.parts().iter().enumerate() {
                let (count, name) = (part.directions.len() / width, &piece.name);
                let name = |what| format!("basis.{name}.{number}.{what}");
                out.tensor(&name("directions"), &[count, width], &part.directions)?;
                out.tensor(&name("energy"), &[count, count], &part.energy)?;
            }
        }
        Ok(())
    }

    pub fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        let counts: Vec<Vec<usize>> = saved.value("directions")?;
        if counts.len() != self.pieces.len() {
            let (expected, found) = (self.pieces.len(), counts.len());
            return Err(Error::state(format!(
                "value `directions`: expected counts of {expected} bases, found {found}"
            )));
        }
        for (piece, counts) in self.pieces.iter_mut().zip(counts) {
            let width = piece.basis.width();
            let part = |(number, count): (usize, usize)| {
                let name = |what| format!("basis.{}.{number}.{what}", piece.name);
                let directions = saved.tensor(&name("directions"), &[count, width])?;
                let energy = saved.tensor(&name("energy"), &[count, count])?;
                Ok(Part { directions, energy })
            };
            let parts = counts.into_iter().enumerate().map(part).collect::<Result<_>>()?;
            piece.basis = piece.basis.clone().with_parts(parts);
        }
        Ok(())
    }
}

impl Piece {
    /// The numbers of a gradient that the basis is about.
    fn part_of<'a>(&self, gradient: &'a [f32]) -> Cow<'a, [f32]> {
        match &self.ranges[..] {
            [range] => Cow::Borrowed(&gradient[range.clone()]),
            ranges => ranges.iter().flat_map(|range| &gradient[range.clone()]).copied().collect(),
        }
    }

    fn project_rows(&mut self, values: &mut [f32], device: &Device) {
        let (width, rows) = (self.basis.width(), values.len() / self.basis.width());
        let shape = if self.transposed { [width, rows] } else { [rows, width] };
        let held = Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), device);
        let left = match self.transposed {
            true => self.basis.remove_rows(held.transpose(), device).transpose(),
            false => self.basis.remove_rows(held, device),
        };
        copy_out(left, values);
    }
}

/// Where a network's parameters lie.
fn device_of<N: Network>(network: &N) -> Device {
    match network.clone().unnamed_mut().first() {
        Some(TensorMut::Vector(t) | TensorMut::Running(t)) => t.device(),
        Some(TensorMut::Linear(t)) => t.device(),
        Some(TensorMut::Kernel(t)) => t.device(),
        None => unreachable!("a network has parameters"),
    }
}

/// Ranges in ascending order, neighbours as one.
fn joined(ranges: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => all.push(range),
        }
    }
    all
}

/// `[width, rows]` as `[rows, width]`.
fn transpose(values: &[f32], width: usize) -> Vec<f32> {
    let rows = values.len() / width;
    let row = |r| (0..width).map(move |c| values[c * rows + r]);
    (0..rows).flat_map(row).collect()
}

#[cfg(test)]
#[path = "protected_tests.rs"]
mod tests;
