//! Batches of which the group is not decided yet, for streams whose experiences cannot be looked
//! through before they are learned.

use perdura_sdk::{Result, Rows, StateReader, StateWriter};
use std::collections::{BTreeSet, VecDeque};

use super::Samples;

/// Batches, oldest first, that wait to be counted in for a group.
#[derive(Clone, Debug, Default)]
pub struct Window {
    batches: VecDeque<(Samples, Vec<u64>)>,
}

impl Window {
    /// Takes a batch in.
    pub fn push(&mut self, rows: &Rows<'_>, width: usize) {
        let (values, labels) = (rows.inputs().to_vec(), rows.labels().to_vec());
        self.batches.push_back((Samples { values, width, labels }, rows.uids().to_vec()));
    }

    /// Gives away all batches but the newest `keep`, oldest first.
    pub fn release(&mut self, keep: usize) -> Vec<Samples> {
        let away = self.batches.len().saturating_sub(keep);
        self.batches.drain(..away).map(|(samples, _)| samples).collect()
    }

    /// Batches held.
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The newest samples of the newest `batches`, at most `count`.
    pub fn probe(&self, batches: usize, count: usize) -> Samples {
        let mut all = Samples::default();
        for (samples, _) in self.batches.range(self.batches.len().saturating_sub(batches)..) {
            all.width = samples.width;
            all.extend(&samples.values, &samples.labels);
        }
        let newest: Vec<usize> = (all.len().saturating_sub(count)..all.len()).collect();
        all.select(&newest)
    }

    /// Identities of all samples.
    pub fn uids(&self) -> BTreeSet<u64> {
        self.batches.iter().flat_map(|(_, uids)| uids).copied().collect()
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        let of = |(s, uids): &(Samples, Vec<u64>)| {
            s.values.len() * size_of::<f32>()
                + s.labels.len() * size_of::<u32>()
                + uids.len() * size_of::<u64>()
        };
        self.batches.iter().map(of).sum::<usize>() as u64
    }

    /// Into a learner's state; a learner has one window.
    pub fn save(&self, out: &mut StateWriter) -> Result<()> {
        let labels: Vec<&[u32]> = self.batches.iter().map(|(s, _)| s.labels.as_slice()).collect();
        let uids: Vec<&[u64]> = self.batches.iter().map(|(_, u)| u.as_slice()).collect();
        out.value("window_labels", &labels)?;
        out.value("window_uids", &uids)?;
        for (number, (samples, _)) in self.batches.iter().enumerate() {
            let shape = [samples.len(), samples.width];
            out.tensor(&format!("window.{number}"), &shape, &samples.values)?;
        }
        Ok(())
    }

    /// What [`save`](Self::save) wrote, of inputs of this width.
    pub fn load(saved: &mut StateReader, width: usize) -> Result<Window> {
        let labels: Vec<Vec<u32>> = saved.value("window_labels")?;
        let uids: Vec<Vec<u64>> = saved.value("window_uids")?;
        let mut window = Window::default();
        for (number, (labels, uids)) in labels.into_iter().zip(uids).enumerate() {
            let values = saved.tensor(&format!("window.{number}"), &[labels.len(), width])?;
            window.batches.push_back((Samples { values, width, labels }, uids));
        }
        Ok(window)
    }
}
