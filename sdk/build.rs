//! Records the compiler and the target, which the static manifest of every plugin names.

use std::process::Command;

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|out| String::from_utf8(out.stdout).ok())
        .unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=PERDURA_RUSTC={}", version.trim());
    let target = std::env::var("TARGET").unwrap_or_else(|_| "unknown".into());
    println!("cargo::rustc-env=PERDURA_TARGET={target}");
    println!("cargo::rerun-if-changed=build.rs");
}
