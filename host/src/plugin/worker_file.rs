//! Learners in other languages: a file `NAME.toml` that names the program to be started as a worker. It takes
//! the place of a shared library with `--plugin`; what is spoken with the program is
//! [`crate::worker::protocol`].
//!
//! ```toml
//! [worker]
//! protocol = 1
//! id = "lab/method"
//! version = "0.1.0"
//! command = ["python3", "method.py"]   # a word that names a file beside this one stands for that file
//! ```
//!
//! Such a worker is the program's own process and cannot be confined by the host: its tier is `process`.

use perdura_abi::manifest::StaticManifest;
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::LoadError;
use super::{Cache, Found, GoodCopy, is_valid_id, sha256_of};
use crate::worker::SpawnOptions;
use crate::worker::protocol::VERSION;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    worker: Worker,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Worker {
    protocol: u32,
    id: String,
    version: String,
    command: Vec<String>,
}

/// Whether a file is to be read as one of these.
pub fn is_worker_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

/// How to start a worker for `found`: this binary and the copy in the cache, or the program that it names.
///
/// Fails with `Changed` where the program is no longer what was found.
pub fn spawn_options(found: &Found) -> Result<SpawnOptions, LoadError> {
    spawn_options_again(found, &mut None)
}

/// As [`spawn_options`], for who starts several workers of one plugin: `good` is the copy of the last time.
pub fn spawn_options_again(
    found: &Found,
    good: &mut Option<GoodCopy>,
) -> Result<SpawnOptions, LoadError> {
    if !is_worker_file(&found.path) {
        let copy = Cache::from_env().good_copy(found, good.take())?;
        let path = copy.path.clone();
        *good = Some(copy);
        return Ok(SpawnOptions::new(path));
    }
    let (again, words) = read(&found.path)?;
    again.expect_sha256(&found.sha256)?;
    let mut words = words.into_iter();
    let program = words.next().map(PathBuf::from).expect("checked when it was read");
    let args = words.collect();
    Ok(SpawnOptions { program, args, ..SpawnOptions::new(&found.path) })
}

/// Reads and checks a worker file. Its hash is that of the file and of all files in its command.
pub(super) fn inspect(path: &Path) -> Result<Found, LoadError> {
    read(path).map(|(found, _)| found)
}

/// The worker file and the words of its command.
fn read(path: &Path) -> Result<(Found, Vec<OsString>), LoadError> {
    let text = super::read(path)?;
    let bad = |expected: &str, found: String| {
        let (path, expected) = (path.to_owned(), expected.to_owned());
        LoadError::BadWorkerFile { path, expected, found }
    };
    let parsed = std::str::from_utf8(&text).map_err(|error| bad("text", error.to_string()))?;
    let parsed = toml::from_str::<File>(parsed);
    let expected = "[worker] with protocol, id, version, command";
    let Worker { protocol, id, version, command } =
        parsed.map_err(|error| bad(expected, error.message().into()))?.worker;
    if protocol != VERSION {
        return Err(bad(&format!("protocol = {VERSION}"), format!("protocol = {protocol}")));
    }
    if !is_valid_id(&id) {
        return Err(bad("an id such as lab/method", id));
    }
    if command.is_empty() {
        return Err(bad("a command of at least one word", "command = []".into()));
    }
    let path_absolute = std::path::absolute(path).map_err(|e| LoadError::reading(path, e))?;
    let folder = path_absolute.parent().expect("a file has a folder");
    let (mut content, mut words) = (text, Vec::new());
    for word in command {
        let file = folder.join(&word);
        let beside = !word.is_empty() && file.is_file();
        if beside {
            content.extend(super::read(&file)?);
        }
        words.push(if beside { file.into_os_string() } else { word.into() });
    }
    let manifest = manifest(id, version);
    Ok((Found { path: path.to_owned(), manifest, sha256: sha256_of(&content) }, words))
}

/// What is known of a worker without asking it.
fn manifest(id: String, version: String) -> StaticManifest {
    let none = String::new;
    StaticManifest {
        id,
        version,
        authors: none(),
        licence: none(),
        abi: format!("worker protocol {VERSION}"),
        abi_stable: none(),
        rustc: none(),
        target: none(),
        panic: none(),
        native: none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::testing::code;

    const GOOD: &str = "[worker]\nprotocol = 1\nid = \"lab/py\"\nversion = \"0.1\"\n\
                        command = [\"python3\", \"learner.py\", \"-v\"]\n";

    fn folder(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("learner.py"), "first").unwrap();
        let path = folder.path().join("py.toml");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn files_beside_it_are_named_in_full_and_belong_to_its_hash() {
        let (folder, path) = folder(GOOD);
        let found = super::super::inspect(&path).unwrap();
        assert_eq!(found.manifest.id, "lab/py");
        assert_eq!(found.sha256, sha256_of(format!("{GOOD}first").as_bytes()));
        let options = spawn_options(&found).unwrap();
        assert_eq!(options.program, Path::new("python3"));
        let script = folder.path().join("learner.py");
        assert_eq!(options.args, [script.clone().into_os_string(), "-v".into()]);
        assert_eq!((&options.plugin, &options.confine), (&path, &None));
        std::fs::write(script, "second").unwrap();
        assert_eq!(code(spawn_options(&found)), "changed");
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("protocol = 1", "protocol = 2", "expected: protocol = 1"),
            ("lab/py", "py", "an id such as lab/method"),
            ("[\"python3\", \"learner.py\", \"-v\"]", "[]", "at least one word"),
            ("version", "verzion", "unknown field `verzion`"),
        ];
        for (good, wrong, words) in cases {
            let (_folder, path) = folder(&GOOD.replace(good, wrong));
            let error = inspect(&path).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.code(), "bad-worker-file");
            assert!(text.contains(words) && text.lines().count() <= 6, "{text}");
        }
    }
}
