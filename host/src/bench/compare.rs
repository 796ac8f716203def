//! Whether a second build is faster or slower than a first, by their summaries. Machines are never quite
//! quiet, so nothing is called a change that the spread of the rounds, or a machine's drift between two
//! builds measured one after the other, can explain.

use serde::Serialize;
use std::fmt;

use super::summary::{Summary, machine};

/// Changes below this are of no interest.
pub const TOLERANCE: f64 = 0.03;
/// The same where the rounds of the two builds do not alternate: load, temperature and clock of a machine
/// move medians by as much from one minute to the next.
pub const TOLERANCE_APART: f64 = 0.10;

/// What is said of one measurement.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Faster,
    Slower,
    /// No change above the tolerance.
    Same,
    /// The rounds differ among themselves by more than the change: more of them are needed.
    Unclear,
}

/// One measurement in both summaries.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Change {
    pub name: String,
    /// Medians over rounds, microseconds.
    pub first_micros: f64,
    pub second_micros: f64,
    /// Of the second to the first: the median of the ratios of paired rounds where they alternate, else the
    /// ratio of the medians.
    pub ratio: f64,
    /// Half the width of the 95 % interval of the ratio, as a share of it.
    pub noise: f64,
    pub verdict: Verdict,
}

/// Two summaries side by side.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Comparison {
    pub first_commit: Option<String>,
    pub second_commit: Option<String>,
    pub machine: String,
    /// Rounds of the two alternate in time.
    pub interleaved: bool,
    pub tolerance: f64,
    pub changes: Vec<Change>,
    /// Measured in one of the two only.
    pub unpaired: Vec<String>,
}

/// Why two summaries cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    #[error(
        "the summaries are of two machines ({first}; {second}): times of different machines say \
         nothing about builds; run the suite of both builds on one"
    )]
    Machines { first: String, second: String },
    #[error("{side} has {found} rounds, a verdict needs at least 3: call the suite again")]
    TooFewRounds { side: &'static str, found: usize },
}

/// Compares two summaries of one machine.
pub fn compare(first: &Summary, second: &Summary) -> Result<Comparison, CompareError> {
    let (a, b) = (machine(&first.machine), machine(&second.machine));
    if a != b {
        return Err(CompareError::Machines { first: a, second: b });
    }
    for (side, summary) in [("the first summary", first), ("the second summary", second)] {
        let found = summary.rounds.len();
        if found < 3 {
            return Err(CompareError::TooFewRounds { side, found });
        }
    }
    let interleaved = alternate(first, second);
    let tolerance = if interleaved { TOLERANCE } else { TOLERANCE_APART };
    let (mut changes, mut unpaired) = (Vec::new(), Vec::new());
    let mut names: Vec<&String> =
        first.rounds.iter().chain(&second.rounds).flat_map(|r| r.micros.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let of = |summary: &Summary| -> Vec<Option<f64>> {
            summary.rounds.iter().map(|round| round.micros.get(name).copied()).collect()
        };
        match change(name, &of(first), &of(second), (interleaved, tolerance)) {
            Some(change) => changes.push(change),
            None => unpaired.push(name.clone()),
        }
    }
    Ok(Comparison {
        first_commit: first.commit.clone(),
        second_commit: second.commit.clone(),
        machine: a,
        interleaved,
        tolerance,
        changes,
        unpaired,
    })
}

/// `None` where one side has fewer than three rounds with this measurement.
fn change(
    name: &str,
    first: &[Option<f64>],
    second: &[Option<f64>],
    (interleaved, tolerance): (bool, f64),
) -> Option<Change> {
    let there = |rounds: &[Option<f64>]| rounds.iter().flatten().copied().collect::<Vec<f64>>();
    let (a, b) = (there(first), there(second));
    if a.len() < 3 || b.len() < 3 {
        return None;
    }
    let pairs = first.iter().zip(second).filter_map(|(a, b)| Some(b.as_ref()? / a.as_ref()?));
    let ratios: Vec<f64> = pairs.collect();
    let (ratio, noise) = match interleaved && ratios.len() >= 3 {
        true => (median(&ratios), noise(&ratios)),
        false => (median(&b) / median(&a), noise(&a).hypot(noise(&b))),
    };
    let size = ratio.ln().abs();
    let verdict = match () {
        () if size > tolerance.max(noise) => {
            if ratio < 1.0 {
                Verdict::Faster
            } else {
                Verdict::Slower
            }
        }
        () if size + noise <= 2.0 * tolerance => Verdict::Same,
        () => Verdict::Unclear,
    };
    let (first_micros, second_micros) = (median(&a), median(&b));
    Some(Change { name: name.into(), first_micros, second_micros, ratio, noise, verdict })
}

/// Half the 95 % interval of a median as a share of it: `1.57 · IQR / √n` (McGill, Tukey, Larsen,
/// "Variations of Box Plots", 1978). Three values or more.
fn noise(values: &[f64]) -> f64 {
    let range = quantile(values, 0.75) - quantile(values, 0.25);
    1.57 * range / (values.len() as f64).sqrt() / median(values)
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The quantile between order statistics, linearly (numpy's default).
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// True where the n-th rounds of both were measured before the next of either, for every n.
fn alternate(first: &Summary, second: &Summary) -> bool {
    let (a, b) = (&first.rounds, &second.rounds);
    // Times of one format sort as texts.
    let pair_ends = |i: usize| (&a[i].started).max(&b[i].started);
    let pair_begins = |i: usize| (&a[i].started).min(&b[i].started);
    a.len() == b.len() && (1..a.len()).all(|i| pair_ends(i - 1) < pair_begins(i))
}

impl Comparison {
    /// True where something is slower.
    pub fn slower(&self) -> bool {
        self.changes.iter().any(|change| change.verdict == Verdict::Slower)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commit = |commit: &Option<String>| commit.clone().unwrap_or("unknown".into());
        let (first, second) = (commit(&self.first_commit), commit(&self.second_commit));
        writeln!(out, "{second} against {first} on {}", self.machine)?;
        writeln!(
            out,
            "{:28} {:>12} {:>12} {:>7} {:>8}  verdict",
            "", "first, us", "second, us", "ratio", "noise"
        )?;
        for c in &self.changes {
            let verdict = match c.verdict {
                Verdict::Faster => "faster",
                Verdict::Slower => "SLOWER",
                Verdict::Same => "same",
                Verdict::Unclear => "unclear: more rounds would tell",
            };
            writeln!(
                out,
                "{:28} {:>12.1} {:>12.1} {:>7.3} {:>6.1} %  {verdict}",
                c.name,
                c.first_micros,
                c.second_micros,
                c.ratio,
                100.0 * c.noise
            )?;
        }
        for name in &self.unpaired {
            writeln!(out, "{name:28} measured in one of the two only")?;
        }
        let (order, percent) = match self.interleaved {
            true => ("alternate", 100.0 * self.tolerance),
            false => ("do not alternate", 100.0 * self.tolerance),
        };
        writeln!(out, "rounds {order}: a change counts above {percent:.0} % and above the noise")
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
