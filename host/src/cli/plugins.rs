//! `perdura plugins`.

use perdura_abi::manifest::Description;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

use super::args::Format;
use super::benchmarks::json as pretty;
use super::check;
use super::error::CliError;
use super::output::say;
use super::tool_args::{
    PluginBuildArgs, PluginInfoArgs, PluginListArgs, PluginNewArgs, PluginTrustArgs, PluginsCommand,
};
use super::{DONE, REFUSED};
use crate::names::list as listed;
use crate::planning::{description, preset_name};
use crate::plugin::trust::{self, Trust};
use crate::plugin::{Found, SearchPath, inspect};
use crate::scaffold::{self, BuildOptions, NewOptions, Sdk, Template};
use crate::worker::{Confinement, lacking};

pub fn carry_out(command: &PluginsCommand) -> Result<u8, CliError> {
    match command {
        PluginsCommand::List(args) => return Ok(list(args)),
        PluginsCommand::Check(args) => return check::carry_out(args),
        PluginsCommand::Info(args) => info(args)?,
        PluginsCommand::New(args) => new(args)?,
        PluginsCommand::Build(args) => build(args)?,
        PluginsCommand::Trust(args) => trusted(args)?,
    }
    Ok(DONE)
}

/// Lists what was found. A file that was named and cannot be loaded is an error, one that merely lies
/// on the search path is not.
fn list(args: &PluginListArgs) -> u8 {
    let scan = SearchPath::from_env(&args.plugins).scan();
    let code = if scan.refused.iter().any(|r| r.explicit) { REFUSED } else { DONE };
    if args.format == Format::Json {
        let found = |f: &Found| json!({"manifest": f.manifest, "file": f.path, "sha256": f.sha256});
        let refused: Vec<Value> = scan
            .refused
            .iter()
            .map(|r| json!({"file": r.path, "code": r.error.code(), "error": r.error.to_string()}))
            .collect();
        let plugins: Vec<Value> = scan.found.iter().map(found).collect();
        say!("{}", pretty(&json!({"plugins": plugins, "refused": refused})));
        return code;
    }
    for Found { path, manifest, .. } in &scan.found {
        say!("{:24} {:10} {}", manifest.id, manifest.version, path.display());
    }
    if scan.found.is_empty() {
        say!("no plugins found; see `perdura plugins new`");
    }
    for refused in &scan.refused {
        eprintln!("refused ({}): {}", refused.error.code(), refused.error);
    }
    code
}

/// The plugin that is meant by an id or a path.
pub fn named(method: &str, plugins: &[PathBuf]) -> Result<Found, CliError> {
    let as_file = Path::new(method);
    // An id is never absolute and never ends like this: a path to nothing is a missing file.
    let names_file = as_file.is_absolute() || method.ends_with(".so");
    Ok(match names_file || as_file.is_file() {
        true => inspect(as_file)?,
        false => SearchPath::from_env(plugins).resolve(method)?,
    })
}

fn trusted(args: &PluginTrustArgs) -> Result<(), CliError> {
    let found = named(&args.method, &args.plugins)?;
    let list = trust::trust(&found, args.key.as_deref(), args.trust_lock.as_deref())?;
    let Found { path, manifest, sha256 } = &found;
    say!("{} {} is trusted: {}\nsha256 {sha256}", manifest.id, manifest.version, path.display());
    say!("recorded in {}", list.display());
    Ok(())
}

fn info(args: &PluginInfoArgs) -> Result<(), CliError> {
    let found = named(&args.method, &args.plugins)?;
    Trust::read(None)?.check(&found)?;
    // Where the system can do it, looking at a plugin is as safe as running it.
    let confine = lacking().is_empty().then(|| Confinement::new("", &[]));
    let description = description(&found, confine)?;
    if args.format == Format::Json {
        let document = json!({
            "manifest": found.manifest,
            "description": description,
            "file": found.path,
            "sha256": found.sha256,
        });
        say!("{}", pretty(&document));
        return Ok(());
    }
    let m = &found.manifest;
    say!("{} {}: {}", m.id, m.version, description.summary);
    if !description.paper.is_empty() {
        say!("paper: {}", description.paper);
    }
    if !m.authors.is_empty() {
        say!("authors: {}", m.authors);
    }
    match m.rustc.is_empty() {
        // A program of its own, of which no more is known.
        true => say!("{}", m.abi),
        false => {
            say!(
                "licence {}, abi {}, panic {}, {}, {}",
                m.licence,
                m.abi,
                m.panic,
                m.rustc,
                m.target
            );
        }
    }
    if !m.native.is_empty() {
        say!("native libraries: {}", m.native);
    }
    say!("file {}\nsha256 {}", found.path.display(), found.sha256);
    say!("scenarios: {}", listed(&description.scenarios));
    let views: Vec<String> = description.views.iter().map(|v| v.name.clone()).collect();
    say!("views: {}", listed(&views));
    say!("devices: {}\n\nhyper-parameters:", listed(&description.devices));
    hyper_parameters(&description);
    if !description.presets.is_empty() {
        say!("\npresets:");
    }
    for preset in &description.presets {
        say!("  {:20} {}", preset_name(preset), preset.source);
    }
    Ok(())
}

fn hyper_parameters(description: &Description) {
    let Some(config) = description.config_default.as_object() else { return };
    for (name, default) in config {
        let about = &description.config_schema["properties"][name]["description"];
        let default = default.to_string();
        say!("  {name:20} {default:12} {}", about.as_str().unwrap_or_default());
    }
}

fn new(args: &PluginNewArgs) -> Result<(), CliError> {
    let options = NewOptions {
        name: args.id.clone(),
        dir: args.path.clone(),
        like: args.like.parse::<Template>().map_err(CliError::Input)?,
        sdk: args.sdk.as_deref().map(Sdk::parse),
    };
    let created = scaffold::new(&options)?;
    let (id, dir) = (created.id, created.dir.display());
    say!("{id} in {dir}\nnext: perdura plugins build {dir}");
    if options.like.has_network() {
        say!(
            "note: the first build compiles burn, which takes minutes; with CARGO_TARGET_DIR set to one \
             folder for all your plugins it is compiled once"
        );
    }
    Ok(())
}

fn build(args: &PluginBuildArgs) -> Result<(), CliError> {
    let (path, install_dir) = (args.path.clone(), args.install.clone());
    let installed =
        scaffold::build(&BuildOptions { path, install_dir, cargo: None }, &mut |line| {
            eprintln!("{line}")
        })?;
    let Found { path, manifest, .. } = installed.found;
    say!("{} {} installed as {}", manifest.id, manifest.version, path.display());
    say!("next: perdura run {}", manifest.id);
    Ok(())
}
