//! The time ledger of some runs of one method as a table: where the time went, by the host's own clock.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

use crate::compare::RunRecord;

/// One activity.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct LedgerLine {
    /// See [`crate::trainer::Activity`]; `host` is what no activity accounts for.
    pub activity: String,
    /// Median over the runs.
    pub seconds: f64,
    /// Of the sum of all lines.
    pub share: f64,
    /// Microseconds, per training step.
    pub micros_per_step: f64,
}

/// All activities, the longest first.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct LedgerTable {
    pub runs: usize,
    /// Training steps of one run.
    pub steps: u64,
    /// Medians over the runs.
    pub seconds: f64,
    pub cpu_seconds: f64,
    pub lines: Vec<LedgerLine>,
}

impl LedgerTable {
    /// Of finished runs of one plan but for the seed; `None` without runs.
    pub fn of(records: &[RunRecord]) -> Option<LedgerTable> {
        let resources: Vec<_> = records.iter().filter_map(|r| r.resources.as_ref()).collect();
        let ledgers: Vec<&BTreeMap<String, f64>> = resources.iter().map(|r| &r.ledger).collect();
        let steps = records.first()?.summary.as_ref()?.steps;
        let (seconds, cpu_seconds) = (
            median(resources.iter().map(|r| r.seconds).collect())?,
            median(resources.iter().map(|r| r.cpu_seconds).collect())?,
        );
        let (runs, lines) = (ledgers.len(), lines(&ledgers, steps));
        Some(LedgerTable { runs, steps, seconds, cpu_seconds, lines })
    }
}

fn lines(ledgers: &[&BTreeMap<String, f64>], steps: u64) -> Vec<LedgerLine> {
    let mut names: Vec<&String> = ledgers.iter().flat_map(|ledger| ledger.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let of = |name: &String| ledgers.iter().map(|l| l.get(name).copied().unwrap_or(0.0)).collect();
    let medians: Vec<(&String, f64)> =
        names.into_iter().filter_map(|name| Some((name, median(of(name))?))).collect();
    let sum: f64 = medians.iter().map(|(_, seconds)| seconds).sum();
    let line = |(name, seconds): (&String, f64)| LedgerLine {
        activity: name.clone(),
        seconds,
        share: if sum > 0.0 { seconds / sum } else { 0.0 },
        micros_per_step: 1e6 * seconds / steps.max(1) as f64,
    };
    let mut lines: Vec<LedgerLine> = medians.into_iter().map(line).collect();
    lines.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    lines
}

/// The middle value, of an even number the upper one; `None` of nothing.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

impl fmt::Display for LedgerTable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LedgerTable { runs, steps, seconds, cpu_seconds, lines } = self;
        writeln!(out, "{:12} {:>10} {:>8} {:>12}", "", "seconds", "share", "us per step")?;
        for line in lines {
            let LedgerLine { activity, seconds, share, micros_per_step } = line;
            let percent = 100.0 * share;
            writeln!(
                out,
                "{activity:12} {seconds:>10.3} {percent:>6.1} % {micros_per_step:>12.1}"
            )?;
        }
        let plural = if *runs == 1 { "run" } else { "runs, medians" };
        writeln!(
            out,
            "{runs} {plural}: {seconds:.2} s, {cpu_seconds:.2} s of CPU time, {steps} steps"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(entries: &[(&str, f64)]) -> BTreeMap<String, f64> {
        entries.iter().map(|(name, seconds)| ((*name).to_owned(), *seconds)).collect()
    }

    /// Medians of three runs, 6 and 2 seconds: shares of 3/4 and 1/4, and of 1,000 steps.
    #[test]
    fn lines_by_hand() {
        let ledgers = [
            ledger(&[("learner", 6.0), ("stream", 9.0)]),
            ledger(&[("learner", 5.0), ("stream", 2.0)]),
            ledger(&[("learner", 60.0), ("stream", 1.0)]),
        ];
        let lines = lines(&ledgers.iter().collect::<Vec<_>>(), 1_000);
        let line = |activity: &str, seconds, share, micros_per_step| LedgerLine {
            activity: activity.into(),
            seconds,
            share,
            micros_per_step,
        };
        let expected = [line("learner", 6.0, 0.75, 6_000.0), line("stream", 2.0, 0.25, 2_000.0)];
        assert_eq!(lines, expected);
        let table = LedgerTable { runs: 3, steps: 1_000, seconds: 8.5, cpu_seconds: 8.0, lines };
        let page = table.to_string();
        assert!(page.contains("learner           6.000   75.0 %       6000.0\n"), "{page}");
        assert!(page.ends_with("3 runs, medians: 8.50 s, 8.00 s of CPU time, 1000 steps\n"));
    }

    #[test]
    fn nothing_has_no_ledger() {
        assert_eq!(LedgerTable::of(&[]), None);
        assert!(lines(&[], 5).is_empty());
    }
}
