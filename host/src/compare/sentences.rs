//! What the pairs of a comparison say, in words: a difference is stated only where the data carry
//! it.

use super::grid::{Names, points, printable};
use super::{Comparison, Failure, Pair, Ranking};
use crate::stats::{LEVEL, SEEDS_MAX, SeedsNeeded, signed_rank_floor};

/// One sentence per pair of methods and scenario, about average accuracy.
pub fn pair_sentences(comparison: &Comparison) -> Vec<String> {
    let names = Names::of(comparison);
    let accuracy = comparison.pairs.iter().filter(|pair| pair.metric == "average_accuracy");
    accuracy.map(|pair| pair_sentence(pair, &names)).collect()
}

/// One sentence per way of failing, complete.
pub fn failure_sentences(comparison: &Comparison) -> Vec<String> {
    let names = Names::of(comparison);
    comparison.failures.iter().map(|failure| failure_sentence(failure, &names)).collect()
}

/// Methods by accuracy, one sentence per scenario with several of them; then what the number of
/// seeds does not allow.
pub fn ranking_sentences(comparison: &Comparison) -> Vec<String> {
    let names = Names::of(comparison);
    let several = comparison.rankings.iter().filter(|ranking| ranking.ranks.len() > 1);
    let mut sentences: Vec<String> =
        several.map(|ranking| ranking_sentence(ranking, &names)).collect();
    sentences.extend(wilcoxon_sentence(&comparison.pairs));
    sentences
}

fn ranking_sentence(ranking: &Ranking, names: &Names) -> String {
    let ranked = |rank: &super::Ranked| format!("{} ({})", names.short(&rank.method), rank.groups);
    let ranks: Vec<String> = ranking.ranks.iter().map(ranked).collect();
    format!(
        "{}, best first: {}; methods that share a letter cannot be separated",
        ranking.scenario,
        ranks.join(", ")
    )
}

/// Seeds too few for the signed-rank test are said once, for the pair that has most.
fn wilcoxon_sentence(pairs: &[Pair]) -> Option<String> {
    let n = pairs.iter().map(|pair| pair.n).max().filter(|n| *n > 1)?;
    let floor = signed_rank_floor(n);
    (floor >= LEVEL).then(|| {
        format!(
            "Wilcoxon's signed-rank test is not shown: with n = {n} its p cannot go below {floor}"
        )
    })
}

fn pair_sentence(pair: &Pair, names: &Names) -> String {
    let (a, b) = (names.short(&pair.a.method), names.short(&pair.b.method));
    let (scenario, n) = (&pair.scenario, pair.n);
    let Some(mean) = pair.difference.mean else {
        return format!("{scenario}: no seed finished in both {a} and {b}");
    };
    let tests = tests(pair);
    if pair.p_holm.is_some_and(|p| p < LEVEL) {
        let (above, below) = if mean >= 0.0 { (a, b) } else { (b, a) };
        let amount = amount(pair, mean.signum());
        return format!("{scenario}: {above} above {below} by {amount}{tests}, n {n}");
    }
    let more = match pair.seeds_needed {
        None => String::new(),
        Some(SeedsNeeded::TooMany) => format!("; {SEEDS_MAX} seeds would not either"),
        Some(SeedsNeeded::About(seeds)) => match seeds.saturating_sub(n).max(1) {
            1 => "; about 1 more seed would".to_owned(),
            more => format!("; about {more} more seeds would"),
        },
    };
    let amount = amount(pair, 1.0);
    format!("{scenario}: n = {n} cannot separate {a} and {b}: difference {amount}{tests}{more}")
}

/// The p-values that can say something: `, p 0.012, Wilcoxon p 0.031`.
fn tests(pair: &Pair) -> String {
    let t_test = pair.p_holm.map(|p| format!(", {}", p_text(p))).unwrap_or_default();
    let wilcoxon = pair.wilcoxon_holm.filter(|_| signed_rank_floor(pair.n) < LEVEL);
    let wilcoxon = wilcoxon.map(|p| format!(", Wilcoxon {}", p_text(p))).unwrap_or_default();
    t_test + &wilcoxon
}

/// `12.3 points [10.1, 14.5]`, of the difference times `sign`.
fn amount(pair: &Pair, sign: f64) -> String {
    let mean = points(pair.difference.mean.unwrap_or_default() * sign);
    match pair.difference.ci95 {
        None => format!("{mean} points"),
        Some([low, high]) => {
            let (low, high) = if sign < 0.0 { (-high, -low) } else { (low, high) };
            format!("{mean} points [{}, {}]", points(low), points(high))
        }
    }
}

fn p_text(p: f64) -> String {
    if p < 0.001 { "p < 0.001".into() } else { format!("p {p:.3}") }
}

fn failure_sentence(failure: &Failure, names: &Names) -> String {
    let fault = &failure.fault;
    let seeds: Vec<String> = failure.seeds.iter().map(u64::to_string).collect();
    let plural = if seeds.len() == 1 { "seed" } else { "seeds" };
    let call = if fault.call.is_empty() { String::new() } else { format!(" in {}", fault.call) };
    let step = fault.step.map(|step| format!(" at step {step}")).unwrap_or_default();
    let location = fault.location.as_ref().map(|at| format!(" ({at})")).unwrap_or_default();
    printable(&format!(
        "{} failed with {plural} {}: {}{call}{step}: {}{location}",
        names.short(&failure.method),
        seeds.join(", "),
        fault.kind,
        fault.message,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{failed, finished, view};
    use super::super::{Difference, RunRecord, Side};
    use super::*;

    fn check(mean: f64, ci95: Option<[f64; 2]>, p_holm: Option<f64>, expected: &str) {
        check_pair(&pair(mean, ci95, p_holm), expected);
    }

    fn pair(mean: f64, ci95: Option<[f64; 2]>, p_holm: Option<f64>) -> Pair {
        let side = |method: &str| Side { method: method.into(), view: "main".into() };
        Pair {
            metric: "average_accuracy",
            scenario: "class-il".into(),
            a: side("lab/a"),
            b: side("lab/b"),
            n: 3,
            difference: Difference { mean: Some(mean), ci95 },
            p_holm,
            wilcoxon_holm: Some(0.25),
            probability_a_above_b: None,
            seeds_needed: None,
        }
    }

    fn check_pair(pair: &Pair, expected: &str) {
        let pairs = vec![pair.clone()];
        let comparison = Comparison { pairs, ..Comparison::of(&two("lab/a", "lab/b")) };
        assert_eq!(pair_sentences(&comparison), [expected]);
    }

    fn two(a: &str, b: &str) -> [RunRecord; 2] {
        [a, b].map(|method| finished(method, 0, vec![view("main", 0.5)]))
    }

    #[test]
    fn the_better_one_comes_first() {
        let interval = Some([0.101, 0.145]);
        let expected = "class-il: a above b by 12.3 points [10.1, 14.5], p 0.012, n 3";
        check(0.123, interval, Some(0.012), expected);
        let expected = "class-il: b above a by 12.3 points [10.1, 14.5], p < 0.001, n 3";
        check(-0.123, Some([-0.145, -0.101]), Some(0.0002), expected);
    }

    #[test]
    fn what_the_data_do_not_carry_is_not_stated() {
        let expected =
            "class-il: n = 3 cannot separate a and b: difference 1.2 points [-0.5, 2.9], p 0.210";
        check(0.012, Some([-0.005, 0.029]), Some(0.21), expected);
        let expected = "class-il: n = 3 cannot separate a and b: difference 1.2 points";
        check(0.012, None, None, expected);
    }

    #[test]
    fn seeds_that_would_separate_are_named() {
        let pair = pair(0.012, None, Some(0.21));
        let with = |seeds_needed| Pair { seeds_needed: Some(seeds_needed), ..pair.clone() };
        let text = "class-il: n = 3 cannot separate a and b: difference 1.2 points, p 0.210; ";
        let check = |needed, rest: &str| check_pair(&with(needed), &format!("{text}{rest}"));
        check(SeedsNeeded::About(12), "about 9 more seeds would");
        check(SeedsNeeded::About(4), "about 1 more seed would");
        check(SeedsNeeded::TooMany, "10000 seeds would not either");
    }

    #[test]
    fn wilcoxon_is_shown_where_it_can_say_something() {
        let pair = Pair { n: 6, wilcoxon_holm: Some(0.03125), ..pair(0.1, None, Some(0.01)) };
        check_pair(&pair, "class-il: a above b by 10.0 points, p 0.010, Wilcoxon p 0.031, n 6");
        let sentence = |n| wilcoxon_sentence(&[Pair { n, ..pair.clone() }]);
        let expected = "Wilcoxon's signed-rank test is not shown: \
                        with n = 5 its p cannot go below 0.0625";
        assert_eq!(sentence(5).as_deref(), Some(expected));
        assert_eq!((sentence(6), sentence(1), wilcoxon_sentence(&[])), (None, None, None));
    }

    #[test]
    fn names_that_meet_keep_their_lab() {
        let comparison = Comparison::of(&two("lab/er", "perdura/er"));
        let expected =
            "class-il: n = 1 cannot separate lab/er and perdura/er: difference 0.0 points";
        assert_eq!(pair_sentences(&comparison)[0], expected);
    }

    #[test]
    fn a_message_stays_on_its_line() {
        let mut record = failed("lab/broken", 3);
        let summary = record.summary.as_mut().unwrap();
        if let crate::run::Outcome::Failed(fault) = &mut summary.outcome {
            fault.message = "bad\n\u{1b}[31mred".into();
            fault.call.clear();
            fault.step = None;
            fault.location = None;
        }
        let sentences = failure_sentences(&Comparison::of(&[record]));
        assert_eq!(sentences, ["broken failed with seed 3: panicked: bad  [31mred"]);
    }
}
