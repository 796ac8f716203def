//! Replacing the whole content at once, for methods that choose their exemplars themselves.

use std::collections::HashMap;

use super::{MemoryError, ReplayMemory, Sample};

/// A sample that owns its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleBuf {
    pub image: Vec<u8>,
    pub label: u32,
    pub uid: u64,
    pub experience: u32,
    pub group: u32,
}

impl SampleBuf {
    pub fn as_sample(&self) -> Sample<'_> {
        Sample {
            image: &self.image,
            label: self.label,
            uid: self.uid,
            experience: self.experience,
            group: self.group,
        }
    }
}

impl ReplayMemory {
    /// The memory becomes exactly these samples, in this order. One that is held keeps its group
    /// and columns, any other is asked of `provide`, which knows the samples of the current
    /// experience. What the policy counted stays.
    ///
    /// # Errors
    /// More samples than fit, or one that nobody knows; the memory is then unchanged.
    ///
    /// # Panics
    /// When `provide` gives an image of another length.
    pub fn replace(
        &mut self,
        uids: &[u64],
        mut provide: impl FnMut(u64) -> Option<SampleBuf>,
    ) -> Result<(), MemoryError> {
        if uids.len() > self.capacity_samples {
            let (found, capacity) = (uids.len(), self.capacity_samples);
            return Err(MemoryError::ReplaceTooMany { found, capacity });
        }
        let mut held = HashMap::new();
        for (slot, &uid) in self.uids.iter().enumerate() {
            held.entry(uid).or_insert(slot);
        }
        let mut new = self.emptied();
        for &uid in uids {
            match held.get(&uid) {
                Some(&slot) => new.push_from(self, slot),
                None => {
                    let sample = provide(uid).ok_or(MemoryError::UnknownSample { uid })?;
                    assert_eq!(sample.image.len(), self.image_len, "images have one length");
                    new.push(sample.as_sample());
                }
            }
        }
        *self = new;
        Ok(())
    }

    fn emptied(&self) -> ReplayMemory {
        let mut new = self.clone();
        for column in &mut new.columns {
            column.values.clear();
            column.present.clear();
        }
        new.images.clear();
        new.labels.clear();
        new.uids.clear();
        new.experiences.clear();
        new.groups.clear();
        new.written.clear();
        new
    }

    fn push_from(&mut self, other: &ReplayMemory, slot: usize) {
        self.images.extend_from_slice(other.image(slot as u32));
        self.labels.push(other.labels[slot]);
        self.uids.push(other.uids[slot]);
        self.experiences.push(other.experiences[slot]);
        self.groups.push(other.groups[slot]);
        self.written.push(other.written[slot]);
        for (column, other) in self.columns.iter_mut().zip(&other.columns) {
            column.push_from(other, slot);
        }
    }
}
