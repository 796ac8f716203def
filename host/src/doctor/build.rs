//! What was built and brought along: the host, plugins with the devices they compute on, LibTorch, data
//! sets.

use perdura_abi::manifest::Description;
use std::collections::BTreeMap;
use std::path::Path;

use super::{Finding, State, good, lacking};
use crate::fetch::{DataSet, Presence, SETS};
use crate::planning::{description, host_build};
use crate::plugin::{Found, Scan};
use crate::worker::{Confinement, lacking as unprotected};

/// How a build with LibTorch is made.
const WITH_LIBTORCH: &str = "cargo build --release --features perdura-nn/libtorch; where only PyPI is reached, \
     eval \"$(sdk/nn/libtorch.sh)\" before it";

/// How a build for GPUs without LibTorch is made.
const WITH_CUDA: &str = "for an NVIDIA GPU without LibTorch: cargo build --release --features perdura-nn/cuda \
                         (its build downloads LLVM)";

pub fn host() -> Vec<Finding> {
    let build = host_build();
    let commit = build.commit.as_deref().unwrap_or("unknown");
    let program = std::env::current_exe().map_or("unknown".into(), |p| p.display().to_string());
    vec![
        good("perdura", format!("{}, commit {commit}", build.version)),
        good("program", program),
        good("target", format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)),
    ]
}

/// What each plugin says about itself, or why it does not.
pub fn described(found: &[Found]) -> Vec<Result<Description, String>> {
    let confine = unprotected().is_empty().then(Confinement::default);
    let describe = |found| description(found, confine.clone()).map_err(|error| error.to_string());
    found.iter().map(describe).collect()
}

pub fn plugins(scan: &Scan, described: &[Result<Description, String>]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = (scan.found.iter().zip(described))
        .map(|(Found { path, manifest, .. }, described)| match described {
            Ok(_) => good(&manifest.id, format!("{}, {}", manifest.version, path.display())),
            Err(error) => broken(&manifest.id, error, remedy_of(error)),
        })
        .collect();
    for refused in &scan.refused {
        let name = refused.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        findings.push(broken(&name, &refused.error.to_string(), "remove it, or build it again"));
    }
    if findings.is_empty() {
        let remedy =
            "`cargo build --release` makes the shipped ones, `perdura plugins new` your own";
        findings.push(lacking("plugins", "none on the search path", remedy));
    }
    findings
}

/// What helps a plugin that says nothing about itself.
fn remedy_of(error: &str) -> &'static str {
    match error.contains("LD_LIBRARY_PATH") {
        true => {
            "eval \"$(sdk/nn/libtorch.sh)\", which sets it, or name the folder of another LibTorch"
        }
        false => "build it again, with this SDK",
    }
}

/// Devices that plugins were built for, and what a further one needs. Those of a GPU need one to be seen, and
/// LibTorch's need a LibTorch for it in `libtorch`, the folder that the variable names.
pub fn devices(
    described: &[Result<Description, String>],
    has_gpu: bool,
    libtorch: Option<&Path>,
) -> Vec<Finding> {
    let mut with: BTreeMap<&str, usize> = BTreeMap::new();
    for device in described.iter().flatten().flat_map(|d| &d.devices) {
        *with.entry(device).or_default() += 1;
    }
    let all = described.len();
    let for_gpus = libtorch.is_none_or(|folder| folder.join("lib/libtorch_cuda.so").exists());
    let finding = |(device, count): (&&str, &usize)| {
        let found = format!("in {count} of {all} plugins");
        let remedy = match device.contains("cuda") {
            true if !has_gpu => "no GPU can be seen; any other device",
            true if device.starts_with("libtorch") && !for_gpus => {
                "LIBTORCH is for the CPU; build with it naming a LibTorch for CUDA"
            }
            _ => return good(*device, found),
        };
        lacking(*device, found, remedy)
    };
    let mut findings: Vec<Finding> = with.iter().map(finding).collect();
    if !with.contains_key("libtorch") {
        findings.push(lacking("libtorch", "in no plugin", WITH_LIBTORCH));
    }
    if !with.keys().any(|device| device.starts_with("cuda")) {
        findings.push(lacking("cuda", "in no plugin", WITH_CUDA));
    }
    findings.push(library(libtorch));
    findings
}

/// LibTorch itself, in the folder that the variable of this name says.
fn library(folder: Option<&Path>) -> Finding {
    let remedy = "not needed where the build can download it; sdk/nn/libtorch.sh gets it from PyPI";
    let Some(folder) = folder else {
        return lacking("LIBTORCH", "not set", remedy);
    };
    match folder.join("lib/libtorch_cpu.so").exists() {
        true => good("LIBTORCH", folder.display().to_string()),
        false => {
            broken("LIBTORCH", &format!("{} has no lib/libtorch_cpu.so", folder.display()), remedy)
        }
    }
}

pub fn data(folder: Option<&Path>) -> Vec<Finding> {
    let mut findings = vec![good("digits", "in the program")];
    let Some(folder) = folder else {
        let remedy =
            "name a folder with --data-dir or PERDURA_DATA, then `perdura data fetch NAME`";
        findings.push(lacking("folder", "none is named", remedy));
        return findings;
    };
    findings.push(match folder.is_dir() {
        true => good("folder", folder.display().to_string()),
        false => lacking(
            "folder",
            format!("{} is not there", folder.display()),
            "make it, or name another one with --data-dir or PERDURA_DATA",
        ),
    });
    findings.extend(SETS.iter().map(|set| presence(set, folder)));
    findings
}

fn presence(set: &DataSet, folder: &Path) -> Finding {
    let fetch = format!("perdura data fetch {} --data-dir {}", set.name, folder.display());
    match set.presence(folder) {
        Presence::There => good(set.name, set.about),
        Presence::Missing => lacking(set.name, "not there", fetch),
        Presence::Partly => broken(set.name, "a part of it is there", &fetch),
    }
}

fn broken(name: &str, found: &str, remedy: &str) -> Finding {
    let (name, found, remedy) = (name.into(), found.into(), Some(remedy.into()));
    Finding { name, state: State::Broken, found, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_devices(devices: &[&str]) -> Result<Description, String> {
        let devices = devices.iter().map(|d| (*d).to_owned()).collect();
        Ok(Description { devices, ..Description::default() })
    }

    #[test]
    fn devices_are_counted_over_plugins() {
        let described = [of_devices(&["flex"]), of_devices(&["flex", "libtorch"]), Err("".into())];
        let findings = devices(&described, false, None);
        let found: Vec<_> = findings.iter().map(|f| (&*f.name, &*f.found)).collect();
        assert_eq!(found[..2], [("flex", "in 2 of 3 plugins"), ("libtorch", "in 1 of 3 plugins")]);
        let without = devices(&described[..1], false, None);
        assert_eq!((&*without[1].name, without[1].state), ("libtorch", State::Lacking));
        assert!(without[1].remedy.as_ref().unwrap().contains("--features perdura-nn/libtorch"));
        assert_eq!((&*without[2].name, without[2].state), ("cuda", State::Lacking));
        let with = devices(&[of_devices(&["flex", "cuda:N"])], true, None);
        assert!(with.iter().all(|f| f.name != "cuda"));
    }

    #[test]
    fn devices_of_a_gpu_need_one_and_a_libtorch_for_it() {
        let described = [of_devices(&["cuda:N", "libtorch", "libtorch:cuda:N"])];
        let states = |gpu: bool, libtorch: Option<&Path>| {
            let findings = devices(&described, gpu, libtorch);
            [0, 1, 2].map(|i| (findings[i].state, findings[i].remedy.clone().unwrap_or_default()))
        };
        let (good, lacking) = ((State::Good, String::new()), State::Lacking);
        assert_eq!(states(true, None), [good.clone(), good.clone(), good.clone()]);
        let [cuda, cpu, both] = states(false, None);
        assert_eq!((cuda.0, cpu, both.0), (lacking, good.clone(), lacking));
        assert!(both.1.contains("no GPU can be seen"), "{}", both.1);
        let folder = tempfile::tempdir().unwrap();
        let [cuda, _, both] = states(true, Some(folder.path()));
        assert_eq!((cuda, both.0), (good, lacking));
        assert!(both.1.contains("LIBTORCH is for the CPU"), "{}", both.1);
    }

    #[test]
    fn a_library_that_is_not_found_is_no_reason_to_build_again() {
        assert!(remedy_of("libtorch_cpu.so: check LD_LIBRARY_PATH").contains("libtorch.sh"));
        assert!(remedy_of("another layout").contains("build it again"));
    }

    #[test]
    fn a_folder_without_libtorch_is_broken() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(library(None).state, State::Lacking);
        assert_eq!(library(Some(folder.path())).state, State::Broken);
        std::fs::create_dir(folder.path().join("lib")).unwrap();
        std::fs::write(folder.path().join("lib/libtorch_cpu.so"), "").unwrap();
        assert_eq!(library(Some(folder.path())).state, State::Good);
    }

    #[test]
    fn data_sets_are_there_missing_or_in_part() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("fmnist")).unwrap();
        std::fs::write(folder.path().join("fmnist/t10k-labels-idx1-ubyte.gz"), "").unwrap();
        std::fs::create_dir(folder.path().join("cifar-10-batches-bin")).unwrap();
        let states: BTreeMap<String, State> =
            data(Some(folder.path())).into_iter().map(|f| (f.name, f.state)).collect();
        assert_eq!((states["folder"], states["digits"]), (State::Good, State::Good));
        assert_eq!((states["mnist"], states["fmnist"]), (State::Lacking, State::Broken));
        assert_eq!(states["cifar10"], State::Good);
        let nowhere = data(Some(&folder.path().join("nowhere")));
        assert_eq!(nowhere[1].state, State::Lacking);
        assert_eq!(data(None).len(), 2);
    }

    #[test]
    fn no_plugin_at_all_is_told() {
        let findings = plugins(&Scan::default(), &[]);
        assert_eq!((findings.len(), findings[0].state), (1, State::Lacking));
    }
}
