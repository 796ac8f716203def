//! The replay memory: u8 images with label, identity, experience and group, and named columns of
//! numbers that a learner keeps beside them. The host owns it and all chance in it; a learner asks
//! for draws and writes columns. When samples enter and which request is drawn is the trainer's
//! concern.

mod capacity;
mod class_balanced;
mod column;
mod draw;
mod error;
mod policy;
mod replace;
mod reservoir;
mod ring;
mod snapshot;

use perdura_abi::message::Column;

pub use capacity::Capacity;
pub use draw::{Candidates, Now};
pub use error::MemoryError;
pub use policy::Policy;
pub use replace::SampleBuf;
pub use snapshot::MemoryHead;

use column::ColumnStore;

/// A sample on its way into the memory.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Un-augmented pixels.
    pub image: &'a [u8],
    pub label: u32,
    /// Identity in the training set.
    pub uid: u64,
    /// Experience it was seen in.
    pub experience: u32,
    pub group: u32,
}

/// Samples in slots 0, 1, 2, ...; a slot keeps its number when its sample changes.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayMemory {
    capacity_samples: usize,
    image_len: usize,
    images: Vec<u8>,
    labels: Vec<u32>,
    uids: Vec<u64>,
    experiences: Vec<u32>,
    groups: Vec<u32>,
    /// Value of `writes` when the sample of each slot came in.
    written: Vec<u64>,
    columns: Vec<ColumnStore>,
    policy: Policy,
    /// Samples offered to the policy so far.
    offered: u64,
    /// Samples that came in so far, by whatever way.
    writes: u64,
    /// Value of `writes` at the last boundary.
    boundary: u64,
}

impl ReplayMemory {
    /// An empty memory for images of `image_len` bytes, filled as a reservoir.
    ///
    /// # Errors
    /// A capacity that holds no sample or more than can be counted; columns of width 0 or with one
    /// name.
    pub fn new(
        capacity: Capacity,
        image_len: usize,
        columns: &[Column],
    ) -> Result<Self, MemoryError> {
        column::check(columns)?;
        let capacity_samples = capacity.samples(bytes_per_sample(image_len, columns))?;
        Ok(ReplayMemory {
            capacity_samples,
            image_len,
            images: Vec::new(),
            labels: Vec::new(),
            uids: Vec::new(),
            experiences: Vec::new(),
            groups: Vec::new(),
            written: Vec::new(),
            columns: columns.iter().map(ColumnStore::new).collect(),
            policy: Policy::Reservoir,
            offered: 0,
            writes: 0,
            boundary: 0,
        })
    }

    /// Samples held.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Samples it can hold.
    pub fn capacity_samples(&self) -> usize {
        self.capacity_samples
    }

    /// Bytes of one sample: pixels, label, group and columns (design section 7).
    pub fn bytes_per_sample(&self) -> u64 {
        let columns: u64 = self.columns.iter().map(ColumnStore::bytes_per_sample).sum();
        sample_bytes(self.image_len) + columns
    }

    /// Bytes of the samples held.
    pub fn bytes(&self) -> u64 {
        self.len() as u64 * self.bytes_per_sample()
    }

    /// Samples offered to the policy so far.
    pub fn offered(&self) -> u64 {
        self.offered
    }

    /// What comes in from now on is `since_boundary`.
    pub fn mark_boundary(&mut self) {
        self.boundary = self.writes;
    }

    /// Pixels of a slot.
    pub fn image(&self, slot: u32) -> &[u8] {
        &self.images[slot as usize * self.image_len..][..self.image_len]
    }

    pub fn label(&self, slot: u32) -> u32 {
        self.labels[slot as usize]
    }

    pub fn uid(&self, slot: u32) -> u64 {
        self.uids[slot as usize]
    }

    pub fn experience(&self, slot: u32) -> u32 {
        self.experiences[slot as usize]
    }

    pub fn group(&self, slot: u32) -> u32 {
        self.groups[slot as usize]
    }

    /// Puts the sample of a slot into another group. `false`: the slot holds another sample by now.
    ///
    /// # Errors
    /// A slot that does not exist.
    pub fn relabel(&mut self, slot: u32, uid: u64, group: u32) -> Result<bool, MemoryError> {
        let holds = self.holds(slot, uid)?;
        if holds {
            self.groups[slot as usize] = group;
        }
        Ok(holds)
    }

    fn holds(&self, slot: u32, uid: u64) -> Result<bool, MemoryError> {
        match self.uids.get(slot as usize) {
            Some(&held) => Ok(held == uid),
            None => Err(MemoryError::Slot { slot: u64::from(slot), samples: self.len() }),
        }
    }

    fn push(&mut self, sample: Sample<'_>) -> usize {
        let slot = self.len();
        self.images.extend_from_slice(sample.image);
        self.labels.push(sample.label);
        self.uids.push(sample.uid);
        self.experiences.push(sample.experience);
        self.groups.push(sample.group);
        self.written.push(self.writes);
        self.writes += 1;
        for column in &mut self.columns {
            column.push_absent();
        }
        slot
    }

    fn overwrite(&mut self, slot: usize, sample: Sample<'_>) {
        self.images[slot * self.image_len..][..self.image_len].copy_from_slice(sample.image);
        self.labels[slot] = sample.label;
        self.uids[slot] = sample.uid;
        self.experiences[slot] = sample.experience;
        self.groups[slot] = sample.group;
        self.written[slot] = self.writes;
        self.writes += 1;
        for column in &mut self.columns {
            column.clear(slot);
        }
    }
}

fn bytes_per_sample(image_len: usize, columns: &[Column]) -> u64 {
    let columns = columns.iter().map(|column| 4 * column.width as u64);
    columns.fold(sample_bytes(image_len), u64::saturating_add)
}

/// Pixels, label (u32) and group (u32).
fn sample_bytes(image_len: usize) -> u64 {
    image_len as u64 + 4 + 4
}

#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
