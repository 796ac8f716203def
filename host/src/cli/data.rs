//! `perdura data`.

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::path::Path;

use super::DONE;
use super::args::Format;
use super::benchmarks::json as pretty;
use super::error::CliError;
use super::output::say;
use super::tool_args::DataCommand;
use crate::fetch::{DataSet, Presence, Progress, SETS};

pub fn carry_out(command: &DataCommand) -> Result<u8, CliError> {
    match command {
        DataCommand::List { data_dir, format } => list(data_dir.as_deref(), *format),
        DataCommand::Fetch { name, data_dir, mirror } => {
            let set = DataSet::named(name)?;
            let mut told = Told { bar: ProgressBar::no_length() };
            let style = "{msg} {bar:30} {bytes:>11}/{total_bytes:11} {bytes_per_sec}";
            told.bar.set_style(ProgressStyle::with_template(style).expect("a fixed template"));
            let fetched = set.fetch(data_dir, mirror.as_deref(), &mut |step| told.step(step));
            told.bar.finish_and_clear();
            fetched?;
            say!("{name} is in {} and good", data_dir.display());
        }
    }
    Ok(DONE)
}

/// A bar on a terminal; what is more than a number is a line.
struct Told {
    bar: ProgressBar,
}

impl Told {
    fn step(&mut self, step: Progress<'_>) {
        match step {
            Progress::Good { path } => self.line(&format!("{} is good", path.display())),
            Progress::Unpacking { path } => self.line(&format!("unpacking {}", path.display())),
            Progress::Received { url, bytes, total } => {
                if self.bar.message() != url {
                    self.bar.set_message(url.to_owned());
                    self.line(&format!("receiving {url}"));
                }
                self.bar.set_length(total);
                self.bar.set_position(bytes);
            }
        }
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }
}

fn list(data_dir: Option<&Path>, format: Format) {
    let presence = |set: &DataSet| match data_dir.map(|dir| set.presence(dir)) {
        Some(Presence::There) => "there",
        Some(Presence::Partly) => "partly",
        Some(Presence::Missing) => "missing",
        None => "unknown",
    };
    if format == Format::Json {
        let entry = |set: &DataSet| {
            let (name, about) = (set.name, set.about);
            json!({"name": name, "about": about, "presence": presence(set)})
        };
        let sets: Vec<Value> = SETS.iter().map(entry).collect();
        say!("{}", pretty(&json!({"data_dir": data_dir, "sets": sets})));
        return;
    }
    for set in SETS {
        say!("{:14} {:8} {}", set.name, presence(set), set.about);
    }
    match data_dir {
        Some(dir) => {
            say!("in {}; `perdura data fetch NAME` checks or completes one", dir.display())
        }
        None => say!("no data folder is given; name one with --data-dir or PERDURA_DATA"),
    }
}
