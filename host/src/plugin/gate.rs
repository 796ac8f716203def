//! The ABI gate: whether what the static manifest says about the build fits this host. It only
//! compares words; the layouts themselves are compared in [`super::open`].

use perdura_abi::abi_stable::library::AbiHeader;
use perdura_abi::manifest::StaticManifest;
use std::env::consts::{ARCH, OS};
use std::path::Path;

use super::error::LoadError;

/// Refuses a plugin of another boundary, abi_stable or target.
pub(super) fn check(path: &Path, manifest: &StaticManifest) -> Result<(), LoadError> {
    let (path, id) = (path.to_owned(), manifest.id.clone());
    if manifest.abi != perdura_abi::ABI {
        let (expected, found) = (perdura_abi::ABI.to_owned(), manifest.abi.clone());
        return Err(LoadError::AbiMismatch { path, id, expected, found });
    }
    let expected = abi_stable_version();
    if minor_of(&manifest.abi_stable) != expected {
        let found = manifest.abi_stable.clone();
        return Err(LoadError::AbiStableMismatch { path, id, expected, found });
    }
    if !is_this_target(&manifest.target) {
        let (expected, found) = (format!("{ARCH}-{OS}-{}", libc()), manifest.target.clone());
        return Err(LoadError::TargetMismatch { path, id, expected, found });
    }
    Ok(())
}

/// `major.minor` of the abi_stable in this host: what its headers compare.
pub(super) fn abi_stable_version() -> String {
    format!("{}.{}", AbiHeader::VALUE.abi_major, AbiHeader::VALUE.abi_minor)
}

fn minor_of(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// Machine, system and C library; the vendor in a target triple means nothing.
fn is_this_target(target: &str) -> bool {
    let mut parts = target.split('-');
    let machine = parts.next() == Some(ARCH);
    let rest: Vec<&str> = parts.collect();
    machine && rest.contains(&OS) && rest.iter().any(|part| part.starts_with(libc()))
}

fn libc() -> &'static str {
    if cfg!(target_env = "musl") { "musl" } else { "gnu" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::testing::{code, manifest_of};

    fn changed(change: impl FnOnce(&mut StaticManifest)) -> Result<(), LoadError> {
        let mut manifest = manifest_of("lab/er");
        change(&mut manifest);
        check(Path::new("lib.so"), &manifest)
    }

    #[test]
    fn own_build_passes() {
        changed(|_| ()).unwrap();
        changed(|m| m.abi_stable = "0.11".into()).unwrap();
        changed(|m| m.target = format!("{ARCH}-{OS}-{}", libc())).unwrap();
    }

    #[test]
    fn each_difference_is_named() {
        let error = changed(|m| m.abi = "1.0-draft.0".into()).unwrap_err();
        assert_eq!(error.code(), "abi-mismatch");
        let text = error.to_string();
        assert!(text.contains("found: ABI 1.0-draft.0"), "{text}");
        assert!(text.contains(&format!("expected: ABI {}", perdura_abi::ABI)), "{text}");
        assert_eq!(error.id(), Some("lab/er"));
        assert_eq!(code(changed(|m| m.abi_stable = "0.10.5".into())), "abi-stable-mismatch");
        for target in ["sparc64-unknown-linux-gnu", "", ARCH, "x86_64-pc-windows-msvc"] {
            assert_eq!(code(changed(|m| m.target = target.into())), "target-mismatch");
        }
        let musl = format!("{ARCH}-unknown-{OS}-musl");
        assert_eq!(code(changed(|m| m.target = musl)), "target-mismatch");
    }
}
