//! One file from the first mirror that gives it. What arrives goes into `NAME.part`, which the next
//! try continues; only a file with the right checksum gets its name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use md5::Md5;
use sha2::{Digest, Sha256};

use super::sets::{Checksum, RemoteFile};
use super::{FetchError, Progress};
use crate::http::{self, Refusal};

/// How often a mirror is asked again after an answer that broke off.
const ATTEMPTS: usize = 3;

/// Makes sure that the file is in `folder`; downloads it where it is not, or is not good.
///
/// # Errors
/// No mirror gave a good file, or something cannot be written. A good file is never touched.
pub(super) fn ensure(
    file: &RemoteFile,
    folder: &Path,
    mirrors: &[String],
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, FetchError> {
    let path = folder.join(file.name);
    if path.is_file() && check(&path, file.checksum)?.is_none() {
        tell(Progress::Good { path: &path });
        return Ok(path);
    }
    let mut part = Part::open(folder.join(format!("{}.part", file.name)))?;
    if part.length()? > 0 && check(&part.path, file.checksum)?.is_none() {
        // An earlier try ended just before the last step.
        part.become_whole(&path)?;
        return Ok(path);
    }
    let mut problems = Vec::new();
    for mirror in mirrors {
        let url = format!("{}/{}", mirror.trim_end_matches('/'), file.name);
        match part.complete(&url, file.checksum, tell)? {
            None => {
                part.become_whole(&path)?;
                return Ok(path);
            }
            Some(problem) => problems.push(format!("  {url}: {problem}")),
        }
    }
    part.give_up()?;
    Err(FetchError::NoMirror { file: file.name.into(), problems })
}

/// What is wrong with the file, if its checksum is not this one.
fn check(path: &Path, expected: Checksum) -> Result<Option<String>, FetchError> {
    let file = File::open(path).map_err(FetchError::at(path))?;
    let (kind, expected, found) = match expected {
        Checksum::Sha256(sum) => ("SHA-256", sum, sum_of::<Sha256>(file)),
        Checksum::Md5(sum) => ("MD5", sum, sum_of::<Md5>(file)),
    };
    let found = found.map_err(FetchError::at(path))?;
    let problem = || format!("another file: expected {kind} {expected}, found {found}");
    Ok((found != expected).then(problem))
}

fn sum_of<D: Digest>(mut file: File) -> io::Result<String> {
    let mut digest = D::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => digest.update(&buffer[..count]),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What has arrived so far; locked, so that no other process writes it.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn open(path: PathBuf) -> Result<Part, FetchError> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(FetchError::at(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Part { path, file }),
            Err(TryLockError::WouldBlock) => Err(FetchError::Busy { path }),
            Err(TryLockError::Error(source)) => Err(FetchError::File { path, source }),
        }
    }

    /// Continues from a mirror until the file is whole and good; says what kept it from that.
    fn complete(
        &mut self,
        url: &str,
        checksum: Checksum,
        tell: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Option<String>, FetchError> {
        let mut problem = String::new();
        for _ in 0..ATTEMPTS {
            let before = self.length()?;
            match self.receive(url, before, tell)? {
                Ok(()) => match check(&self.path, checksum)? {
                    None => return Ok(None),
                    Some(wrong) => {
                        // Nothing that is added would make it good. What was there before may be
                        // to blame: then from the beginning.
                        self.clear()?;
                        problem = wrong;
                        if before == 0 {
                            break;
                        }
                    }
                },
                Err(Refusal::Range) => {
                    self.clear()?;
                    problem = "it has no such part of the file".into();
                }
                Err(Refusal::Other(broken)) => {
                    problem = broken;
                    if self.length()? == before {
                        break;
                    }
                }
            }
        }
        Ok(Some(problem))
    }

    /// Asks once, from byte `from` on. The outer error is one of writing.
    fn receive(
        &mut self,
        url: &str,
        from: u64,
        tell: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Result<(), Refusal>, FetchError> {
        let answer = match http::get(url, from) {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let http::Answer { start, total, mut body } = answer;
        let unwritable = FetchError::at(&self.path);
        self.file.set_len(start).map_err(&unwritable)?;
        self.file.seek(SeekFrom::Start(start)).map_err(&unwritable)?;
        let (mut done, mut buffer) = (start, vec![0; 1 << 16]);
        while done < total {
            tell(Progress::Received { url, bytes: done, total });
            match body.read(&mut buffer) {
                Ok(0) => {
                    let problem = format!("it broke off after {done} of {total} bytes");
                    return Ok(Err(Refusal::Other(problem)));
                }
                Ok(count) => {
                    self.file.write_all(&buffer[..count]).map_err(&unwritable)?;
                    done += count as u64;
                }
                Err(error) => {
                    let problem = format!("it broke off after {done} of {total} bytes ({error})");
                    return Ok(Err(Refusal::Other(problem)));
                }
            }
        }
        tell(Progress::Received { url, bytes: done, total });
        Ok(Ok(()))
    }

    fn length(&self) -> Result<u64, FetchError> {
        Ok(self.file.metadata().map_err(FetchError::at(&self.path))?.len())
    }

    fn clear(&self) -> Result<(), FetchError> {
        self.file.set_len(0).map_err(FetchError::at(&self.path))
    }

    /// Gives the file its name, in one step.
    fn become_whole(self, path: &Path) -> Result<(), FetchError> {
        self.file.sync_all().map_err(FetchError::at(&self.path))?;
        std::fs::rename(&self.path, path).map_err(FetchError::at(path))
    }

    /// Leaves nothing behind where nothing has arrived.
    fn give_up(self) -> Result<(), FetchError> {
        match self.length()? {
            0 => std::fs::remove_file(&self.path).map_err(FetchError::at(&self.path)),
            _ => Ok(()),
        }
    }
}
