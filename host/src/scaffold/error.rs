//! What can go wrong while a plugin crate is written, compiled or installed.

use std::io;
use std::path::PathBuf;

use crate::plugin::LoadError;

/// Why there is no new crate, or no installed plugin.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    #[error(
        "{name:?} cannot be the name of a plugin\n  expected: lab/name or name, each of a-z, \
         0-9, '.', '_' and '-', starting with a letter or digit\n  remedy: choose such a name"
    )]
    BadName { name: String },
    #[error("the folder for the new crate is not empty: {}\n  \
         remedy: name another one, or remove what is there", path.display())]
    NotEmpty { path: PathBuf },
    #[error("there is no Perdura SDK in {}\n  expected: the crate perdura-sdk (its Cargo.toml), or \
         a checkout that holds it in sdk/\n  remedy: give its folder or a version with --sdk",
        path.display())]
    NoSdk { path: PathBuf },
    #[error("cannot write {}\n  found: {cause}\n  remedy: choose a folder that can be written",
        path.display())]
    Write { path: PathBuf, cause: io::Error },
    #[error("not a plugin crate: {}\n  expected: a folder with a Cargo.toml\n  \
         remedy: name the crate's folder, or make one with perdura plugins new", path.display())]
    NoCrate { path: PathBuf },
    #[error("cargo cannot be started: {}\n  found: {cause}\n  \
         remedy: install Rust (https://rustup.rs), or name cargo in the variable CARGO",
        cargo.display())]
    NoCargo { cargo: PathBuf, cause: io::Error },
    #[error("cargo could not build {} ({status})\n{}\n  remedy: mend what the compiler says",
        path.display(), stderr.trim_end())]
    BuildFailed {
        path: PathBuf,
        status: String,
        /// Last lines of what cargo said.
        stderr: String,
    },
    #[error("the build made no shared library: {}\n  expected: one cdylib\n  found: none\n  \
         remedy: set crate-type = [\"cdylib\", \"rlib\"] under [lib] in Cargo.toml",
        path.display())]
    NoLibrary { path: PathBuf },
    #[error("the crate builds, but the library is refused")]
    Refused(#[from] LoadError),
    #[error("another plugin is installed under the same file name: {}\n  expected: {new}\n  \
         found: {installed}\n  remedy: rename the crate, or remove that file", path.display())]
    OtherPlugin { path: PathBuf, new: String, installed: String },
    #[error(
        "there is no folder to install plugins in\n  expected: XDG_DATA_HOME or HOME\n  \
         remedy: set one of them"
    )]
    NoUserFolder,
}
