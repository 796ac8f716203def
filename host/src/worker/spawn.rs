//! Starts workers: what they are given, and the first words with them.

use perdura_abi::MessageBuf;
use perdura_abi::manifest::Description;
use perdura_abi::message::CreateMsg;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf, absolute};
use std::process::{Command, Stdio};

use super::child::{Log, WorkerChild};
use super::link::{Link, Task};
use super::port::{HostServices, NoServices};
use super::process::{Deadlines, WorkerPort};
use super::protocol::{HostHello, Kind};
use super::shared::{Area, Role};
use super::wire::{Wire, WireError, send_prelude};
use super::{CallFault, Confinement, Limits};

/// The running program, even if its file was replaced meanwhile.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// glibc's allocator gives the memory of tensors back to the system when they are dropped, and a step then
/// waits for the pages again: below these sizes (64 and 256 MiB) it keeps it. For LibTorch, and for learners
/// without perdura-nn, which brings an allocator of its own.
const KEEP_MEMORY: [(&str, &str); 2] =
    [("MALLOC_MMAP_THRESHOLD_", "67108864"), ("MALLOC_TRIM_THRESHOLD_", "268435456")];

/// How to start a worker.
#[derive(Clone, Debug)]
pub struct SpawnOptions {
    /// The plugin file to open.
    pub plugin: PathBuf,
    /// The worker's program: by default the running one.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Further environment variables.
    pub env: Vec<(OsString, OsString)>,
    /// Threads the learner may use.
    pub threads: usize,
    pub deadlines: Deadlines,
    pub limits: Limits,
    /// What it keeps of its rights; all of them when `None`.
    pub confine: Option<Confinement>,
    /// File that its standard output and error are appended to; `None`: a temporary one.
    pub log: Option<PathBuf>,
}

impl SpawnOptions {
    /// A worker of this binary for `plugin`: one thread, default deadlines and limits, not
    /// confined, temporary log.
    pub fn new(plugin: impl Into<PathBuf>) -> Self {
        SpawnOptions {
            plugin: plugin.into(),
            program: OWN_PROGRAM.into(),
            args: vec!["worker".into()],
            env: Vec::new(),
            threads: 1,
            deadlines: Deadlines::default(),
            limits: Limits::default(),
            confine: None,
            log: None,
        }
    }
}

/// Starts a worker and creates a learner in it.
pub fn spawn(
    options: &SpawnOptions,
    create: &CreateMsg,
    services: &mut dyn HostServices,
) -> Result<WorkerPort, CallFault> {
    let message = MessageBuf::of_header(create);
    let mut port = open(options)?;
    let deadline = port.deadlines().create;
    let task = Task { kind: Kind::Create, number: 0, name: "create", deadline, message: &message };
    port.perform(&task, services, &mut MessageBuf::new())?;
    Ok(port)
}

/// Asks a plugin to describe itself, in a worker of its own that is gone afterwards.
pub fn describe(options: &SpawnOptions) -> Result<Description, CallFault> {
    let message = MessageBuf::new();
    let mut port = open(options)?;
    let deadline = port.deadlines().create;
    let (kind, name) = (Kind::Describe, "describe");
    let mut reply = MessageBuf::new();
    let task = Task { kind, number: 0, name, deadline, message: &message };
    port.perform(&task, &mut NoServices, &mut reply)?;
    serde_json::from_slice(reply.header()).map_err(|error| {
        CallFault::protocol(name, format!("the plugin's description cannot be read: {error}"))
    })
}

/// Starts a worker and has it open the plugin; no learner is made in it yet.
pub fn open(options: &SpawnOptions) -> Result<WorkerPort, CallFault> {
    let failed = |error: &dyn std::fmt::Display| {
        let program = options.program.display();
        CallFault::protocol("open", format!("worker `{program}` could not be started: {error}"))
    };
    let plugin = absolute(&options.plugin).map_err(|error| failed(&error))?;
    let mut port = start(options).map_err(|error| failed(&error))?;
    port.greet(&HostHello { plugin, confine: options.confine.clone() })?;
    Ok(port)
}

fn start(options: &SpawnOptions) -> Result<WorkerPort, WireError> {
    let (near, far) = UnixStream::pair()?;
    let inbox = Area::create("perdura-inbox", Role::Writer)?;
    let outbox = Area::create("perdura-outbox", Role::Reader)?;
    send_prelude(near.as_fd(), [inbox.file(), outbox.file()])?;
    let directory = tempfile::Builder::new().prefix("perdura-worker-").tempdir()?;
    let child = start_process(options, directory, far)?;
    let link = Link::new(Wire::new(near.into()), inbox, outbox, child.id());
    Ok(WorkerPort::new(child, link, options.deadlines))
}

fn start_process(
    options: &SpawnOptions,
    directory: tempfile::TempDir,
    socket: UnixStream,
) -> io::Result<WorkerChild> {
    let log = options.log.as_deref().map(absolute).transpose()?;
    let private = directory.path().join("log");
    // Workers that share a log could talk through its size: confined ones print into a file of their own.
    let (path, append_to) = match (log, &options.confine) {
        (Some(log), Some(_)) => (private, Some(log)),
        (Some(log), None) => (log, None),
        (None, _) => (private, None),
    };
    let output = open_log(&path)?;
    let start_bytes = output.metadata()?.len();
    let threads = options.threads.to_string();
    let mut command = Command::new(&options.program);
    if options.program == Path::new(OWN_PROGRAM) {
        command.arg0("perdura");
    }
    command
        .args(&options.args)
        .env("RAYON_NUM_THREADS", &threads)
        .env("OMP_NUM_THREADS", &threads)
        .env("MKL_NUM_THREADS", &threads)
        .envs(KEEP_MEMORY)
        // A panic of the plugin prints where it came from; errors it makes cost nothing more.
        .env("RUST_BACKTRACE", "1")
        .env("RUST_LIB_BACKTRACE", "0")
        .envs(options.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)))
        .stdout(output.try_clone()?)
        .stderr(output);
    WorkerChild::start(command, &options.limits, directory, Log { path, start_bytes, append_to })
}

pub(super) fn open_log(path: &Path) -> io::Result<std::fs::File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|error| io::Error::new(error.kind(), format!("log {}: {error}", path.display())))
}
