//! Batches whose rows are of several groups: each row under the masks, and normalised among the
//! rows, of its own group.

use std::collections::BTreeMap;

use burn::tensor::{Int, Tensor, TensorData};
use perdura_sdk::{Result, StateReader, StateWriter};

use super::embeddings::Embeddings;
use super::forward::{RowMasks, forward};
use super::statistics::Statistics;
use crate::batch_norm::Mode;
use crate::net::Net;

/// Running statistics of one network, group by group.
#[derive(Clone, Debug)]
pub struct GroupStatistics {
    fresh: Statistics,
    groups: BTreeMap<usize, Statistics>,
}

impl GroupStatistics {
    /// A group begins with the statistics that `net` has now.
    pub fn of(net: &Net) -> Self {
        GroupStatistics { fresh: Statistics::of(net), groups: BTreeMap::new() }
    }

    /// Puts a group's into the network.
    pub fn enter(&self, group: usize, net: &mut Net) {
        self.groups.get(&group).unwrap_or(&self.fresh).enter(net);
    }

    fn keep(&mut self, group: usize, net: &Net) {
        self.groups.insert(group, Statistics::of(net));
    }

    /// Numbers held, f32.
    pub fn count(&self) -> usize {
        self.groups.values().map(Statistics::count).sum()
    }

    /// As `<prefix><group>.<number>`, and the value `<prefix>groups`.
    pub fn save(&self, prefix: &str, out: &mut StateWriter) -> Result<()> {
        let groups: Vec<usize> = self.groups.keys().copied().collect();
        out.value(&format!("{prefix}groups"), &groups)?;
        let mut all = self.groups.iter();
        all.try_for_each(|(group, of)| of.save(&format!("{prefix}{group}."), out))
    }

    /// What [`save`](Self::save) wrote with the same prefix.
    pub fn load(&mut self, prefix: &str, saved: &mut StateReader) -> Result<()> {
        let groups: Vec<usize> = saved.value(&format!("{prefix}groups"))?;
        self.groups.clear();
        for group in groups {
            let mut statistics = self.fresh.clone();
            statistics.load(&format!("{prefix}{group}."), saved)?;
            self.groups.insert(group, statistics);
        }
        Ok(())
    }
}

/// Whose the rows of a batch are.
#[derive(Clone, Debug)]
pub struct GroupRows {
    /// Group and masks of each that may occur.
    pub groups: Vec<(usize, Vec<Tensor<1>>)>,
    /// For every row the place of its group in `groups`.
    pub places: Vec<usize>,
}

impl GroupRows {
    /// Some of the rows.
    pub fn narrow(&self, start: usize, count: usize) -> GroupRows {
        let places = self.places[start..][..count].to_vec();
        GroupRows { groups: self.groups.clone(), places }
    }

    /// The group at hand, the first, under masks that are being learned at scale s.
    pub fn learned(&self, learned: Option<(&Embeddings, f64)>) -> GroupRows {
        let mut rows = self.clone();
        if let Some((e, s)) = learned {
            rows.groups[0].1 = e.masks(s);
        }
        rows
    }

    /// `[n, inputs]` to logits `[n, classes]`, in the order of the rows. Without batch
    /// normalisation that is one pass, with it one for each group that occurs, whose statistics
    /// move in `Mode::Train`; a group with too few rows to be normalised is an error.
    pub fn forward(
        &self,
        net: &mut Net,
        statistics: &mut GroupStatistics,
        x: Tensor<2>,
        mode: Mode,
    ) -> Result<Tensor<2>> {
        if !net.normalises_batches() {
            return forward(net, x, &self.masks(), mode);
        }
        let (mut order, mut answers) = (Vec::new(), Vec::new());
        for (place, (group, masks)) in self.groups.iter().enumerate() {
            let rows: Vec<usize> =
                (0..self.places.len()).filter(|&row| self.places[row] == place).collect();
            if rows.is_empty() {
                continue;
            }
            statistics.enter(*group, net);
            let own = x.clone().select(0, numbers(&rows, net));
            answers.push(forward(net, own, &RowMasks::same(masks.clone()), mode)?);
            if mode == Mode::Train {
                statistics.keep(*group, net);
            }
            order.extend(rows);
        }
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &row)| places[row] = place);
        Ok(Tensor::cat(answers, 0).select(0, numbers(&places, net)))
    }

    /// The masks of every row.
    pub fn masks(&self) -> RowMasks {
        match self.groups.as_slice() {
            [(_, only)] => RowMasks::same(only.clone()),
            groups => {
                let masks: Vec<Vec<Tensor<1>>> = groups.iter().map(|(_, m)| m.clone()).collect();
                RowMasks::by_row(&masks, &self.places)
            }
        }
    }
}

fn numbers(rows: &[usize], net: &Net) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), net.device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::masks::GroupMasks;
    use crate::{BackboneConfig, BackboneKind, NetShape, Network, losses};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn net(kind: BackboneKind) -> Net {
        let backbone = BackboneConfig { kind, hidden: vec![6, 5], width: 2 };
        let shape = NetShape { backbone, input: vec![1, 8, 8], classes: 3 };
        let device = crate::device("flex", 0).unwrap();
        Net::new(&shape, &mut ChaCha8Rng::seed_from_u64(1), &device).unwrap()
    }

    fn rows(net: &Net, places: &[usize]) -> GroupRows {
        let mut masks = GroupMasks::new(net, 400.0).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for group in [3, 8] {
            masks.open(group, net.device(), 0.0, &mut rng);
        }
        let groups = [3, 8].map(|group| (group, masks.hard(group).unwrap()));
        GroupRows { groups: groups.into(), places: places.to_vec() }
    }

    fn values(t: Tensor<2>) -> Vec<f32> {
        t.into_data().iter::<f32>().collect()
    }

    /// Rows of two groups in turn: each is answered as among its own alone, statistics of its own
    /// included, and what is trained of one group leaves the statistics of the other.
    #[test]
    fn rows_are_normalised_among_their_own() {
        for kind in [BackboneKind::Mlp, BackboneKind::Resnet18] {
            let mut net = net(kind);
            let mut statistics = GroupStatistics::of(&net);
            let inputs: Vec<f32> = (0..6 * 64).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
            let (x, mixed) = (net.rows(&[&inputs]), rows(&net, &[0, 1, 0, 1, 1, 0]));
            let logits =
                values(mixed.forward(&mut net, &mut statistics, x.clone(), Mode::Train).unwrap());
            for (place, own) in [(0, [0, 2, 5]), (1, [1, 3, 4])] {
                let mut alone = GroupStatistics::of(&super::tests::net(kind));
                let own_rows = GroupRows { places: vec![place; 3], ..mixed.clone() };
                let own_x = x.clone().select(0, numbers(&own, &net));
                let found =
                    values(own_rows.forward(&mut net, &mut alone, own_x, Mode::Train).unwrap());
                for (i, row) in own.into_iter().enumerate() {
                    let (a, b) = (&found[3 * i..][..3], &logits[3 * row..][..3]);
                    let near = a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
                    assert!(near, "{kind:?}, row {row}: {a:?} {b:?}");
                }
            }
            let saved = |statistics: &GroupStatistics| {
                let mut out = StateWriter::new();
                statistics.save("working.", &mut out).unwrap();
                out.into_bytes().unwrap()
            };
            let before = saved(&statistics);
            let mut again = GroupStatistics::of(&net);
            again.load("working.", &mut StateReader::from_bytes(&before).unwrap()).unwrap();
            assert_eq!(saved(&again), before);
            let first = mixed.narrow(0, 1);
            assert_eq!(first.places, [0]);
            let other = GroupRows { places: vec![1; 6], ..mixed.clone() };
            other.forward(&mut net, &mut statistics, x, Mode::Train).unwrap();
            let of = |statistics: &GroupStatistics| {
                let mut net = net.clone();
                statistics.enter(3, &mut net);
                let mut out = StateWriter::new();
                Statistics::of(&net).save("", &mut out).unwrap();
                out.into_bytes().unwrap()
            };
            assert_eq!(of(&statistics), of(&again), "{kind:?}");
            assert_eq!(saved(&statistics) != before, kind == BackboneKind::Resnet18);
        }
    }

    /// Gradients flow through the parts of a mixed batch.
    #[test]
    fn mixed_batches_are_differentiable() {
        for kind in [BackboneKind::Mlp, BackboneKind::Resnet18] {
            let mut net = net(kind);
            let mut statistics = GroupStatistics::of(&net);
            let inputs: Vec<f32> = (0..4 * 64).map(|i| (i * 53 % 89) as f32 / 89.0).collect();
            let (x, y) = (net.rows(&[&inputs]), net.labels(&[&[0, 1, 2, 1]]));
            let rows = rows(&net, &[0, 1, 1, 0]);
            let mut seen: Vec<f32> = Vec::new();
            for _ in 0..10 {
                let mut tracked = net.tracked();
                let logits =
                    rows.forward(&mut tracked, &mut statistics, x.clone(), Mode::Train).unwrap();
                let loss = losses::cross_entropy(logits, y.clone());
                seen.push(loss.clone().into_scalar());
                net.descend(&tracked, loss.backward(), 0.01);
            }
            assert!(seen[9] < 0.95 * seen[0], "{kind:?}: {seen:?}");
        }
    }
}
