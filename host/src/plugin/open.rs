//! Opens a plugin: the dynamic loader, the header, the comparison of layouts, the root module.
//! The only file of the host that trusts foreign code; everything before it only read bytes.
//! Libraries stay open until the process ends: unloading one that has started threads is not safe.

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use perdura_abi::abi_stable::StableAbi;
use perdura_abi::abi_stable::abi_stability::abi_checking::{
    AbiInstabilityErrors, CheckingGlobals, check_layout_compatibility_with_globals,
};
use perdura_abi::abi_stable::library::{
    AbiHeaderRef, LibHeader, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL, RootModuleError,
};
use perdura_abi::abi_stable::type_layout::{TLFieldOrFunction, TypeLayout};
use perdura_abi::table::PluginRootRef;
use std::error::Error;
use std::path::Path;

use super::error::LoadError;
use super::gate;

/// Keeps the library mapped even if something closes it. libloading does not name it; the value is
/// that of `dlfcn.h` on Linux.
const RTLD_NODELETE: std::ffi::c_int = 0x1000;

/// Opens the copy of a checked plugin and returns what it exports.
///
/// `copy` must lie in the cache; `original` is the file that errors name.
pub(super) fn root_module(copy: &Path, original: &Path) -> Result<PluginRootRef, LoadError> {
    let header = header_of(open_library(copy, original)?, original)?;
    let Some(layout) = header.layout() else {
        let difference = "the plugin carries no layout".into();
        return Err(LoadError::Layout { path: original.into(), difference });
    };
    check_layout(PluginRootRef::LAYOUT, layout)
        .map_err(|difference| LoadError::Layout { path: original.into(), difference })?;
    // SAFETY: the layout of what the library exports has just been compared with ours, all types
    // it reaches included.
    let root = unsafe { header.init_root_module_with_unchecked_layout::<PluginRootRef>() };
    root.map_err(|error| LoadError::Init { path: original.into(), reason: reason_of(error) })
}

/// Lets the system map the file and run its constructors. The library is never closed.
fn open_library(copy: &Path, original: &Path) -> Result<&'static Library, LoadError> {
    let flags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
    // SAFETY: constructors of the library run here, and a plugin is trusted to the extent that its
    // process is: untrusted ones are opened in a worker. The file is whole (ELF check) and nothing
    // writes to it any more (cache copy).
    let library = unsafe { Library::open(Some(copy), flags) };
    let library = library
        .map_err(|error| LoadError::Open { path: original.into(), reason: chain(&error) })?;
    Ok(Box::leak(Box::new(library)))
}

/// The header that `export_learner!` exports, once its abi_stable is known to be ours.
fn header_of(library: &'static Library, original: &Path) -> Result<&'static LibHeader, LoadError> {
    let symbol = ROOT_MODULE_LOADER_NAME_WITH_NUL;
    // SAFETY: the name is mangled by abi_stable and stands for a static header in every version of
    // it; the part of it that is read before `is_valid` is the same in all of them.
    let found = unsafe { library.get::<AbiHeaderRef>(symbol.as_bytes()) };
    let found = found.map_err(|error| {
        let undefined = chain(&error).contains("undefined symbol");
        let reason = if undefined { "it exports none".into() } else { chain(&error) };
        LoadError::NoRootModule { path: original.into(), reason }
    })?;
    let header: AbiHeaderRef = *found;
    let refused = |found| LoadError::Header {
        path: original.into(),
        expected: gate::abi_stable_version(),
        found,
    };
    if !header.is_valid() {
        let found = format!("abi_stable {}.{}", header.abi_major, header.abi_minor);
        return Err(refused(found));
    }
    header.upgrade().map_err(|error| refused(reason_of(error)))
}

/// Accepts the plugin when either side's types are a prefix of the other's: abi_stable alone takes
/// a newer plugin in an older host, but not the reverse. Each check starts from fresh globals, or
/// the answer would depend on what was loaded before.
fn check_layout(host: &'static TypeLayout, plugin: &'static TypeLayout) -> Result<(), String> {
    let check = |interface, implementation| {
        let globals = CheckingGlobals::new();
        check_layout_compatibility_with_globals(interface, implementation, &globals)
    };
    let Err(errors) = check(host, plugin) else { return Ok(()) };
    check(plugin, host).map_err(|_| leaf(&errors))
}

/// The one line worth showing of a report that has a thousand.
fn leaf(errors: &AbiInstabilityErrors) -> String {
    const LEN_MAX: usize = 160;
    let first = errors.errors.iter().find_map(|error| Some((error, error.errs.first()?)));
    let Some((error, instability)) = first else { return "no reason given".into() };
    let place = error.stack_trace.last().map(|pair| match &pair.found {
        TLFieldOrFunction::Field(field) => {
            format!("{} (field {})", field.full_type(), field.name())
        }
        TLFieldOrFunction::Function(function) => function.to_string(),
    });
    let what = format!("{instability:?}").replace("(ExpectedFound {", ":").replace(" })", "");
    let text = format!("{}: {what}", place.unwrap_or_else(|| "root module".into()));
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(LEN_MAX).collect()
}

/// A library error in a line; abi_stable prints some of them on hundreds.
fn reason_of(error: LibraryError) -> String {
    match error {
        LibraryError::RootModule { err: RootModuleError::Unwound, .. } => {
            "its initialisation panicked".into()
        }
        LibraryError::RootModule { err: RootModuleError::Returned(error), .. } => error.to_string(),
        LibraryError::IncompatibleVersionNumber { expected_version, actual_version, .. } => {
            format!("boundary {actual_version}, expected {expected_version}")
        }
        LibraryError::InvalidCAbi { .. } => "another C calling convention".into(),
        other => other.to_string().lines().next().unwrap_or("no reason given").to_owned(),
    }
}

/// An error and its causes; libloading puts the reason of the system there.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::testing::Library as Built;

    #[test]
    fn own_layout_passes() {
        check_layout(PluginRootRef::LAYOUT, PluginRootRef::LAYOUT).unwrap();
    }

    #[test]
    fn other_layout_is_one_line() {
        let other = <perdura_abi::table::HostTableRef as StableAbi>::LAYOUT;
        let difference = check_layout(PluginRootRef::LAYOUT, other).unwrap_err();
        assert!(difference.contains("Name"), "{difference}");
        assert!(difference.len() <= 200 && difference.lines().count() == 1, "{difference}");
        let number = check_layout(<u32 as StableAbi>::LAYOUT, <u64 as StableAbi>::LAYOUT);
        assert!(number.unwrap_err().starts_with("root module: "));
    }

    #[test]
    fn foreign_library_is_not_a_plugin() {
        let Some(library) = Built::of_id("lab/er") else { return };
        let error = root_module(&library.path, &library.path).err().unwrap();
        assert_eq!(error.code(), "no-root-module");
        assert!(error.to_string().contains("found: it exports none"), "{error}");
    }

    #[test]
    fn reason_of_the_system_is_shown() {
        let source = "int missing_function(void);\nint x(void){return missing_function();}";
        let Some(library) = Built::compile(source) else { return };
        let error = root_module(&library.path, &library.path).err().unwrap();
        assert_eq!(error.code(), "open");
        assert!(error.to_string().contains("undefined symbol: missing_function"), "{error}");
    }

    #[test]
    fn header_of_another_abi_stable_is_refused() {
        let symbol = ROOT_MODULE_LOADER_NAME_WITH_NUL.trim_end_matches('\0');
        let source = format!("const char {symbol}[4096] = \"some other thing\";");
        let Some(library) = Built::compile(&source) else { return };
        let error = root_module(&library.path, &library.path).err().unwrap();
        assert_eq!(error.code(), "header");
        assert!(error.to_string().contains("found: abi_stable 0.0"), "{error}");
    }
}
