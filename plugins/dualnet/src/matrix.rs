//! The cross-correlation matrix as training information (algorithms 3.6): what is kept from it, and
//! what it does in a step. Off by default; what is here is not made then.

use burn::tensor::{Gradients, Tensor};
use perdura_nn::matrix::{RunningMean, leading_span, relation, without_span};
use perdura_nn::similarity::GroupSimilarities;
use perdura_nn::{Device, Network, TensorMut, copy_out, rows, state};
use perdura_sdk::{Error, Result, StateReader, StateWriter};
use std::collections::{BTreeMap, BTreeSet};

use crate::config::{BackboneKind, Config, Roles};
use crate::method::{DualNet, Learned, scalar};
use crate::nets::{Nets, Part};
use crate::sweep::Sweep;

/// What is kept from the matrices.
pub(crate) struct Matrix {
    /// D, of the slow network's features and of their projections.
    pub units: usize,
    device: Device,
    /// Beginnings of the names of the parameters that lead to the slow network's features.
    leading: Vec<String>,
    /// C̄ of the projections, over self-supervised steps.
    mean: RunningMean,
    /// C*: C̄ as it was at the last boundary.
    anchor: Option<Tensor<2>>,
    /// U of what the projector takes and of what the head takes, `[k, D]`.
    spans: [Option<Tensor<2>>; 2],
    /// ω of every group, as of the last boundary at which the memory had samples of it.
    pub roles: BTreeMap<usize, Vec<f32>>,
    /// μ of every unit.
    rates: Option<Vec<f32>>,
    /// S-BT between groups at the last look, in [0, 1].
    pub known: GroupSimilarities,
    /// Experiences (or given groups), and the group that each was told to be of.
    pub found: Vec<(usize, usize)>,
    /// The slow network as it was at the last boundary, where its drift is told.
    pub before: Option<Part>,
    /// Groups so far.
    seen: BTreeSet<usize>,
    /// γ, the group that is being learned, and the steps of the experience at hand.
    gamma: usize,
    steps: u64,
}

/// Names of the projector's and the head's weights, which take the features.
const TAKING: [&str; 2] = ["projector.0.weight", "head.weight"];
/// And of the tensors of their spans.
const SPANS: [&str; 2] = ["matrix.span.projector", "matrix.span.head"];

impl Matrix {
    /// `None` where every switch is off.
    pub fn new(config: &Config, nets: &Nets, device: &Device) -> Option<Matrix> {
        let on = !config.matrix_switches().is_empty();
        on.then(|| Matrix {
            units: nets.head.inputs(),
            device: device.clone(),
            leading: leading(config),
            mean: RunningMean::new(config.matrix_rho as f32),
            anchor: None,
            spans: [None, None],
            roles: BTreeMap::new(),
            rates: None,
            known: GroupSimilarities::default(),
            found: Vec::new(),
            before: None,
            seen: BTreeSet::new(),
            gamma: 0,
            steps: 0,
        })
    }

    /// Scalars that the switches bring.
    pub fn scalars(config: &Config) -> &'static [&'static str] {
        if config.relation > 0.0 { &["loss_relation"] } else { &[] }
    }

    /// An experience of this group begins.
    pub fn enter(&mut self, group: usize) {
        (self.gamma, self.steps) = (group, 0);
        self.seen.insert(group);
    }

    /// γ.
    pub fn gamma(&self) -> usize {
        self.gamma
    }

    /// Groups so far, ascending.
    pub fn groups(&self) -> Vec<usize> {
        self.seen.iter().copied().collect()
    }

    /// Steps of the experience, the one that was just done included.
    pub fn count_step(&mut self) -> u64 {
        self.steps += 1;
        self.steps
    }

    pub fn has_owners(&self) -> bool {
        !self.roles.is_empty()
    }

    /// C* ← C̄.
    pub fn anchor(&mut self) {
        if !self.mean.is_empty() {
            self.anchor = Some(rows(&[self.mean.values()], self.units, &self.device));
        }
    }

    /// U of the projector and of the head, anew.
    pub fn protect(&mut self, sweep: &Sweep, energy: f64) {
        let of_head = sweep.of_head.as_ref().map(numbers).unwrap_or_default();
        for (span, matrix) in self.spans.iter_mut().zip([sweep.of_projector.values(), &of_head]) {
            if matrix.is_empty() {
                continue;
            }
            let directions = leading_span(matrix, self.units, energy);
            let pieces: Vec<&[f32]> = directions.iter().map(Vec::as_slice).collect();
            *span = (!pieces.is_empty()).then(|| rows(&pieces, self.units, &self.device));
        }
    }

    /// μ of the units, from whom they are important to and how like γ those are.
    pub fn pace(&mut self, config: &Config) {
        let groups = self.groups();
        let control = config.unit_similarity.control(config.unit_across);
        let similarities = self.known.matrix(&groups, control);
        let here = groups.iter().position(|group| *group == self.gamma).unwrap_or(0);
        let to = |(place, group): (usize, &usize)| {
            let roles = self.roles.get(group)?.clone();
            Some((similarities[here * groups.len() + place], roles))
        };
        let owners: Vec<(f32, Vec<f32>)> = groups.iter().enumerate().filter_map(to).collect();
        self.rates = config.pace().unit_rates(&owners);
    }

    /// What is taken from the gradients of a loss that was computed with `tracked`. Rates first:
    /// what the projection protects stays protected.
    fn guard(&self, tracked: &Nets, gradients: &mut Gradients) {
        if let Some(rates) = &self.rates {
            self.slow_down(rates, tracked, gradients);
        }
        let layers = [&tracked.phi.projector.first.weight, &tracked.head.weight];
        for (weight, span) in layers.into_iter().zip(&self.spans) {
            if let Some((span, gradient)) = span.as_ref().zip(weight.grad(gradients)) {
                weight.grad_replace(gradients, without_span(gradient, span.clone()));
            }
        }
    }

    /// `μ ⊙ u` on the parameters around the units; in plain gradient descent u is the gradient.
    fn slow_down(&self, rates: &[f32], tracked: &Nets, gradients: &mut Gradients) {
        let rates = rows(&[rates], self.units, &self.device);
        let units = self.units;
        for (name, tensor) in tracked.clone().tensors_mut() {
            let (leads, takes) = (self.leads(&name), TAKING.contains(&name.as_str()));
            match tensor {
                TensorMut::Vector(t) if leads => {
                    scale(t, rates.clone().reshape([units]), gradients)
                }
                TensorMut::Linear(t) if leads => scale(t, rates.clone(), gradients),
                TensorMut::Linear(t) if takes => scale(t, rates.clone().transpose(), gradients),
                TensorMut::Kernel(t) if leads => {
                    scale(t, rates.clone().reshape([units, 1, 1, 1]), gradients);
                }
                _ => {}
            }
        }
    }

    fn leads(&self, name: &str) -> bool {
        self.leading.iter().any(|beginning| name.starts_with(beginning))
    }

    /// Bytes held beside the networks.
    pub fn bytes(&self) -> u64 {
        let matrices = self.anchor.iter().chain(self.spans.iter().flatten());
        let numbers = matrices.map(|m| m.dims().iter().product::<usize>()).sum::<usize>();
        let of_units = self.roles.values().chain(&self.rates).map(Vec::len).sum::<usize>();
        let before = self.before.as_ref().map_or(0, Network::bytes);
        before + self.mean.bytes() + ((numbers + of_units) * size_of::<f32>()) as u64
    }

    pub fn save(&self, out: &mut StateWriter) -> Result<()> {
        self.mean.save("matrix.mean", out)?;
        let directions = self.spans.each_ref().map(|span| span.as_ref().map(|u| u.dims()[0]));
        let kept = (self.anchor.is_some(), directions, self.rates.is_some(), self.before.is_some());
        out.value("matrix.kept", &kept)?;
        out.value("matrix.groups", &(self.gamma, self.steps, &self.seen, &self.found))?;
        out.value("matrix.known", &self.known)?;
        out.value("matrix.owners", &self.roles.keys().collect::<Vec<_>>())?;
        let named = ["matrix.anchor", SPANS[0], SPANS[1]].into_iter();
        for (name, matrix) in named.zip([&self.anchor].into_iter().chain(&self.spans)) {
            if let Some(matrix) = matrix {
                out.tensor(name, &matrix.dims(), &numbers(matrix))?;
            }
        }
        for (group, roles) in &self.roles {
            out.tensor(&format!("matrix.roles.{group}"), &[self.units], roles)?;
        }
        if let Some(before) = &self.before {
            state::save(before, "matrix.before.", out)?;
        }
        self.rates.iter().try_for_each(|rates| out.tensor("matrix.rates", &[self.units], rates))
    }

    /// What [`save`](Self::save) wrote; `slow` is the slow network, for its shape.
    pub fn load(&mut self, slow: &Part, saved: &mut StateReader) -> Result<()> {
        let units = self.units;
        self.mean.load("matrix.mean", units * units, saved)?;
        let (anchored, directions, rated, tells_drift): (bool, [Option<usize>; 2], bool, bool) =
            saved.value("matrix.kept")?;
        (self.gamma, self.steps, self.seen, self.found) = saved.value("matrix.groups")?;
        self.known = saved.value("matrix.known")?;
        let owners: Vec<usize> = saved.value("matrix.owners")?;
        let mut matrix = |name: &str, rows_count: Option<usize>| {
            let Some(count) = rows_count else { return Ok(None) };
            let values = saved.tensor(name, &[count, units])?;
            Ok::<_, Error>(Some(rows(&[&values], units, &self.device)))
        };
        self.anchor = matrix("matrix.anchor", anchored.then_some(units))?;
        self.spans = [matrix(SPANS[0], directions[0])?, matrix(SPANS[1], directions[1])?];
        self.roles.clear();
        for group in owners {
            let roles = saved.tensor(&format!("matrix.roles.{group}"), &[units])?;
            self.roles.insert(group, roles);
        }
        self.rates = match rated {
            true => Some(saved.tensor("matrix.rates", &[units])?),
            false => None,
        };
        self.before = tells_drift.then(|| slow.clone());
        self.before.iter_mut().try_for_each(|before| state::load(before, "matrix.before.", saved))
    }
}

/// The last layer of the slow network.
fn leading(config: &Config) -> Vec<String> {
    match (config.backbone, config.roles) {
        (BackboneKind::Mlp, _) => vec![format!("slow.fc{}.", config.hidden.len())],
        (BackboneKind::Resnet18, Roles::Paper) => {
            ["conv2", "bn2"].map(|part| format!("slow.layer4.1.{part}.")).into()
        }
        (BackboneKind::Resnet18, Roles::Blog) => vec!["slow.block4.".into()],
    }
}

/// `g ← factors ⊙ g`, the factors broadcast; nothing where the loss does not depend on the leaf.
fn scale<const D: usize>(leaf: &Tensor<D>, factors: Tensor<D>, gradients: &mut Gradients) {
    if let Some(gradient) = leaf.grad(gradients) {
        leaf.grad_replace(gradients, gradient * factors);
    }
}

/// In row-major memory, without what gradients need.
pub(crate) fn numbers(matrix: &Tensor<2>) -> Vec<f32> {
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

    /// The uses of the matrix that act on gradients.
    pub(crate) fn guard(&self, tracked: &Nets, gradients: &mut Gradients) {
        if let Some(matrix) = &self.matrix {
            matrix.guard(tracked, gradients);
        }
    }
}
