//! The end of a learner. A worker never drops one: it leaves with its process. In the tier `in-process`, in
//! programs that embed the host, and in unit tests a learner is dropped, so that is checked too, in a
//! process that this file starts and that ends in the ordinary way, exit handlers included.

use perdura_abi::message::CreateMsg;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::finding::{Finding, Kind, require};
use super::trial::Trial;
use super::{Check, Level};
use crate::plugin;
use crate::worker::{Confinement, Limits, NoServices, confine, in_process};

pub(super) const CHECKS: &[Check] = &[Check {
    name: "drop",
    about: "a learner that is dropped goes quietly, and its process ends as usual",
    level: Level::Strict,
    needs: &["create"],
    remedy: "let nothing panic, wait or exit in `Drop`, thread locals and exit handlers",
    run: dropped,
}];

/// The one argument with which the program of this process drops a learner.
pub const ARGUMENT: &str = "drop-learner";

/// Says that the learner is gone, and the process is about to end.
const GONE: &str = "perdura: the learner is gone";

fn dropped(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let subject = trial.subject;
    if subject.is_program() {
        return Err(Finding::skipped("no process of the host drops the learner of a program"));
    }
    let create = subject.create_message(&trial.stage().benchmark(), subject.seed);
    let (copy, confine) = (subject.start.plugin.clone(), subject.confinement());
    let (log, deadline) = (trial.next_log(), subject.deadline);
    let status = drop_in_child(&Task { copy, confine, create }, &subject.limits(), &log, deadline)
        .map_err(|e| Finding::skipped(format!("no process can be started: {e}")))?;
    let said = std::fs::read(&log).unwrap_or_default();
    judge(status, &String::from_utf8_lossy(&said), deadline)
}

/// What the child is given.
#[derive(Serialize, Deserialize)]
struct Task {
    copy: PathBuf,
    confine: Option<Confinement>,
    create: CreateMsg,
}

/// What the end of the child says; `None` for one that did not end.
fn judge(status: Option<ExitStatus>, said: &str, deadline: Duration) -> Result<(), Finding> {
    let kind = |kind, cause: String| Err(Finding { kind, cause, remedy: None });
    let Some(status) = status else {
        let seconds = deadline.as_secs_f64();
        return kind(Kind::Timeout, format!("the process had not ended after {seconds} s"));
    };
    if !said.lines().any(|line| line == GONE) {
        return kind(
            Kind::Crash,
            format!("the process ended while the learner was dropped: {status}"),
        );
    }
    if !status.success() {
        return kind(Kind::Crash, format!("the process did not end as usual: {status}"));
    }
    // The SDK catches a panic of a destructor; what is left of it is its message.
    let panicked = said.lines().find(|line| line.contains("panicked at"));
    require(panicked.is_none(), || {
        format!("while it was dropped, {}", panicked.unwrap_or_default())
    })
}

/// Creates a learner in a child and drops it there. `None` where the child had to be ended.
fn drop_in_child(
    task: &Task,
    limits: &Limits,
    log: &Path,
    deadline: Duration,
) -> std::io::Result<Option<ExitStatus>> {
    let output = std::fs::File::create(log)?;
    let mut command = Command::new("/proc/self/exe");
    for variable in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
        command.env(variable, task.create.context.threads.to_string());
    }
    command.arg(ARGUMENT).process_group(0);
    command.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
    let mut child = command.spawn()?;
    if let Err(error) = limits.apply(Pid::from_child(&child)) {
        child.kill()?;
        child.wait()?;
        return Err(error);
    }
    let task = serde_json::to_vec(task).expect("a message is plain data");
    // A child that left early has said why in its log.
    let _ = child.stdin.take().expect("piped above").write_all(&task);
    let begun = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if begun.elapsed() > deadline => break None,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    child.wait()?;
    Ok(status)
}

/// What the child does: reads its task, gives up its rights, makes a learner, drops it, and returns to end as
/// any process.
pub fn child() -> Result<(), String> {
    // Hold the parent to it: a child whose parent is gone is of no use to anyone.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| e.to_string())?;
    let mut task = Vec::new();
    std::io::stdin().read_to_end(&mut task).map_err(|e| e.to_string())?;
    let task: Task = serde_json::from_slice(&task).map_err(|e| e.to_string())?;
    let Task { copy, confine: to, create } = task;
    to.map_or(Ok(()), |to| confine(&copy, &to))?;
    let root = plugin::open_checked(&copy).map_err(|e| e.to_string())?;
    let port = in_process(root, &create, &mut NoServices).map_err(|e| e.to_string())?;
    drop(port);
    println!("{GONE}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn every_end_is_told_apart() {
        let second = Duration::from_secs(1);
        let (well, badly) = (ExitStatus::from_raw(0), ExitStatus::from_raw(11));
        let gone = format!("{GONE}\n");
        assert!(judge(Some(well), &gone, second).is_ok());
        let kind = |status, said: &str| judge(status, said, second).unwrap_err().kind;
        assert_eq!(kind(None, ""), Kind::Timeout);
        assert_eq!(kind(Some(well), ""), Kind::Crash);
        assert_eq!(kind(Some(badly), &gone), Kind::Crash);
        assert_eq!(kind(Some(well), &format!("thread panicked at x.rs\n{gone}")), Kind::Fail);
    }
}
