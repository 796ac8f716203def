//! Methods by accuracy, with letters: two methods share one exactly if the paired tests cannot
//! separate them.

use super::record::scenario_rank;
use super::{Pair, Ranked, Ranking, Row};
use crate::stats;

/// One ranking per scenario, of the headline views whose accuracy is defined.
pub fn rankings(rows: &[Row], pairs: &[Pair]) -> Vec<Ranking> {
    let mut scenarios: Vec<&str> = rows.iter().map(|row| row.scenario.as_str()).collect();
    scenarios.sort_by_key(|scenario| (scenario_rank(scenario), *scenario));
    scenarios.dedup();
    let rankings = scenarios.into_iter().map(|scenario| ranking(scenario, rows, pairs));
    rankings.filter(|ranking| !ranking.ranks.is_empty()).collect()
}

fn ranking(scenario: &str, rows: &[Row], pairs: &[Pair]) -> Ranking {
    let of_scenario = rows.iter().filter(|row| row.scenario == scenario && row.headline);
    let ranked = |row: &Row| {
        let (method, view) = (row.method.clone(), row.view.clone()?);
        let average_accuracy = row.average_accuracy.mean?;
        Some(Ranked { method, view, average_accuracy, groups: String::new() })
    };
    let mut ranks: Vec<Ranked> = of_scenario.filter_map(ranked).collect();
    ranks.sort_by(|a, b| b.average_accuracy.total_cmp(&a.average_accuracy));
    let place = |method: &str| ranks.iter().position(|rank| rank.method == method);
    let separated: Vec<(usize, usize)> = pairs
        .iter()
        .filter(|pair| pair.metric == "average_accuracy" && pair.scenario == scenario)
        .filter(|pair| pair.p_holm.is_some_and(|p| p < stats::LEVEL))
        .filter_map(|pair| place(&pair.a.method).zip(place(&pair.b.method)))
        .collect();
    let groups = stats::groups(ranks.len(), &separated);
    for (number, group) in groups.iter().enumerate() {
        for &member in group {
            ranks[member].groups.push_str(&letter(number));
        }
    }
    Ranking { scenario: scenario.to_owned(), ranks }
}

/// a to z, then a2, b2, ...
fn letter(number: usize) -> String {
    let letter = char::from(b'a' + (number % 26) as u8);
    match number / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{}", round + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Comparison;
    use super::super::tests::{example, finished, view};
    use super::*;

    #[test]
    fn the_better_group_comes_first() {
        let rankings = Comparison::of(&example()).rankings;
        assert_eq!(rankings.len(), 2);
        let ranks = rankings[0].ranks.iter();
        let ranks: Vec<_> = ranks.map(|r| (r.method.as_str(), r.groups.as_str())).collect();
        assert_eq!(ranks, [("perdura/cls-er", "a"), ("perdura/sgd", "b")]);
    }

    #[test]
    fn what_cannot_be_separated_shares_a_letter() {
        // a is above c in every seed by the same; b varies so much that it differs from neither.
        let mut records = Vec::new();
        for (seed, noise) in [(0, 0.3), (1, -0.3), (2, 0.01)] {
            records.push(finished("l/a", seed, vec![view("main", 0.6)]));
            records.push(finished("l/b", seed, vec![view("main", 0.55 + noise)]));
            records.push(finished("l/c", seed, vec![view("main", 0.5)]));
        }
        let ranking = &Comparison::of(&records).rankings[0];
        let ranks: Vec<_> =
            ranking.ranks.iter().map(|r| (r.method.as_str(), r.groups.as_str())).collect();
        assert_eq!(ranks, [("l/a", "a"), ("l/b", "ab"), ("l/c", "b")]);
    }

    #[test]
    fn letters_go_on_after_z() {
        assert_eq!((letter(0), letter(25), letter(26)), ("a".into(), "z".into(), "a2".into()));
    }
}
