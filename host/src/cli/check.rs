//! `perdura plugins check`.

use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

use super::args::{Format, TierArgs};
use super::benchmarks::json as pretty;
use super::error::CliError;
use super::output::say;
use super::plugins::named;
use super::resolve::{setting, tier};
use super::tool_args::PluginCheckArgs;
use super::{DONE, RUN_FAILED};
use crate::check::{CheckOptions, Entry, Kind, Report, all, run};
use crate::planning::tier_of;
use crate::plugin::Found;
use crate::plugin::trust::Trust;
use crate::worker::Tier;

/// Checks a plugin: exit code 1 where a property was found broken.
pub fn carry_out(args: &PluginCheckArgs) -> Result<u8, CliError> {
    if args.list {
        list(args.format);
        return Ok(DONE);
    }
    let target = args.target.as_deref().unwrap_or_default();
    let found = named(target, &args.plugins)?;
    Trust::read(args.trust_lock.as_deref())?.check(&found)?;
    let options = options(args, &found)?;
    let mut title = (args.format == Format::Text).then(|| {
        let (manifest, path) = (&found.manifest, found.path.display());
        format!("{} {} ({path})", manifest.id, manifest.version)
    });
    // With the first line: where the options are refused nothing is printed.
    let mut tell = |entry: &Entry| {
        if let Some(title) = title.take() {
            say!("{title}");
        }
        if args.format == Format::Text {
            tell(entry);
        }
    };
    let report = run(&found, &options, &mut tell)?;
    match args.format {
        Format::Text => say!("{}", summary(&report)),
        Format::Json => say!("{}", pretty(&json!(report))),
        Format::Markdown => markdown(&report),
    }
    Ok(if report.passed { DONE } else { RUN_FAILED })
}

fn options(args: &PluginCheckArgs, found: &Found) -> Result<CheckOptions, CliError> {
    if !(args.deadline > 0.0 && args.deadline.is_finite() && args.deadline < 1e6) {
        let found = args.deadline;
        return Err(CliError::input(format!("--deadline {found}: expected a number above 0")));
    }
    if args.jobs == 0 {
        return Err(CliError::input("--jobs 0: expected a number above 0"));
    }
    Ok(CheckOptions {
        level: args.level,
        only: args.only.clone(),
        set: args.set.iter().map(|text| setting(text)).collect::<Result<_, _>>()?,
        seed: args.seed,
        deadline: Duration::from_secs_f64(args.deadline),
        jobs: args.jobs,
        out: args.out.clone(),
        tier: tier_of_workers(&args.tier, found)?,
        allow_read: args.tier.allow_read.clone(),
    })
}

/// Where the workers run: in the sandbox where the system has one, as learners of a run do.
fn tier_of_workers(args: &TierArgs, found: &Found) -> Result<Tier, CliError> {
    let wanted = tier(args, "flex")?;
    if wanted == Tier::InProcess {
        let text = "--isolation in-process: a check ends what misbehaves, so it takes a process; \
                    expected sandbox or process";
        return Err(CliError::input(text));
    }
    Ok(tier_of(found, wanted, args.require_sandbox)?)
}

fn list(format: Format) {
    let checks = all();
    if format == Format::Json {
        let one =
            |c: &&crate::check::Check| json!({"name": c.name, "about": c.about, "level": c.level});
        say!("{}", pretty(&json!(checks.iter().map(one).collect::<Vec<_>>())));
        return;
    }
    for check in checks {
        say!("{:14} {:8}  {}", check.name, check.level.name(), check.about);
    }
}

fn tell(entry: &Entry) {
    let measured = numbers(&entry.measured);
    say!("{:7}  {:14}  {}{measured}", entry.kind.name(), entry.check, entry.about);
    if let Some(cause) = &entry.cause {
        say!("           {cause}");
    }
    if let Some(remedy) = &entry.remedy {
        say!("           remedy: {remedy}");
    }
    if let Some(folder) = &entry.folder {
        say!("           left in {}", folder.display());
    }
}

fn numbers(measured: &BTreeMap<String, f64>) -> String {
    let one = |(name, value): (&String, &f64)| match value.fract() == 0.0 {
        true => format!("{name} {value}"),
        false => format!("{name} {value:.3}"),
    };
    match measured.is_empty() {
        true => String::new(),
        false => format!(" ({})", measured.iter().map(one).collect::<Vec<_>>().join(", ")),
    }
}

/// How many checks ended in which way; ways that did not occur are left out.
fn summary(report: &Report) -> String {
    let kinds = [
        (Kind::Pass, "passed"),
        (Kind::Warning, "with a warning"),
        (Kind::Skipped, "skipped"),
        (Kind::Fail, "failed"),
        (Kind::Crash, "crashed"),
        (Kind::Timeout, "timed out"),
    ];
    let counts = kinds.map(|(kind, word)| (report.count(kind), word));
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
    let verdict = if report.passed { "passes" } else { "does not pass" };
    let (counts, level, tier) = (counts.join(", "), report.level.name(), report.tier.name());
    let seconds = report.seconds;
    format!("\n{verdict} at level {level} in the tier {tier}: {counts}, in {seconds:.1} s")
}

fn markdown(report: &Report) {
    say!("| check | result | cause |\n|---|---|---|");
    for entry in &report.checks {
        let cause = entry.cause.as_deref().unwrap_or("").replace('|', "\\|").replace('\n', " ");
        say!("| {} | {} | {cause} |", entry.check, entry.kind.name());
    }
    say!("{}", summary(report));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let measured = [("a".to_owned(), 3.0), ("b_ms".to_owned(), 0.12345)].into();
        assert_eq!(numbers(&measured), " (a 3, b_ms 0.123)");
        assert_eq!(numbers(&BTreeMap::new()), "");
    }
}
