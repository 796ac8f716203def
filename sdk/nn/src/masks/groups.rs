//! The masks of all groups: who has opened, what each of them owns, and the gate that keeps the
//! others' units as they are.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use perdura_sdk::{Error, Result, StateReader, StateWriter};
use rand::Rng;

use super::embeddings::Embeddings;
use super::layers::{Layers, Units};
use crate::net::Net;
use crate::network::{Network, Pair, for_each_pair};
use crate::state;

/// Masks of one network, by group. Groups are numbered by the learner.
#[derive(Clone, Debug)]
pub struct GroupMasks {
    s_max: f64,
    layers: Layers,
    classes: usize,
    groups: BTreeMap<usize, Group>,
}

#[derive(Clone, Debug)]
struct Group {
    embeddings: Embeddings,
    /// 1 for the outputs that the group has learned, `[classes]`.
    outputs: Vec<f32>,
}

impl GroupMasks {
    /// No group yet. A network without units to mask, and an s_max that is not above 0, are
    /// refused.
    pub fn new(net: &Net, s_max: f64) -> Result<Self> {
        GroupMasks::over(Layers::of(net)?, net.head.outputs(), s_max)
    }

    /// The same for a network that is not a [`Net`]: its layers, and the width of its logits.
    pub fn over(layers: Layers, classes: usize, s_max: f64) -> Result<Self> {
        if !(s_max > 0.0 && s_max.is_finite()) {
            return Err(Error::config("s_max", "a number above 0", s_max));
        }
        Ok(GroupMasks { s_max, layers, classes, groups: BTreeMap::new() })
    }

    /// A group begins: embeddings from N(mean, 1), no outputs. One that is open stays as it is.
    pub fn open(&mut self, group: usize, device: &Device, mean: f64, rng: &mut impl Rng) {
        let (layers, classes) = (&self.layers, self.classes);
        self.groups.entry(group).or_insert_with(|| {
            let embeddings = Embeddings::new(layers.widths(), mean, rng, device);
            Group {
                embeddings: embeddings.with_common(layers.common()),
                outputs: vec![0.0; classes],
            }
        });
    }

    pub fn is_open(&self, group: usize) -> bool {
        self.groups.contains_key(&group)
    }

    /// Numbers of the open groups, ascending.
    pub fn open_groups(&self) -> Vec<usize> {
        self.groups.keys().copied().collect()
    }

    /// The group learns these classes: from now on it owns their outputs.
    pub fn own(&mut self, group: usize, labels: &[u32]) {
        let outputs = &mut self.at(group).outputs;
        labels.iter().for_each(|&label| outputs[label as usize] = 1.0);
    }

    /// The classes a group has learned.
    pub fn classes_of(&self, group: usize) -> Option<Vec<u32>> {
        let outputs = &self.groups.get(&group)?.outputs;
        let owned = (0u32..).zip(outputs).filter(|(_, owned)| **owned > 0.0);
        Some(owned.map(|(class, _)| class).collect())
    }

    /// Embeddings of an open group.
    pub fn embeddings(&mut self, group: usize) -> &mut Embeddings {
        &mut self.at(group).embeddings
    }

    /// The same, to be read.
    pub fn embeddings_of(&self, group: usize) -> &Embeddings {
        &self.groups.get(&group).expect("the group is open").embeddings
    }

    /// The masks of an open group at `s = s_max`, as it answers; `None` for one that is not open.
    pub fn hard(&self, group: usize) -> Option<Vec<Tensor<1>>> {
        self.groups.get(&group).map(|group| group.embeddings.masks(self.s_max))
    }

    /// `hard` as numbers, and the outputs the group owns as one more layer.
    pub fn units(&self, group: usize) -> Option<Units> {
        let group = self.groups.get(&group)?;
        let mut units = group.embeddings.units(self.s_max);
        units.push(group.outputs.clone());
        Some(units)
    }

    /// `a^{<t}`: for every unit the largest mask of the groups but `current`; `None` where there is
    /// no other.
    pub fn others(&self, current: usize) -> Option<Units> {
        let others = self.groups.keys().filter(|group| **group != current);
        others.filter_map(|group| self.units(*group)).reduce(largest)
    }

    /// The units that are not free for `current`: those of the other groups, and those that are
    /// common to all. `None` where all are free.
    pub fn taken(&self, current: usize) -> Option<Units> {
        let common = self.layers.common();
        let of_all = common.iter().any(|count| *count > 0).then(|| {
            let layer = |(width, common): (&usize, &usize)| {
                (0..*width).map(|unit| f32::from(u8::from(unit < *common))).collect()
            };
            self.layers.widths().iter().zip(common).map(layer).collect()
        });
        self.others(current).or(of_all)
    }

    /// `1 − min(a_out, a_in)` of the other groups' masks, for every parameter of `net`: what an
    /// update is scaled by while `current` is learned. `None` where there is no other group, whose
    /// gate is 1.
    pub fn gate<N: Network>(&self, net: &N, current: usize) -> Option<N> {
        let others = self.others(current)?;
        Some(complement(self.layers.spread(net, &others)))
    }

    /// Share of the units that are taken by a group, `Σ a^{≤t}/Σ 1`, those aside that are common to
    /// all; 0 without groups.
    pub fn capacity_used(&self) -> f64 {
        let taken = self.groups.keys().filter_map(|group| self.units(*group)).reduce(largest);
        let Some(taken) = taken else { return 0.0 };
        let own = taken.iter().zip(self.layers.common()).flat_map(|(a, common)| &a[*common..]);
        let (sum, units) = own.fold((0.0, 0), |(sum, n), &a| (sum + f64::from(a), n + 1));
        if units == 0 { 0.0 } else { sum / f64::from(units) }
    }

    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    pub fn s_max(&self) -> f64 {
        self.s_max
    }

    /// Bytes of all embeddings (f32).
    pub fn bytes(&self) -> u64 {
        self.groups.values().map(|group| group.embeddings.bytes()).sum()
    }

    /// As `masks.<group>.embedding.<layer>` and `masks.<group>.outputs`.
    pub fn save(&self, out: &mut StateWriter) -> Result<()> {
        out.value("masks", &self.open_groups())?;
        for (number, group) in &self.groups {
            state::save(&group.embeddings, &format!("masks.{number}."), out)?;
            out.tensor(&format!("masks.{number}.outputs"), &[self.classes], &group.outputs)?;
        }
        Ok(())
    }

    /// What [`save`](Self::save) wrote, in place of the groups there are.
    pub fn load(&mut self, device: &Device, saved: &mut StateReader) -> Result<()> {
        let open: Vec<usize> = saved.value("masks")?;
        self.groups.clear();
        for number in open {
            let zeros = self.layers.widths().iter().map(|width| vec![0.0; *width]).collect();
            let embeddings = Embeddings::of(&zeros, device);
            let mut embeddings = embeddings.with_common(self.layers.common());
            state::load(&mut embeddings, &format!("masks.{number}."), saved)?;
            let outputs = saved.tensor(&format!("masks.{number}.outputs"), &[self.classes])?;
            self.groups.insert(number, Group { embeddings, outputs });
        }
        Ok(())
    }

    fn at(&mut self, group: usize) -> &mut Group {
        self.groups.get_mut(&group).expect("the group is open")
    }
}

fn largest(mut mine: Units, theirs: Units) -> Units {
    for (mine, theirs) in mine.iter_mut().flatten().zip(theirs.iter().flatten()) {
        *mine = mine.max(*theirs);
    }
    mine
}

/// `1 − v` for every parameter.
pub(crate) fn complement<N: Network>(mut net: N) -> N {
    let mut same = net.clone();
    for_each_pair(&mut net, &mut same, |pair| match pair {
        Pair::Vector(v, _) => *v = v.clone().neg().add_scalar(1.0),
        Pair::Linear(v, _) => *v = v.clone().neg().add_scalar(1.0),
        Pair::Kernel(v, _) => *v = v.clone().neg().add_scalar(1.0),
        Pair::Running(..) => {}
    });
    net
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;
