//! TensorBoard's event files: records with checksums, each a small protocol buffer. Only what
//! scalars need is written; the messages are `tensorflow.Event` and `tensorflow.Summary`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A file to which scalars are appended.
pub struct EventFile {
    file: File,
}

impl EventFile {
    /// Begins a file, which TensorBoard finds by its name, in a folder that is made where it is
    /// missing.
    pub fn create(folder: &Path, seconds: f64) -> io::Result<EventFile> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("events.out.tfevents.{:010}.perdura", seconds as u64));
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let mut events = EventFile { file };
        let mut version = time_and_step(seconds, 0);
        bytes_field(&mut version, 3, b"brain.Event:2");
        events.file.write_all(&record(&version))?;
        Ok(events)
    }

    /// Appends scalars of one step, each with its tag.
    pub fn scalars(
        &mut self,
        seconds: f64,
        step: u64,
        scalars: &[(String, f64)],
    ) -> io::Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in scalars {
            let mut scalar = Vec::new();
            bytes_field(&mut scalar, 1, tag.as_bytes());
            key(&mut scalar, 2, FIXED_32);
            scalar.extend((*value as f32).to_le_bytes());
            bytes_field(&mut summary, 1, &scalar);
        }
        let mut event = time_and_step(seconds, step);
        bytes_field(&mut event, 5, &summary);
        // One write per record: a reader sees whole ones.
        self.file.write_all(&record(&event))
    }
}

/// Wire types of protocol buffers.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED_32: u64 = 5;

fn time_and_step(seconds: f64, step: u64) -> Vec<u8> {
    let mut event = Vec::new();
    key(&mut event, 1, FIXED_64);
    event.extend(seconds.to_le_bytes());
    key(&mut event, 2, VARINT);
    varint(&mut event, step);
    event
}

fn bytes_field(message: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    key(message, field, LENGTH);
    varint(message, bytes.len() as u64);
    message.extend(bytes);
}

fn key(message: &mut Vec<u8>, field: u64, wire_type: u64) {
    varint(message, field << 3 | wire_type);
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// Length, its checksum, data, their checksum.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked_checksum(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_checksum(data).to_le_bytes());
    record
}

/// Rotated and moved, so that checksums of data that hold checksums are good ones, too.
fn masked_checksum(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: records are small and few.
fn crc32c(data: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc));
    !data.iter().fold(u32::MAX, byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4: 32 zeros, 32 ones, 0 to 31; and the usual check value.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&std::array::from_fn::<u8, 32, _>(|i| i as u8)), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_scalar_by_hand() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(&folder.path().join("tb"), 2.0).unwrap();
        events.scalars(2.0, 300, &[("a".into(), 0.5)]).unwrap();
        let path = folder.path().join("tb/events.out.tfevents.0000000002.perdura");
        let bytes = std::fs::read(path).unwrap();
        // The version: key, 8 bytes of time; key, step 0; key, 13, the text.
        let first = 9 + 2 + 2 + 13;
        assert_eq!(bytes[..8], (first as u64).to_le_bytes());
        assert_eq!(&bytes[12 + 13..12 + first], b"brain.Event:2");
        let second = &bytes[12 + first + 4..];
        let time = 2.0_f64.to_le_bytes();
        // 300 is 0b10_0101100; 0.5 is 0x3f000000.
        let scalar = [0x0a, 1, b'a', 0x15, 0, 0, 0, 0x3f];
        let expected =
            [&[0x09], &time[..], &[0x10, 0xac, 0x02], &[0x2a, 10, 0x0a, 8], &scalar].concat();
        assert_eq!(second[..8], (expected.len() as u64).to_le_bytes());
        assert_eq!(&second[12..12 + expected.len()], expected);
        assert_eq!(second.len(), 12 + expected.len() + 4);
    }
}
