//! Builds what the tests run, once per test program, with the cargo that runs the tests and in the same
//! target folder: nothing is compiled twice, and `cargo test` on a fresh clone needs no preparation.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The programs and libraries under test.
pub struct Built {
    release: PathBuf,
}

/// Set for a test program that another one started, which has built everything.
pub(crate) const DONE: &str = "PERDURA_TESTS_BUILT";

/// The built things; the first call builds them.
pub fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(Built::build)
}

impl Built {
    fn build() -> Built {
        let target = target_folder();
        let release = target.join("release");
        if std::env::var_os(DONE).is_some() {
            return Built { release };
        }
        // The same packages as `cargo test --workspace` selects: with others, shared dependencies would
        // have other features and be compiled again.
        cargo_build(&target, "--workspace --lib --bins --examples");
        // In a build of their own: a feature holds for everything that is built together.
        let features = "--workspace --features perdura-tests/fixture-next";
        cargo_build(&target, &format!("{features} --example zoo_next --example abi_probe_next"));
        Built { release }
    }

    /// The target folder.
    pub fn target(&self) -> &Path {
        self.release.parent().expect("a profile lies in the target folder")
    }

    /// The `perdura` command.
    pub fn perdura(&self) -> PathBuf {
        self.release.join("perdura")
    }

    /// A shipped plugin, by the name of its method.
    pub fn plugin(&self, method: &str) -> PathBuf {
        self.release.join(format!("libperdura_{}.so", method.replace('-', "_")))
    }

    /// A plugin of the zoo, `faulty` for example.
    pub fn zoo(&self, name: &str) -> PathBuf {
        self.release.join(format!("examples/libzoo_{name}.so"))
    }

    /// A program beside the zoo.
    pub fn example(&self, name: &str) -> PathBuf {
        self.release.join("examples").join(name)
    }
}

/// Names of the shipped methods.
pub fn plugin_names() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(workspace().join("plugins")) else { return Vec::new() };
    let crates = entries.flatten().filter(|entry| entry.path().join("Cargo.toml").is_file());
    let mut names: Vec<_> =
        crates.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// The folder this test program was built into: `<target>/<profile>/deps/<program>`.
fn target_folder() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a file");
    program.ancestors().nth(3).expect("cargo puts it three folders deep").to_owned()
}

fn cargo_build(target: &Path, words: &str) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--quiet", "--target-dir"]).arg(target);
    command.args(words.split(' '));
    // What cargo sets for a test program must not look like settings of the build inside it: build scripts that
    // look at them would run again, and with them everything that depends on theirs.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    let status = command.current_dir(workspace()).status().expect("cargo can be started");
    assert!(status.success(), "cargo build {} failed", words);
}
