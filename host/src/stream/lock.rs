//! Lock files: streams written down to be met again. A run that is told to honour one is refused a stream
//! that is not in it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::content::short;
use super::{Benchmark, StreamContent};

/// A stream as a lock file holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedStream {
    pub benchmark: String,
    pub seed: u64,
    /// Of `stream`.
    pub sha256: String,
    pub stream: StreamContent,
}

impl LockedStream {
    /// Takes a benchmark that was made with this seed down.
    pub fn of(benchmark: &Benchmark, seed: u64) -> LockedStream {
        let stream = StreamContent::of(benchmark);
        LockedStream { benchmark: benchmark.name.clone(), seed, sha256: stream.sha256(), stream }
    }
}

/// A lock file: one stream for each seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// [`Lock::FORMAT`].
    pub format: u32,
    pub streams: Vec<LockedStream>,
}

/// A lock could not be read, or a stream is not the locked one.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "{}: expected a lock as `perdura benchmarks lock` writes it, found {problem}; make it again",
        path.display()
    )]
    Damaged { path: PathBuf, problem: String },
    #[error(
        "the stream of `{benchmark}` with seed {seed} is not locked in {}, which holds {holds}: \
         {differences}; run what was locked, or make a lock of this stream with `perdura benchmarks \
         lock`",
        path.display()
    )]
    Other { path: PathBuf, benchmark: String, seed: u64, holds: String, differences: String },
}

/// Differences that an error message spells out.
const TOLD: usize = 3;

impl Lock {
    pub const FORMAT: u32 = 1;

    pub fn new(streams: Vec<LockedStream>) -> Lock {
        Lock { format: Lock::FORMAT, streams }
    }

    /// Reads a lock file and checks that it was not edited.
    ///
    /// # Errors
    /// A file that cannot be read, is no lock, or whose hashes do not fit.
    pub fn read(path: &Path) -> Result<Lock, LockError> {
        let unreadable = |source| LockError::Unreadable { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let damaged = |problem: String| LockError::Damaged { path: path.to_owned(), problem };
        let lock: Lock = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
        if lock.format != Lock::FORMAT {
            return Err(damaged(format!(
                "format {}, this build reads {}",
                lock.format,
                Lock::FORMAT
            )));
        }
        if lock.streams.is_empty() {
            return Err(damaged("no stream".into()));
        }
        match lock.streams.iter().find(|locked| locked.stream.sha256() != locked.sha256) {
            Some(locked) => Err(damaged(format!(
                "a stream of `{}` with seed {} that does not have its hash {}",
                locked.benchmark,
                locked.seed,
                short(&locked.sha256)
            ))),
            None => Ok(lock),
        }
    }

    /// Refuses a benchmark whose stream is none of the locked ones. `path` is where the lock lies.
    pub fn check(&self, path: &Path, benchmark: &Benchmark, seed: u64) -> Result<(), LockError> {
        let found = LockedStream::of(benchmark, seed);
        if self.streams.iter().any(|locked| locked.sha256 == found.sha256) {
            return Ok(());
        }
        let same_seed = self.streams.iter().find(|locked| locked.seed == seed);
        let nearest = same_seed.unwrap_or(&self.streams[0]);
        let all = nearest.stream.differences(&found.stream);
        let mut differences = all[..all.len().min(TOLD)].join("; ");
        if all.len() > TOLD {
            differences += &format!("; and {} more", all.len() - TOLD);
        }
        let holds = self.streams.iter().map(|s| format!("{} with seed {}", s.benchmark, s.seed));
        Err(LockError::Other {
            path: path.to_owned(),
            benchmark: found.benchmark,
            seed,
            holds: holds.collect::<Vec<_>>().join(", "),
            differences,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{StreamOptions, build};

    fn digits(name: &str, options: &StreamOptions, seed: u64) -> Benchmark {
        build(name, None, options, seed).unwrap()
    }

    fn lock_file(lock: &Lock) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), serde_json::to_string(lock).unwrap()).unwrap();
        file
    }

    #[test]
    fn a_lock_lets_its_streams_pass_and_no_other() {
        let options = StreamOptions::default();
        let build = |seed| digits("known-similarity-digits", &options, seed);
        let streams = [0, 1].map(|seed| LockedStream::of(&build(seed), seed)).to_vec();
        let file = lock_file(&Lock::new(streams));
        let lock = Lock::read(file.path()).unwrap();
        lock.check(file.path(), &build(0), 0).unwrap();
        lock.check(file.path(), &build(1), 1).unwrap();
        let error = lock.check(file.path(), &build(2), 2).unwrap_err().to_string();
        for part in [
            "`known-similarity-digits` with seed 2 is not locked",
            "known-similarity-digits with seed 0, known-similarity-digits with seed 1",
            "experience 1: training samples: 600 (",
            " more; run what was locked",
        ] {
            assert!(error.contains(part), "{error}");
        }
        let other = lock.check(file.path(), &digits("split-digits", &options, 0), 0).unwrap_err();
        assert!(other.to_string().contains("number of experiences: 9 and 5"), "{other}");
    }

    #[test]
    fn what_is_no_lock_is_refused() {
        let locked = LockedStream::of(&digits("split-digits", &StreamOptions::default(), 0), 0);
        let message = |lock: &Lock| Lock::read(lock_file(lock).path()).unwrap_err().to_string();
        let edited = |change: fn(&mut LockedStream)| {
            let mut locked = locked.clone();
            change(&mut locked);
            message(&Lock::new(vec![locked]))
        };
        let hash = "that does not have its hash";
        assert!(edited(|locked| locked.stream.class_order.swap(0, 1)).contains(hash));
        assert!(edited(|locked| locked.sha256 = "é".into()).contains(hash));
        assert!(message(&Lock::new(Vec::new())).contains("no stream"));
        let newer = Lock { format: 2, streams: vec![locked.clone()] };
        assert!(message(&newer).contains("format 2, this build reads 1"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{").unwrap();
        assert!(Lock::read(file.path()).unwrap_err().to_string().contains("make it again"));
        let missing = Lock::read(Path::new("/nowhere/lock.json")).unwrap_err();
        assert_eq!(missing.to_string(), "cannot read /nowhere/lock.json");
    }
}
