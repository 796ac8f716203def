//! A reproduced row for people and for machines.

use comfy_table::Table;
use serde::Serialize;

use super::{Against, Anchor, Judgement, Ours, Row, judge};
use crate::compare::Comparison;

/// Ours beside theirs. Accuracies are in percent.
#[derive(Serialize, Clone, Debug)]
pub struct Reproduction {
    pub row: &'static Row,
    pub unit: &'static str,
    /// Runs that did not finish.
    pub failed: usize,
    /// In the order of the row's anchors.
    pub outcomes: Vec<Outcome>,
}

/// One anchor of a row.
#[derive(Serialize, Clone, Debug)]
pub struct Outcome {
    #[serde(flatten)]
    pub anchor: Anchor,
    /// `None` if no run finished.
    pub ours: Option<Ours>,
    /// `None` if there is nothing to judge or nothing to hold it against.
    pub judgement: Option<Judgement>,
}

/// What came of a whole row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Reproduced,
    NotReproduced,
    /// Its published values are known from memory only, and nobody ran the authors' code.
    NothingToCompareWith,
}

impl Reproduction {
    /// Looks up the row's anchors among the results of its runs.
    pub fn of(row: &'static Row, results: &Comparison) -> Reproduction {
        let outcome = |anchor: &Anchor| {
            let ours = ours(results, anchor);
            let judgement = ours.and_then(|ours| judge(ours, anchor));
            Outcome { anchor: anchor.clone(), ours, judgement }
        };
        let failed = results.rows.iter().map(|row| row.failed).max().unwrap_or(0);
        let outcomes = row.anchors.iter().map(outcome).collect();
        Reproduction { row, unit: "percent", failed, outcomes }
    }

    /// All runs finished, something could be judged, and nothing that was is off.
    pub fn verdict(&self) -> Verdict {
        let judged = || self.outcomes.iter().filter_map(|outcome| outcome.judgement);
        if self.failed > 0 || judged().any(|judgement| !judgement.reproduced) {
            Verdict::NotReproduced
        } else if judged().next().is_some() {
            Verdict::Reproduced
        } else {
            Verdict::NothingToCompareWith
        }
    }

    /// A document, pretty-printed.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("string keys serialise")
    }

    /// A heading, a table and its legend, with a newline at the end.
    pub fn text(&self) -> String {
        let Row { id, paper, table: of, .. } = self.row;
        let mut table = Table::new();
        table.load_preset("  ── ══      ──    ");
        table.set_header(["view", "scenario", "ours", "published", "authors' code", "verdict"]);
        for outcome in &self.outcomes {
            table.add_row(outcome.cells());
        }
        let mut text = format!("{id}: {paper}\n{of}\n\n{}\n", table.trim_fmt());
        text += "mean ± standard deviation (n) of the average accuracy in percent";
        if self.outcomes.iter().any(|o| o.anchor.published.is_some_and(|p| p.from_memory)) {
            text += "; ?: from memory, decides nothing";
        }
        if self.verdict() == Verdict::NothingToCompareWith {
            text += "\nnothing to compare with: no confirmed published value, no run of the authors' code";
        }
        if self.failed > 0 {
            text += &format!("\n{} runs failed", self.failed);
        }
        text + "\n"
    }
}

impl Outcome {
    fn cells(&self) -> [String; 6] {
        let Anchor { view, scenario, published, measured } = &self.anchor;
        let dash = || "-".to_owned();
        [
            view.clone(),
            scenario.clone(),
            self.ours.map_or_else(dash, |o| number(o.mean, o.std, o.n)),
            published.map_or_else(dash, |p| {
                number(p.mean, Some(p.std), p.n) + if p.from_memory { " ?" } else { "" }
            }),
            measured.as_ref().map_or_else(dash, |m| number(m.mean, m.std, m.n)),
            self.verdict(),
        ]
    }

    fn verdict(&self) -> String {
        let Some(judgement) = self.judgement else {
            return if self.ours.is_some() { "no anchor" } else { "no result" }.into();
        };
        let Judgement { reproduced, against, difference, allowed } = judgement;
        let word = if reproduced { "reproduced" } else { "not reproduced" };
        let whose = match against {
            Against::Published => "published",
            Against::AuthorsCode => "authors' code",
        };
        format!("{word}: {difference:+.2} from {whose}, {allowed:.2} allowed")
    }
}

/// `89.54 ± 0.21 (10)`.
fn number(mean: f64, std: Option<f64>, n: usize) -> String {
    match std {
        Some(std) => format!("{mean:.2} ± {std:.2} ({n})"),
        None => format!("{mean:.2} ({n})"),
    }
}

/// The anchor's view under its scenario, in percent.
fn ours(results: &Comparison, anchor: &Anchor) -> Option<Ours> {
    let is_it = |row: &&crate::compare::Row| {
        row.view.as_ref() == Some(&anchor.view) && row.scenario == anchor.scenario && row.n > 0
    };
    let row = results.rows.iter().find(is_it)?;
    let std = row.average_accuracy.std.map(|std| 100.0 * std);
    Some(Ours { mean: 100.0 * row.average_accuracy.mean?, std, n: row.n })
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;
    use crate::compare::Row as Result;
    use crate::stats::Spread;

    fn result(view: &str, scenario: &str, accuracies: &[f64]) -> Result {
        let none = Spread::default();
        Result {
            method: "perdura/cls-er".into(),
            view: Some(view.into()),
            scenario: scenario.into(),
            n: accuracies.len(),
            failed: 0,
            average_accuracy: Spread::of(accuracies),
            forgetting_from_peak: none,
            backward_transfer: none,
            learning_accuracy: none,
            seconds: none,
            cpu_seconds: none,
            learner_cpu_seconds: none,
            anytime: None,
            peak_pss_bytes: none,
            tier: None,
            grouping: None,
            growth: Vec::new(),
            headline: true,
            upper_bound: false,
            oracle: false,
        }
    }

    fn reproduction(id: &str, rows: Vec<Result>) -> Reproduction {
        let comparison = Comparison { rows, ..Comparison::of(&[]) };
        Reproduction::of(find(id).unwrap(), &comparison)
    }

    /// 88 and 89 %: mean 88.5, deviation √0.5 = 0.7071, 2·√(0.52²/10 + 0.5/2) = 1.0527.
    #[test]
    fn ours_stand_beside_theirs() {
        let rows = vec![
            result("stable", "class-il", &[0.88, 0.89]),
            result("stable", "task-il", &[0.9, 0.9]),
        ];
        let done = reproduction("cls-er/split-mnist/200", rows);
        let text = done.text();
        let line = |words: &str| {
            let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            text.lines().map(squeeze).any(|line| line == words)
        };
        assert!(
            line(
                "stable class-il 88.50 ± 0.71 (2) 89.54 ± 0.21 (10) 88.65 ± 0.52 (10) \
                 reproduced: -0.15 from authors' code, 1.05 allowed"
            ),
            "{text}"
        );
        assert!(
            line(
                "stable task-il 90.00 ± 0.00 (2) 97.97 ± 0.17 (10) 97.83 (10) \
                 not reproduced: -7.83 from authors' code, 1.00 allowed"
            ),
            "{text}"
        );
        assert!(line("plastic class-il - - 88.63 (10) no result"), "{text}");
        assert_eq!(done.verdict(), Verdict::NotReproduced);
        let json: serde_json::Value = serde_json::from_str(&done.to_json()).unwrap();
        assert_eq!(json["outcomes"][0]["judgement"]["reproduced"], true);
        assert_eq!(json["outcomes"][1]["judgement"]["against"], "authors-code");
        assert_eq!(json["outcomes"][2]["ours"], serde_json::Value::Null);
    }

    #[test]
    fn without_an_anchor_there_is_no_verdict() {
        let done = reproduction("er/split-mnist/500", vec![result("main", "class-il", &[0.5])]);
        let text = done.text();
        assert!(text.contains("86.12 ± 1.89 (10) ?") && text.contains("no anchor"), "{text}");
        assert!(
            text.contains("?: from memory, decides nothing")
                && done.verdict() == Verdict::NothingToCompareWith
        );
    }

    #[test]
    fn a_failed_run_does_not_hold() {
        let failed = Result { failed: 1, ..result("main", "class-il", &[0.5]) };
        let done = reproduction("er/split-mnist/500", vec![failed]);
        assert!(done.verdict() == Verdict::NotReproduced && done.text().contains("1 runs failed"));
    }
}
