//! Loads many mutants of one plugin file in one process, as the host does: checks of the bytes, the copy, a
//! worker that opens it and asks it about itself. Prints a line for each, and leaves with code 3 as soon as one
//! is loaded that must not be.
//!
//! Words: the file, a folder to work in, the seed, the number of the first mutant, how many.
#![deny(unsafe_code)]

use object::{Object, ObjectSection};
use perdura::plugin::{Cache, Found, describe_cached_in, inspect};
use perdura::rng::{Rng, below, keyed};
use perdura::worker::{Deadlines, Limits, SpawnOptions, describe};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn main() {
    perdura::serve_if_worker();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| words[place].parse::<u64>().expect("a number");
    let good = std::fs::read(&words[0]).expect("the file is there");
    let map = Map::of(&good);
    for mutant in number(3)..number(3) + number(4) {
        let (what, bytes) = map.mutant(&good, &mut keyed(number(2), "fuzz", &[mutant]));
        let outcome = load(&bytes, Path::new(&words[1]));
        println!("{mutant} {what}: {}", outcome.text());
        let must_not = matches!(outcome, Outcome::Wrong(_))
            || (what == "layout" && matches!(outcome, Outcome::Loaded));
        if must_not {
            std::process::exit(3);
        }
    }
}

/// What came of a mutant.
enum Outcome {
    /// The change did not matter.
    Loaded,
    /// By the checks of the bytes, with the code of the error.
    Refused(&'static str),
    /// In the worker that opened it, or by what it said about itself.
    NotOpened(String),
    /// Loaded, though what it says and what it is disagree.
    Wrong(String),
}

impl Outcome {
    fn text(&self) -> String {
        match self {
            Outcome::Loaded => "loaded".into(),
            Outcome::Refused(code) => format!("refused {code}"),
            Outcome::NotOpened(reason) => format!("not opened, {}", reason.replace('\n', " ")),
            Outcome::Wrong(reason) => format!("WRONG, {reason}"),
        }
    }
}

fn load(bytes: &[u8], folder: &Path) -> Outcome {
    let (path, cache) = (folder.join("libmutant.so"), folder.join("cache"));
    std::fs::write(&path, bytes).expect("the folder can be written");
    let found = match inspect(&path) {
        Ok(found) => found,
        Err(error) => return Outcome::Refused(error.code()),
    };
    let outcome = open(&found, &Cache::at(&cache));
    let _ = std::fs::remove_dir_all(&cache);
    outcome
}

fn open(found: &Found, cache: &Cache) -> Outcome {
    let described = describe_cached_in(cache, found, || {
        let copy = cache.copy(found).map_err(|error| error.to_string())?;
        let description = describe(&options(&copy)).map_err(|fault| fault.to_string())?;
        serde_json::to_string(&description).map_err(|e| e.to_string())
    });
    let described = match described {
        Ok(described) => described,
        Err(error) => return Outcome::NotOpened(error.to_string()),
    };
    let (id, abi) = (&found.manifest.id, &found.manifest.abi);
    match described.id == *id && abi == perdura_abi::ABI {
        true => Outcome::Loaded,
        false => Outcome::Wrong(format!("{id} of ABI {abi} says it is {}", described.id)),
    }
}

fn options(copy: &Path) -> SpawnOptions {
    let deadlines = Deadlines { create: Duration::from_secs(10), ..Deadlines::default() };
    let limits = Limits {
        memory_bytes: Some(1 << 30),
        cpu_seconds: Some(5),
        file_bytes: Some(1 << 20),
        ..Limits::default()
    };
    SpawnOptions { deadlines, limits, ..SpawnOptions::new(PathBuf::from(copy)) }
}

/// Where things lie in a plugin file.
struct Map {
    manifest: Range<usize>,
    dynamic: Range<usize>,
    code: Range<usize>,
    constants: Range<usize>,
    /// First byte of the table of sections, which ends the file.
    sections: usize,
}

/// A name in the layout of the boundary's types.
const LAYOUT_NAME: &[u8] = b"HostTable";

impl Map {
    fn of(bytes: &[u8]) -> Map {
        let file = object::File::parse(bytes).expect("the good file is sound");
        let range = |name: &str| {
            let section = file.section_by_name(name).expect("a library has this section");
            let (start, len) = section.file_range().expect("it has content");
            start as usize..(start + len) as usize
        };
        let sections = u64::from_le_bytes(bytes[40..48].try_into().expect("8 bytes")) as usize;
        Map {
            manifest: range(".perdura"),
            dynamic: range(".dynamic"),
            code: range(".text"),
            constants: range(".rodata"),
            sections,
        }
    }

    /// A mutant and what was done to it. Machine code is left alone: with other instructions it is another
    /// program, not a damaged file.
    fn mutant(&self, good: &[u8], rng: &mut Rng) -> (&'static str, Vec<u8>) {
        let mut bytes = good.to_vec();
        let what = match below(rng, 9) {
            0 => self.flip_anywhere(&mut bytes, rng),
            1 => flip(&mut bytes, 0..64, "file header", rng),
            2 => flip(&mut bytes, 64..64 + 12 * 56, "program headers", rng),
            3 => flip(&mut bytes, self.sections..good.len(), "section headers", rng),
            4 => flip(&mut bytes, self.dynamic.clone(), "dynamic section", rng),
            5 => flip(&mut bytes, self.manifest.clone(), "manifest", rng),
            6 => self.rewrite_manifest(&mut bytes, rng),
            7 => resize(&mut bytes, rng),
            _ => self.rename_a_type(&mut bytes, rng),
        };
        (what, bytes)
    }

    fn flip_anywhere(&self, bytes: &mut [u8], rng: &mut Rng) -> &'static str {
        for _ in 0..=below(rng, 64) {
            let at = below(rng, bytes.len() as u64) as usize;
            if !self.code.contains(&at) {
                bytes[at] ^= 1 << below(rng, 8);
            }
        }
        "anywhere"
    }

    /// Another value of the same length for a field of the manifest.
    fn rewrite_manifest(&self, bytes: &mut [u8], rng: &mut Rng) -> &'static str {
        let fields = ["id", "version", "abi", "panic", "abi_stable", "rustc", "target"];
        let field = format!("\"{}\":\"", fields[below(rng, fields.len() as u64) as usize]);
        let manifest = &mut bytes[self.manifest.clone()];
        let at = manifest.windows(field.len()).position(|window| window == field.as_bytes());
        let start = at.expect("the manifest has this field") + field.len();
        let len = manifest[start..].iter().position(|b| *b == b'"').expect("it ends");
        let place = start + below(rng, len.max(1) as u64) as usize;
        manifest[place] = b"abcdefghij0123456789-./"[below(rng, 23) as usize];
        "manifest field"
    }

    /// The manifest stays, a type of the boundary gets another name: manifest and layout disagree.
    fn rename_a_type(&self, bytes: &mut [u8], rng: &mut Rng) -> &'static str {
        let constants = &mut bytes[self.constants.clone()];
        let places: Vec<usize> = (0..constants.len() - LAYOUT_NAME.len())
            .filter(|&at| &constants[at..at + LAYOUT_NAME.len()] == LAYOUT_NAME)
            .collect();
        let letter = below(rng, LAYOUT_NAME.len() as u64) as usize;
        places.iter().for_each(|at| constants[at + letter] = b'Z');
        if places.is_empty() { "nothing" } else { "layout" }
    }
}

fn flip(bytes: &mut [u8], range: Range<usize>, what: &'static str, rng: &mut Rng) -> &'static str {
    for _ in 0..=below(rng, 4) {
        let at = range.start + below(rng, range.len() as u64) as usize;
        bytes[at] = below(rng, 256) as u8;
    }
    what
}

fn resize(bytes: &mut Vec<u8>, rng: &mut Rng) -> &'static str {
    let len = bytes.len() as u64;
    match below(rng, 3) {
        0 => bytes.extend((0..below(rng, 4096)).map(|at| at as u8)),
        1 => bytes.truncate((len - 1 - below(rng, 4096.min(len - 1))) as usize),
        _ => bytes.truncate(below(rng, len) as usize),
    }
    "size"
}
