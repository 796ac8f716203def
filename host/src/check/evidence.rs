//! What a check leaves behind for its author: every call in `calls.jsonl`, the last message and the last
//! answer as safetensors, what the plugin printed in `log.txt`, and whatever the check kept beside that.

use perdura_abi::buffer::Slot;
use perdura_abi::{DType, MessageBuf};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::worker::CallFault;

/// Calls that are kept; of longer conversations the last ones.
const CALLS_MAX: usize = 5000;

/// What has been said between host and plugin, in all workers of one check.
#[derive(Default)]
pub struct Journal {
    calls: std::collections::VecDeque<Value>,
    count: u64,
    last: BTreeMap<&'static str, Said>,
    /// Files that the check wants kept, by name.
    kept: BTreeMap<String, Vec<u8>>,
}

/// A message as it was sent.
struct Said {
    slots: Vec<Slot>,
    arena: Vec<u8>,
}

impl Journal {
    /// Writes down one call and what came of it.
    pub fn record(
        &mut self,
        worker: u32,
        call: &str,
        message: &MessageBuf,
        outcome: Result<&MessageBuf, &CallFault>,
    ) {
        self.count += 1;
        let answer = match outcome {
            Ok(reply) => json!({"header": header_of(reply), "tensors": shapes_of(reply)}),
            Err(fault) => json!({"fault": fault}),
        };
        if self.calls.len() == CALLS_MAX {
            self.calls.pop_front();
        }
        let (header, tensors) = (header_of(message), shapes_of(message));
        self.calls.push_back(json!({
            "number": self.count,
            "worker": worker,
            "call": call,
            "message": {"header": header, "tensors": tensors},
            "answer": answer,
        }));
        self.keep_last("last-message", message);
        match outcome {
            Ok(reply) => self.keep_last("last-answer", reply),
            Err(_) => drop(self.last.remove("last-answer")),
        }
    }

    fn keep_last(&mut self, name: &'static str, message: &MessageBuf) {
        let (slots, arena) = (message.slots().to_vec(), message.arena().to_vec());
        self.last.insert(name, Said { slots, arena });
    }

    /// Keeps a file.
    pub fn keep(&mut self, name: &str, bytes: &[u8]) {
        self.kept.insert(name.into(), bytes.to_vec());
    }

    /// Writes everything into `folder`, which is emptied first; `logs` are put one after another.
    pub fn write(&self, folder: &Path, logs: &[PathBuf]) -> io::Result<()> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        std::fs::create_dir_all(folder)?;
        let calls: String = self.calls.iter().map(|call| format!("{call}\n")).collect();
        std::fs::write(folder.join("calls.jsonl"), calls)?;
        for (name, said) in &self.last {
            std::fs::write(folder.join(format!("{name}.safetensors")), said.to_file())?;
        }
        for (name, bytes) in &self.kept {
            std::fs::write(folder.join(name), bytes)?;
        }
        write_log(&folder.join("log.txt"), logs)
    }
}

/// Most that is kept of what the workers printed.
const LOG_BYTES_MAX: u64 = 1 << 20;

fn write_log(to: &Path, logs: &[PathBuf]) -> io::Result<()> {
    use io::{Read, Write};
    let mut out = std::fs::File::create(to)?;
    for log in logs {
        // A worker in the sandbox that printed nothing leaves no file.
        let Some(file) = std::fs::File::open(log).map(Some).or_else(missing)? else { continue };
        let mut start = Vec::new();
        file.take(LOG_BYTES_MAX).read_to_end(&mut start)?;
        out.write_all(&start)?;
    }
    Ok(())
}

fn missing(error: io::Error) -> io::Result<Option<std::fs::File>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(error) }
}

impl Said {
    /// The tensors, named by their number. A type that the format does not know is left out.
    fn to_file(&self) -> Vec<u8> {
        let view = |(number, slot): (usize, &Slot)| {
            let shape = slot.shape.iter().map(|&d| d as usize).collect();
            let bytes = &self.arena[slot.offset_bytes..slot.offset_bytes + slot.len_bytes];
            let view = TensorView::new(dtype(slot.dtype)?, shape, bytes).ok()?;
            Some((format!("{number:03}"), view))
        };
        let views: Vec<_> = self.slots.iter().enumerate().filter_map(view).collect();
        safetensors::serialize(views, None).unwrap_or_default()
    }
}

fn dtype(of: DType) -> Option<Dtype> {
    Some(match of {
        DType::F32 => Dtype::F32,
        DType::U8 => Dtype::U8,
        DType::U32 => Dtype::U32,
        DType::U64 => Dtype::U64,
        DType::I64 => Dtype::I64,
        _ => return None,
    })
}

fn header_of(message: &MessageBuf) -> Value {
    let text = || Value::String(String::from_utf8_lossy(message.header()).into_owned());
    serde_json::from_slice(message.header()).unwrap_or_else(|_| text())
}

fn shapes_of(message: &MessageBuf) -> Vec<String> {
    message.slots().iter().map(|slot| format!("{} {:?}", slot.dtype, slot.shape)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_calls_tensors_files_and_the_log() {
        let outer = tempfile::tempdir().unwrap();
        let (folder, log) = (outer.path().join("a/check"), outer.path().join("log"));
        std::fs::write(&log, "last words\n").unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("stale"), "").unwrap();
        let mut message = MessageBuf::new();
        message.push(&[2], &[1.0f32, f32::NAN]);
        message.set_header(&json!({"seed": 1}));
        let mut journal = Journal::default();
        journal.record(7, "observe", &message, Ok(&MessageBuf::new()));
        journal.keep("state.safetensors", b"state");
        journal.write(&folder, &[outer.path().join("silent"), log]).unwrap();
        let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
        let call: Value = serde_json::from_slice(&read("calls.jsonl")).unwrap();
        assert_eq!((&call["call"], &call["worker"]), (&json!("observe"), &json!(7)));
        assert_eq!(call["message"]["tensors"][0], "f32 [2]");
        let bytes = read("last-message.safetensors");
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("000").unwrap().data()[..4], 1.0f32.to_le_bytes());
        assert_eq!(
            (read("state.safetensors"), read("log.txt")),
            (b"state".into(), b"last words\n".into())
        );
        assert!(!folder.join("stale").exists());
    }
}
