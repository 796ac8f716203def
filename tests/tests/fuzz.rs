//! Mutants of a plugin file: whatever is in it, the host survives, and nothing is loaded whose manifest and
//! code disagree. `PERDURA_FUZZ` says how many (500 without it), `PERDURA_FUZZ_SEED` which.

use perdura_tests::{Sandbox, answer_of, built};
use std::collections::BTreeMap;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn no_mutant_kills_the_host_or_passes_for_what_it_is_not() {
    let (mutants, seed) = (number("PERDURA_FUZZ", 500), number("PERDURA_FUZZ_SEED", 0));
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(built().example("fuzz_probe"));
    command.arg(built().plugin("nearest-mean")).arg(sandbox.path("work"));
    command.args([seed, 0, mutants].map(|number| number.to_string()));
    let answer = answer_of(command);
    let last = answer.out.lines().last().unwrap_or_default();
    assert_eq!(answer.code, Some(0), "the last mutant was\n{last}\n{}", answer.err);
    let mut tally: BTreeMap<&str, u64> = BTreeMap::new();
    for line in answer.out.lines() {
        let (_, outcome) = line.split_once(": ").expect("what was done, and what came of it");
        let outcome = outcome.split(',').next().expect("a split has a part");
        *tally.entry(outcome).or_default() += 1;
    }
    println!("{tally:#?}");
    assert_eq!(tally.values().sum::<u64>(), mutants);
    // The mutants reach every stage of loading: bytes, manifest, gate, dynamic loader, and the end.
    for outcome in ["loaded", "not opened", "refused bad-manifest", "refused abi-mismatch"] {
        assert!(tally.contains_key(outcome), "no mutant was {outcome}: {tally:?}");
    }
    // That a renamed type is seen by the comparison of layouts and not by something before it.
    let by_layout = |line: &&str| line.contains(" layout: ") && line.contains("layout");
    let seen = answer.out.lines().filter(by_layout).filter(|line| line.contains("not opened"));
    assert!(seen.count() > 0, "no mutant had another layout");
    assert_eq!(sandbox.processes(), [""; 0]);
}
