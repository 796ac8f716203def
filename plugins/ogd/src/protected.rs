//! What must not change, as bases over the parameters of a network: one over all of them, or one
//! for each layer.

use burn::tensor::{Device, Tensor, TensorData};
use perdura_nn::{Network, numbers};
use perdura_sdk::{Error, Result, StateReader, StateWriter};
use std::ops::Range;

use crate::basis::{Basis, Bounds, Part, norm};
use crate::config::BasisKind;

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
    range: Range<usize>,
    /// Memory holds the matrix as `[width, rows]`.
    transposed: bool,
    basis: Basis,
}

impl Protected {
    /// Nothing yet, over the parameters of `network` whose names do not begin with `free`.
    pub fn new<N: Network>(
        network: &N,
        kind: BasisKind,
        bounds: Bounds,
        (free, device): (Option<&str>, &Device),
    ) -> Protected {
        let taken = |name: &str| free.is_none_or(|free| !name.starts_with(free));
        let blocks = numbers::blocks(network).into_iter().filter(|block| taken(&block.name));
        let piece = |name: String, range: Range<usize>, transposed, width| Piece {
            name,
            range,
            transposed,
            basis: Basis::new(width, bounds),
        };
        let pieces = match kind {
            // The head comes last: what is left is one range.
            BasisKind::Network => {
                let end = blocks.map(|block| block.range.end).max().unwrap_or(0);
                vec![piece("network".into(), 0..end, false, end)]
            }
            BasisKind::Layers => blocks
                .map(|block| {
                    let width = block.range.len() / block.outputs;
                    piece(block.name, block.range, block.transposed, width)
                })
                .collect(),
        };
        Protected { pieces, device: device.clone() }
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
        for Piece { range, transposed, basis, .. } in &mut self.pieces {
            let values = &gradient[range.clone()];
            admitted += match transposed {
                true => basis.admit(&transpose(values, basis.width())),
                false => basis.admit(values),
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
            let values = &mut gradient[piece.range.clone()];
            match values.len() == piece.basis.width() {
                true => piece.basis.remove(values),
                false => piece.project_rows(values, &self.device),
            }
        }
    }

    /// `‖Qᵀg‖ / ‖g‖` over the protected parameters: the share of a gradient that cannot be
    /// followed. `None` for a gradient of zeros.
    pub fn coverage(&mut self, gradient: &[f32]) -> Option<f64> {
        let mut outside = gradient.to_vec();
        self.project(&mut outside);
        let square = |of: &[f32]| {
            self.pieces.iter().map(|p| norm(&of[p.range.clone()]).powi(2)).sum::<f64>()
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
    fn project_rows(&mut self, values: &mut [f32], device: &Device) {
        let (width, rows) = (self.basis.width(), values.len() / self.basis.width());
        let shape = if self.transposed { [width, rows] } else { [rows, width] };
        let held = Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), device);
        let left = match self.transposed {
            true => self.basis.remove_rows(held.transpose(), device).transpose(),
            false => self.basis.remove_rows(held, device),
        };
        perdura_nn::copy_out(left, values);
    }
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
