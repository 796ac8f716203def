//! What can be scored: the three networks; with masks, each under the masks of the groups that a
//! sample may be of, mixed by their probabilities.

use perdura_nn::Net;
use perdura_nn::similarity::mix;
use perdura_sdk::prelude::*;

use crate::config::{Config, Masks};
use crate::groups::{Groups, Masked};
use crate::method::ClsEr;

/// The view that is told the true group.
const ORACLE: &str = "oracle-stable";

/// What groups add to a declaration.
pub(crate) fn with_groups(declaration: Declaration, config: &Config) -> Declaration {
    let declaration = declaration.uses_memory();
    if config.masks == Masks::None {
        return declaration;
    }
    let declaration = declaration.scalar("capacity");
    match config.oracle_view {
        false => declaration,
        true => {
            let (name, needs) = (ORACLE.into(), ViewNeeds::TrueGroup);
            declaration.special_view(View { name, needs, until_opened: false })
        }
    }
}

impl ClsEr {
    /// Logits of a view.
    pub(crate) fn answer(&self, query: &Query<'_>, out: &mut Logits<'_>) -> Result<()> {
        // Networks in the order of their statistics.
        let (net, place) = match query.view {
            "working" => (&self.working, 0),
            "plastic" => (&self.plastic, 1),
            "stable" => (&self.stable, 2),
            ORACLE if self.config.oracle_view => (&self.stable, 2),
            other => return Err(Error::new(format!("no view is called `{other}`"))),
        };
        let grouped = self.groups.as_ref().and_then(|g| Some((g, g.masked.as_ref()?)));
        let Some((groups, masked)) = grouped.filter(|(g, _)| !g.open().is_empty()) else {
            net.predict(query.inputs, out.as_mut_slice());
            return Ok(());
        };
        let told = match query.view {
            ORACLE => {
                let untold = || Error::new("the true groups were not told");
                Some(query.groups.ok_or_else(untold)?)
            }
            _ => None,
        };
        let pi = self.shares(groups, query, told);
        out.write(&mixture(groups, masked, (net, place), query, &pi));
        Ok(())
    }

    /// π, `[n, open groups]`: from the nearest class mean; all for the true group where that is
    /// told, by its number, and open.
    fn shares(&self, groups: &Groups, query: &Query<'_>, told: Option<&[u32]>) -> Vec<f32> {
        let temperature = self.config.temperature as f32;
        let mut pi = groups.guide.discovery.probabilities(query.inputs, temperature);
        let open = groups.open();
        for (shares, group) in pi.chunks_exact_mut(open.len()).zip(told.unwrap_or_default()) {
            if let Some(place) = open.iter().position(|&g| g == *group as usize) {
                shares.fill(0.0);
                shares[place] = 1.0;
            }
        }
        pi
    }
}

/// `log Σ_g π_g σ(f(x; θ, A_g))`; of one group its logits, so that masks of 1 are no masks.
fn mixture(
    groups: &Groups,
    masked: &Masked,
    (net, place): (&Net, usize),
    query: &Query<'_>,
    pi: &[f32],
) -> Vec<f32> {
    let classes = net.head.outputs();
    let answer = |group: &usize| {
        let mut logits = vec![0.0; query.len * classes];
        let Some(masks) = masked.lesson.masks.hard(*group) else {
            net.predict(query.inputs, &mut logits);
            return logits;
        };
        let mut net = net.clone();
        masked.statistics[place].enter(*group, &mut net);
        perdura_nn::masks::predict(&net, &masks, query.inputs, &mut logits);
        logits
    };
    if let [only] = groups.open() {
        return answer(only);
    }
    let logits: Vec<Vec<f32>> = groups.open().iter().map(answer).collect();
    mix(pi, &logits, classes)
}
