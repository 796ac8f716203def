//! Trust: which file may carry which id. `perdura plugins trust` writes the hash of a file into a `trust.lock`;
//! from then on another file with that id is refused, unless the lab's key has signed it.
//!
//! ```toml
//! format = 1
//!
//! [plugins]                   # id = sha256 of the file
//! "lab/method" = "ba7816bf..."
//!
//! [keys]                      # lab = public key of minisign
//! lab = "RWQf6LRCGA9i..."
//! ```
//!
//! A signature is what `minisign -S` writes: `libx.so.minisig` beside `libx.so`.

use minisign_verify::{PublicKey, Signature};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Found, sha256_of, user_folder, write_whole};

/// Name of the file.
pub const LOCK_NAME: &str = "trust.lock";

/// Why a plugin is not trusted, or its trust could not be recorded. Messages have at most six lines. Fields are
/// boxed because the error travels inside others.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("plugin {id} is not the file that is trusted: {}\n  expected: sha256 {expected} ({})\n  \
             found: sha256 {found}\n  remedy: if you know why it changed: perdura plugins trust {}",
        path.display(), lock.display(), path.display())]
    Changed { id: Box<str>, path: Box<Path>, lock: Box<Path>, expected: Box<str>, found: Box<str> },
    #[error("plugin {id} is not signed: {}\n  expected: a signature by the key of `{lab}` ({})\n  \
             found: no {}\n  remedy: get the .minisig that belongs to the file, or: \
             perdura plugins trust {}", path.display(), lock.display(), signature.display(), path.display())]
    NotSigned {
        id: Box<str>,
        lab: Box<str>,
        path: Box<Path>,
        lock: Box<Path>,
        signature: Box<Path>,
    },
    #[error("the signature of plugin {id} is wrong: {}\n  expected: one by the key of `{lab}` for this file\n  \
             found: {reason}\n  remedy: get file and signature again from the lab; \
             do not run this one", signature.display())]
    BadSignature { id: Box<str>, lab: Box<str>, signature: Box<Path>, reason: Box<str> },
    #[error(
        "not a public key of minisign: {text}\n  found: {reason}\n  \
             remedy: --key takes a .pub file, or its second line"
    )]
    Key { text: Box<str>, reason: Box<str> },
    #[error("the list of trusted plugins is damaged: {}\n  found: {reason}\n  \
             remedy: repair it, or remove it and trust the plugins again", path.display())]
    Damaged { path: Box<Path>, reason: Box<str> },
    #[error("{}: {cause}", path.display())]
    File { path: Box<Path>, cause: io::Error },
}

/// How a plugin stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No list names it or its lab.
    Unknown,
    /// Its hash is recorded.
    Recorded,
    /// Its lab's key has signed it.
    Signed,
}

/// The lists that are asked. The first one that names an id, or the key of its lab, decides.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    lists: Vec<(PathBuf, List)>,
}

#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
struct List {
    format: u32,
    #[serde(default)]
    plugins: BTreeMap<String, String>,
    #[serde(default)]
    keys: BTreeMap<String, String>,
}

const FORMAT: u32 = 1;

impl Trust {
    /// Reads `explicit` alone, or `trust.lock` of the working folder and then of the user.
    pub fn read(explicit: Option<&Path>) -> Result<Trust, TrustError> {
        if let Some(path) = explicit {
            let list = List::read(path)?.ok_or_else(|| missing(path))?;
            return Ok(Trust { lists: vec![(path.into(), list)] });
        }
        let mut lists = Vec::new();
        for path in [Some(LOCK_NAME.into()), user_lock()].into_iter().flatten() {
            lists.extend(List::read(&path)?.map(|list| (path, list)));
        }
        Ok(Trust { lists })
    }

    /// Refuses a file that is not the trusted one of its id.
    pub fn check(&self, found: &Found) -> Result<Standing, TrustError> {
        let id = &found.manifest.id;
        for (lock, list) in &self.lists {
            match (list.plugins.get(id), list.keys.get(lab_of(id))) {
                (Some(sha256), _) if *sha256 == found.sha256 => return Ok(Standing::Recorded),
                (_, Some(key)) => {
                    let key = public_key(key).map_err(|reason| TrustError::Damaged {
                        path: boxed(lock),
                        reason: reason.into(),
                    })?;
                    return verify(found, &key, lock);
                }
                (Some(sha256), None) => {
                    let (id, path, lock) = (id.as_str().into(), boxed(&found.path), boxed(lock));
                    let (expected, found) = (sha256.as_str().into(), found.sha256.as_str().into());
                    return Err(TrustError::Changed { id, path, lock, expected, found });
                }
                (None, None) => {}
            }
        }
        Ok(Standing::Unknown)
    }
}

/// Records the hash of `found`, and the key of its lab where one is given; its signature must be right
/// then. Returns the list that was written: `explicit`, that of the working folder if there is one, or
/// the user's.
pub fn trust(
    found: &Found,
    key: Option<&str>,
    explicit: Option<&Path>,
) -> Result<PathBuf, TrustError> {
    let here = PathBuf::from(LOCK_NAME);
    let path = match explicit {
        Some(path) => path.to_owned(),
        None if here.exists() => here,
        None => user_lock().unwrap_or(here),
    };
    let empty = || List { format: FORMAT, plugins: BTreeMap::new(), keys: BTreeMap::new() };
    let mut list = List::read(&path)?.unwrap_or_else(empty);
    let id = &found.manifest.id;
    if let Some(text) = key {
        let line = key_line(text)?;
        let wrong = |reason: String| TrustError::Key { text: text.into(), reason: reason.into() };
        verify(found, &public_key(&line).map_err(wrong)?, &path)?;
        list.keys.insert(lab_of(id).into(), line);
    }
    list.plugins.insert(id.clone(), found.sha256.clone());
    list.write(&path)?;
    Ok(path)
}

impl List {
    /// `None` where there is no such file.
    fn read(path: &Path) -> Result<Option<List>, TrustError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(TrustError::File { path: path.into(), cause }),
        };
        let damaged =
            |reason: String| TrustError::Damaged { path: path.into(), reason: reason.into() };
        let list: List = toml::from_str(&text).map_err(|error| damaged(error.message().into()))?;
        match list.format {
            FORMAT => Ok(Some(list)),
            other => Err(damaged(format!("format {other}, expected {FORMAT}"))),
        }
    }

    fn write(&self, path: &Path) -> Result<(), TrustError> {
        let text = toml::to_string_pretty(self).expect("maps of strings are TOML");
        let text = format!("# Written by `perdura plugins trust`.\n{text}");
        let failed = |cause| TrustError::File { path: path.into(), cause };
        let full = std::path::absolute(path).map_err(failed)?;
        let folder = full.parent().map_or(Ok(()), std::fs::create_dir_all);
        folder.and_then(|()| write_whole(&full, text.as_bytes())).map_err(failed)
    }
}

/// Whether `key` has signed the file.
fn verify(found: &Found, key: &PublicKey, lock: &Path) -> Result<Standing, TrustError> {
    let Found { path, manifest, sha256 } = found;
    let (id, lab) = (manifest.id.as_str().into(), lab_of(&manifest.id).into());
    let mut name = path.clone().into_os_string();
    name.push(".minisig");
    let signature = PathBuf::from(name);
    let text = match std::fs::read_to_string(&signature) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (path, lock, signature) = (boxed(path), boxed(lock), boxed(&signature));
            return Err(TrustError::NotSigned { id, lab, path, lock, signature });
        }
        Err(cause) => return Err(TrustError::File { path: boxed(&signature), cause }),
    };
    let bytes =
        std::fs::read(path).map_err(|cause| TrustError::File { path: boxed(path), cause })?;
    let checked = if sha256_of(&bytes) == *sha256 {
        let signed = Signature::decode(&text).and_then(|sign| key.verify(&bytes, &sign, true));
        signed.map_err(|error| error.to_string())
    } else {
        Err("the file has changed meanwhile".into())
    };
    match checked {
        Ok(()) => Ok(Standing::Signed),
        Err(reason) => {
            let (signature, reason) = (boxed(&signature), reason.into());
            Err(TrustError::BadSignature { id, lab, signature, reason })
        }
    }
}

fn public_key(line: &str) -> Result<PublicKey, String> {
    PublicKey::from_base64(line).map_err(|error| error.to_string())
}

/// The key itself: the text, or the last line of the file that it names.
fn key_line(text: &str) -> Result<String, TrustError> {
    if !Path::new(text).is_file() {
        return Ok(text.trim().into());
    }
    let content = std::fs::read_to_string(text)
        .map_err(|cause| TrustError::File { path: boxed(Path::new(text)), cause })?;
    Ok(content.trim().lines().next_back().unwrap_or_default().trim().into())
}

/// `trust.lock` beside the user's folder of plugins.
fn user_lock() -> Option<PathBuf> {
    Some(user_folder()?.parent()?.join(LOCK_NAME))
}

fn lab_of(id: &str) -> &str {
    id.split_once('/').map_or(id, |(lab, _)| lab)
}

fn boxed(path: &Path) -> Box<Path> {
    path.into()
}

fn missing(path: &Path) -> TrustError {
    TrustError::File { path: path.into(), cause: io::ErrorKind::NotFound.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::testing::manifest_of;

    /// Key and signature of the text `library`, made by another program after RFC 8032 (its first test
    /// vector's secret key) and the description of minisign's format.
    const KEY: &str = "RWRQRVJEVVJBMddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";
    const SIGNATURE: &str = "untrusted comment: signature from a test key\n\
        RURQRVJEVVJBMY7OWntB/L3oyiB/vYL1sR5nBHaB3QWEOrsBNqsWHfiMdriv/mRRoagJRAx4W+SJDcYZd2lJrPIsx5e3NmlKhgU=\n\
        trusted comment: timestamp:0\tfile:liber.so\n\
        d/vT8QBM7SDAiBnZQTMBuua4/M3XekD6epE8weViRSh58bpNqQflrvjnE7o8M/24o5Q6TUclfG1ZxTB++GFdDg==\n";

    struct Setup {
        folder: tempfile::TempDir,
        found: Found,
        lock: PathBuf,
    }

    /// A file of text stands for a plugin: trust does not look inside.
    fn setup(content: &str) -> Setup {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("liber.so");
        std::fs::write(&path, content).unwrap();
        let sha256 = sha256_of(content.as_bytes());
        let found = Found { path, manifest: manifest_of("lab/er"), sha256 };
        let lock = folder.path().join("sub/trust.lock");
        Setup { folder, found, lock }
    }

    impl Setup {
        fn sign(&self, text: &str) {
            std::fs::write(self.folder.path().join("liber.so.minisig"), text).unwrap();
        }

        fn check(&self) -> Result<Standing, TrustError> {
            Trust::read(Some(&self.lock)).unwrap().check(&self.found)
        }

        /// The same file with other content.
        fn change(&mut self, content: &str) {
            std::fs::write(&self.found.path, content).unwrap();
            self.found.sha256 = sha256_of(content.as_bytes());
        }
    }

    #[test]
    fn a_file_that_changed_is_refused_until_it_is_trusted_again() {
        let mut setup = setup("first");
        assert_eq!(Trust::default().check(&setup.found).unwrap(), Standing::Unknown);
        assert_eq!(trust(&setup.found, None, Some(&setup.lock)).unwrap(), setup.lock);
        assert_eq!(setup.check().unwrap(), Standing::Recorded);
        let before = setup.found.sha256.clone();
        setup.change("second");
        let text = setup.check().unwrap_err().to_string();
        assert!(text.contains("plugin lab/er is not the file that is trusted"), "{text}");
        assert!(text.contains(&before) && text.contains(&setup.found.sha256), "{text}");
        assert!(text.contains("remedy: ") && text.lines().count() <= 6, "{text}");
        trust(&setup.found, None, Some(&setup.lock)).unwrap();
        assert_eq!(setup.check().unwrap(), Standing::Recorded);
        // Another id is none of its business.
        let other = Found { manifest: manifest_of("lab/sgd"), ..setup.found.clone() };
        let lists = Trust::read(Some(&setup.lock)).unwrap();
        assert_eq!(lists.check(&other).unwrap(), Standing::Unknown);
    }

    #[test]
    fn the_key_of_a_lab_covers_files_that_it_has_signed() {
        let mut setup = setup("first");
        let refused = trust(&setup.found, Some(KEY), Some(&setup.lock)).unwrap_err();
        assert!(matches!(refused, TrustError::NotSigned { .. }), "{refused}");
        setup.change("library");
        setup.sign(SIGNATURE);
        trust(&setup.found, Some(KEY), Some(&setup.lock)).unwrap();
        assert_eq!(setup.check().unwrap(), Standing::Recorded);
        // A hash of before does not matter where the signature is right.
        let text = std::fs::read_to_string(&setup.lock).unwrap();
        std::fs::write(&setup.lock, text.replace(&setup.found.sha256, "00")).unwrap();
        assert_eq!(setup.check().unwrap(), Standing::Signed);
        setup.change("forged");
        let text = setup.check().unwrap_err().to_string();
        assert!(text.contains("the signature of plugin lab/er is wrong"), "{text}");
        std::fs::remove_file(setup.folder.path().join("liber.so.minisig")).unwrap();
        let text = setup.check().unwrap_err().to_string();
        assert!(text.contains("plugin lab/er is not signed"), "{text}");
        assert!(text.contains("key of `lab`") && text.lines().count() <= 6, "{text}");
    }

    #[test]
    fn signatures_that_are_none_and_keys_that_are_none() {
        let setup = setup("library");
        let flipped = SIGNATURE.replacen("3QWEOrsB", "AQWEOrsB", 1);
        assert_ne!(flipped, SIGNATURE);
        for wrong in ["", "text", &flipped] {
            setup.sign(wrong);
            let refused = trust(&setup.found, Some(KEY), Some(&setup.lock)).unwrap_err();
            assert!(matches!(refused, TrustError::BadSignature { .. }), "{refused}");
        }
        setup.sign(SIGNATURE);
        let refused = trust(&setup.found, Some("RWQ"), Some(&setup.lock)).unwrap_err();
        assert!(matches!(refused, TrustError::Key { .. }), "{refused}");
        // Nothing was written by all this.
        assert!(!setup.lock.exists());
        let file = setup.folder.path().join("lab.pub");
        std::fs::write(&file, format!("untrusted comment: minisign public key\n{KEY}\n")).unwrap();
        trust(&setup.found, file.to_str(), Some(&setup.lock)).unwrap();
        assert!(std::fs::read_to_string(&setup.lock).unwrap().contains(KEY));
    }

    #[test]
    fn damaged_lists_are_errors_and_not_silence() {
        let setup = setup("first");
        for wrong in ["format = 2", "format = 1\nplugin = 3", "["] {
            std::fs::create_dir_all(setup.lock.parent().unwrap()).unwrap();
            std::fs::write(&setup.lock, wrong).unwrap();
            let text = Trust::read(Some(&setup.lock)).unwrap_err().to_string();
            assert!(text.contains("the list of trusted plugins is damaged"), "{text}");
        }
        let missing = Trust::read(Some(Path::new("/nowhere/trust.lock"))).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/trust.lock"), "{missing}");
    }
}
