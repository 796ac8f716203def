//! Archives into folders. An archive is unpacked beside its place, and moved there when all of it
//! went well. A path that leads out of the folder is refused.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::{DeflateDecoder, GzDecoder};
use rawzip::{CompressionMethod, ZipArchive};

use super::FetchError;

/// Unpacks an archive (`.tar.gz` or `.zip`) that holds the folder `folder`, and puts that into the
/// folder in which the archive lies.
///
/// # Errors
/// A damaged archive, one without the folder, or something that cannot be written.
pub(super) fn unpack(archive: &Path, folder: &str) -> Result<(), FetchError> {
    let dir = archive.parent().expect("a file lies in a folder");
    let beside = tempfile::Builder::new().prefix(".perdura-unpack-").tempdir_in(dir);
    let beside = beside.map_err(FetchError::at(dir))?;
    let unpacked = match archive.extension().is_some_and(|ending| ending == "zip") {
        true => unpack_zip(archive, beside.path()),
        false => unpack_tar(archive, beside.path()),
    };
    let wrong = |problem: String| FetchError::Archive {
        path: archive.to_owned(),
        problem,
        remedy: "it is kept; remove it to have it fetched again",
    };
    unpacked.map_err(|error| wrong(format!("cannot be unpacked ({error})")))?;
    let made = beside.path().join(folder);
    if !made.is_dir() {
        return Err(wrong(format!("holds no folder `{folder}`")));
    }
    let place = dir.join(folder);
    std::fs::rename(made, &place).map_err(FetchError::at(&place))
}

/// `tar` itself leaves out entries that lead out of the folder.
fn unpack_tar(archive: &Path, into: &Path) -> io::Result<()> {
    let mut tar = tar::Archive::new(GzDecoder::new(io::BufReader::new(File::open(archive)?)));
    tar.set_preserve_permissions(false);
    tar.unpack(into)
}

fn unpack_zip(archive: &Path, into: &Path) -> io::Result<()> {
    let bytes = std::fs::read(archive)?;
    let damaged = |error: rawzip::Error| io::Error::new(io::ErrorKind::InvalidData, error);
    let archive = ZipArchive::from_slice(&bytes).map_err(damaged)?;
    let mut entries = archive.entries();
    while let Some(record) = entries.next_entry().map_err(damaged)? {
        let name = record.file_path().try_normalize().map_err(damaged)?;
        let path: PathBuf = into.join(name.as_ref());
        if record.is_dir() {
            std::fs::create_dir_all(&path)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let method = record.compression_method();
        let entry = archive.get_entry(record.wayfinder()).map_err(damaged)?;
        let content: Box<dyn Read> = match method {
            CompressionMethod::STORE => Box::new(entry.data()),
            CompressionMethod::DEFLATE => Box::new(DeflateDecoder::new(entry.data())),
            other => return Err(io::Error::other(format!("{other:?} is not known"))),
        };
        io::copy(&mut entry.verifying_reader(content), &mut File::create_new(&path)?)?;
    }
    Ok(())
}
