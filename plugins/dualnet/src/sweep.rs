//! A look at the memory, group by group, with the networks as they are: all matrices of one look
//! have the same axes, which those of a network at different times have not.

use burn::tensor::Tensor;
use perdura_nn::matrix::{RunningMean, auto_correlation};
use perdura_nn::similarity::{CorrelationHalves, lookahead_affinity};
use perdura_nn::{Mode, barlow, losses, rows};
use perdura_sdk::{Error, prelude::*};
use std::collections::BTreeMap;

use crate::ROWS_AT_ONCE;
use crate::config::{Config, MatrixOf, Quirks};
use crate::matrix::numbers;
use crate::method::{DualNet, Mean, scalar};
use crate::nets::{Nets, Phi};

/// What is known of one group.
pub(crate) struct OfGroup {
    /// Cross-correlation of projections or features, over two halves of its samples.
    pub halves: CorrelationHalves,
    /// Cross-correlation of features.
    pub units: RunningMean,
    pub loss_bt: Mean,
    /// `Z^BT` of the group that is being learned to this one.
    pub affinity: Mean,
    pub loss_sup: Mean,
    /// Features of the slow network for its samples in the memory, row by row: as it was at the
    /// last boundary (none at the first) and as it is.
    pub features: [Vec<f32>; 2],
}

/// What the memory tells.
pub(crate) struct Sweep {
    pub groups: BTreeMap<usize, OfGroup>,
    /// Auto-correlation of what the projector takes, all groups alike.
    pub of_projector: RunningMean,
    /// Sum of the auto-correlation of what the head takes, over the samples of the memory.
    pub of_head: Option<Tensor<2>>,
}

/// Views of the two halves of a group's samples in a draw, `[2n, width]` each, and whose they are.
type Halves = BTreeMap<usize, [Tensor<2>; 2]>;

impl DualNet {
    /// `matrix_draws` draws of the memory, in views; γ is the group that is being learned.
    pub(crate) fn look(&self, gamma: usize, known: usize, host: &mut Host<'_>) -> Result<Sweep> {
        let of_projector = RunningMean::new(self.config.matrix_rho as f32);
        let mut sweep = Sweep { groups: BTreeMap::new(), of_projector, of_head: None };
        let profile = match self.config.quirks {
            Quirks::Fixed => Profile::Ssl,
            Quirks::ReleasedCode => Profile::SslHalf,
        };
        let request = Request::memory("matrix", self.config.matrix_batch * known);
        let request = request.views(2).profile(profile);
        for _ in 0..self.config.matrix_draws {
            let drawn = host.draw(&request)?;
            let halves = self.halves(&drawn[0])?;
            for (group, of_group) in &halves {
                self.take_in(*group, of_group, &mut sweep)?;
            }
            if self.config.matrix_losses {
                self.affinities(gamma, &halves, &mut sweep);
            }
        }
        Ok(sweep)
    }

    /// Whoever has fewer than two samples in one of the halves is left out. Halves share no sample,
    /// whatever is drawn: the identity of a sample decides.
    fn halves(&self, drawn: &Rows<'_>) -> Result<Halves> {
        let mut places: BTreeMap<usize, [Vec<usize>; 2]> = BTreeMap::new();
        for (row, experience) in self.experiences(drawn)?.iter().enumerate() {
            let half = (drawn.uids()[row] % 2) as usize;
            let group = self.config.matrix_group(*experience)?;
            places.entry(group).or_default()[half].push(row);
        }
        places.retain(|_, halves| halves.iter().all(|rows| rows.len() >= 2));
        let views = |places: Vec<usize>| {
            let row =
                |view: usize, place: usize| &drawn.view(view)[place * self.width..][..self.width];
            let (first, second) =
                (places.iter().map(|p| row(0, *p)), places.iter().map(|p| row(1, *p)));
            rows(&first.chain(second).collect::<Vec<_>>(), self.width, &self.device)
        };
        Ok(places.into_iter().map(|(group, halves)| (group, halves.map(views))).collect())
    }

    fn experiences<'a>(&self, rows: &Rows<'a>) -> Result<&'a [u32]> {
        let missing = || Error::new("matrices of groups need the experience of every sample");
        rows.experiences().ok_or_else(missing)
    }

    fn take_in(&self, group: usize, halves: &[Tensor<2>; 2], sweep: &mut Sweep) -> Result<()> {
        let Config { eps_std, lambda_bt, .. } = self.config;
        let rho = self.config.matrix_rho as f32;
        let of_group = sweep.groups.entry(group).or_insert_with(|| OfGroup::new(self.units(), rho));
        for views in halves {
            let [[h_a, z_a], [h_b, z_b]] = self.nets.clone().see(views.clone())?;
            let of_projections = barlow::cross_correlation(z_a, z_b, eps_std)?;
            // A unit that is silent is constant, which without the addition is not a number.
            let eps_units = eps_std.max(barlow::EPS_STD);
            let of_features = barlow::cross_correlation(h_a.clone(), h_b.clone(), eps_units)?;
            let of_features = numbers(&of_features);
            match self.config.matrix_of {
                MatrixOf::Projections => of_group.halves.add(&numbers(&of_projections)),
                MatrixOf::Features => of_group.halves.add(&of_features),
            }
            of_group.loss_bt.add(scalar(&barlow::barlow_twins(of_projections, lambda_bt)));
            of_group.units.add(of_features.into_iter());
            sweep.of_projector.add(numbers(&auto_correlation(h_a, h_b)).into_iter());
        }
        Ok(())
    }

    /// `Z = 1 − L_BT(B_g; φ − ε ∇L_BT(B_γ; φ))/L_BT(B_g; φ)`, B_γ and B_g of different halves: a
    /// group is not compared with the very samples of the step.
    fn affinities(&self, gamma: usize, halves: &Halves, sweep: &mut Sweep) {
        let Some([task, _]) = halves.get(&gamma) else { return };
        let loss = |phi: &Phi, views: &Tensor<2>| {
            let mut nets = Nets { phi: phi.clone(), ..self.nets.clone() };
            let loss = nets.project(views.clone()).and_then(|[z_a, z_b]| {
                let correlation = barlow::cross_correlation(z_a, z_b, self.config.eps_std)?;
                Ok(barlow::barlow_twins(correlation, self.config.lambda_bt))
            });
            loss.expect("two samples or more, whose loss has been computed before")
        };
        for (group, [_, other]) in halves {
            let (phi, epsilon) = (&self.nets.phi, self.config.lr_ssl);
            let z =
                lookahead_affinity(phi, epsilon, |_| true, |p| loss(p, task), |p| loss(p, other));
            if let Some(of_group) = sweep.groups.get_mut(group).filter(|_| z.is_finite()) {
                of_group.affinity.add(f64::from(z));
            }
        }
    }

    /// Goes over the memory once, without augmentation: what the head takes, and the supervised
    /// loss and the slow features of every group that the look has found.
    pub(crate) fn go_over(&self, sweep: &mut Sweep, host: &mut Host<'_>) -> Result<()> {
        let mut memory = host.iterate(&Iterate {
            source: Source::Memory,
            filter: Filter::All,
            profile: Profile::None,
            batch: ROWS_AT_ONCE,
            epochs: 1,
            shuffled: false,
            columns: Vec::new(),
        })?;
        while let Some(batch) = memory.next()? {
            let x = rows(&[batch.inputs()], self.width, &self.device);
            let slow = self.slow_then_and_now(&x)?;
            let features = self.nets.clone().features(x, Mode::Eval, None)?;
            let sum = features.clone().transpose().matmul(features.clone());
            sweep.of_head = Some(match sweep.of_head.take() {
                Some(before) => before + sum,
                None => sum,
            });
            let logits = self.own_of_batch(&batch)?.restrict(self.nets.head.forward(features));
            let log_p = losses::label_log_probability(logits, self.labels(&[&batch]));
            let log_p = log_p.into_data();
            let experiences = self.experiences(&batch)?.iter();
            for (row, (experience, log_p)) in experiences.zip(log_p.iter::<f32>()).enumerate() {
                let group = self.config.matrix_group(*experience)?;
                let Some(of_group) = sweep.groups.get_mut(&group) else { continue };
                of_group.loss_sup.add(-f64::from(log_p));
                for (all, of_batch) in of_group.features.iter_mut().zip(&slow) {
                    all.extend(of_batch.chunks(self.units()).nth(row).into_iter().flatten());
                }
            }
        }
        Ok(())
    }

    /// Features of the slow network as it was at the last boundary, nothing at the first, and as it
    /// is.
    fn slow_then_and_now(&self, x: &Tensor<2>) -> Result<[Vec<f32>; 2]> {
        let features =
            |mut nets: Nets| Ok::<_, Error>(numbers(&nets.slow_features(x.clone(), Mode::Eval)?));
        let before = self.matrix.as_ref().and_then(|matrix| matrix.before.clone());
        let then = before.map(|slow| {
            let phi = Phi { slow, ..self.nets.phi.clone() };
            features(Nets { phi, ..self.nets.clone() })
        });
        Ok([then.transpose()?.unwrap_or_default(), features(self.nets.clone())?])
    }

    /// D.
    fn units(&self) -> usize {
        self.nets.head.inputs()
    }
}

impl OfGroup {
    fn new(width: usize, rho: f32) -> Self {
        let none = Mean::default();
        OfGroup {
            halves: CorrelationHalves::new(width, rho),
            units: RunningMean::new(rho),
            loss_bt: none,
            affinity: none,
            loss_sup: none,
            features: Default::default(),
        }
    }
}
