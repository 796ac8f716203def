//! A plugin made inside the test binary: its learner does what the header of a call tells it to.

use perdura_abi::abi_stable::erased_types::TD_Opaque;
use perdura_abi::abi_stable::prefix_type::PrefixTypeTrait;
use perdura_abi::abi_stable::std_types::{RErr, ROk, RResult, RSlice, RVec};
use perdura_abi::manifest::Description;
use perdura_abi::message::CancelledReply;
use perdura_abi::table::{
    AbiError, ErrorKind, HostHandle, HostOp, LearnerAbi, LearnerAbi_TO, LearnerBox, Message, Op,
    OwnedTensor, PluginRoot, PluginRootRef, Reply,
};
use serde_json::{Value, json};

/// The fake plugin's root module.
pub fn root() -> PluginRootRef {
    PluginRoot { describe, create }.leak_into_prefix()
}

extern "C" fn describe() -> RResult<RVec<u8>, AbiError> {
    let description = Description { id: "test/fake".into(), ..Description::default() };
    ROk(serde_json::to_vec(&description).unwrap().into())
}

/// Refuses when the configuration says so; logs one record either way.
extern "C" fn create(
    message: Message<'_>,
    mut host: HostHandle<'_>,
) -> RResult<LearnerBox, AbiError> {
    if let Err(error) = host.call(HostOp::LOG, NOTHING) {
        return RErr(error);
    }
    let header: Value = serde_json::from_slice(&message.header).unwrap();
    match header["config"]["refuse"].as_str() {
        Some(reason) => RErr(AbiError::new(ErrorKind::CONFIG, reason)),
        None => ROk(LearnerAbi_TO::from_value(Fake, TD_Opaque)),
    }
}

const NOTHING: Message<'static> = Message { header: RSlice::EMPTY, tensors: RSlice::EMPTY };

struct Fake;

impl LearnerAbi for Fake {
    fn call(
        &mut self,
        _: Op,
        message: Message<'_>,
        host: HostHandle<'_>,
    ) -> RResult<Reply, AbiError> {
        let header: Value = serde_json::from_slice(&message.header).unwrap();
        obey(&header, message, host).into()
    }
}

fn obey(header: &Value, message: Message<'_>, host: HostHandle<'_>) -> Result<Reply, AbiError> {
    match header["do"].as_str().unwrap() {
        "echo" => Ok(reply(header, message)),
        "acknowledge" => Ok(Reply::default()),
        "ask" => ask_twice(message, host),
        "error" => Err(AbiError::new(ErrorKind::LEARNER, "no idea")),
        "caught-panic" => Err(AbiError {
            kind: ErrorKind::PANIC,
            message: "index 3".into(),
            location: "lib.rs:1:2".into(),
        }),
        "panic" => panic!("nobody catches this"),
        "abort" => {
            eprintln!("last words");
            std::process::abort()
        }
        "segfault" => loop {
            // Twice, because the standard library's handler lets the first one pass.
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::SEGV,
            );
        },
        "exit" => std::process::exit(3),
        "hang" => loop {
            std::thread::park();
        },
        "hang-politely" => hang_politely(host),
        "descendant" => Ok(answer(&json!({ "pid": descendant() }))),
        "allocate-3-gib" => {
            let len = std::hint::black_box(3usize << 30);
            Ok(answer(&json!({ "first": std::hint::black_box(vec![1u8; len])[0] })))
        }
        "write-2-mib" => {
            std::fs::write("large", vec![0; 2 << 20]).unwrap();
            Ok(Reply::default())
        }
        "try" => Ok(answer(&attempt(&header["what"], &header["with"]))),
        "surroundings" => Ok(answer(&surroundings())),
        "spin" => loop {
            std::hint::spin_loop();
        },
        other => panic!("the fake does not know `{other}`"),
    }
}

fn descendant() -> u32 {
    std::process::Command::new("sleep").arg("1000").spawn().unwrap().id()
}

/// Does something that not every worker may. The answer has the number of the system's error, 0 for none.
fn attempt(what: &Value, with: &Value) -> Value {
    use rustix::process::{Resource, Signal, getppid, kill_process, setrlimit};
    use std::fs::{File, OpenOptions};
    let with = with.as_str().unwrap_or_default();
    let host = getppid().expect("a worker has a host");
    let outcome: std::io::Result<()> = match what.as_str().unwrap() {
        "read" => std::fs::read(with).map(drop),
        "list" => std::fs::read_dir(with).map(drop),
        "write" => OpenOptions::new().write(true).open(with).map(drop),
        "create" => File::create(with).map(drop),
        "remove" => std::fs::remove_file(with),
        "lock" => File::open(with).and_then(|file| file.lock()),
        "run" => std::process::Command::new(with).status().map(drop),
        "connect" => std::os::unix::net::UnixStream::connect(with).map(drop),
        "listen" => std::net::UdpSocket::bind("127.0.0.1:0").map(drop),
        "signal-host" => kill_process(host, Signal::CONT).map_err(Into::into),
        "trace-host" => {
            const SEIZE: usize = 0x4206;
            // SAFETY: the call takes four numbers; a host that is seized runs on.
            let failed =
                unsafe { libc::syscall(libc::SYS_ptrace, SEIZE, host.as_raw_nonzero(), 0, 0) };
            if failed == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        }
        "nameless-file" => {
            let flags = rustix::fs::MemfdFlags::CLOEXEC;
            rustix::fs::memfd_create("fake", flags).map(drop).map_err(Into::into)
        }
        "steer-the-null-device" => {
            let file = File::open("/dev/null").unwrap();
            // A request that no device knows: it fails otherwise where it is allowed.
            // SAFETY: the device is given a number that it does not know, and no memory.
            let failed = unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&file), 0x4e56, 0) };
            assert_ne!(failed, 0);
            Err(std::io::Error::last_os_error())
        }
        "lower-a-limit" => {
            let limit = rustix::process::getrlimit(Resource::Core);
            setrlimit(Resource::Core, limit).map_err(Into::into)
        }
        "outlive-host" => {
            rustix::process::set_parent_process_death_signal(None).map_err(Into::into)
        }
        "thread" => std::thread::Builder::new().spawn(|| {}).map(|thread| thread.join().unwrap()),
        other => panic!("the fake cannot try `{other}`"),
    };
    json!({ "error": outcome.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1)) })
}

/// What the descriptors of this process stand for, in no order.
fn descriptors() -> Vec<String> {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let target = |entry: std::fs::DirEntry| std::fs::read_link(entry.path()).ok();
    open.filter_map(target).map(|path| path.display().to_string()).collect()
}

fn surroundings() -> Value {
    let variable = |name: &str| std::env::var(name).unwrap();
    let entries = std::fs::read_dir(".").unwrap().map(|e| e.unwrap().file_name());
    let mut stdin = Vec::new();
    std::io::Read::read_to_end(&mut std::io::stdin(), &mut stdin).unwrap();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    json!({
        "rayon": variable("RAYON_NUM_THREADS"),
        "omp": variable("OMP_NUM_THREADS"),
        "mkl": variable("MKL_NUM_THREADS"),
        "directory": std::env::current_dir().unwrap(),
        "entries": entries.map(|name| name.into_string().unwrap()).collect::<Vec<_>>(),
        "stdin_bytes": stdin.len(),
        "descriptors": limit,
        "open": descriptors(),
    })
}

/// Sends its first tensor to the host twice. Checks that its own message outlives the answers.
fn ask_twice(message: Message<'_>, mut host: HostHandle<'_>) -> Result<Reply, AbiError> {
    let before: Vec<u8> = message.tensors[0].data.to_vec();
    let first = host.call(HostOp::DRAW, message)?;
    assert_eq!(first.tensors[0].data.as_ptr() as usize % 64, 0);
    let second = host.call(HostOp::DRAW, message)?;
    let header: Value = serde_json::from_slice(&second.header).unwrap();
    let reply = reply(&header, second);
    assert!(message.tensors[0].data == before[..], "an answer moved or changed the call's message");
    Ok(reply)
}

fn hang_politely(mut host: HostHandle<'_>) -> Result<Reply, AbiError> {
    loop {
        let answer = host.call(HostOp::CANCELLED, NOTHING)?;
        if serde_json::from_slice::<CancelledReply>(&answer.header).unwrap().cancelled {
            eprintln!("stopped when asked");
            return Ok(Reply::default());
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn answer(header: &Value) -> Reply {
    Reply { header: serde_json::to_vec(header).unwrap().into(), tensors: RVec::new() }
}

fn reply(header: &Value, message: Message<'_>) -> Reply {
    let own = |view: &perdura_abi::TensorView<'_>| OwnedTensor {
        data: view.data.to_rvec(),
        dtype: view.dtype,
        shape: view.shape.to_rvec(),
    };
    Reply { tensors: message.tensors.iter().map(own).collect(), ..answer(header) }
}
