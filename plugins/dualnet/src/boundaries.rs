//! When the memory is looked at, and what follows: the switches of `matrix.rs` in the life of a
//! learner.

use perdura_nn::matrix::importance;
use perdura_nn::plasticity::Plasticity;
use perdura_nn::similarity::{
    Decision, GroupSimilarities, Leader, Link, correlation_similarity, linear_cka,
};
use perdura_sdk::{Error, prelude::*, serde_json, serde_json::json};

use crate::matrix::Matrix;
use crate::method::DualNet;
use crate::sweep::{OfGroup, Sweep};

impl DualNet {
    /// At the beginning of an experience: whose it is, and the rates that follow from it.
    pub(crate) fn open_matrix(&mut self, info: &Experience) -> Result<()> {
        let Some(matrix) = &mut self.matrix else { return Ok(()) };
        let untold = || Error::new("matrices need the number of every experience");
        let index = info.index.ok_or_else(untold)?;
        if self.config.looks() && info.memory_samples_max.is_none_or(|most| most == 0) {
            let name = self.config.matrix_switches().pop().unwrap_or_default();
            let expected = "off in a run without a memory, which is what it looks at";
            return Err(Error::config(name, expected, "on"));
        }
        matrix.enter(self.config.matrix_group(index)?);
        matrix.pace(&self.config);
        Ok(())
    }

    /// After a step: once there is something of the experience in the memory, it is compared with
    /// the groups before it.
    pub(crate) fn probe_matrix(&mut self, host: &mut Host<'_>) -> Result<()> {
        let Some(matrix) = &mut self.matrix else { return Ok(()) };
        let at = matrix.count_step();
        let paced = self.config.unit_roles != Plasticity::None;
        if !paced || at != self.config.matrix_window || !matrix.has_owners() {
            return Ok(());
        }
        let (gamma, known) = (matrix.gamma(), matrix.groups().len());
        let sweep = self.look(gamma, known, host)?;
        if let Some(matrix) = &mut self.matrix {
            matrix.known = sweep.clipped();
            matrix.pace(&self.config);
        }
        Ok(())
    }

    /// At the end of an experience.
    pub(crate) fn close_matrix(&mut self, host: &mut Host<'_>) -> Result<()> {
        let Some(matrix) = &mut self.matrix else { return Ok(()) };
        matrix.anchor();
        if !self.config.looks() {
            return Ok(());
        }
        let (gamma, known) = (matrix.gamma(), matrix.groups().len());
        let mut sweep = self.look(gamma, known, host)?;
        if self.config.project > 0.0 || self.config.matrix_losses {
            self.go_over(&mut sweep, host)?;
        }
        if self.config.matrix_losses {
            host.report_event("matrix_losses", sweep.losses(gamma))?;
        }
        let Some(matrix) = &mut self.matrix else { return Ok(()) };
        matrix.before = self.config.matrix_losses.then(|| self.nets.phi.slow.clone());
        if self.config.project > 0.0 {
            matrix.protect(&sweep, self.config.project);
        }
        if self.config.unit_roles != Plasticity::None {
            for (group, of_group) in &sweep.groups {
                matrix.roles.insert(*group, importance(of_group.units.values(), matrix.units));
            }
            matrix.known = sweep.clipped();
        }
        if self.config.matrix_similarity {
            tell(matrix, &sweep, self.config.matrix_groups.is_empty(), self.config.leader(), host)?;
        }
        Ok(())
    }
}

impl OfGroup {
    /// `1 − CKA` of the slow features at the last boundary and now; `None` at the first, and where
    /// features are constant.
    fn drift(&self) -> Option<f64> {
        let [then, now] = &self.features;
        let width = self.halves.width();
        let drift = || 1.0 - f64::from(linear_cka(then, width, now, width));
        (!then.is_empty()).then(drift).filter(|drift| drift.is_finite())
    }
}

impl Sweep {
    /// S-BT of two groups; 0 where one of them was not seen, and where it is no number.
    fn similarity(&self, i: usize, j: usize) -> f32 {
        let both = self.groups.get(&i).zip(self.groups.get(&j));
        let similarity = both.map(|(i, j)| correlation_similarity(&i.halves, &j.halves));
        similarity.filter(|s| s.is_finite()).unwrap_or(0.0)
    }

    /// S-BT of all pairs, in [0, 1].
    fn clipped(&self) -> GroupSimilarities {
        let mut known = GroupSimilarities::default();
        for i in self.groups.keys() {
            for j in self.groups.keys().filter(|j| *j > i) {
                known.record(*i, *j, self.similarity(*i, *j).clamp(0.0, 1.0));
            }
        }
        known
    }

    /// `(L_sup,g, L_BT,g)`, `Z^BT` of γ to g and the drift of the slow features, for every group g.
    fn losses(&self, gamma: usize) -> serde_json::Value {
        let of_group = |(group, of): (&usize, &OfGroup)| {
            json!({
                "group": group,
                "loss_sup": of.loss_sup.get(),
                "loss_bt": of.loss_bt.get(),
                "affinity": of.affinity.get(),
                "drift": of.drift(),
            })
        };
        json!({ "group": gamma, "groups": self.groups.iter().map(of_group).collect::<Vec<_>>() })
    }
}

/// Tells S-BT of all pairs of groups, and the group that γ is of: where every experience is one,
/// that of the leader rule by the mean similarity to those that were told to be of it.
fn tell(
    matrix: &mut Matrix,
    sweep: &Sweep,
    find: bool,
    leader: Leader,
    host: &mut Host<'_>,
) -> Result<()> {
    let gamma = matrix.gamma();
    let groups: Vec<usize> = sweep.groups.keys().copied().collect();
    let row = |i: &usize| groups.iter().map(|j| sweep.similarity(*i, *j)).collect::<Vec<f32>>();
    let rows: Vec<Vec<f32>> = groups.iter().map(row).collect();
    host.report_event("matrix_similarity", json!({ "groups": groups, "similarity": rows }))?;
    let to = |group: usize| (group as u32, sweep.similarity(gamma, group));
    let (group, similarities) = match find {
        false => (gamma as u32, groups.iter().copied().map(to).collect()),
        true => {
            let scores = matrix.scores(|other| sweep.similarity(gamma, other));
            let group = match leader.decide(&scores) {
                Decision::Join(group) | Decision::Full(group) => group,
                Decision::Open => scores.len(),
            };
            matrix.found.push((gamma, group));
            (group as u32, scores.into_iter().map(|(group, s)| (group as u32, s)).collect())
        }
    };
    host.report_growth(&GrowthEvent::Grouped { group, similarities })
}

impl Matrix {
    /// The mean similarity to the experiences of every group that was found, in the order of their
    /// numbers.
    fn scores(&self, similarity: impl Fn(usize) -> f32) -> Vec<(usize, f32)> {
        let count = self.found.iter().map(|(_, group)| group + 1).max().unwrap_or(0);
        let score = |group: usize| {
            let members = self.found.iter().filter(|(_, of)| *of == group);
            Link::Mean.of(&members.map(|(member, _)| similarity(*member)).collect::<Vec<_>>())
        };
        (0..count).map(|group| (group, score(group))).collect()
    }
}
