//! The described half of the manifest. Asking for it runs the plugin's code, so it is asked once
//! per content, in a child process, and kept in the cache.

use perdura_abi::manifest::Description;
use std::path::Path;

use super::cache::Cache;
use super::error::LoadError;
use super::{Found, OpenPlugin};

impl OpenPlugin {
    /// What the plugin says about itself. Runs its code.
    pub fn describe(&self) -> Result<Description, LoadError> {
        parse(&self.path, &self.manifest.id, &self.describe_json()?)
    }

    /// The description as the plugin wrote it, for a process that passes it on unread.
    pub fn describe_json(&self) -> Result<String, LoadError> {
        let failed = |reason| LoadError::Describe { path: self.path.clone(), reason };
        let bytes =
            (self.root.describe())().into_result().map_err(|error| failed(error.to_string()))?;
        String::from_utf8(bytes.into_vec()).map_err(|error| failed(error.to_string()))
    }
}

/// The description of `found`: from the cache, or from `run_child`, which asks the plugin and returns the
/// JSON text of [`OpenPlugin::describe_json`] or why there is none.
pub fn describe_cached(
    found: &Found,
    run_child: impl FnOnce() -> Result<String, String>,
) -> Result<Description, LoadError> {
    describe_cached_in(&Cache::from_env(), found, run_child)
}

/// As [`describe_cached`], with a cache of the caller's choice.
pub fn describe_cached_in(
    cache: &Cache,
    found: &Found,
    run_child: impl FnOnce() -> Result<String, String>,
) -> Result<Description, LoadError> {
    let id = &found.manifest.id;
    if let Some(json) = cache.description(&found.sha256)
        && let Ok(description) = parse(&found.path, id, &json)
    {
        return Ok(description);
    }
    let json =
        run_child().map_err(|reason| LoadError::Describe { path: found.path.clone(), reason })?;
    let description = parse(&found.path, id, &json)?;
    cache.store_description(&found.sha256, &json)?;
    Ok(description)
}

/// Reads a description and refuses one that is not of `id`.
fn parse(path: &Path, id: &str, json: &str) -> Result<Description, LoadError> {
    let description: Description = serde_json::from_str(json).map_err(|error| {
        let reason = format!("its description is not understood: {error}");
        LoadError::Describe { path: path.into(), reason }
    })?;
    if description.id != id {
        let (path, expected, found) = (path.into(), id.to_owned(), description.id);
        return Err(LoadError::ManifestMismatch { path, expected, found });
    }
    Ok(description)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::cache::sha256_of;
    use crate::plugin::testing::{code, manifest_of};

    fn json(id: &str) -> String {
        serde_json::to_string(&Description { id: id.into(), ..Description::default() }).unwrap()
    }

    fn setup() -> (tempfile::TempDir, Cache, Found) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("liber.so");
        std::fs::write(&path, "library").unwrap();
        let found = Found { path, manifest: manifest_of("lab/er"), sha256: sha256_of(b"library") };
        let cache = Cache::at(folder.path().join("cache"));
        (folder, cache, found)
    }

    #[test]
    fn asked_once() {
        let (_folder, cache, found) = setup();
        let mut asked = 0;
        for _ in 0..3 {
            let description = describe_cached_in(&cache, &found, || {
                asked += 1;
                Ok(json("lab/er"))
            });
            assert_eq!(description.unwrap().id, "lab/er");
        }
        assert_eq!(asked, 1);
    }

    #[test]
    fn damaged_entry_is_asked_again() {
        let (_folder, cache, found) = setup();
        cache.store_description(&found.sha256, "{\"id\":").unwrap();
        describe_cached_in(&cache, &found, || Ok(json("lab/er"))).unwrap();
        assert_eq!(cache.description(&found.sha256).unwrap(), json("lab/er"));
    }

    #[test]
    fn forged_manifest_is_refused_and_not_kept() {
        let (_folder, cache, found) = setup();
        let forged = describe_cached_in(&cache, &found, || Ok(json("lab/sgd")));
        assert_eq!(code(forged), "manifest-mismatch");
        assert_eq!(code(describe_cached_in(&cache, &found, || Err("SIGSEGV".into()))), "describe");
        assert_eq!(code(describe_cached_in(&cache, &found, || Ok("[]".into()))), "describe");
        assert!(cache.description(&found.sha256).is_none());
    }
}
