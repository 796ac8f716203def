//! Where plugins are looked for, and which file a method's name means. Files are read whole and
//! checked, but nothing in them is run.

use perdura_abi::manifest::StaticManifest;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::LoadError;
use super::{Found, inspect, inspect_unhashed};
use crate::names;

/// Folders (or files), separated by colons, that come before the standard places.
pub const PATH_VARIABLE: &str = "PERDURA_PLUGIN_PATH";

/// Where plugins are looked for.
///
/// Order means nothing but the order of listing: two different files with one id are an error when
/// that id is asked for. Only a file named explicitly (`--plugin FILE`) takes an id over from all
/// other places.
#[derive(Clone, Debug, Default)]
pub struct SearchPath {
    /// Files that must be plugins.
    explicit: Vec<PathBuf>,
    /// Folders, and files from the environment variable.
    places: Vec<PathBuf>,
}

/// Everything that lies on a search path.
#[derive(Debug, Default)]
pub struct Scan {
    /// Loadable as far as can be told without running code, each content once.
    pub found: Vec<Found>,
    /// Meant to be a plugin, but damaged or not for this host. Libraries that are not plugins and
    /// lie in a folder are in neither list.
    pub refused: Vec<Refused>,
}

/// A file that cannot be loaded.
#[derive(Debug)]
pub struct Refused {
    pub path: PathBuf,
    pub error: LoadError,
    /// Named with `--plugin`.
    pub explicit: bool,
}

impl SearchPath {
    /// Exactly these places.
    pub fn new(explicit: &[PathBuf], places: &[PathBuf]) -> Self {
        SearchPath { explicit: explicit.to_vec(), places: places.to_vec() }
    }

    /// `explicit`, then `PERDURA_PLUGIN_PATH`, the folder of the running binary,
    /// `$XDG_DATA_HOME/perdura/plugins` (or `~/.local/share/...`), `/usr/local/lib/perdura/plugins`
    /// and `/usr/lib/perdura/plugins`.
    pub fn from_env(explicit: &[PathBuf]) -> Self {
        let variable = std::env::var_os(PATH_VARIABLE).unwrap_or_default();
        let mut places: Vec<PathBuf> =
            std::env::split_paths(&variable).filter(|path| !path.as_os_str().is_empty()).collect();
        let binary = std::env::current_exe().ok();
        places.extend(binary.and_then(|binary| Some(binary.parent()?.to_owned())));
        places.extend(user_folder());
        places
            .extend(["/usr/local/lib/perdura/plugins", "/usr/lib/perdura/plugins"].map(Into::into));
        SearchPath::new(explicit, &places)
    }

    /// Checks and hashes every candidate.
    pub fn scan(&self) -> Scan {
        let Survey { candidates, mut refused } = self.survey();
        let found = hashed(candidates, &mut refused);
        Scan { found, refused }
    }

    /// The one plugin that `method` names: a full id, or a short name that only one lab uses.
    ///
    /// An explicit file that cannot be loaded is an error whatever is asked for.
    pub fn resolve(&self, method: &str) -> Result<Found, LoadError> {
        let Survey { candidates, mut refused } = self.survey();
        if let Some(index) = refused.iter().position(|refused| refused.explicit) {
            return Err(refused.swap_remove(index).error);
        }
        let named = |id: &str| id == method || names::short(id) == method;
        let ids = |candidates: &[Candidate]| -> BTreeSet<String> {
            candidates.iter().map(|candidate| candidate.manifest.id.clone()).collect()
        };
        let known = ids(&candidates);
        let asked: Vec<Candidate> =
            candidates.into_iter().filter(|c| named(&c.manifest.id)).collect();
        let ids = ids(&asked);
        if ids.len() > 1 {
            let ids = ids.into_iter().collect();
            return Err(LoadError::AmbiguousName { method: method.into(), ids });
        }
        let mut found = hashed(asked, &mut refused);
        match (found.pop(), found.pop()) {
            (Some(only), None) => Ok(only),
            (Some(second), Some(first)) => Err(LoadError::DuplicateId {
                id: first.manifest.id,
                first: first.path,
                second: second.path,
            }),
            (None, _) => match refused.iter().position(|r| r.error.id().is_some_and(named)) {
                Some(index) => Err(refused.swap_remove(index).error),
                None => Err(self.unknown(method, known, refused)),
            },
        }
    }

    /// Reads the manifest of every file on the path.
    fn survey(&self) -> Survey {
        let mut survey = Survey::default();
        let mut seen = BTreeSet::new();
        let explicit = self.explicit.iter().map(|path| (path.clone(), Origin::Explicit));
        let places = self.places.iter().flat_map(|place| files_of(place));
        for (path, origin) in explicit.chain(places) {
            if seen.insert(identity(&path)) {
                survey.add(path, origin);
            }
        }
        survey
    }

    fn unknown(&self, method: &str, known: BTreeSet<String>, refused: Vec<Refused>) -> LoadError {
        let searched = self.explicit.iter().chain(&self.places);
        LoadError::UnknownMethod {
            method: method.into(),
            nearest: names::nearest(method, known.iter().map(String::as_str)).map(str::to_owned),
            known: known.into_iter().collect(),
            searched: searched.map(|path| path.display().to_string()).collect(),
            refused: refused.into_iter().map(|refused| refused.path).collect(),
        }
    }
}

/// The user's own plugins: `$XDG_DATA_HOME/perdura/plugins` or `~/.local/share/perdura/plugins`.
pub fn user_folder() -> Option<PathBuf> {
    Some(home_folder("XDG_DATA_HOME", ".local/share")?.join("perdura/plugins"))
}

/// A folder of the XDG base directory specification, which ignores relative paths.
pub(super) fn home_folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| Some(absolute("HOME")?.join(below_home)))
}

/// How a file came to be looked at.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    Explicit,
    /// Named in the environment variable.
    Named,
    Folder,
}

/// A file with an acceptable manifest. It is hashed only when it is wanted: the manifests of a
/// folder are read in no time, its hashes are not.
struct Candidate {
    path: PathBuf,
    manifest: StaticManifest,
    explicit: bool,
}

#[derive(Default)]
struct Survey {
    candidates: Vec<Candidate>,
    refused: Vec<Refused>,
}

impl Survey {
    fn add(&mut self, path: PathBuf, origin: Origin) {
        let explicit = origin == Origin::Explicit;
        match inspect_unhashed(&path) {
            Ok(manifest) => {
                let same_id = |c: &Candidate| c.explicit && c.manifest.id == manifest.id;
                if explicit || !self.candidates.iter().any(same_id) {
                    self.candidates.push(Candidate { path, manifest, explicit });
                }
            }
            Err(LoadError::NoManifest { .. }) if origin == Origin::Folder => {}
            Err(error) => self.refused.push(Refused { path, error, explicit }),
        }
    }
}

/// The candidates with their hashes, each content once.
fn hashed(candidates: Vec<Candidate>, refused: &mut Vec<Refused>) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for Candidate { path, explicit, .. } in candidates {
        match inspect(&path) {
            Ok(new) if found.iter().any(|old| old.sha256 == new.sha256) => {}
            Ok(new) => found.push(new),
            Err(error) => refused.push(Refused { path, error, explicit }),
        }
    }
    found
}

/// `place` itself, or the `lib*.so` in it in the order of their names. A folder that is not there
/// holds nothing.
fn files_of(place: &Path) -> Vec<(PathBuf, Origin)> {
    let Ok(entries) = std::fs::read_dir(place) else {
        let is_file = place.extension().is_some_and(|extension| extension == "so");
        return if is_file { vec![(place.to_owned(), Origin::Named)] } else { Vec::new() };
    };
    let mut paths: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| is_library_name(path)).collect();
    paths.sort();
    paths.into_iter().map(|path| (path, Origin::Folder)).collect()
}

fn is_library_name(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("lib") && name.ends_with(".so")
}

/// The same for every path to the same file.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::testing::{Library, code, library_bytes, manifest_of};

    /// A folder of libraries with the given names and ids; `None` when there is no C compiler.
    fn folder(libraries: &[(&str, &str)]) -> Option<tempfile::TempDir> {
        let folder = tempfile::tempdir().unwrap();
        for (name, id) in libraries {
            std::fs::write(folder.path().join(name), library_bytes(&manifest_of(id))?).unwrap();
        }
        Some(folder)
    }

    fn path_of(folder: &tempfile::TempDir) -> SearchPath {
        SearchPath::new(&[], &[folder.path().to_owned()])
    }

    #[test]
    fn full_id_and_short_name() {
        let Some(folder) = folder(&[("liber.so", "a/er"), ("libsgd.so", "a/sgd")]) else { return };
        let path = path_of(&folder);
        assert_eq!(path.resolve("a/er").unwrap().path, folder.path().join("liber.so"));
        assert_eq!(path.resolve("sgd").unwrap().manifest.id, "a/sgd");
        assert_eq!(path.scan().found.len(), 2);
    }

    #[test]
    fn unknown_method_names_the_nearest() {
        let Some(folder) = folder(&[("liber.so", "a/er"), ("libcls.so", "a/cls-er")]) else {
            return;
        };
        std::fs::write(folder.path().join("libbroken.so"), "text").unwrap();
        let error = path_of(&folder).resolve("clser").unwrap_err();
        let text = error.to_string();
        assert_eq!(error.code(), "unknown-method");
        assert!(text.contains("did you mean a/cls-er?"), "{text}");
        assert!(text.contains("found: a/cls-er, a/er"), "{text}");
        assert!(text.contains(&format!("searched: {}", folder.path().display())), "{text}");
        assert!(text.contains("libbroken.so (perdura plugins list says why)"), "{text}");
        assert!(text.lines().count() <= 6, "{text}");
        let text = path_of(&folder).resolve("zzzzzz").unwrap_err().to_string();
        assert!(!text.contains("did you mean"), "{text}");
    }

    #[test]
    fn short_name_of_two_labs_is_ambiguous() {
        let Some(folder) = folder(&[("liba.so", "a/er"), ("libb.so", "b/er")]) else { return };
        let error = path_of(&folder).resolve("er").unwrap_err();
        assert_eq!(error.code(), "ambiguous-name");
        assert!(error.to_string().contains("found: a/er, b/er"), "{error}");
        assert_eq!(path_of(&folder).resolve("b/er").unwrap().manifest.id, "b/er");
    }

    #[test]
    fn one_id_in_two_files() {
        let Some(folder) = folder(&[("liba.so", "a/er"), ("libb.so", "a/er")]) else { return };
        // Identical content is one plugin.
        assert_eq!(path_of(&folder).scan().found.len(), 1);
        path_of(&folder).resolve("er").unwrap();
        let mut other = manifest_of("a/er");
        other.version = "9.9.9".into();
        std::fs::write(folder.path().join("libb.so"), library_bytes(&other).unwrap()).unwrap();
        let error = path_of(&folder).resolve("er").unwrap_err();
        assert_eq!(error.code(), "duplicate-id");
        let text = error.to_string();
        assert!(text.contains("liba.so") && text.contains("libb.so"), "{text}");
        assert_eq!(path_of(&folder).scan().found.len(), 2);
        // An explicit file takes the id over.
        let (places, file) = ([folder.path().to_owned()], folder.path().join("libb.so"));
        let chosen = SearchPath::new(std::slice::from_ref(&file), &places);
        assert_eq!(chosen.resolve("er").unwrap().path, file);
        assert_eq!(chosen.scan().found.len(), 1);
    }

    #[test]
    fn libraries_that_are_not_plugins_are_passed_over() {
        let Some(folder) = folder(&[("liber.so", "a/er")]) else { return };
        let Some(foreign) = Library::without_manifest() else { return };
        let plain = folder.path().join("libplain.so");
        std::fs::copy(&foreign.path, &plain).unwrap();
        std::fs::write(folder.path().join("notes.txt"), "text").unwrap();
        std::fs::write(folder.path().join("libempty.so"), "").unwrap();
        let scan = path_of(&folder).scan();
        assert_eq!((scan.found.len(), scan.refused.len()), (1, 1));
        assert_eq!(scan.refused[0].error.code(), "empty");
        // Named explicitly they are errors, whatever is asked for.
        let path = SearchPath::new(&[plain], &[folder.path().to_owned()]);
        assert_eq!(code(path.resolve("er")), "no-manifest");
    }

    #[test]
    fn refused_plugin_of_the_name_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = manifest_of("a/er");
        manifest.abi = "0.9".into();
        let Some(bytes) = library_bytes(&manifest) else { return };
        std::fs::write(folder.path().join("liber.so"), bytes).unwrap();
        assert_eq!(code(path_of(&folder).resolve("er")), "abi-mismatch");
        assert_eq!(code(path_of(&folder).resolve("a/er")), "abi-mismatch");
        assert_eq!(code(path_of(&folder).resolve("sgd")), "unknown-method");
    }

    #[test]
    fn places_may_be_missing_but_files_may_not() {
        let missing = PathBuf::from("/nowhere/plugins");
        assert!(SearchPath::new(&[], std::slice::from_ref(&missing)).scan().refused.is_empty());
        let scan = SearchPath::new(&[], &[missing.join("liber.so")]).scan();
        assert_eq!(scan.refused[0].error.code(), "missing");
        let text = SearchPath::default().resolve("er").unwrap_err().to_string();
        assert!(text.contains("found: no plugins at all"), "{text}");
    }
}
