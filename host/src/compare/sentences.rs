//! What the pairs of a comparison say, in words: a difference is stated only where the data carry
//! it.

use super::grid::{Names, points, printable};
use super::{Comparison, Failure, Pair};

/// Corrected p-values below this separate two methods.
const LEVEL: f64 = 0.05;

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

fn pair_sentence(pair: &Pair, names: &Names) -> String {
    let (a, b) = (names.short(&pair.a.method), names.short(&pair.b.method));
    let (scenario, n) = (&pair.scenario, pair.n);
    let Some(mean) = pair.difference.mean else {
        return format!("{scenario}: no seed finished in both {a} and {b}");
    };
    match pair.p_holm {
        Some(p) if p < LEVEL => {
            let (above, below) = if mean >= 0.0 { (a, b) } else { (b, a) };
            let amount = amount(pair, mean.signum());
            format!("{scenario}: {above} above {below} by {amount}, {}, n {n}", p_text(p))
        }
        Some(p) => {
            let amount = amount(pair, 1.0);
            format!(
                "{scenario}: n = {n} cannot separate {a} and {b}: difference {amount}, {}",
                p_text(p)
            )
        }
        None => format!(
            "{scenario}: n = {n} cannot separate {a} and {b}: difference {}",
            amount(pair, 1.0)
        ),
    }
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
        let side = |method: &str| Side { method: method.into(), view: "main".into() };
        let pair = Pair {
            metric: "average_accuracy",
            scenario: "class-il".into(),
            a: side("lab/a"),
            b: side("lab/b"),
            n: 3,
            difference: Difference { mean: Some(mean), ci95 },
            p_holm,
        };
        let comparison = Comparison { pairs: vec![pair], ..Comparison::of(&two("lab/a", "lab/b")) };
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
        assert_eq!(sentences, ["broken failed with seed 3: panic: bad  [31mred"]);
    }
}
