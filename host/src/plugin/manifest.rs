//! The static manifest: JSON text in an ELF section, read without running a byte of the plugin.
//! What the plugin says when it runs is in [`super::describe`].

use object::read::ReadRef;
use perdura_abi::manifest::{SECTION, StaticManifest};
use std::path::Path;

use super::elf::SoundElf;
use super::error::LoadError;

/// Longest manifest that is read; a usual one has 400 bytes.
const LEN_BYTES_MAX: usize = 64 * 1024;

/// Reads the manifest of the library at `path`, which is only named in errors.
pub(super) fn read<'a>(
    path: &Path,
    elf: &SoundElf<'a, impl ReadRef<'a>>,
) -> Result<StaticManifest, LoadError> {
    let Some(section) = elf.section(SECTION) else {
        return Err(LoadError::NoManifest { path: path.into() });
    };
    let mut manifest = parse(section).map_err(|(expected, found)| {
        let path = path.into();
        LoadError::BadManifest { path, expected, found }
    })?;
    // What the file asks the system for needs nobody's word; authors name what they open later.
    let named: Vec<String> = manifest.native.split_whitespace().map(str::to_owned).collect();
    let linked = elf.libraries().into_iter().filter(|library| !named.contains(library));
    manifest.native = named.iter().cloned().chain(linked).collect::<Vec<_>>().join(" ");
    Ok(manifest)
}

/// Whether `id` reads `lab/name`, both parts of `[a-z0-9][a-z0-9._-]*`.
pub fn is_valid_id(id: &str) -> bool {
    let mut parts = id.split('/');
    let both = parts.next().is_some_and(is_valid_part) && parts.next().is_some_and(is_valid_part);
    both && parts.next().is_none()
}

/// Whether `part` may stand on either side of the slash of an id.
pub fn is_valid_part(part: &str) -> bool {
    let letter = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let first = part.bytes().next().is_some_and(letter);
    first && part.bytes().all(|c| letter(c) || matches!(c, b'.' | b'_' | b'-'))
}

/// The manifest in the content of the section, or what was expected and what was found.
fn parse(section: &[u8]) -> Result<StaticManifest, (String, String)> {
    if section.len() > LEN_BYTES_MAX {
        let expected = format!("at most {LEN_BYTES_MAX} bytes");
        return Err((expected, format!("{} bytes", section.len())));
    }
    let text = without_padding(section);
    let manifest: StaticManifest = serde_json::from_slice(text).map_err(|error| {
        // Two plugin crates linked into one library put their manifests behind each other.
        let expected = match error.to_string().starts_with("trailing characters") {
            true => "one manifest",
            false => "JSON with the fields of a static manifest",
        };
        (expected.to_owned(), error.to_string())
    })?;
    if !is_valid_id(&manifest.id) {
        let expected = "an id of the form lab/name, of a-z, 0-9, '.', '_' and '-'".into();
        return Err((expected, format!("{:?}", manifest.id)));
    }
    Ok(manifest)
}

fn without_padding(mut section: &[u8]) -> &[u8] {
    while let [rest @ .., 0] = section {
        section = rest;
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::testing::manifest_of;

    fn json(id: &str) -> Vec<u8> {
        serde_json::to_vec(&manifest_of(id)).unwrap()
    }

    #[test]
    fn ids() {
        for id in ["lab/er", "tum/cls-er", "a/b.c_d-1", "0/9"] {
            assert!(is_valid_id(id), "{id}");
        }
        for id in ["", "er", "/er", "lab/", "lab/er/2", "Lab/er", "lab/-er", "lab/e r", "läb/er"] {
            assert!(!is_valid_id(id), "{id}");
        }
    }

    #[test]
    fn manifest_is_read_with_padding() {
        let mut section = json("lab/er");
        assert_eq!(parse(&section).unwrap(), manifest_of("lab/er"));
        section.extend([0; 7]);
        assert_eq!(parse(&section).unwrap(), manifest_of("lab/er"));
    }

    #[test]
    fn damage_is_named() {
        let section = json("lab/er");
        let (_, found) = parse(&section[..section.len() - 2]).unwrap_err();
        assert!(found.contains("EOF"), "{found}");
        let (_, found) = parse(b"{\"id\":\"lab/er\"}").unwrap_err();
        assert!(found.contains("missing field"), "{found}");
        let (_, found) = parse(b"\xff\xfe").unwrap_err();
        assert!(found.contains("line 1"), "{found}");
        let (expected, found) = parse(&json("ER")).unwrap_err();
        assert!(expected.contains("lab/name") && found == "\"ER\"", "{expected} {found}");
        assert!(parse(&vec![b' '; LEN_BYTES_MAX + 1]).unwrap_err().0.contains("at most"));
    }

    #[test]
    fn two_manifests_in_one_file_are_refused() {
        let (mut joined, mut padded) = (json("lab/er"), json("lab/er"));
        joined.extend(json("lab/sgd"));
        padded.push(0);
        padded.extend(json("lab/sgd"));
        for section in [joined, padded] {
            assert_eq!(parse(&section).unwrap_err().0, "one manifest");
        }
    }
}
