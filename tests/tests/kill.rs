//! SIGKILL at random moments, to workers and to hosts: no other run loses anything, what lies in a folder can
//! be read, and nothing runs on. `PERDURA_KILLS` says how often each (5 without it).

use perdura::rng::{below, keyed};
use perdura::run::{Outcome, RunFolder};
use perdura_tests::{RunResult, Sandbox, built, files_below};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

fn kills() -> u64 {
    std::env::var("PERDURA_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

/// A moment may find nobody: before a worker is there, or after the last has gone.
const MOMENTS_PER_KILL_MAX: u64 = 20;

const LINE: &str = "compare --methods nearest-mean,sgd --benchmark split-digits --epochs 2 \
                    --seeds 1 --jobs 2 --out out";

fn start(sandbox: &Sandbox) -> Child {
    let mut command = sandbox.command(built().perdura());
    command.args(LINE.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("it can be started")
}

/// What each method leaves when nobody is killed, and how long that takes. The first of two times fills
/// caches: moments drawn from its length would come when all is over.
fn undisturbed() -> (BTreeMap<String, RunResult>, Duration) {
    Sandbox::new().line(LINE).expect(0);
    let (sandbox, begun) = (Sandbox::new(), Instant::now());
    sandbox.line(LINE).expect(0);
    let took = begun.elapsed();
    let runs = RunResult::all_below(&sandbox.path("work/out"));
    (runs.into_iter().map(|run| (run.plan.method.clone(), run)).collect(), took)
}

/// Sends SIGKILL to one of the processes whose command line is chosen; `None` if there is none.
fn kill_one(sandbox: &Sandbox, chosen: impl Fn(&str) -> bool, chance: u64) -> Option<String> {
    let mut victims = sandbox.members();
    victims.retain(|(_, words)| chosen(words));
    let (pid, words) = victims.get(chance as usize % victims.len().max(1))?.clone();
    let pid = Pid::from_raw(pid as i32).expect("a process has a number");
    // It may have ended meanwhile.
    kill_process(pid, Signal::KILL).ok()?;
    Some(words)
}

/// Every folder can be read, and a run that finished is as if nobody had been killed. Returns the outcomes by
/// method; `None` for one without a summary.
fn read_all(
    out: &Path,
    expected: &BTreeMap<String, RunResult>,
) -> BTreeMap<String, Option<Outcome>> {
    let mut outcomes = BTreeMap::new();
    for plan in files_below(out).into_iter().filter(|path| path.ends_with("plan.json")) {
        let folder = plan.parent().expect("a file has a folder");
        let run = RunFolder::open(folder).expect("it has a plan");
        let method = run.plan().expect("a plan is whole").method;
        run.events().expect("whole lines");
        run.resources().expect("whole or not there");
        let outcome = run.summary().expect("whole or not there").map(|summary| summary.outcome);
        if outcome == Some(Outcome::Finished) {
            let found = RunResult::only_below(folder);
            assert_eq!(found.determined, expected[&method].determined, "{}", folder.display());
        }
        outcomes.insert(method, outcome);
    }
    outcomes
}

#[track_caller]
fn nothing_runs(sandbox: &Sandbox) {
    let patience = Instant::now() + Duration::from_secs(10);
    while !sandbox.processes().is_empty() {
        assert!(Instant::now() < patience, "left running: {:?}", sandbox.processes());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A moment within the time that an undisturbed comparison takes.
fn moment(purpose: &str, number: u64, within: Duration) -> (Duration, u64) {
    let mut rng = keyed(7, purpose, &[number]);
    let at = Duration::from_micros(below(&mut rng, within.as_micros() as u64));
    (at, below(&mut rng, 1 << 16))
}

#[test]
fn of_a_worker() {
    let (expected, took) = undisturbed();
    let (mut found, mut hit) = (0, 0);
    for number in 0..MOMENTS_PER_KILL_MAX * kills() {
        if found == kills() {
            break;
        }
        let sandbox = Sandbox::new();
        let (at, chance) = moment("kill/worker", number, took);
        let mut host = start(&sandbox);
        std::thread::sleep(at);
        let victim = kill_one(&sandbox, |words| words.contains(" worker "), chance);
        found += u64::from(victim.is_some());
        let code = host.wait().expect("it was started").code();
        nothing_runs(&sandbox);
        let outcomes = read_all(&sandbox.path("work/out"), &expected);
        println!("{at:?}: {victim:?}, exit code {code:?}, {outcomes:?}");
        let finished =
            outcomes.values().filter(|outcome| **outcome == Some(Outcome::Finished)).count();
        match code {
            Some(0) => assert_eq!(finished, 2),
            // The other run has finished, and this one says what became of it.
            Some(1) => {
                hit += 1;
                assert_eq!((finished, outcomes.len()), (1, 2), "{outcomes:?}");
                let failed = |outcome: &Option<Outcome>| match outcome {
                    Some(Outcome::Failed(fault)) => fault.kind.contains("SIGKILL"),
                    _ => false,
                };
                assert!(outcomes.values().any(failed), "{outcomes:?}");
            }
            // The worker in which a learner is tried out before anything is written.
            Some(2) => assert!(outcomes.is_empty(), "{outcomes:?}"),
            other => panic!("exit code {other:?}"),
        }
    }
    println!("{found} workers were killed, {hit} of them in a run");
    assert_eq!(found, kills(), "workers that could be killed");
}

#[test]
fn of_a_host() {
    let (expected, took) = undisturbed();
    let mut found = 0;
    for number in 0..MOMENTS_PER_KILL_MAX * kills() {
        if found == kills() {
            break;
        }
        let sandbox = Sandbox::new();
        let (at, chance) = moment("kill/host", number, took);
        let mut host = start(&sandbox);
        std::thread::sleep(at);
        // The command itself, or the process of a run.
        let chosen = |words: &str| !words.contains(" worker ");
        let victim = kill_one(&sandbox, chosen, chance).unwrap_or_default();
        found += u64::from(!victim.is_empty());
        let code = host.wait().expect("it was started").code();
        nothing_runs(&sandbox);
        let outcomes = read_all(&sandbox.path("work/out"), &expected);
        println!("{at:?}: {victim}, exit code {code:?}, {outcomes:?}");
        if victim.contains(" execute ") && code.is_some() {
            let finished = |outcome: &&Option<Outcome>| **outcome == Some(Outcome::Finished);
            assert!(outcomes.values().filter(finished).count() >= 1, "{outcomes:?}");
            assert!(outcomes.values().all(Option::is_some), "each has a summary: {outcomes:?}");
        }
    }
    println!("{found} hosts were killed");
    assert_eq!(found, kills(), "hosts that could be killed");
}
