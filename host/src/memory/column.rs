//! Columns: numbers that a learner keeps beside each sample, such as the logits it gave then. A
//! column's value belongs to the sample, not to the slot: it goes when the sample goes.

use perdura_abi::message::Column;

use super::{MemoryError, ReplayMemory};

/// The values of one column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ColumnStore {
    pub name: String,
    pub width: usize,
    /// `[samples, width]`; zero where absent.
    pub values: Vec<f32>,
    /// 1 where a value was written.
    pub present: Vec<u8>,
}

impl ColumnStore {
    pub fn new(column: &Column) -> Self {
        let (name, width) = (column.name.clone(), column.width);
        ColumnStore { name, width, values: Vec::new(), present: Vec::new() }
    }

    pub fn bytes_per_sample(&self) -> u64 {
        4 * self.width as u64
    }

    pub fn push_absent(&mut self) {
        self.values.resize(self.values.len() + self.width, 0.0);
        self.present.push(0);
    }

    pub fn push_from(&mut self, other: &ColumnStore, slot: usize) {
        self.values.extend_from_slice(other.row(slot));
        self.present.push(other.present[slot]);
    }

    pub fn clear(&mut self, slot: usize) {
        if self.present[slot] == 1 {
            self.values[slot * self.width..][..self.width].fill(0.0);
            self.present[slot] = 0;
        }
    }

    fn row(&self, slot: usize) -> &[f32] {
        &self.values[slot * self.width..][..self.width]
    }
}

/// Refuses declarations that could not be told apart or hold nothing.
pub(super) fn check(columns: &[Column]) -> Result<(), MemoryError> {
    for (place, column) in columns.iter().enumerate() {
        let name = column.name.clone();
        if column.width == 0 {
            return Err(MemoryError::ColumnWidth { name });
        }
        if columns[..place].iter().any(|other| other.name == name) {
            return Err(MemoryError::ColumnTwice { name });
        }
    }
    Ok(())
}

impl ReplayMemory {
    /// The value beside a slot's sample; `None` where none was written or no such column is
    /// declared.
    pub fn column(&self, name: &str, slot: u32) -> Option<&[f32]> {
        let column = self.columns.iter().find(|column| column.name == name)?;
        (column.present[slot as usize] == 1).then(|| column.row(slot as usize))
    }

    /// Writes a column beside the sample `uid` in `slot`. `false`: the slot holds another sample by
    /// now, and nothing was written.
    ///
    /// # Errors
    /// An unknown column or slot, or values of another width or not finite.
    pub fn write_column(
        &mut self,
        column: &str,
        slot: u32,
        uid: u64,
        values: &[f32],
    ) -> Result<bool, MemoryError> {
        let place = self.find_column(column)?;
        let (name, width) = (|| column.to_owned(), self.columns[place].width);
        if values.len() != width {
            return Err(MemoryError::ColumnValues { name: name(), width, found: values.len() });
        }
        if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
            return Err(MemoryError::NotFinite { name: name(), value, slot });
        }
        if !self.holds(slot, uid)? {
            return Ok(false);
        }
        let store = &mut self.columns[place];
        store.values[slot as usize * width..][..width].copy_from_slice(values);
        store.present[slot as usize] = 1;
        Ok(true)
    }

    /// Appends the values (zero where absent) and presence marks of some slots, as a draw delivers
    /// them.
    ///
    /// # Errors
    /// An unknown column.
    pub fn gather_column(
        &self,
        column: &str,
        slots: &[u32],
        values: &mut Vec<f32>,
        present: &mut Vec<u8>,
    ) -> Result<(), MemoryError> {
        let column = &self.columns[self.find_column(column)?];
        for &slot in slots {
            values.extend_from_slice(column.row(slot as usize));
            present.push(column.present[slot as usize]);
        }
        Ok(())
    }

    fn find_column(&self, name: &str) -> Result<usize, MemoryError> {
        let place = self.columns.iter().position(|column| column.name == name);
        place.ok_or_else(|| MemoryError::UnknownColumn {
            name: name.to_owned(),
            declared: self.columns.iter().map(|column| column.name.clone()).collect(),
        })
    }
}
