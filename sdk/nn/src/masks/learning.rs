//! Masks in the life of a learner with groups: the group that an experience opens learns its masks in
//! that experience, those of the others are frozen. The passes under masks are the learner's, for it
//! knows its networks.

use burn::tensor::{Device, Tensor};
use perdura_sdk::{Error, Position, Result, StateReader, StateWriter};
use rand::Rng;

use super::embeddings::{Embeddings, annealed, sparsity};
use super::groups::GroupMasks;
use super::layers::Units;
use super::rows::GroupRows;
use crate::network::Network;
use crate::update::{Update, clip_factor};

/// Largest norm of a step in which masks are learned: HAT's.
const GRADIENT_NORM_MAX: f64 = 1e4;

/// Hyper-parameters of masks of groups. Plugins name them alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskOptions {
    /// Hyper-parameter `s_max`: largest scale of the embeddings.
    pub s_max: f64,
    /// Hyper-parameter `lambda_c`: weight of the sparsity term.
    pub lambda_c: f64,
    /// Hyper-parameter `mask_mean`: mean of the embeddings that a group begins with.
    pub mask_mean: f64,
    /// Hyper-parameter `mask_anneal`: learn masks at a scale that rises to s_max.
    pub mask_anneal: bool,
    /// Hyper-parameter `mask_steps`: steps in which a group learns its masks, where boundaries are
    /// hidden.
    pub mask_steps: u64,
}

impl MaskOptions {
    /// Refuses values outside their range.
    pub fn check(&self) -> Result<()> {
        if !(self.s_max > 0.0 && self.s_max.is_finite()) {
            return Err(Error::config("s_max", "a number above 0", self.s_max));
        }
        if !(self.lambda_c >= 0.0 && self.lambda_c.is_finite()) {
            return Err(Error::config("lambda_c", "a number of at least 0", self.lambda_c));
        }
        if !self.mask_mean.is_finite() {
            return Err(Error::config("mask_mean", "a number", self.mask_mean));
        }
        match self.mask_steps {
            0 => Err(Error::config("mask_steps", "at least 1", 0)),
            _ => Ok(()),
        }
    }
}

/// See the head of this file.
#[derive(Clone, Debug)]
pub struct MaskLearning {
    options: MaskOptions,
    pub masks: GroupMasks,
    /// The group that learns its masks: the one that the experience at hand has opened.
    learning: Option<usize>,
    /// Steps it has learned.
    steps: u64,
    /// The units that other groups than the one at hand have taken.
    taken: Option<Units>,
}

impl MaskLearning {
    /// `options` have been [checked](MaskOptions::check); `masks` has no group yet.
    pub fn new(options: MaskOptions, masks: GroupMasks) -> Self {
        MaskLearning { options, masks, learning: None, steps: 0, taken: None }
    }

    /// The group that learns its masks, if one does.
    pub fn learning(&self) -> Option<usize> {
        self.learning
    }

    /// `group` is the one at hand: if it is new it gets masks, and learns them from now on.
    pub fn enter(&mut self, group: usize, device: &Device, rng: &mut impl Rng) {
        if !self.masks.is_open(group) {
            self.masks.open(group, device, self.options.mask_mean, rng);
            (self.learning, self.steps) = (Some(group), 0);
        }
    }

    /// Which units are free for `group`, the one at hand, is found out anew.
    pub fn take_stock(&mut self, group: usize) {
        self.taken = self.masks.taken(group);
    }

    /// s of this step of the group at hand; `None` where its masks are frozen. Annealed over the
    /// epoch, where boundaries are hidden over `mask_steps` steps; s_max without annealing.
    pub fn scale(&self, here: usize, position: Option<Position>) -> Option<f64> {
        let MaskOptions { s_max, mask_anneal, mask_steps, .. } = self.options;
        (self.learning == Some(here)).then(|| match position {
            _ if !mask_anneal => s_max,
            Some(at) => annealed(at.step_in_epoch, at.steps_per_epoch, s_max),
            None => annealed(self.steps, mask_steps, s_max),
        })
    }

    /// The masks of the group at hand as constants: those of this step, `s`, while it learns them,
    /// else its hard ones.
    pub fn answering(&self, here: usize, s: Option<f64>) -> Vec<Tensor<1>> {
        match s {
            Some(s) => self.masks.embeddings_of(here).masks(s),
            None => self.masks.hard(here).expect("the group at hand has masks"),
        }
    }

    /// `ā`, for every unit its largest mask: that of `of_here` and the hard ones of the other
    /// groups.
    pub fn union(&self, here: usize, of_here: Vec<Tensor<1>>) -> Vec<Tensor<1>> {
        let others = self.masks.open_groups().into_iter().filter(|group| *group != here);
        let hard = others.filter_map(|group| self.masks.hard(group));
        hard.fold(of_here, |largest, masks| {
            largest.into_iter().zip(masks).map(|(a, b)| a.max_pair(b)).collect()
        })
    }

    /// Embeddings of the group at hand that record gradients, where it learns them.
    pub fn tracked(&self, here: usize, s: Option<f64>) -> Option<Embeddings> {
        s.map(|_| self.masks.embeddings_of(here).tracked())
    }

    /// Rows with their groups' masks: `numbers` are the groups of the rows, `of_here` the masks of
    /// the group at hand; the others have hard ones.
    pub fn rows(&self, here: usize, numbers: &[usize], of_here: Vec<Tensor<1>>) -> GroupRows {
        let mut groups = vec![(here, of_here)];
        let place = |group: &usize| {
            if let Some(place) = groups.iter().position(|(known, _)| known == group) {
                return place;
            }
            match self.masks.hard(*group) {
                Some(masks) => {
                    groups.push((*group, masks));
                    groups.len() - 1
                }
                // Open, and never learned: its samples were learned as the group at hand.
                None => 0,
            }
        };
        let places = numbers.iter().map(place).collect();
        GroupRows { groups, places }
    }

    /// `L + λ_c · R(a)`, R HAT's sparsity term of the masks that are learned, if any are.
    pub fn with_sparsity(&self, loss: Tensor<1>, learned: Option<(&Embeddings, f64)>) -> Tensor<1> {
        let lambda = self.options.lambda_c;
        let learned = learned.filter(|_| lambda > 0.0);
        let term = learned.and_then(|(e, s)| sparsity(&e.masks(s), self.taken.as_ref()));
        match term {
            Some(term) => loss + term * lambda,
            None => loss,
        }
    }

    /// HAT's step of the embeddings of the group at hand at scale s: compensated, clipped together
    /// with the update of the network, clamped after.
    pub fn descend<N: Network>(
        &mut self,
        here: usize,
        (mut of_masks, s): (Update<Embeddings>, f64),
        update: &mut Update<N>,
        lr: f64,
    ) {
        let e = self.masks.embeddings(here);
        of_masks.scale(&e.factors(s, self.options.s_max));
        let norms = [update.square_norm(), of_masks.square_norm()];
        if let Some(factor) = clip_factor(&norms, GRADIENT_NORM_MAX) {
            update.shrink(factor);
            of_masks.shrink(factor);
        }
        of_masks.descend(e, lr);
        e.clamp();
    }

    /// A step is done, in which masks were `learned` or not; where boundaries are hidden they are
    /// frozen after `mask_steps`.
    pub fn count(&mut self, learned: bool, position: Option<Position>) {
        self.steps += u64::from(learned);
        if position.is_none() && self.steps >= self.options.mask_steps {
            self.learning = None;
        }
    }

    /// The experience is over, and its masks are done.
    pub fn freeze(&mut self) {
        self.learning = None;
    }

    pub fn save(&self, out: &mut StateWriter) -> Result<()> {
        out.value("masking", &(self.learning, self.steps))?;
        self.masks.save(out)
    }

    /// What [`save`](Self::save) wrote. [`take_stock`](Self::take_stock) is to follow.
    pub fn load(&mut self, device: &Device, saved: &mut StateReader) -> Result<()> {
        (self.learning, self.steps) = saved.value("masking")?;
        self.masks.load(device, saved)
    }
}

#[cfg(test)]
#[path = "learning_tests.rs"]
mod tests;
