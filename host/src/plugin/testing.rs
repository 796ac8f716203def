//! Small libraries for the loader's tests, built by the system's C compiler. Where there is none
//! the tests that need one say so and pass.

use perdura_abi::manifest::StaticManifest;
use std::path::PathBuf;
use std::process::Command;

use super::LoadError;

/// A library in a folder that is deleted with it.
pub struct Library {
    _folder: tempfile::TempDir,
    pub path: PathBuf,
}

impl Library {
    /// A library with a good manifest and no root module.
    pub fn of_id(id: &str) -> Option<Self> {
        Self::of(&manifest_of(id))
    }

    pub fn of(manifest: &StaticManifest) -> Option<Self> {
        let json = serde_json::to_string(manifest).unwrap();
        let bytes = json.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(",");
        let section = perdura_abi::manifest::SECTION;
        let source = format!(
            "__attribute__((section(\"{section}\"), used)) const unsigned char manifest[] = \
             {{{bytes}}};\nint x(void) {{ return 1; }}"
        );
        Self::compile(&source)
    }

    pub fn without_manifest() -> Option<Self> {
        Self::compile("int x(void) { return 1; }")
    }

    /// Compiles C text into a shared library.
    pub fn compile(source: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (text, path) = (folder.path().join("x.c"), folder.path().join("libx.so"));
        std::fs::write(&text, source).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&path).arg(&text);
        let Ok(output) = compiler.output() else {
            eprintln!("SKIPPED: there is no C compiler (cc) to build a test library with");
            return None;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(Library { _folder: folder, path })
    }

    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap()
    }
}

/// The file of a library that carries `manifest`.
pub fn library_bytes(manifest: &StaticManifest) -> Option<Vec<u8>> {
    Library::of(manifest).map(|library| library.bytes())
}

/// A manifest that this host accepts.
pub fn manifest_of(id: &str) -> StaticManifest {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    let (machine, system) = (std::env::consts::ARCH, std::env::consts::OS);
    StaticManifest {
        id: id.into(),
        version: "0.1.0".into(),
        authors: "A. Author".into(),
        licence: "MIT".into(),
        abi: perdura_abi::ABI.into(),
        abi_stable: "0.11.3".into(),
        rustc: "rustc 1.95.0".into(),
        target: format!("{machine}-unknown-{system}-{libc}"),
        panic: "unwind".into(),
        native: String::new(),
    }
}

/// Code of the error in `result`.
pub fn code<T>(result: Result<T, LoadError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}
