//! What happens at capacity: the two most similar groups become one, network, samples and all.

use perdura_nn::similarity::Samples;
use perdura_sdk::prelude::*;
use perdura_sdk::{Kept, MergeLosses};

use crate::config::GroupUpdate;
use crate::measure::loss;
use crate::memories::{averaged, kept};
use crate::method::SgCls;

/// A group's samples in the replay memory, with their slots and identities.
#[derive(Default)]
pub struct Held {
    pub samples: Samples,
    pub slots: Vec<u32>,
    pub uids: Vec<u64>,
}

impl SgCls {
    /// The two open groups of highest measured similarity, the lower number first; `None` for fewer
    /// than two.
    pub(crate) fn most_similar_pair(&self) -> Option<(usize, usize)> {
        let open = self.memories.open();
        let mut best: Option<(usize, usize)> = None;
        for (i, &a) in open.iter().enumerate() {
            for &b in &open[i + 1..] {
                let higher = |(c, d)| self.known.get(a, b) > self.known.get(c, d);
                if best.is_none_or(higher) {
                    best = Some((a, b));
                }
            }
        }
        best
    }

    /// Group `from` becomes part of `into`: its network, its samples in the memory, what is known
    /// of it.
    pub(crate) fn merge(&mut self, from: usize, into: usize, host: &mut Host<'_>) -> Result<()> {
        let mut both = self.held(Filter::Group(into as u32), host)?.samples;
        let Held { samples, slots, uids } = self.held(Filter::Group(from as u32), host)?;
        both.extend(&samples.values, &samples.labels);
        let similarity = Some(self.known.get(from, into));
        let (kept, losses) = self.merge_networks(from, into, &both);
        self.known.merge(from, into);
        host.relabel(&slots, &uids, &vec![into as u32; slots.len()])?;
        let networks = self.memories.open().len() as u32;
        let (group, into, kept) = (from as u32, into as u32, Some(kept));
        host.report_growth(&GrowthEvent::Merged { group, into, networks, similarity, kept, losses })
    }

    /// One memory of two, by their losses on the samples of both.
    fn merge_networks(
        &mut self,
        from: usize,
        into: usize,
        both: &Samples,
    ) -> (Kept, Option<MergeLosses>) {
        if self.config.group_update == GroupUpdate::Gradient {
            // It belongs to one of the groups like any other network, until it is taken back below.
            self.memories.at(self.current).trained = Some(self.working.clone());
        }
        let second = self.memories.take(from).expect("an open group");
        let first = self.memories.at(into);
        let counts = [first.samples, second.samples];
        let average = averaged(&first.average, &second.average, counts);
        let of = |net| loss(net, both).into_scalar();
        let losses = (!both.is_empty()).then(|| MergeLosses {
            average: of(&average),
            into: of(&first.average),
            group: of(&second.average),
        });
        let kept = kept(losses);
        if let (Some(a), Some(b)) = (&first.trained, &second.trained) {
            first.trained = Some(match kept {
                Kept::Average => averaged(a, b, counts),
                Kept::Into => a.clone(),
                Kept::Group => b.clone(),
            });
        }
        match kept {
            Kept::Average => first.average = average,
            Kept::Into => {}
            Kept::Group => first.average = second.average,
        }
        first.opened_at = first.opened_at.min(second.opened_at);
        first.samples += second.samples;
        first.means.merge(&second.means);
        if self.current == from {
            self.current = into;
        }
        if let Some(trained) = self.memories.at(self.current).trained.take() {
            self.working = trained;
        }
        (kept, losses)
    }

    /// Samples in the replay memory.
    pub(crate) fn held(&self, filter: Filter, host: &mut Host<'_>) -> Result<Held> {
        let samples = Samples { width: self.width(), ..Samples::default() };
        let mut held = Held { samples, ..Held::default() };
        let mut batches = host.iterate(&Iterate {
            source: Source::Memory,
            filter,
            profile: Profile::None,
            batch: 500,
            epochs: 1,
            shuffled: false,
            columns: vec![],
        })?;
        while let Some(rows) = batches.next()? {
            held.samples.extend(rows.inputs(), rows.labels());
            held.slots.extend(rows.slots().unwrap_or(&[]));
            held.uids.extend(rows.uids());
        }
        Ok(held)
    }
}

#[cfg(test)]
#[path = "merging_tests.rs"]
mod tests;
