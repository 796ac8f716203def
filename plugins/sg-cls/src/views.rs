//! What can be scored: the working network, every memory, the average over all groups, the memories
//! mixed by the probability of their groups, and the mean of the last two.

use perdura_nn::similarity::{ClassMeans, group_probabilities, mix};
use perdura_sdk::prelude::*;

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

impl SgCls {
    /// Logits of a view. Before any group is open, those of all groups together are the working
    /// network's.
    pub(crate) fn answer(&self, query: &Query<'_>, out: &mut Logits<'_>) -> Result<()> {
        let global = self.global.as_ref().unwrap_or(&self.working);
        match query.view {
            "working" => self.working.predict(query.inputs, out.as_mut_slice()),
            "global" => global.predict(query.inputs, out.as_mut_slice()),
            "mixture" => out.write(&self.mixture(query, &self.probabilities(query))),
            "oracle-mixture" => out.write(&self.mixture(query, &self.true_shares(query)?)),
            "mean" => {
                let mut of_global = vec![0.0; query.len * self.classes];
                global.predict(query.inputs, &mut of_global);
                let both = [of_global, self.mixture(query, &self.probabilities(query))];
                out.write(&mix(&vec![0.5; 2 * query.len], &both, self.classes));
            }
            name => {
                let groups = (0..self.config.groups_max).find(|&g| group_name(g) == name);
                let group =
                    groups.ok_or_else(|| Error::new(format!("no view is called `{name}`")))?;
                match self.memories.get(group) {
                    Some(memory) => memory.average.predict(query.inputs, out.as_mut_slice()),
                    None => out.not_open(),
                }
            }
        }
        Ok(())
    }

    /// `log Σ_g π_g σ(f(x; θ_g))`.
    fn mixture(&self, query: &Query<'_>, pi: &[f32]) -> Vec<f32> {
        let mut logits: Vec<Vec<f32>> = Vec::new();
        for (_, memory) in self.memories.iter() {
            let mut of_group = vec![0.0; query.len * self.classes];
            memory.average.predict(query.inputs, &mut of_group);
            logits.push(of_group);
        }
        if logits.is_empty() {
            let mut alone = vec![0.0; query.len * self.classes];
            self.working.predict(query.inputs, &mut alone);
            return alone;
        }
        mix(pi, &logits, self.classes)
    }

    /// π, `[n, open groups]`.
    fn probabilities(&self, query: &Query<'_>) -> Vec<f32> {
        let means: Vec<&ClassMeans> = self.memories.iter().map(|(_, m)| &m.means).collect();
        let features = self.prototype_features(query.inputs, &vec![0; query.len]);
        group_probabilities(&features.values, &means, self.config.temperature as f32)
    }

    /// All for the true group, by its number; where that group is not open, π.
    fn true_shares(&self, query: &Query<'_>) -> Result<Vec<f32>> {
        let told = query.groups.ok_or_else(|| Error::new("the true groups were not told"))?;
        let open = self.memories.open();
        let mut pi = self.probabilities(query);
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
