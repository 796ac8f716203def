//! The operating system's side of a worker: starting it, limiting it, ending it, reading its last words.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, getrlimit, kill_process_group, pidfd_open, prlimit,
};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use super::spawn::open_log;
use super::usage::peak_of_ended;
use super::{FaultKind, Usage};

/// What a worker may take. `None` leaves the host's own limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Address space. CUDA reserves far more than it uses: leave it `None` there.
    pub memory_bytes: Option<u64>,
    /// CPU time of all threads together.
    pub cpu_seconds: Option<u64>,
    /// Largest file it may write, its log included.
    pub file_bytes: Option<u64>,
    /// Open file descriptors.
    pub descriptors: Option<u64>,
}

/// A worker process, killed and reaped at the latest when this is dropped.
pub struct WorkerChild {
    child: Child,
    ended: Option<ExitStatus>,
    /// Of one that ended badly.
    peak_bytes: Option<u64>,
    pid: Pid,
    /// Readable once the process has ended, even while something else holds its socket open.
    pidfd: OwnedFd,
    log: Log,
    /// Private working directory: burn reads `burn.toml` from there.
    _directory: tempfile::TempDir,
}

/// Where a worker's standard output and error go.
pub struct Log {
    pub path: PathBuf,
    /// What was in the file before this worker began.
    pub start_bytes: u64,
    /// File that it is added to when the worker has ended.
    pub append_to: Option<PathBuf>,
}

const LOG_LINES: usize = 20;
const LOG_TAIL_BYTES: u64 = 8 << 10;
/// Names of generic functions are long.
const PANIC_TAIL_BYTES: u64 = 64 << 10;

impl WorkerChild {
    /// Starts `command` as leader of a process group of its own and sets its limits.
    pub fn start(
        mut command: Command,
        limits: &Limits,
        directory: tempfile::TempDir,
        log: Log,
    ) -> io::Result<WorkerChild> {
        command.process_group(0).current_dir(directory.path());
        let mut child = start_from_lasting_thread(command)?;
        let pid = Pid::from_child(&child);
        let ready = limits.apply(pid).and_then(|()| Ok(pidfd_open(pid, PidfdFlags::empty())?));
        match ready {
            Ok(pidfd) => {
                let (ended, peak_bytes, _directory) = (None, None, directory);
                Ok(WorkerChild { child, ended, peak_bytes, pid, pidfd, log, _directory })
            }
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Whether the process ends by itself within `patience`.
    pub fn ends_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(rest).ok();
            match poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], timeout.as_ref()) {
                Ok(count) => return count > 0,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// Kills the whole group and reaps the worker.
    ///
    /// In this order: until it is reaped the worker keeps its number, so that the signal cannot reach
    /// strangers.
    pub fn end(&mut self) -> io::Result<ExitStatus> {
        if self.ended.is_none() {
            let _ = kill_process_group(self.pid, Signal::KILL);
            self.ended = Some(self.child.wait()?);
            self.log.append();
        }
        Ok(self.ended.expect("set above"))
    }

    /// Largest resident size it had; as far as can be told.
    pub fn peak_bytes(&self) -> Option<u64> {
        match self.ended {
            Some(_) => self.peak_bytes,
            None => Usage::of(self.id()).map(|usage| usage.resident_peak_bytes),
        }
    }

    /// As [`end`](Self::end), for one that went wrong: what it had is noted before it is gone.
    pub fn end_noting_peak(&mut self) -> io::Result<ExitStatus> {
        if self.ended.is_none() {
            let alive = Usage::of(self.id()).map(|usage| usage.resident_peak_bytes);
            let _ = kill_process_group(self.pid, Signal::KILL);
            self.peak_bytes = alive.or_else(|| peak_of_ended(self.pid));
        }
        self.end()
    }

    /// The last lines this worker printed.
    pub fn last_log(&self) -> Vec<String> {
        let lines = self.log.last_lines(LOG_TAIL_BYTES).unwrap_or_default();
        last(&lines)
    }

    /// Its last panic, if it printed one.
    pub fn last_panic(&self) -> LastPanic {
        LastPanic::in_log(&self.log.last_lines(PANIC_TAIL_BYTES).unwrap_or_default())
    }
}

impl Drop for WorkerChild {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl Limits {
    /// Sets the limits of a process that has not opened its plugin yet.
    pub(crate) fn apply(&self, pid: Pid) -> io::Result<()> {
        let limits = [
            (Resource::As, self.memory_bytes),
            (Resource::Cpu, self.cpu_seconds),
            (Resource::Fsize, self.file_bytes),
            (Resource::Nofile, self.descriptors),
            // A core file in a directory about to be removed only costs time.
            (Resource::Core, Some(0)),
        ];
        for (resource, limit) in limits {
            let Some(limit) = limit else { continue };
            let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
            let current = limit.min(most);
            // One second between the signal that can be told apart and the one that cannot.
            let margin = if resource == Resource::Cpu { 1 } else { 0 };
            let maximum = current.saturating_add(margin).min(most);
            prlimit(
                Some(pid),
                resource,
                Rlimit { current: Some(current), maximum: Some(maximum) },
            )?;
        }
        Ok(())
    }
}

impl Log {
    /// Adds it where it belongs. A log that cannot be written costs no run its result.
    fn append(&mut self) {
        let Some(path) = self.append_to.take() else { return };
        let copied = File::open(&self.path).and_then(|mut own| {
            // What is empty makes no file.
            let bytes = own.metadata()?.len();
            if bytes > 0 { io::copy(&mut own, &mut open_log(&path)?) } else { Ok(0) }
        });
        if let Err(error) = copied {
            tracing::warn!("what a worker printed is lost: {error}");
        }
    }

    fn last_lines(&self, tail_bytes: u64) -> io::Result<Vec<String>> {
        let mut file = File::open(&self.path)?;
        let len = file.metadata()?.len();
        let from = len.saturating_sub(tail_bytes).max(self.start_bytes);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(tail_bytes).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    }
}

fn last(lines: &[String]) -> Vec<String> {
    lines[lines.len().saturating_sub(LOG_LINES)..].to_vec()
}

/// A panic as a log shows it.
#[derive(Debug, Default, PartialEq)]
pub struct LastPanic {
    /// The last lines before it; of a log without one simply the last lines.
    pub before: Vec<String>,
    /// Where it was, and its message.
    pub words: Vec<String>,
    /// What follows `stack backtrace:`, indented.
    pub frames: Vec<String>,
}

impl LastPanic {
    fn in_log(lines: &[String]) -> LastPanic {
        let begins = |line: &String| line.starts_with("thread '") && line.contains(" panicked at ");
        let Some(panic) = lines.iter().rposition(begins) else {
            return LastPanic { before: last(lines), ..LastPanic::default() };
        };
        let full = |line: &&String| !line.is_empty();
        let before: Vec<String> = lines[..panic].iter().filter(full).cloned().collect();
        let is_title = |line: &String| line.trim() == "stack backtrace:";
        let title = lines[panic..].iter().position(is_title).map_or(lines.len(), |at| panic + at);
        let words = lines[panic..title].iter().filter(full).cloned().collect();
        let frames = lines[title..].iter().skip(1).take_while(|line| line.starts_with(' '));
        let frames = frames.map(|line| line.trim().to_owned()).collect();
        LastPanic { before: last(&before), words, frames }
    }

    /// Of a process that the panic ended: the last lines, its words at the end.
    pub fn last_words(&self) -> Vec<String> {
        last(&[&self.before[..], &self.words].concat())
    }
}

/// How a process ended, and what that usually means (empty where nothing can be said).
pub fn verdict(status: ExitStatus) -> (FaultKind, &'static str) {
    let Some(number) = status.signal() else {
        return (FaultKind::Exit { code: status.code().unwrap_or(-1) }, "");
    };
    let (name, hint) = match number {
        1 => ("SIGHUP", ""),
        2 => ("SIGINT", ""),
        4 => ("SIGILL", "an instruction this processor does not have, or a trap"),
        5 => ("SIGTRAP", ""),
        6 => ("SIGABRT", "it aborted: a panic that cannot be caught, or memory beyond its limit"),
        7 => ("SIGBUS", ""),
        8 => ("SIGFPE", ""),
        9 => ("SIGKILL", "killed from outside, most often by the kernel for lack of memory"),
        11 => ("SIGSEGV", "it touched memory that is not its own"),
        13 => ("SIGPIPE", ""),
        15 => ("SIGTERM", ""),
        24 => ("SIGXCPU", "it used up its CPU time"),
        25 => ("SIGXFSZ", "it wrote a larger file than it may"),
        31 => ("SIGSYS", "it made a system call that is not allowed"),
        _ => ("signal", ""),
    };
    (FaultKind::Signal { number, name: name.into() }, hint)
}

/// Starts a process from a thread that lives as long as the host: the death signal of a worker fires
/// when the *thread* that started it ends, not only when its process does.
fn start_from_lasting_thread(command: Command) -> io::Result<Child> {
    type Job = (Command, Sender<io::Result<Child>>);
    static STARTER: OnceLock<Sender<Job>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (jobs, inbox) = channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                let _ = answer.send(command.spawn());
            }
        });
        jobs
    });
    let gone = || io::Error::other("the thread that starts workers is gone");
    let (answer, answered) = channel();
    starter.send((command, answer)).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_log_is_told_from_what_came_before() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let log = "one\ntwo\n\nthread 'main' (7) panicked at src/lib.rs:3:5:\nwhy\nstack backtrace:\n   \
                   0: begin_panic\n   1: learner::observe\n             at ./src/lib.rs:3:5\nnote: more\n";
        let panic = LastPanic::in_log(&lines(log));
        assert_eq!(panic.before, ["one", "two"]);
        assert_eq!(panic.words, ["thread 'main' (7) panicked at src/lib.rs:3:5:", "why"]);
        assert_eq!(panic.frames, ["0: begin_panic", "1: learner::observe", "at ./src/lib.rs:3:5"]);
        assert_eq!(panic.last_words().last().unwrap(), "why");
        let none = LastPanic { before: lines("a\nb"), ..LastPanic::default() };
        assert_eq!(LastPanic::in_log(&lines("a\nb")), none);
        let many = LastPanic::in_log(&lines(&("x\n".repeat(30) + "thread 'a' panicked at b:\nc")));
        assert_eq!((many.before.len(), many.words.len()), (LOG_LINES, 2));
        assert!(many.frames.is_empty() && many.last_words().len() == LOG_LINES);
    }
}
