//! Downloads of published data sets: mirrors in turn, broken downloads continued, checksums, and
//! what already lies there left alone when it is good. Loading is [`crate::data`]'s.

mod download;
mod error;
mod sets;
mod unpack;

use crate::names::{did_you_mean, list};
use std::path::Path;

use crate::data;
pub use error::FetchError;
pub use sets::{Checksum, DataSet, Kind, RemoteFile, SETS};

/// What a fetch tells while it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A file is there and good.
    Good {
        path: &'a Path,
    },
    Received {
        url: &'a str,
        bytes: u64,
        total: u64,
    },
    Unpacking {
        path: &'a Path,
    },
}

/// How much of a data set lies in a data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// All files, or the unpacked folder; their content is not looked at.
    There,
    /// Some files, or a download that was not finished.
    Partly,
    Missing,
}

impl DataSet {
    /// A data set by its name.
    ///
    /// # Errors
    /// An unknown name.
    pub fn named(name: &str) -> Result<&'static DataSet, FetchError> {
        let unknown = || {
            let known: Vec<&str> = SETS.iter().map(|set| set.name).collect();
            let (hint, known) = (did_you_mean(name, &known), list(&known));
            FetchError::Unknown { name: name.into(), hint, known }
        };
        SETS.iter().find(|set| set.name == name).ok_or_else(unknown)
    }

    /// Looks whether the data set lies below `data_dir`.
    pub fn presence(&self, data_dir: &Path) -> Presence {
        let (folder, unpacked) = match self.kind {
            Kind::Files { folder } => (data_dir.join(folder), None),
            Kind::Archive { folder } => (data_dir.to_owned(), Some(data_dir.join(folder))),
        };
        if unpacked.is_some_and(|folder| folder.is_dir()) {
            return Presence::There;
        }
        let there = |ending: &str| {
            let path = |file: &RemoteFile| folder.join(format!("{}{ending}", file.name));
            self.files.iter().filter(|file| path(file).is_file()).count()
        };
        match (self.kind, there(""), there(".part")) {
            (Kind::Files { .. }, whole, _) if whole == self.files.len() => Presence::There,
            (_, 0, 0) => Presence::Missing,
            _ => Presence::Partly,
        }
    }

    /// Makes sure that the data set lies below `data_dir` and is good: what is missing or damaged
    /// is downloaded. `mirror` is asked instead of the known ones.
    ///
    /// # Errors
    /// No mirror gave a good file, an archive cannot be unpacked, or something cannot be written.
    pub fn fetch(
        &self,
        data_dir: &Path,
        mirror: Option<&str>,
        tell: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), FetchError> {
        let mirrors: Vec<String> = match mirror {
            Some(mirror) => vec![mirror.to_owned()],
            None => self.mirrors.iter().map(|&mirror| mirror.to_owned()).collect(),
        };
        match self.kind {
            Kind::Files { folder } => {
                let folder = data_dir.join(folder);
                std::fs::create_dir_all(&folder).map_err(FetchError::at(&folder))?;
                for file in self.files {
                    download::ensure(file, &folder, &mirrors, tell)?;
                }
            }
            Kind::Archive { folder } => {
                std::fs::create_dir_all(data_dir).map_err(FetchError::at(data_dir))?;
                let place = data_dir.join(folder);
                if place.exists() {
                    self.check_unpacked(data_dir, &place)?;
                    tell(Progress::Good { path: &place });
                    return Ok(());
                }
                for file in self.files {
                    let archive = download::ensure(file, data_dir, &mirrors, tell)?;
                    tell(Progress::Unpacking { path: &archive });
                    unpack::unpack(&archive, folder)?;
                    std::fs::remove_file(&archive).map_err(FetchError::at(&archive))?;
                }
                self.check_unpacked(data_dir, &place)?;
            }
        }
        Ok(())
    }

    /// The checksum is that of an archive which is gone; loading checks sizes, labels and images.
    fn check_unpacked(&self, data_dir: &Path, place: &Path) -> Result<(), FetchError> {
        match data::load(self.name, Some(data_dir)) {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(FetchError::InTheWay { path: place.to_owned(), problem: error.to_string() })
            }
        }
    }
}

#[cfg(test)]
mod tests;
