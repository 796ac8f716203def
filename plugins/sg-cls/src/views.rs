//! What can be scored: the working network, every memory, the average over all groups, the memories
//! mixed by the probability of their groups, and the mean of the last two.

use perdura_nn::similarity::{ClassMeans, group_probabilities, mix};
use perdura_sdk::prelude::*;
use std::collections::BTreeMap;

use crate::config::{Config, Inference};
use crate::method::SgCls;

/// The result first.
pub fn declared(config: &Config) -> Vec<View> {
    let mut names: Vec<&str> = vec!["mixture"];
    if config.has_global() {
        names.extend(["global", "mean"]);
    }
    let headline = match config.inference {
        Inference::Global => "global",
        Inference::Mixture => "mixture",
        Inference::Mean => "mean",
    };
    names.sort_by_key(|name| *name != headline);
    names.push("working");
    let view = |name: &str, needs, until_opened| View { name: name.into(), needs, until_opened };
    let mut views: Vec<View> =
        names.into_iter().map(|name| view(name, ViewNeeds::Nothing, false)).collect();
    let groups = (0..config.groups_max).map(|g| view(&group_name(g), ViewNeeds::Nothing, true));
    views.extend(groups);
    if config.oracle_view {
        views.push(view("oracle-mixture", ViewNeeds::TrueGroup, false));
    }
    views
}

fn group_name(group: usize) -> String {
    format!("group-{group}")
}

/// What was found for the rows that were asked about last. All views are asked about the same rows, one
/// after the other, and most of them are made of the same networks: each answers once.
#[derive(Debug, Default)]
pub struct Asked {
    inputs: Vec<f32>,
    /// Logits `[n, classes]` by network.
    logits: BTreeMap<Who, Vec<f32>>,
    /// π, `[n, open groups]`.
    pi: Option<Vec<f32>>,
}

/// A network that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Working,
    Global,
    Group(usize),
}

impl SgCls {
    /// Logits of a view. Before any group is open, those of all groups together are the working
    /// network's.
    pub(crate) fn answer(&mut self, query: &Query<'_>, out: &mut Logits<'_>) -> Result<()> {
        if self.asked.inputs != query.inputs {
            self.asked = Asked { inputs: query.inputs.to_vec(), ..Asked::default() };
        }
        let rows = query.len;
        match query.view {
            "working" => out.write(self.logits(Who::Working, rows)),
            "global" => out.write(self.logits(Who::Global, rows)),
            "mixture" => {
                let pi = self.probabilities(rows);
                out.write(&self.mixture(rows, &pi));
            }
            "oracle-mixture" => {
                let pi = self.true_shares(query)?;
                out.write(&self.mixture(rows, &pi));
            }
            "mean" => {
                let pi = self.probabilities(rows);
                let both = [self.logits(Who::Global, rows).to_vec(), self.mixture(rows, &pi)];
                out.write(&mix(&vec![0.5; 2 * rows], &both, self.classes));
            }
            name => {
                let groups = (0..self.config.groups_max).find(|&g| group_name(g) == name);
                let group =
                    groups.ok_or_else(|| Error::new(format!("no view is called `{name}`")))?;
                match self.memories.get(group).is_some() {
                    true => out.write(self.logits(Who::Group(group), rows)),
                    false => out.not_open(),
                }
            }
        }
        Ok(())
    }

    /// What a network says to the rows in question.
    fn logits(&mut self, who: Who, rows: usize) -> &[f32] {
        let network = match who {
            Who::Working => Some(&self.working),
            Who::Global => self.global.as_ref(),
            Who::Group(group) => self.memories.get(group).map(|memory| &memory.average),
        };
        let (network, inputs) = (network.unwrap_or(&self.working), &self.asked.inputs);
        self.asked.logits.entry(who).or_insert_with(|| {
            let mut logits = vec![0.0; rows * self.classes];
            network.predict(inputs, &mut logits);
            logits
        })
    }

    /// `log Σ_g π_g σ(f(x; θ_g))`.
    fn mixture(&mut self, rows: usize, pi: &[f32]) -> Vec<f32> {
        let open = self.memories.open();
        if open.is_empty() {
            return self.logits(Who::Working, rows).to_vec();
        }
        let logits = open.into_iter().map(|g| self.logits(Who::Group(g), rows).to_vec());
        let logits: Vec<Vec<f32>> = logits.collect();
        mix(pi, &logits, self.classes)
    }

    /// π, `[n, open groups]`.
    fn probabilities(&mut self, rows: usize) -> Vec<f32> {
        if let Some(pi) = &self.asked.pi {
            return pi.clone();
        }
        let means: Vec<&ClassMeans> = self.memories.iter().map(|(_, m)| &m.means).collect();
        let features = self.prototype_features(&self.asked.inputs, &vec![0; rows]);
        let pi = group_probabilities(&features.values, &means, self.config.temperature as f32);
        self.asked.pi.insert(pi).clone()
    }

    /// All for the true group, by its number; where that group is not open, π.
    fn true_shares(&mut self, query: &Query<'_>) -> Result<Vec<f32>> {
        let told = query.groups.ok_or_else(|| Error::new("the true groups were not told"))?;
        let open = self.memories.open();
        let mut pi = self.probabilities(query.len);
        for (shares, group) in pi.chunks_exact_mut(open.len().max(1)).zip(told) {
            if let Some(place) = open.iter().position(|&g| g == *group as usize) {
                shares.fill(0.0);
                shares[place] = 1.0;
            }
        }
        Ok(pi)
    }
}

#[cfg(test)]
#[path = "views_tests.rs"]
mod tests;
