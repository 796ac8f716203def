//! Decisions that come after the fact. Where an experience cannot be looked through, its first
//! batches are learned as the group before and wait; when they are decided they are counted in for
//! their group, once, and what they brought into the replay memory is relabelled. Where boundaries
//! are hidden a change must be confirmed by several windows in a row, all of which wait until then.

use perdura_nn::similarity::Decision;
use perdura_sdk::{Rng, prelude::*};

use crate::method::SgCls;

impl SgCls {
    /// Takes in a batch of which the group is not known yet; a full window is looked back at.
    pub(crate) fn wait(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<()> {
        self.window.push(&step.current, self.width());
        let waiting = self.hysteresis.waiting() * self.config.window;
        match self.window.len() - waiting == self.config.window {
            true => {
                let index = step.position.map(|position| position.experience);
                self.look_back(index, &mut step.call.rng("similarity"), host)
            }
            false => Ok(()),
        }
    }

    /// Measures the newest window, decides and acts. What is in doubt goes on waiting.
    pub(crate) fn look_back(
        &mut self,
        index: Option<u32>,
        rng: &mut Rng,
        host: &mut Host<'_>,
    ) -> Result<()> {
        let hidden = !self.grants.boundaries;
        self.decided = !hidden;
        if self.memories.iter().all(|(_, memory)| memory.samples == 0) {
            // The first group opened for the first window: there is nothing to compare it with.
            self.settle(0);
            return Ok(());
        }
        let probe = self.window.probe(self.config.window, self.config.probe);
        let scores = self.scores(&probe, host, rng)?;
        let given = self.given_group(index)?;
        let decision = self.decide(given, &scores)?;
        let confirmed = match hidden {
            true => self.hysteresis.confirmed(decision, self.current),
            false => Some(decision),
        };
        if let Some(decision) = confirmed {
            let stays = decision == Decision::Join(self.current);
            self.act(decision, given, &scores, host)?;
            if !stays {
                self.relabel_window(host)?;
            }
        }
        self.settle(self.hysteresis.waiting() * self.config.window);
        Ok(())
    }

    /// Counts the waiting batches in for the current group, all but the newest `keep`.
    pub(crate) fn settle(&mut self, keep: usize) {
        for batch in self.window.release(keep) {
            self.count(&batch.values, &batch.labels);
        }
    }

    /// What the window brought into the memory is of the current group.
    fn relabel_window(&self, host: &mut Host<'_>) -> Result<()> {
        let recent = self.window.uids();
        let held = self.held(Filter::All, host)?;
        let places = held.slots.into_iter().zip(held.uids);
        let (slots, uids): (Vec<u32>, Vec<u64>) =
            places.filter(|(_, uid)| recent.contains(uid)).unzip();
        host.relabel(&slots, &uids, &vec![self.current as u32; slots.len()])
    }
}

#[cfg(test)]
#[path = "late_tests.rs"]
mod tests;
