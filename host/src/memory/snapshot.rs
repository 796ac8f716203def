//! The memory as a checkpoint stores it: a small head, and the lists of its samples as bytes, borrowed, so
//! that storing a large memory takes no second one.

use std::collections::BTreeMap;

use bytemuck::{AnyBitPattern, NoUninit, cast_slice, pod_collect_to_vec};
use serde::{Deserialize, Serialize};

use super::column::ColumnStore;
use super::{MemoryError, Policy, ReplayMemory};

/// Changes when [`MemoryHead`] or the lists do.
const VERSION: u32 = 3;

/// Everything that later draws and offers depend on, but the samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryHead {
    pub version: u32,
    pub capacity_samples: u64,
    /// Bytes per image.
    pub image_len: u64,
    /// Name and width of each column.
    pub columns: Vec<(String, u64)>,
    pub policy: Policy,
    pub offered: u64,
    pub writes: u64,
    pub boundary: u64,
}

impl ReplayMemory {
    pub fn head(&self) -> MemoryHead {
        let columns = self.columns.iter().map(|c| (c.name.clone(), c.width as u64));
        MemoryHead {
            version: VERSION,
            capacity_samples: self.capacity_samples as u64,
            image_len: self.image_len as u64,
            columns: columns.collect(),
            policy: self.policy.clone(),
            offered: self.offered,
            writes: self.writes,
            boundary: self.boundary,
        }
    }

    /// The lists, one entry per sample in each, little-endian: `images` (u8, image after image), `labels`,
    /// `experiences`, `groups` (u32), `uids`, `written` (u64), and of each column `column.<name>` (f32,
    /// `[samples, width]`, zero where absent) and `present.<name>` (u8, 1 where a value was written).
    pub fn sections(&self) -> Vec<(String, &[u8])> {
        const { assert!(cfg!(target_endian = "little")) };
        let mut sections: Vec<(String, &[u8])> = vec![
            ("images".into(), &self.images),
            ("labels".into(), cast_slice(&self.labels)),
            ("uids".into(), cast_slice(&self.uids)),
            ("experiences".into(), cast_slice(&self.experiences)),
            ("groups".into(), cast_slice(&self.groups)),
            ("written".into(), cast_slice(&self.written)),
        ];
        for column in &self.columns {
            sections.push((format!("column.{}", column.name), cast_slice(&column.values)));
            sections.push((format!("present.{}", column.name), &column.present));
        }
        sections
    }

    /// The memory of a head and its lists.
    ///
    /// # Errors
    /// Another version, or lists that are missing or do not fit together.
    pub fn from_sections(
        head: &MemoryHead,
        mut sections: BTreeMap<String, Vec<u8>>,
    ) -> Result<ReplayMemory, MemoryError> {
        if head.version != VERSION {
            return fail(format!("version {} where {VERSION} is expected", head.version));
        }
        let mut memory = ReplayMemory {
            capacity_samples: head.capacity_samples as usize,
            image_len: head.image_len as usize,
            images: list(&mut sections, "images")?,
            labels: list(&mut sections, "labels")?,
            uids: list(&mut sections, "uids")?,
            experiences: list(&mut sections, "experiences")?,
            groups: list(&mut sections, "groups")?,
            written: list(&mut sections, "written")?,
            columns: Vec::new(),
            policy: head.policy.clone(),
            offered: head.offered,
            writes: head.writes,
            boundary: head.boundary,
        };
        for (name, width) in &head.columns {
            let values = list(&mut sections, &format!("column.{name}"))?;
            let present = list(&mut sections, &format!("present.{name}"))?;
            let (name, width) = (name.clone(), *width as usize);
            memory.columns.push(ColumnStore { name, width, values, present });
        }
        check(&memory)?;
        Ok(memory)
    }
}

fn list<T: AnyBitPattern + NoUninit>(
    sections: &mut BTreeMap<String, Vec<u8>>,
    name: &str,
) -> Result<Vec<T>, MemoryError> {
    match sections.remove(name) {
        Some(bytes) if bytes.len().is_multiple_of(size_of::<T>()) => Ok(pod_collect_to_vec(&bytes)),
        Some(bytes) => fail(format!("`{name}` has {} bytes", bytes.len())),
        None => fail(format!("`{name}` is missing")),
    }
}

fn fail<T>(reason: String) -> Result<T, MemoryError> {
    Err(MemoryError::Snapshot { reason })
}

fn check(memory: &ReplayMemory) -> Result<(), MemoryError> {
    if let Policy::ClassBalanced(state) = &memory.policy
        && state.classes().is_none()
    {
        return fail("the policy counts different numbers of classes".into());
    }
    let (samples, capacity) = (memory.len(), memory.capacity_samples);
    if samples > capacity || capacity > u32::MAX as usize {
        return fail(format!("{samples} samples in a memory of {capacity}"));
    }
    let mut lengths = vec![
        ("images", memory.images.len(), memory.image_len),
        ("uids", memory.uids.len(), 1),
        ("experiences", memory.experiences.len(), 1),
        ("groups", memory.groups.len(), 1),
        ("written", memory.written.len(), 1),
    ];
    for column in &memory.columns {
        lengths.push((&column.name, column.values.len(), column.width));
        lengths.push((&column.name, column.present.len(), 1));
        if column.present.iter().any(|&mark| mark > 1) {
            return fail(format!("a presence mark of `{}` is neither 0 nor 1", column.name));
        }
    }
    for (list, length, width) in lengths {
        if Some(length) != samples.checked_mul(width) {
            return fail(format!("`{list}` has {length} entries for {samples} samples"));
        }
    }
    Ok(())
}
