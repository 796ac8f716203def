//! `perdura doctor`.

use super::args::Format;
use super::benchmarks::json;
use super::output::say;
use super::tool_args::DoctorArgs;
use super::{DONE, RUN_FAILED};
use crate::doctor::{Subject, diagnose};

/// 1 where something is there and broken.
pub fn carry_out(args: &DoctorArgs) -> u8 {
    let (plugins, data_dir) = (args.plugins.clone(), args.data_dir.clone());
    let page = diagnose(&Subject { plugins, data_dir, threads: args.threads.max(1) });
    match args.format {
        Format::Json => {
            let document = serde_json::to_value(&page).expect("a diagnosis is plain data");
            say!("{}", json(&document));
        }
        _ => say!("{}", page.to_string().trim_end()),
    }
    if page.broken() { RUN_FAILED } else { DONE }
}
