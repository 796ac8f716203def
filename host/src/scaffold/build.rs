//! Compiles a plugin crate with cargo, checks the library without running it, and installs it where
//! the host looks for the user's plugins.

use serde_json::Value;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::ScaffoldError;
use crate::plugin::{Found, inspect, user_folder, write_whole};

/// What to compile and where to put it.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Folder of the crate.
    pub path: PathBuf,
    /// Where the library goes; the user's plugin folder when `None`.
    pub install_dir: Option<PathBuf>,
    /// The program to run; the variable `CARGO`, else `cargo`, when `None`.
    pub cargo: Option<PathBuf>,
}

/// A plugin that the host finds from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct Installed {
    /// The installed file.
    pub found: Found,
    /// What cargo built, in the crate's target folder.
    pub built: PathBuf,
}

/// Runs `cargo build --release` and installs the library. Every line that cargo writes for people
/// goes to `show` as it comes.
pub fn build(
    options: &BuildOptions,
    show: &mut (dyn FnMut(&str) + Send),
) -> Result<Installed, ScaffoldError> {
    let manifest = options.path.join("Cargo.toml");
    let Ok(manifest) = manifest.canonicalize() else {
        return Err(ScaffoldError::NoCrate { path: options.path.clone() });
    };
    let dir = match &options.install_dir {
        Some(dir) => dir.clone(),
        None => user_folder().ok_or(ScaffoldError::NoUserFolder)?,
    };
    let messages = run_cargo(options, show)?;
    let library = messages.lines().filter_map(|line| cdylib_of(line, &manifest)).next_back();
    let built = library.ok_or_else(|| ScaffoldError::NoLibrary { path: options.path.clone() })?;
    let found = install(inspect(&built)?, &dir)?;
    Ok(Installed { found, built })
}

/// Runs cargo to its end; returns its messages for machines.
fn run_cargo(
    options: &BuildOptions,
    show: &mut (dyn FnMut(&str) + Send),
) -> Result<String, ScaffoldError> {
    const LINES_KEPT: usize = 60;
    let named = options.cargo.clone().or_else(|| std::env::var_os("CARGO").map(PathBuf::from));
    let cargo = named.unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command
        .args(["build", "--release", "--lib", "--message-format=json-render-diagnostics"])
        .current_dir(&options.path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let no_cargo = |cause| ScaffoldError::NoCargo { cargo: cargo.clone(), cause };
    let mut child = command.spawn().map_err(no_cargo)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut last_lines = VecDeque::new();
    let mut messages = Vec::new();
    // Both ends are read at once: cargo stops when either pipe is full.
    std::thread::scope(|scope| {
        let last_lines = &mut last_lines;
        scope.spawn(move || {
            let Some(stderr) = stderr else { return };
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                show(&line);
                last_lines.push_back(line);
                if last_lines.len() > LINES_KEPT {
                    last_lines.pop_front();
                }
            }
        });
        stdout.map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut messages))
    })
    .map_err(no_cargo)?;
    let status = child.wait().map_err(no_cargo)?;
    if !status.success() {
        let stderr = last_lines.make_contiguous().join("\n");
        let (path, status) = (options.path.clone(), status.to_string());
        return Err(ScaffoldError::BuildFailed { path, status, stderr });
    }
    Ok(String::from_utf8_lossy(&messages).into_owned())
}

/// The shared library in a message of cargo, if the message is about the crate of `manifest`.
fn cdylib_of(message: &str, manifest: &Path) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_ours = message["reason"] == "compiler-artifact"
        && Path::new(message["manifest_path"].as_str()?).canonicalize().ok()? == manifest;
    let types = message["target"]["crate_types"].as_array()?;
    if !is_ours || !types.iter().any(|kind| kind == "cdylib") {
        return None;
    }
    let files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
    files.map(PathBuf::from).find(|file| file.extension().is_some_and(|end| end == "so"))
}

/// Puts a checked library into `dir`. Replaces an older build of the same plugin, whole.
fn install(built: Found, dir: &Path) -> Result<Found, ScaffoldError> {
    let path = dir.join(built.path.file_name().unwrap_or_default());
    if let Ok(installed) = inspect(&path)
        && installed.manifest.id != built.manifest.id
    {
        let (new, installed) = (built.manifest.id, installed.manifest.id);
        return Err(ScaffoldError::OtherPlugin { path, new, installed });
    }
    let bytes = std::fs::read(&built.path)
        .and_then(|bytes| std::fs::create_dir_all(dir).map(|()| bytes))
        .and_then(|bytes| write_whole(&path, &bytes));
    bytes.map_err(|cause| ScaffoldError::Write { path: path.clone(), cause })?;
    Ok(inspect(&path)?.expect_sha256(&built.sha256)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::testing::{Library, manifest_of};
    use std::os::unix::fs::PermissionsExt;

    /// A crate folder and a shell script that stands for cargo.
    struct Setup {
        folder: tempfile::TempDir,
        options: BuildOptions,
    }

    fn setup(script: &str) -> Setup {
        let folder = tempfile::tempdir().unwrap();
        let (path, cargo) = (folder.path().join("crate"), folder.path().join("cargo"));
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("Cargo.toml"), "[package]").unwrap();
        std::fs::write(&cargo, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&cargo, PermissionsExt::from_mode(0o755)).unwrap();
        let install_dir = Some(folder.path().join("data/plugins"));
        Setup { folder, options: BuildOptions { path, install_dir, cargo: Some(cargo) } }
    }

    /// Prints cargo's message about a library, after one about a dependency.
    fn announce(library: &Path) -> String {
        let artifact = |manifest: &str, file: &Path| {
            format!(
                "echo '{{\"reason\":\"compiler-artifact\",\"manifest_path\":\"'{manifest}'\",\
                 \"target\":{{\"crate_types\":[\"cdylib\",\"rlib\"]}},\
                 \"filenames\":[\"{}\",\"/x/libx.rlib\"]}}'\n",
                file.display()
            )
        };
        let other = artifact("/bin/sh", Path::new("/x/other.so"));
        format!("{other}{}echo compiling >&2", artifact("\"$PWD\"/Cargo.toml", library))
    }

    fn run(setup: &Setup) -> (Result<Installed, ScaffoldError>, Vec<String>) {
        let mut shown = Vec::new();
        let result = build(&setup.options, &mut |line| shown.push(line.to_owned()));
        (result, shown)
    }

    #[test]
    fn library_is_checked_and_installed() {
        let Some(library) = Library::of_id("local/er") else { return };
        let setup = setup(&announce(&library.path));
        for _ in 0..2 {
            let (installed, shown) = run(&setup);
            let Installed { found, built } = installed.unwrap();
            assert_eq!((built, shown), (library.path.clone(), vec!["compiling".to_owned()]));
            assert_eq!(found.path, setup.folder.path().join("data/plugins/libx.so"));
            assert_eq!(std::fs::read(&found.path).unwrap(), library.bytes());
            assert_eq!(std::fs::metadata(&found.path).unwrap().permissions().mode() & 0o444, 0o444);
        }
    }

    #[test]
    fn other_plugin_of_the_file_name_is_kept() {
        let Some(library) = Library::of_id("local/er") else { return };
        let Some(old) = Library::of(&manifest_of("local/sgd")) else { return };
        let setup = setup(&announce(&library.path));
        let dir = setup.options.install_dir.clone().unwrap();
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::copy(&old.path, dir.join("libx.so")).unwrap();
        assert!(matches!(run(&setup).0, Err(ScaffoldError::OtherPlugin { .. })));
        assert_eq!(std::fs::read(dir.join("libx.so")).unwrap(), old.bytes());
    }

    #[test]
    fn failures_say_what_happened() {
        let setup_failing = setup("echo 'error: no such thing' >&2; exit 101");
        let (result, shown) = run(&setup_failing);
        let text = result.unwrap_err().to_string();
        assert!(text.contains("error: no such thing") && text.contains("101"), "{text}");
        assert_eq!(shown, ["error: no such thing"]);

        assert!(matches!(run(&setup("true")).0, Err(ScaffoldError::NoLibrary { .. })));

        let mut missing = setup("true");
        missing.options.cargo = Some("/nowhere/cargo".into());
        let text = run(&missing).0.unwrap_err().to_string();
        assert!(text.contains("/nowhere/cargo") && text.contains("rustup"), "{text}");

        let mut no_crate = setup("true");
        no_crate.options.path = no_crate.folder.path().join("nothing");
        assert!(matches!(run(&no_crate).0, Err(ScaffoldError::NoCrate { .. })));
    }

    #[test]
    fn library_that_is_no_plugin_is_not_installed() {
        let Some(library) = Library::without_manifest() else { return };
        let setup = setup(&announce(&library.path));
        let error = run(&setup).0.unwrap_err();
        assert!(matches!(&error, ScaffoldError::Refused(e) if e.code() == "no-manifest"));
        assert!(!setup.folder.path().join("data").exists());
    }
}
