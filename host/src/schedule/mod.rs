//! Many runs side by side: each in a process of its own, started when a place is free. A run that fails,
//! whatever way, leaves a summary that says so and does not touch the others.

mod room;

use rustix::process::{Pid, Signal, kill_process};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

use crate::interrupt::Interrupt;
use crate::run::{Fault, FaultCode, Outcome, Resources, RunError, RunFolder, Summary};
use crate::trainer::{Ended, Line};
use crate::worker::{FaultTraces, peak_of_ended};

pub use room::{RUN_BYTES, Room, gpu_runs};

/// A run to be executed.
#[derive(Clone, Debug)]
pub struct Job {
    /// Folder of the run, with its plan.
    pub folder: PathBuf,
    /// What people call it.
    pub name: String,
    /// Threads of its learner.
    pub threads: usize,
    /// Arguments of `perdura execute`, the folder first.
    pub arguments: Vec<std::ffi::OsString>,
    /// The folder holds results of an earlier execution, which a refusal must leave as they are.
    pub goes_on: bool,
}

/// Is told what happens. Jobs are named by their index.
pub trait Watcher {
    fn started(&mut self, job: usize, name: &str);
    fn line(&mut self, job: usize, line: &Line);
    fn ended(&mut self, job: usize, ended: &Ended);
    /// All jobs have ended.
    fn finished(&mut self) {}
    /// What people should know, since it was last asked.
    fn notes(&mut self) -> Vec<String> {
        Vec::new()
    }
    /// Tells people something that concerns no job.
    fn note(&mut self, _text: &str) {}
}

/// Exit code of a process whose run was asked to end and can be taken up: `EX_TEMPFAIL` of sysexits.h.
pub const INTERRUPTED: u8 = 75;
/// Exit code of a process that refused its input and started nothing.
pub const REFUSED: u8 = 2;
/// How often it is looked whether the runs are to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

enum News {
    Line(usize, Box<Line>),
    /// Standard output has ended; what the process said on standard error.
    Silence(usize, String),
}

struct Running {
    child: Child,
    reader: JoinHandle<()>,
}

/// Executes all jobs, at most `parallel` at a time. Returns how they ended, in order. When it is asked to end
/// it passes that on to the runs, starts no more, and waits for them.
pub fn run_all(
    jobs: &[Job],
    parallel: usize,
    watcher: &mut dyn Watcher,
    interrupt: &Interrupt,
) -> Result<Vec<Ended>, RunError> {
    let mut waiting: VecDeque<usize> = (0..jobs.len()).collect();
    let mut running: Vec<Option<Running>> = jobs.iter().map(|_| None).collect();
    let mut ends: Vec<Ended> = vec![Ended::Interrupted; jobs.len()];
    let (sender, receiver): (Sender<News>, Receiver<News>) = channel();
    let (mut busy, mut passed_on) = (0, 0);
    while busy > 0 || !waiting.is_empty() {
        if interrupt.times() > passed_on {
            passed_on = interrupt.times();
            waiting.clear();
            running.iter().flatten().for_each(Running::ask_to_end);
        }
        while busy < parallel
            && let Some(job) = waiting.pop_front()
        {
            watcher.started(job, &jobs[job].name);
            match start(job, &jobs[job], sender.clone()) {
                Ok(process) => {
                    running[job] = Some(process);
                    busy += 1;
                }
                Err(error) => {
                    ends[job] = {
                        let said = format!("cannot be started: {error}");
                        settle(&jobs[job], None, (&said, FaultTraces::default()))?
                    };
                    watcher.ended(job, &ends[job]);
                }
            }
        }
        match receiver.recv_timeout(LOOK_EVERY) {
            Ok(News::Line(job, line)) => watcher.line(job, &line),
            Ok(News::Silence(job, said)) => {
                let mut process = running[job].take().expect("a job falls silent once");
                let peak_memory_bytes = peak_of_ended(Pid::from_child(&process.child));
                let status = process.child.wait().ok();
                let _ = process.reader.join();
                let traces = FaultTraces { peak_memory_bytes, ..FaultTraces::default() };
                ends[job] = settle(&jobs[job], status, (&said, traces))?;
                watcher.ended(job, &ends[job]);
                busy -= 1;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    watcher.finished();
    Ok(ends)
}

impl Running {
    /// One that has just ended needs no signal.
    fn ask_to_end(&self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
    }
}

/// The level of this process's log, as the flag that sets it in another one.
fn verbosity() -> Option<&'static str> {
    match LevelFilter::current() {
        LevelFilter::TRACE => Some("-vv"),
        LevelFilter::DEBUG => Some("-v"),
        _ => None,
    }
}

fn start(index: usize, job: &Job, sender: Sender<News>) -> std::io::Result<Running> {
    let threads = job.threads.to_string();
    let mut command = Command::new("/proc/self/exe");
    command.args(verbosity()).arg("execute").args(&job.arguments);
    // Set before the process starts: thread pools read them once.
    for variable in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
        command.env(variable, &threads);
    }
    command.env(crate::worker::HOST_VARIABLE, std::process::id().to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A terminal's Ctrl-C reaches this process alone, which passes it on once.
    command.process_group(0);
    let mut child = command.spawn()?;
    let output = child.stdout.take().expect("piped above");
    let mut errors = child.stderr.take().expect("piped above");
    let reader = std::thread::spawn(move || {
        let complaints = std::thread::spawn(move || {
            let mut said = String::new();
            let _ = errors.read_to_string(&mut said);
            said
        });
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // A line that is not ours was printed by a plugin in this process.
            if let Ok(line) = serde_json::from_str(&line) {
                let _ = sender.send(News::Line(index, Box::new(line)));
            }
        }
        let said = complaints.join().unwrap_or_default();
        let _ = sender.send(News::Silence(index, said));
    });
    Ok(Running { child, reader })
}

/// How a job has ended. A process that left no summary gets one, with what it had brought so far.
fn settle(
    job: &Job,
    status: Option<ExitStatus>,
    (said, traces): (&str, FaultTraces),
) -> Result<Ended, RunError> {
    let code = status.and_then(|status| status.code());
    if code == Some(i32::from(INTERRUPTED)) {
        return Ok(Ended::Interrupted);
    }
    let refused = code == Some(i32::from(REFUSED)) && job.goes_on;
    let folder = RunFolder::open(&job.folder)?;
    if !refused && let Some(summary) = folder.summary()? {
        return Ok(Ended::Outcome(summary.outcome));
    }
    let plan = folder.plan()?;
    let last: Vec<String> = said.lines().map(str::to_owned).collect();
    let last_log = last[last.len().saturating_sub(20)..].to_vec();
    let message = last.iter().find_map(|l| l.strip_prefix("error: ")).unwrap_or("").to_owned();
    let fault = Fault { last_log, ..ended_how(status) };
    let message = if status.is_none() { said.to_owned() } else { message };
    let outcome = Outcome::Failed(Fault { message, ..fault });
    if !refused {
        let fault = Some(traces);
        let resources = Resources { format: Resources::FORMAT, fault, ..Resources::default() };
        // What its finished experiences have brought is kept.
        let so_far = folder.partial().unwrap_or_else(|| Summary::empty(&plan, outcome.clone()));
        let written = folder.finish(&Summary { outcome: outcome.clone(), ..so_far }, &resources);
        if let Err(error) = written {
            // The run can be taken up once this is mended; the others go on.
            tracing::error!("{}: {error}", job.name);
            return Ok(Ended::Outcome(Outcome::Failed(Fault::of_results(&error))));
        }
    }
    Ok(Ended::Outcome(outcome))
}

/// The fault of a process of a run that left no summary; `None` is one that never was.
fn ended_how(status: Option<ExitStatus>) -> Fault {
    use std::os::unix::process::ExitStatusExt;
    let Some(status) = status else {
        return Fault::new(FaultCode::NotStarted, "run", "not started", "");
    };
    let (signal, exit_code) = (status.signal(), status.code());
    let how = match (signal, exit_code) {
        (Some(signal), _) => format!(" was ended by signal {signal}"),
        (None, Some(code)) => format!(" left with exit code {code}"),
        (None, None) => " ended".into(),
    };
    let code = if signal.is_some() { FaultCode::Signal } else { FaultCode::Exit };
    let fault = Fault::new(code, "run", format!("the process of the run{how}"), "");
    Fault { signal, exit_code, ..fault }
}
