//! Whether a file can be given to the dynamic loader at all. The loader maps what the program
//! headers promise and dies with SIGBUS when the file is shorter, so this is checked beforehand
//! on the bytes. It says nothing about whether the library is a plugin.

use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::read::ReadRef;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable};
use std::path::Path;

use super::error::LoadError;

type Header = FileHeader64<LittleEndian>;
const LE: LittleEndian = LittleEndian;

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = elf::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = elf::EM_AARCH64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("Perdura loads plugins on x86_64 and aarch64; add the ELF machine number here");

/// A shared library for this machine whose parts all lie inside the file.
pub(super) struct SoundElf<'a, R> {
    header: &'a Header,
    bytes: R,
}

/// Checks the bytes of the file at `path`, which is only named in errors. They may lie in memory or, as a
/// `ReadCache`, in the file: of a file only headers and the manifest are read.
pub(super) fn check<'a, R: ReadRef<'a>>(
    path: &Path,
    bytes: R,
) -> Result<SoundElf<'a, R>, LoadError> {
    check_identity(path, bytes)?;
    let header = Header::parse(bytes).map_err(|error| damaged(path, error))?;
    let found = header.e_machine(LE);
    if found != MACHINE {
        let (expected, found) = (machine_name(MACHINE), machine_name(found));
        return Err(LoadError::WrongMachine { path: path.into(), expected, found });
    }
    if header.e_type(LE) != elf::ET_DYN {
        let found = format!("ELF type {}", header.e_type(LE));
        let expected = "ELF type 3 (dynamic)";
        return Err(LoadError::NotShared { path: path.into(), expected, found });
    }
    check_segments(path, header, bytes)?;
    check_sections(path, header, bytes)?;
    Ok(SoundElf { header, bytes })
}

impl<'a, R: ReadRef<'a>> SoundElf<'a, R> {
    /// Content of the section `name`, if the file has one with content.
    pub fn section(&self, name: &str) -> Option<&'a [u8]> {
        let sections = self.header.sections(LE, self.bytes).ok()?;
        let (_, section) = sections.section_by_name(LE, name.as_bytes())?;
        section.data(LE, self.bytes).ok().filter(|data| !data.is_empty())
    }

    /// Libraries that the loader will look for, but those that every Rust library needs.
    pub fn libraries(&self) -> Vec<String> {
        const USUAL: [&str; 7] =
            ["ld-linux", "libc.", "libdl.", "libgcc_s.", "libm.", "libpthread.", "librt."];
        let table = |sections: SectionTable<'a, Header, R>| sections.dynamic_table(LE, self.bytes);
        let Ok(table) = self.header.sections(LE, self.bytes).and_then(table) else {
            return Vec::new();
        };
        let needed = table.iter().filter(|entry| entry.tag == elf::DT_NEEDED);
        let names = needed.filter_map(|entry| table.string(entry).ok());
        let names = names.map(|name| String::from_utf8_lossy(name).into_owned());
        names.filter(|name| !USUAL.iter().any(|usual| name.starts_with(usual))).collect()
    }
}

/// Magic, class and byte order: the part that is readable whatever the machine.
fn check_identity<'a>(path: &Path, bytes: impl ReadRef<'a>) -> Result<(), LoadError> {
    let start = start(bytes);
    if start.is_empty() {
        return Err(LoadError::Empty { path: path.into() });
    }
    let magic = elf::ELFMAG.len().min(start.len());
    if start[..magic] != elf::ELFMAG[..magic] {
        return Err(LoadError::NotElf { path: path.into(), found: first_bytes(start) });
    }
    let header_bytes = size_of::<Header>();
    require(path, bytes, "the ELF header", header_bytes as u64)?;
    let (class, order) = (start[4], start[5]);
    if class != elf::ELFCLASS64 || order != elf::ELFDATA2LSB {
        let bits = if class == elf::ELFCLASS32 { "32-bit" } else { "64-bit" };
        let order = if order == elf::ELFDATA2MSB { "big-endian" } else { "little-endian" };
        return Err(LoadError::WrongMachine {
            path: path.into(),
            expected: "64-bit little-endian".into(),
            found: format!("{bits} {order}"),
        });
    }
    Ok(())
}

/// Every program header that the loader maps or follows must lie inside the file.
fn check_segments<'a>(
    path: &Path,
    header: &Header,
    bytes: impl ReadRef<'a>,
) -> Result<(), LoadError> {
    let count = u64::from(header.e_phnum(LE));
    let size = size_of::<ProgramHeader64<LittleEndian>>() as u64;
    let table_end = header.e_phoff(LE).saturating_add(count * size);
    require(path, bytes, "the program header table", table_end)?;
    let segments = header.program_headers(LE, bytes).map_err(|error| damaged(path, error))?;
    for (index, segment) in segments.iter().enumerate() {
        if segment.p_type(LE) == elf::PT_NULL {
            continue;
        }
        let end = segment.p_offset(LE).saturating_add(segment.p_filesz(LE));
        require(path, bytes, &format!("program header {index}"), end)?;
    }
    for (kind, expected) in [(elf::PT_LOAD, "a PT_LOAD segment"), (elf::PT_DYNAMIC, "PT_DYNAMIC")] {
        if !segments.iter().any(|segment| segment.p_type(LE) == kind) {
            let found = format!("{count} program headers, none of that kind");
            return Err(LoadError::NotShared { path: path.into(), expected, found });
        }
    }
    Ok(())
}

/// The loader ignores sections, but the manifest lies in one: a cut there must not look like a
/// library without manifest.
fn check_sections<'a>(
    path: &Path,
    header: &Header,
    bytes: impl ReadRef<'a>,
) -> Result<(), LoadError> {
    let count = u64::from(header.e_shnum(LE));
    let size = size_of::<SectionHeader64<LittleEndian>>() as u64;
    let table_end = header.e_shoff(LE).saturating_add(count * size);
    require(path, bytes, "the section header table", table_end)?;
    let sections = header.section_headers(LE, bytes).map_err(|error| damaged(path, error))?;
    for (index, section) in sections.iter().enumerate() {
        if matches!(section.sh_type(LE), elf::SHT_NOBITS | elf::SHT_NULL) {
            continue;
        }
        let end = section.sh_offset(LE).saturating_add(section.sh_size(LE));
        require(path, bytes, &format!("section {index}"), end)?;
    }
    Ok(())
}

/// The first bytes, as many as an identity has or as there are.
fn start<'a>(bytes: impl ReadRef<'a>) -> &'a [u8] {
    let count = bytes.len().unwrap_or(0).min(16);
    bytes.read_bytes_at(0, count).unwrap_or(&[])
}

fn require<'a>(
    path: &Path,
    bytes: impl ReadRef<'a>,
    what: &str,
    expected: u64,
) -> Result<(), LoadError> {
    let found_bytes = bytes.len().unwrap_or(0);
    if expected <= found_bytes {
        return Ok(());
    }
    let (path, what) = (path.to_owned(), what.to_owned());
    Err(LoadError::Truncated { path, what, expected_bytes: expected, found_bytes })
}

fn damaged(path: &Path, error: object::read::Error) -> LoadError {
    LoadError::Damaged { path: path.into(), reason: error.to_string() }
}

fn first_bytes(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(16)];
    format!("a file that starts with {:?}", String::from_utf8_lossy(start))
}

fn machine_name(machine: u16) -> String {
    match machine {
        elf::EM_X86_64 => "x86_64".into(),
        elf::EM_AARCH64 => "aarch64".into(),
        elf::EM_RISCV => "riscv".into(),
        elf::EM_PPC64 => "powerpc64".into(),
        elf::EM_386 => "x86 (32-bit)".into(),
        elf::EM_ARM => "arm (32-bit)".into(),
        other => format!("ELF machine {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::testing::{Library, code};

    fn check_bytes(bytes: &[u8]) -> Result<(), LoadError> {
        check(Path::new("lib.so"), bytes).map(|_| ())
    }

    #[test]
    fn a_real_library_is_sound() {
        let Some(library) = Library::of_id("lab/er") else { return };
        let bytes = library.bytes();
        let elf = check(&library.path, &bytes[..]).unwrap();
        assert!(elf.section(perdura_abi::manifest::SECTION).is_some());
        assert!(elf.section(".no-such-section").is_none());
    }

    #[test]
    fn empty_and_text_are_refused() {
        assert_eq!(code(check_bytes(b"")), "empty");
        assert_eq!(code(check_bytes(b"#!/bin/sh\necho hello\n")), "not-elf");
        assert_eq!(code(check_bytes(b"no")), "not-elf");
        assert_eq!(code(check_bytes(b"\x7fEL")), "truncated");
    }

    #[test]
    fn every_cut_is_refused() {
        let Some(library) = Library::of_id("lab/er") else { return };
        let bytes = library.bytes();
        for point in 0..50 {
            let cut = bytes.len() * point / 50;
            let expected = if cut == 0 { "empty" } else { "truncated" };
            assert_eq!(code(check_bytes(&bytes[..cut])), expected, "cut at {cut}");
        }
        assert_eq!(code(check_bytes(&bytes[..bytes.len() - 1])), "truncated");
    }

    #[test]
    fn other_machines_are_refused() {
        let Some(library) = Library::of_id("lab/er") else { return };
        let patched = |offset: usize, value: u8| {
            let mut bytes = library.bytes();
            bytes[offset] = value;
            check_bytes(&bytes)
        };
        assert_eq!(code(patched(18, elf::EM_RISCV as u8)), "wrong-machine");
        let error = patched(4, elf::ELFCLASS32).unwrap_err();
        assert_eq!(error.code(), "wrong-machine");
        assert!(error.to_string().contains("found: 32-bit little-endian"), "{error}");
        assert_eq!(code(patched(5, elf::ELFDATA2MSB)), "wrong-machine");
        assert_eq!(code(patched(16, elf::ET_EXEC as u8)), "not-shared");
    }

    /// Bytes 54 and 58 of an ELF header: sizes of an entry of the tables of segments and sections.
    #[test]
    fn tables_that_make_no_sense_are_refused() {
        let Some(library) = Library::of_id("lab/er") else { return };
        for offset in [54, 58] {
            let mut bytes = library.bytes();
            bytes[offset] = 1;
            let error = check_bytes(&bytes).unwrap_err();
            assert_eq!(error.code(), "damaged");
            assert!(error.to_string().contains("remedy: build or copy it again"), "{error}");
        }
    }

    #[test]
    fn bytes_turned_to_noise_never_panic() {
        let Some(library) = Library::of_id("lab/er") else { return };
        let bytes = library.bytes();
        for offset in 0..1024.min(bytes.len()) {
            for value in [0x00, 0x7f, 0xff] {
                let mut noisy = bytes.clone();
                noisy[offset] = value;
                let _ = check(Path::new("lib.so"), &noisy[..]).map(|elf| elf.section(".perdura"));
            }
        }
    }
}
