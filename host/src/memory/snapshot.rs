//! The memory as a checkpoint stores it.

use serde::{Deserialize, Serialize};

use super::column::ColumnStore;
use super::{MemoryError, Policy, ReplayMemory};

/// Changes when the fields of [`MemorySnapshot`] do.
const VERSION: u32 = 2;

/// Everything that later draws and offers depend on. All lists have one entry per sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemorySnapshot {
    pub version: u32,
    pub capacity_samples: u64,
    /// Bytes per image.
    pub image_len: u64,
    /// Image after image.
    pub images: Vec<u8>,
    pub labels: Vec<u32>,
    pub uids: Vec<u64>,
    pub experiences: Vec<u32>,
    pub groups: Vec<u32>,
    pub written: Vec<u64>,
    pub columns: Vec<ColumnSnapshot>,
    pub policy: Policy,
    pub offered: u64,
    pub writes: u64,
    pub boundary: u64,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnSnapshot {
    pub name: String,
    pub width: u64,
    /// `[samples, width]`; zero where absent.
    pub values: Vec<f32>,
    /// 1 where a value was written, else 0.
    pub present: Vec<u8>,
}

impl ReplayMemory {
    /// A copy of the whole state.
    pub fn to_snapshot(&self) -> MemorySnapshot {
        let columns = self.columns.iter().map(|column| ColumnSnapshot {
            name: column.name.clone(),
            width: column.width as u64,
            values: column.values.clone(),
            present: column.present.clone(),
        });
        MemorySnapshot {
            version: VERSION,
            capacity_samples: self.capacity_samples as u64,
            image_len: self.image_len as u64,
            images: self.images.clone(),
            labels: self.labels.clone(),
            uids: self.uids.clone(),
            experiences: self.experiences.clone(),
            groups: self.groups.clone(),
            written: self.written.clone(),
            columns: columns.collect(),
            policy: self.policy.clone(),
            offered: self.offered,
            writes: self.writes,
            boundary: self.boundary,
        }
    }

    /// The memory that the snapshot was taken of.
    ///
    /// # Errors
    /// Another version, or lists that do not fit together.
    pub fn from_snapshot(snapshot: MemorySnapshot) -> Result<ReplayMemory, MemoryError> {
        check(&snapshot)?;
        let columns = snapshot.columns.into_iter().map(|column| ColumnStore {
            name: column.name,
            width: column.width as usize,
            values: column.values,
            present: column.present,
        });
        Ok(ReplayMemory {
            capacity_samples: snapshot.capacity_samples as usize,
            image_len: snapshot.image_len as usize,
            images: snapshot.images,
            labels: snapshot.labels,
            uids: snapshot.uids,
            experiences: snapshot.experiences,
            groups: snapshot.groups,
            written: snapshot.written,
            columns: columns.collect(),
            policy: snapshot.policy,
            offered: snapshot.offered,
            writes: snapshot.writes,
            boundary: snapshot.boundary,
        })
    }
}

fn check(snapshot: &MemorySnapshot) -> Result<(), MemoryError> {
    let fail = |reason: String| Err(MemoryError::Snapshot { reason });
    if snapshot.version != VERSION {
        return fail(format!("version {} where {VERSION} is expected", snapshot.version));
    }
    if let Policy::ClassBalanced(state) = &snapshot.policy
        && state.classes().is_none()
    {
        return fail("the policy counts different numbers of classes".into());
    }
    let samples = snapshot.labels.len() as u64;
    if samples > snapshot.capacity_samples || snapshot.capacity_samples > u64::from(u32::MAX) {
        return fail(format!("{samples} samples in a memory of {}", snapshot.capacity_samples));
    }
    let mut lengths = vec![
        ("images", snapshot.images.len(), snapshot.image_len),
        ("uids", snapshot.uids.len(), 1),
        ("experiences", snapshot.experiences.len(), 1),
        ("groups", snapshot.groups.len(), 1),
        ("written", snapshot.written.len(), 1),
    ];
    for column in &snapshot.columns {
        lengths.push((&column.name, column.values.len(), column.width));
        lengths.push((&column.name, column.present.len(), 1));
        if column.present.iter().any(|&mark| mark > 1) {
            return fail(format!("a presence mark of `{}` is neither 0 nor 1", column.name));
        }
    }
    for (list, length, width) in lengths {
        if Some(length as u64) != samples.checked_mul(width) {
            return fail(format!("`{list}` has {length} entries for {samples} samples"));
        }
    }
    Ok(())
}
