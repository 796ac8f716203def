//! A disk that becomes too small while runs go on: every run says so, in a folder that can be read, and the table
//! has a row for it.

use perdura::run::{FaultCode, Outcome, RunFolder};
use perdura_tests::{Answer, RunResult, Sandbox, answer_of, built};

/// Exit code of a shell that could not make the small disk.
const NO_DISK: i32 = 99;

/// A command with the disk `small` of so many KiB in its working folder, of which a copy is kept in `kept`.
/// `None`, said aloud, where a user may not mount anything.
fn on_a_small_disk(sandbox: &Sandbox, kib: u32, line: &str) -> Option<Answer> {
    let script = format!(
        "mkdir small && mount -t tmpfs -o size={kib}k none small || exit {NO_DISK}\n\
         \"$@\"; code=$?; cp -a small kept; exit $code"
    );
    let mut command = sandbox.command("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
    command.arg(built().perdura()).args(line.split_whitespace());
    let answer = answer_of(command);
    if answer.code == Some(NO_DISK) || answer.err.contains("unshare") {
        eprintln!("SKIPPED: no disk can be made: {}", answer.err.trim());
        return None;
    }
    Some(answer)
}

const LINE: &str = "compare --methods nearest-mean,sgd --benchmark split-digits --epochs 1 --seeds 1 \
                    --jobs 2 --checkpoint-every none --format json --out small/out";

#[test]
fn a_run_without_room_says_so() {
    // Room for plans, the index and what both runs keep for this case, but not for all predictions beside it.
    // One that has failed makes room for the other, which may finish then.
    let sandbox = Sandbox::new();
    let Some(answer) = on_a_small_disk(&sandbox, 240, LINE) else { return };
    let answer = answer.expect(1);
    let runs = RunResult::all_below(&sandbox.path("work/kept/out"));
    assert_eq!(runs.len(), 2);
    let failed: Vec<_> =
        runs.iter().filter(|run| run.summary.outcome != Outcome::Finished).collect();
    assert!(!failed.is_empty());
    for run in &failed {
        let fault = run.fault();
        println!("{}: {fault:?}", run.plan.method);
        assert_eq!((fault.code, fault.call.as_str()), (FaultCode::DiskFull, "results"));
        assert!(fault.message.contains("No space left on device"), "{fault:?}");
    }
    for run in &runs {
        let folder = RunFolder::open(&run.folder).expect("it has a plan");
        folder.events().expect("whole lines");
        folder.resources().expect("whole").expect("there");
        assert!(!run.folder.join("reserve").exists());
    }
    let failures = answer.json()["failures"].clone();
    let codes = failures.as_array().expect("a list").iter().map(|f| f["fault"]["code"].clone());
    assert_eq!(codes.collect::<Vec<_>>(), vec!["disk-full"; failed.len()], "{failures}");
    assert_eq!(sandbox.processes(), [""; 0]);
}

/// The same on a disk with enough room, or the test above would prove nothing.
#[test]
fn a_run_with_room_finishes() {
    let sandbox = Sandbox::new();
    let Some(answer) = on_a_small_disk(&sandbox, 8 << 10, LINE) else { return };
    let answer = answer.expect(0);
    assert_eq!(answer.json()["failures"], serde_json::json!([]));
    for run in RunResult::all_below(&sandbox.path("work/kept/out")) {
        assert!(!run.folder.join("reserve").exists());
    }
}

#[test]
fn a_disk_that_is_full_from_the_beginning_is_refused() {
    let sandbox = Sandbox::new();
    let Some(answer) = on_a_small_disk(&sandbox, 4, LINE) else { return };
    answer.refused(&["small/out", "No space left on device"]);
}
