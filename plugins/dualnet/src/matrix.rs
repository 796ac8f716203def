//! The cross-correlation matrix as training information (algorithms 3.6), each use a switch of its
//! own. Off by default; what is here is not made then.

use burn::tensor::Tensor;
use perdura_nn::matrix::{RunningMean, relation};
use perdura_nn::{Device, copy_out, rows};
use perdura_sdk::{Error, Grants, Result, StateReader, StateWriter};

use crate::config::{Config, SslSource};
use crate::method::{DualNet, Learned, scalar};
use crate::nets::Nets;

/// What is kept from the matrices.
pub(crate) struct Matrix {
    /// D, of the slow network's features and of their projections.
    units: usize,
    device: Device,
    /// C̄ of the projections, over self-supervised steps.
    mean: RunningMean,
    /// C*: C̄ as it was at the last boundary.
    anchor: Option<Tensor<2>>,
}

impl Config {
    /// The switches that are on, by the names of their options.
    fn matrix_switches(&self) -> Vec<&'static str> {
        let switches = [("relation", self.relation != 0.0)];
        switches.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
    }

    /// Refuses values outside their range, and switches without what they need.
    pub(crate) fn check_matrix(&self, grants: &Grants) -> Result<()> {
        if !(self.relation >= 0.0 && self.relation.is_finite()) {
            return Err(Error::config("relation", "a number of at least 0", self.relation));
        }
        if !(0.0..1.0).contains(&self.matrix_rho) {
            let expected = "a number from 0 to below 1";
            return Err(Error::config("matrix_rho", expected, self.matrix_rho));
        }
        let Some(name) = self.matrix_switches().first().copied() else { return Ok(()) };
        if !self.self_supervised() {
            let expected = "off where `ssl_weight` is 0: matrices come from self-supervision";
            return Err(Error::config(name, expected, "on"));
        }
        if !grants.boundaries {
            let expected = "off where boundaries are hidden: matrices are looked at there";
            return Err(Error::config(name, expected, "on"));
        }
        if self.relation > 0.0 && self.ssl_source == SslSource::CurrentAndMemory {
            let expected = "0, or views of the memory alone (`ssl_source = \"memory_all\"`)";
            return Err(Error::config("relation", expected, self.relation));
        }
        Ok(())
    }
}

impl Matrix {
    /// `None` where every switch is off.
    pub fn new(config: &Config, nets: &Nets, device: &Device) -> Option<Matrix> {
        let mean = RunningMean::new(config.matrix_rho as f32);
        let (units, device, anchor) = (nets.head.inputs(), device.clone(), None);
        let on = !config.matrix_switches().is_empty();
        on.then_some(Matrix { units, device, mean, anchor })
    }

    /// Scalars that the switches bring.
    pub fn scalars(config: &Config) -> &'static [&'static str] {
        if config.relation > 0.0 { &["loss_relation"] } else { &[] }
    }

    /// C* ← C̄.
    pub fn anchor(&mut self) {
        if !self.mean.is_empty() {
            self.anchor = Some(rows(&[self.mean.values()], self.units, &self.device));
        }
    }

    /// Bytes held beside the networks.
    pub fn bytes(&self) -> u64 {
        let anchor =
            if self.anchor.is_some() { self.units * self.units * size_of::<f32>() } else { 0 };
        self.mean.bytes() + anchor as u64
    }

    pub fn save(&self, out: &mut StateWriter) -> Result<()> {
        self.mean.save("matrix.mean", out)?;
        out.value("matrix.anchored", &self.anchor.is_some())?;
        save("matrix.anchor", self.anchor.as_ref(), out)
    }

    pub fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        let square = [self.units; 2];
        self.mean.load("matrix.mean", self.units * self.units, saved)?;
        let anchored = saved.value("matrix.anchored")?;
        self.anchor = match anchored {
            true => Some(self.loaded("matrix.anchor", square, saved)?),
            false => None,
        };
        Ok(())
    }

    fn loaded(&self, name: &str, shape: [usize; 2], saved: &mut StateReader) -> Result<Tensor<2>> {
        let values = saved.tensor(name, &shape)?;
        Ok(rows(&[&values], shape[1], &self.device))
    }
}

fn save(name: &str, matrix: Option<&Tensor<2>>, out: &mut StateWriter) -> Result<()> {
    match matrix {
        Some(matrix) => out.tensor(name, &matrix.dims(), &numbers(matrix)),
        None => Ok(()),
    }
}

/// In row-major memory, without what gradients need.
fn numbers(matrix: &Tensor<2>) -> Vec<f32> {
    let mut values = vec![0.0; matrix.dims().iter().product()];
    copy_out(matrix.clone(), &mut values);
    values
}

impl DualNet {
    /// `L_BT + μ_C (1/D) ‖C − C*‖²_F`, once there is a C*; the matrix is counted in.
    pub(crate) fn with_relation(
        &mut self,
        loss: Tensor<1>,
        correlation: Tensor<2>,
        learned: &mut Learned,
    ) -> Tensor<1> {
        let weight = self.config.relation;
        let Some(matrix) = self.matrix.as_mut().filter(|_| weight > 0.0) else { return loss };
        matrix.mean.add(numbers(&correlation).into_iter());
        let Some(anchor) = &matrix.anchor else { return loss };
        let term = relation(correlation, anchor.clone());
        learned.loss_relation.add(scalar(&term));
        loss + term.mul_scalar(weight)
    }
}
