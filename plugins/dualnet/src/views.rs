//! What is answered outside of training: under the masks of the groups that a sample may be of,
//! mixed by their probabilities (algorithms 3.0.5).

use burn::tensor::Tensor;
use perdura_nn::masks::RowMasks;
use perdura_nn::similarity::mix;
use perdura_nn::{copy_out, rows};
use perdura_sdk::{Error, Query, Result, Rows};

use crate::groups::{Groups, ORACLE};
use crate::masked::{Masked, StageMasks};
use crate::method::DualNet;
use crate::nets::Nets;
use crate::targets::Own;

impl DualNet {
    /// Logits `[n, C]` of `n` rows of a query from `first` on, restricted to the classes `own`.
    /// With masks `log Σ_g π_g σ(f(x; A_g))`, of a single group its logits, so that masks of 1 are
    /// no masks.
    pub(crate) fn answer_rows(
        &self,
        query: &Query<'_>,
        first: usize,
        inputs: &[f32],
        own: &Own,
    ) -> Result<Tensor<2>> {
        let x = rows(&[inputs], self.width, &self.device);
        let Some((groups, masked)) = self.open_masks() else {
            return Ok(own.restrict(self.nets.forward(x)));
        };
        let answer = |group: usize| {
            let mut nets = self.nets.clone();
            nets.masks = self.hard_masks(masked, group);
            own.restrict(nets.forward(x.clone()))
        };
        if let [only] = groups.open() {
            return Ok(answer(*only));
        }
        let told = match query.view {
            ORACLE => {
                let untold = || Error::new("the true groups were not told");
                Some(&query.groups.ok_or_else(untold)?[first..])
            }
            _ => None,
        };
        let pi = self.shares(groups, inputs, told);
        let numbers = |group: &usize| {
            let logits = answer(*group);
            let mut values = vec![0.0; logits.dims().iter().product()];
            copy_out(logits, &mut values);
            values
        };
        let logits: Vec<Vec<f32>> = groups.open().iter().map(numbers).collect();
        let mixed = mix(&pi, &logits, self.classes);
        Ok(own.restrict(rows(&[&mixed], self.classes, &self.device)))
    }

    /// π, `[n, open groups]`: from the nearest class mean; all for the true group where that is
    /// told, by its number, and open.
    fn shares(&self, groups: &Groups, inputs: &[f32], told: Option<&[u32]>) -> Vec<f32> {
        let temperature = self.config.temperature as f32;
        let mut pi = groups.guide.discovery.probabilities(inputs, temperature);
        let open = groups.open();
        for (shares, group) in pi.chunks_exact_mut(open.len()).zip(told.unwrap_or_default()) {
            if let Some(place) = open.iter().position(|&g| g == *group as usize) {
                shares.fill(0.0);
                shares[place] = 1.0;
            }
        }
        pi
    }

    /// The networks as they answer for samples of the memory, each under its own group's masks.
    pub(crate) fn nets_for(&self, batch: &Rows<'_>) -> Nets {
        let mut nets = self.nets.clone();
        if let Some((groups, masked)) = self.open_masks() {
            let here = groups.guide.discovery.current();
            let numbers = groups.guide.discovery.of_rows(batch);
            let fixed = masked.lesson.answering(here, None);
            let rows = masked.lesson.rows(here, &numbers, fixed);
            nets.masks = Some(self.config.mask_site.stages(rows.masks()));
        }
        nets
    }

    fn open_masks(&self) -> Option<(&Groups, &Masked)> {
        let groups = self.groups.as_ref().filter(|groups| !groups.open().is_empty())?;
        Some((groups, groups.masked.as_ref()?))
    }

    /// `None` for a group that is open and was never learned: it is answered without masks.
    fn hard_masks(&self, masked: &Masked, group: usize) -> Option<StageMasks> {
        let hard = masked.lesson.masks.hard(group)?;
        Some(self.config.mask_site.stages(RowMasks::same(hard)))
    }
}
