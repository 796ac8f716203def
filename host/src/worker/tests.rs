//! Round trips and deaths. The worker program is this test binary again, entered through [`child`]. One file,
//! because all of it stands on that one entry.

use perdura_abi::message::{ContextMsg, CreateMsg, Grants};
use perdura_abi::table::{AbiError, HostOp, Message, Op};
use perdura_abi::{DType, MessageBuf};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;

const WORKER: &str = "PERDURA_TEST_WORKER";
const HOST: &str = "PERDURA_TEST_HOST";

/// Not a test: the entry of the worker processes the tests start. Without its variable it does nothing.
#[test]
fn child() {
    if std::env::var_os(WORKER).is_some() {
        // Ends the line that the test harness has begun.
        println!();
        run(open_fake)
    }
}

fn open_fake(path: &Path) -> Result<perdura_abi::table::PluginRootRef, String> {
    match path.ends_with("broken.so") {
        true => Err("broken.so is not a plugin".into()),
        false => Ok(fake::root()),
    }
}

pub(super) fn options() -> SpawnOptions {
    let args = ["worker::tests::child", "--exact", "--nocapture", "--test-threads=1"];
    SpawnOptions {
        args: args.map(Into::into).to_vec(),
        // Backtraces would push the lines we look for out of the last log lines.
        env: vec![(WORKER.into(), "1".into()), ("RUST_BACKTRACE".into(), "0".into())],
        ..SpawnOptions::new("fake.so")
    }
}

pub(super) fn create_msg(config: Value) -> CreateMsg {
    let grants = Grants { boundaries: true, experience_classes: true, second_pass: true };
    let (device, input_shape) = ("flex".into(), vec![4]);
    let context = ContextMsg { classes: 2, input_shape, device, threads: 1, grants };
    CreateMsg { config, context, seed: 1, log_level: "info".into() }
}

pub(super) fn worker(options: &SpawnOptions) -> WorkerPort {
    spawn(options, &create_msg(json!({})), &mut NoServices).unwrap()
}

fn local() -> InProcessPort {
    in_process(fake::root(), &create_msg(json!({})), &mut NoServices).unwrap()
}

pub(super) fn order(what: &str) -> MessageBuf {
    MessageBuf::of_header(&json!({ "do": what }))
}

/// Gives the order and returns the header of the reply.
pub(super) fn give(port: &mut dyn LearnerPort, what: &str) -> Result<Value, CallFault> {
    let mut reply = MessageBuf::new();
    port.call(Op::OBSERVE, &order(what), &mut NoServices, &mut reply)?;
    Ok(serde_json::from_slice(reply.header()).unwrap_or_default())
}

/// Answers a draw with the learner's first tensor, each value plus the number of draws so far, and
/// `padding` bytes behind it.
struct Adder {
    draws: u8,
    padding: usize,
}

impl HostServices for Adder {
    fn serve(
        &mut self,
        op: HostOp,
        message: Message<'_>,
        answer: &mut MessageBuf,
    ) -> Result<(), AbiError> {
        assert_eq!(op, HostOp::DRAW);
        self.draws += 1;
        let values = message.tensors[0].elements::<u8>().unwrap();
        let values: Vec<u8> = values.iter().map(|v| v + self.draws).collect();
        answer.set_header(&json!({ "draw": self.draws }));
        answer.push(&[values.len()], &values);
        answer.push_with(&[self.padding], |out: &mut [u8]| out.fill(9));
        Ok(())
    }
}

fn both() -> Vec<Box<dyn LearnerPort>> {
    vec![Box::new(local()), Box::new(worker(&options()))]
}

#[test]
fn a_100_kb_batch_comes_back_the_same_in_every_tier() {
    let values: Vec<f32> = (0..32 * 784).map(|i| i as f32 * 0.5).collect();
    for mut port in both() {
        let mut reply = MessageBuf::new();
        for round in 0..3u32 {
            let mut message = order("echo");
            message.push(&[32, 784], &values);
            message.push(&[1], &[round]);
            port.call(Op::OBSERVE, &message, &mut NoServices, &mut reply).unwrap();
            assert_eq!(reply.header(), message.header());
            assert_eq!(reply.slots(), message.slots());
            assert_eq!(reply.views()[0].elements::<f32>().unwrap(), values);
            assert_eq!(reply.views()[1].elements::<u32>().unwrap(), [round]);
        }
    }
}

/// A service that takes 30 ms is the host's time, within what the worker says of the call.
#[test]
fn a_call_tells_where_its_time_went() {
    struct Slow;
    impl HostServices for Slow {
        fn serve(
            &mut self,
            _: HostOp,
            message: Message<'_>,
            answer: &mut MessageBuf,
        ) -> Result<(), AbiError> {
            std::thread::sleep(Duration::from_millis(15));
            answer.set_header_bytes(b"{\"draw\":1}");
            answer.push(&[3], message.tensors[0].elements::<u8>().unwrap());
            answer.push(&[0], &[] as &[u8]);
            Ok(())
        }
    }
    let mut message = order("ask");
    message.push(&[3], &[10u8, 20, 30]);
    let slow = Duration::from_millis(30);
    for mut port in both() {
        let began = Instant::now();
        port.call(Op::OBSERVE, &message, &mut Slow, &mut MessageBuf::new()).unwrap();
        let (waited, times) = (began.elapsed(), port.times());
        assert!(times.services >= slow && times.services <= waited, "{times:?}");
        if let Some(worker) = times.worker {
            assert!(worker >= times.services && worker <= waited, "{times:?} of {waited:?}");
        }
        assert_eq!(times.worker.is_some(), port.tier() != Tier::InProcess);
        give(port.as_mut(), "echo").unwrap();
        assert_eq!(port.times().services, Duration::ZERO);
    }
}

/// While the host works the worker looks out for it, which is none of the learner's work.
#[test]
fn looking_out_is_told_apart() {
    for mut port in both() {
        let Some(looking_out) = port.looking_out() else {
            assert_eq!(port.tier(), Tier::InProcess);
            continue;
        };
        // Beside other load the two may share a core, and then nobody can look out.
        let late = Instant::now() + Duration::from_secs(60);
        while looking_out.seconds() == 0.0 && Instant::now() < late {
            let began = Instant::now();
            while began.elapsed() < Duration::from_micros(100) {}
            give(port.as_mut(), "echo").unwrap();
        }
        let (spent, all) = (looking_out.seconds(), port.usage().unwrap().cpu_seconds);
        assert!(spent > 0.0 && spent < all, "{spent} of {all}");
    }
}

#[test]
fn requests_are_answered_within_a_call_in_every_tier() {
    for (padding, mut port) in [(0, both()), (64 << 20, both())].into_iter().flat_map(with_each) {
        let mut message = order("ask");
        message.push(&[3], &[10u8, 20, 30]);
        let (mut reply, mut services) = (MessageBuf::new(), Adder { draws: 0, padding });
        port.call(Op::OBSERVE, &message, &mut services, &mut reply).unwrap();
        assert_eq!(services.draws, 2);
        assert_eq!(reply.header(), br#"{"draw":2}"#);
        assert_eq!(reply.views()[0].elements::<u8>().unwrap(), [12, 22, 32]);
        assert_eq!(reply.slots()[1].len_bytes, padding);
        assert!(reply.views()[1].data.iter().all(|&byte| byte == 9));
    }
}

fn with_each<A: Copy, B>((a, many): (A, Vec<B>)) -> impl Iterator<Item = (A, B)> {
    many.into_iter().map(move |b| (a, b))
}

#[test]
fn a_refused_request_is_an_error_of_the_learner_and_it_lives_on() {
    for mut port in both() {
        let mut message = order("ask");
        message.push(&[1], &[1u8]);
        let mut reply = MessageBuf::new();
        let fault = port.call(Op::OBSERVE, &message, &mut NoServices, &mut reply).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Error { kind: "host-refused".into() });
        assert_eq!(fault.message, "the host offers no `draw` in this call");
        assert!(fault.learner_lives());
        give(&mut *port, "acknowledge").unwrap();
    }
}

#[test]
fn errors_and_caught_panics_read_the_same_in_every_tier() {
    for mut port in both() {
        let fault = give(&mut *port, "error").unwrap_err();
        assert_eq!(fault.kind, FaultKind::Error { kind: "error".into() });
        let fault = give(&mut *port, "caught-panic").unwrap_err();
        let text = "the learner panicked in `observe`: index 3 (at lib.rs:1:2)";
        assert_eq!(fault.to_string(), text);
        give(&mut *port, "acknowledge").unwrap();
    }
}

/// A host with a bug.
struct Clumsy;
impl HostServices for Clumsy {
    fn serve(&mut self, _: HostOp, _: Message<'_>, _: &mut MessageBuf) -> Result<(), AbiError> {
        panic!("the host's own fault")
    }
}

#[test]
fn a_panic_of_the_host_passes_the_learner_and_goes_on() {
    let mut port = local();
    let mut message = order("ask");
    message.push(&[1], &[1u8]);
    let call = std::panic::AssertUnwindSafe(|| {
        port.call(Op::OBSERVE, &message, &mut Clumsy, &mut MessageBuf::new())
    });
    assert!(std::panic::catch_unwind(call).is_err());
    give(&mut port, "acknowledge").unwrap();
}

#[test]
fn a_call_abandoned_by_a_panic_of_the_host_ends_the_worker() {
    let mut port = worker(&options());
    let mut message = order("ask");
    message.push(&[1], &[1u8]);
    let call = std::panic::AssertUnwindSafe(|| {
        port.call(Op::OBSERVE, &message, &mut Clumsy, &mut MessageBuf::new())
    });
    assert!(std::panic::catch_unwind(call).is_err());
    let fault = give(&mut port, "acknowledge").unwrap_err();
    assert_eq!(fault.message, "the host left an earlier call half way");
    assert!(gone(port.pid()));
}

#[test]
fn refusals_before_the_first_call_are_told_apart() {
    let create = create_msg(json!({ "refuse": "lr must be positive" }));
    for fault in [
        spawn(&options(), &create, &mut NoServices).err().unwrap(),
        in_process(fake::root(), &create, &mut NoServices).err().unwrap(),
    ] {
        assert_eq!(fault.kind, FaultKind::Error { kind: "config".into() });
        assert_eq!(
            (fault.call.as_str(), fault.message.as_str()),
            ("create", "lr must be positive")
        );
    }
    let broken = SpawnOptions { plugin: "broken.so".into(), ..options() };
    let fault = describe(&broken).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Error { kind: "load".into() });
    assert_eq!(fault.message, "broken.so is not a plugin");
    let missing = SpawnOptions { program: "/no/such/program".into(), ..options() };
    let text = describe(&missing).unwrap_err().to_string();
    assert!(text.contains("worker `/no/such/program` could not be started: No such"), "{text}");
    let other = SpawnOptions { program: "/bin/true".into(), ..options() };
    assert_eq!(describe(&other).unwrap_err().kind, FaultKind::Exit { code: 0 });
}

#[test]
fn a_plugin_describes_itself_in_a_worker() {
    assert_eq!(describe(&options()).unwrap().id, "test/fake");
}

fn deadly(what: &str) -> CallFault {
    let mut port = worker(&options());
    let pid = port.pid();
    let fault = give(&mut port, what).unwrap_err();
    assert!(!fault.learner_lives());
    assert!(gone(pid), "{what} left a worker behind");
    // The worker is gone for good, and every later call says why.
    assert_eq!(give(&mut port, "acknowledge").unwrap_err(), fault);
    fault
}

fn gone(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")),
        Err(_) => true,
    }
}

fn eventually(what: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn deaths_are_told_apart() {
    let fault = deadly("segfault");
    assert_eq!(fault.kind, FaultKind::Signal { number: 11, name: "SIGSEGV".into() });
    assert_eq!(fault.call, "observe");
    let fault = deadly("abort");
    assert_eq!(fault.kind, FaultKind::Signal { number: 6, name: "SIGABRT".into() });
    assert!(fault.last_log.contains(&"last words".to_string()), "{:?}", fault.last_log);
    assert_eq!(deadly("exit").kind, FaultKind::Exit { code: 3 });
    // abi_stable ends the process when a panic reaches it; a real plugin's adapter catches it before.
    let fault = deadly("panic");
    assert_eq!(fault.kind, FaultKind::Exit { code: 1 });
    let told = fault.last_log.iter().any(|line| line.contains("nobody catches this"));
    assert!(told, "{:?}", fault.last_log);
}

fn hasty() -> SpawnOptions {
    let (observe, grace) = (Duration::from_millis(100), Duration::from_millis(200));
    SpawnOptions { deadlines: Deadlines { observe, grace, ..Deadlines::default() }, ..options() }
}

#[test]
fn every_operation_has_its_deadline() {
    let [create, observe, boundary, predict, save_load, grace] =
        [1, 2, 3, 4, 5, 6].map(Duration::from_secs);
    let deadlines = Deadlines { create, observe, boundary, predict, save_load, grace };
    let seconds = (1..=9).map(|op| deadlines.of(Op(op)).as_secs());
    // declare, begin, observe, end, end of stream, predict, resources, save, load
    assert_eq!(seconds.collect::<Vec<_>>(), [1, 3, 2, 3, 3, 4, 5, 5, 5]);
}

#[test]
fn a_learner_that_hangs_is_killed() {
    let mut port = worker(&hasty());
    let (pid, start) = (port.pid(), Instant::now());
    let fault = give(&mut port, "hang").unwrap_err();
    assert_eq!(fault.kind, FaultKind::Timeout { seconds: 0.1 });
    assert!(start.elapsed() >= Duration::from_millis(300), "the grace period was kept");
    assert!(start.elapsed() < Duration::from_secs(5) && gone(pid));
}

#[test]
fn a_learner_that_hangs_politely_stops_when_asked_and_still_counts_as_late() {
    struct Never;
    impl HostServices for Never {
        fn serve(
            &mut self,
            _: HostOp,
            _: Message<'_>,
            answer: &mut MessageBuf,
        ) -> Result<(), AbiError> {
            answer.set_header(&json!({ "cancelled": false }));
            Ok(())
        }
    }
    let grace = Duration::from_secs(60);
    let mut options = hasty();
    options.deadlines.grace = grace;
    let mut port = worker(&options);
    let start = Instant::now();
    let mut reply = MessageBuf::new();
    let order = order("hang-politely");
    let fault = port.call(Op::OBSERVE, &order, &mut Never, &mut reply).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Timeout { seconds: 0.1 });
    assert!(fault.last_log.contains(&"stopped when asked".to_string()), "{:?}", fault.last_log);
    assert!(start.elapsed() < grace);
}

#[test]
fn limits_hold_before_the_plugin_is_opened() {
    let limits = Limits { descriptors: Some(77), ..Limits::default() };
    let mut port = worker(&SpawnOptions { limits, threads: 5, ..options() });
    let seen = give(&mut port, "surroundings").unwrap();
    assert_eq!(seen["descriptors"], 77);
    for name in ["rayon", "omp", "mkl"] {
        assert_eq!(seen[name], "5");
    }
    assert_eq!(seen["entries"], json!(["log"]), "the working directory is private");
    assert_eq!(seen["stdin_bytes"], 0, "standard input is not the socket");
    let directory = seen["directory"].as_str().unwrap().to_string();
    drop(port);
    assert!(!Path::new(&directory).exists());
}

#[test]
fn memory_beyond_the_limit_ends_the_worker() {
    let limits = Limits { memory_bytes: Some(2 << 30), ..Limits::default() };
    let mut port = worker(&SpawnOptions { limits, ..options() });
    let fault = give(&mut port, "allocate-3-gib").unwrap_err();
    assert_eq!(fault.kind, FaultKind::Signal { number: 6, name: "SIGABRT".into() });
    let told = fault.last_log.iter().any(|line| line.contains("memory allocation of"));
    assert!(told, "{:?}", fault.last_log);
}

#[test]
fn a_file_beyond_the_limit_ends_the_worker_and_messages_do_not_count() {
    let limits = Limits { file_bytes: Some(1 << 20), ..Limits::default() };
    let mut port = worker(&SpawnOptions { limits, ..options() });
    let mut message = order("echo");
    message.push_with(&[4 << 20], |out: &mut [u8]| out.fill(1));
    port.call(Op::OBSERVE, &message, &mut NoServices, &mut MessageBuf::new()).unwrap();
    let fault = give(&mut port, "write-2-mib").unwrap_err();
    assert_eq!(fault.kind, FaultKind::Signal { number: 25, name: "SIGXFSZ".into() });
}

#[test]
fn cpu_time_beyond_the_limit_ends_the_worker() {
    let limits = Limits { cpu_seconds: Some(1), ..Limits::default() };
    let mut port = worker(&SpawnOptions { limits, ..options() });
    let fault = give(&mut port, "spin").unwrap_err();
    assert_eq!(fault.kind, FaultKind::Signal { number: 24, name: "SIGXCPU".into() });
}

#[test]
fn dropping_a_worker_ends_its_descendants() {
    let mut port = worker(&options());
    let descendant = give(&mut port, "descendant").unwrap()["pid"].as_u64().unwrap() as u32;
    let pid = port.pid();
    assert!(!gone(pid) && !gone(descendant));
    drop(port);
    assert!(eventually(|| gone(pid) && gone(descendant)));
}

#[test]
fn the_thread_that_asked_for_a_worker_may_end() {
    let mut port = std::thread::spawn(|| worker(&options())).join().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    give(&mut port, "acknowledge").unwrap();
}

/// Not a test of its own: the host that [`a_worker_dies_with_its_host`] kills.
#[test]
fn doomed_host() {
    let Some(path) = std::env::var_os(HOST) else { return };
    let mut port = worker(&options());
    let pid = port.pid().to_string();
    std::fs::write(Path::new(&path).with_extension("new"), pid).unwrap();
    std::fs::rename(Path::new(&path).with_extension("new"), &path).unwrap();
    let _ = give(&mut port, "hang");
}

#[test]
fn a_worker_dies_with_its_host() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pid");
    let mut host = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["worker::tests::doomed_host", "--exact", "--test-threads=1"])
        .env(HOST, &path)
        // A killed host cannot remove its worker's directory.
        .env("TMPDIR", directory.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let appeared = eventually(|| path.exists());
    let pid: u32 = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    assert!(appeared && !gone(pid));
    host.kill().unwrap();
    host.wait().unwrap();
    assert!(eventually(|| gone(pid)), "worker {pid} outlived its host");
}

#[test]
fn a_worker_inherits_its_socket_and_its_log_and_nothing_else() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // Not closed by `exec`: as a shell or a careless library leaves them.
    let _left_open = rustix::io::dup(&file).unwrap();
    let surroundings = give(&mut worker(&options()), "surroundings").unwrap();
    let mut open: Vec<&str> =
        surroundings["open"].as_array().unwrap().iter().map(|o| o.as_str().unwrap()).collect();
    // Listing them opens the folder that is listed.
    open.retain(|target| !target.starts_with("/proc/"));
    let of = |start: &str| open.iter().filter(|target| target.starts_with(start)).count();
    assert_eq!((of("socket:"), of("/memfd:perdura-"), of("/dev/null")), (1, 3, 1), "{open:?}");
    // What is left is the log, as output and error.
    assert_eq!(open.len(), 7, "{open:?}");
}

#[test]
fn usage_is_that_of_the_worker() {
    let mut port = worker(&options());
    let mut message = order("acknowledge");
    message.push_with(&[64 << 20], |out: &mut [u8]| out.fill(1));
    port.call(Op::OBSERVE, &message, &mut NoServices, &mut MessageBuf::new()).unwrap();
    let usage = port.usage().unwrap();
    assert_eq!(usage.pid, port.pid());
    assert!(usage.resident_peak_bytes > 1 << 20 && usage.pss_bytes > 0);
    assert_eq!((port.tier(), local().tier()), (Tier::Process, Tier::InProcess));
    give(&mut port, "exit").unwrap_err();
    assert!(port.usage().is_none());
}

#[test]
fn a_log_file_is_appended_to_and_only_new_lines_are_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.log");
    std::fs::write(&path, "of another worker\n").unwrap();
    let mut port = worker(&SpawnOptions { log: Some(path.clone()), ..options() });
    let fault = give(&mut port, "abort").unwrap_err();
    assert_eq!(fault.last_log.last().unwrap(), "last words");
    assert!(!fault.last_log.contains(&"of another worker".to_string()));
    let log = std::fs::read_to_string(&path).unwrap();
    assert!(log.starts_with("of another worker\n") && log.contains("last words"));
}

#[test]
fn a_message_beyond_the_limits_is_refused_and_the_worker_lives() {
    let mut port = worker(&options());
    let mut message = order("echo");
    message.push_bytes(DType::U8, vec![1; protocol::DIMENSIONS_MAX + 1], &[1]);
    let mut reply = MessageBuf::new();
    let fault = port.call(Op::OBSERVE, &message, &mut NoServices, &mut reply).unwrap_err();
    assert_eq!(fault.message, "a message has 17 dimensions of a tensor, at most 16 are allowed");
    give(&mut port, "acknowledge").unwrap();
}

/// The worker's side in a thread of this process, spoken to frame by frame.
mod frames {
    use super::*;
    use crate::worker::protocol::{Kind, VERSION};
    use crate::worker::shared::{Area, Role};
    use crate::worker::wire::{Forever, Wire, WireError, send_prelude};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn begin(version: u32) -> (Wire, std::thread::JoinHandle<i32>) {
        let (near, far) = UnixStream::pair().unwrap();
        let inbox = Area::create("inbox", Role::Writer).unwrap();
        let outbox = Area::create("outbox", Role::Reader).unwrap();
        send_prelude(near.as_fd(), [inbox.file(), outbox.file()]).unwrap();
        let served = std::thread::spawn(move || serve(far.into(), open_fake));
        let mut wire = Wire::new(near.into());
        let header = br#"{"plugin":"fake.so"}"#;
        wire.send((Kind::Hello, version), header, (&[], (0, 0)), &mut Forever).unwrap();
        (wire, served)
    }

    #[test]
    fn greetings_come_with_the_version_and_the_end_of_file_ends_all() {
        let (mut wire, served) = begin(VERSION);
        let (head, _) = wire.receive(0, &mut Forever).unwrap();
        assert_eq!((head.kind, head.number), (Kind::Hello, 1));
        drop(wire);
        assert_eq!(served.join().unwrap(), 0);
    }

    #[test]
    fn another_version_gets_the_own_one_and_no_more() {
        let (mut wire, served) = begin(VERSION + 1);
        let (head, _) = wire.receive(0, &mut Forever).unwrap();
        assert_eq!((head.kind, head.number), (Kind::Hello, 1));
        assert!(matches!(wire.receive(0, &mut Forever), Err(WireError::Closed)));
        served.join().unwrap();
    }

    #[test]
    fn a_call_before_create_ends_the_conversation() {
        let (mut wire, served) = begin(VERSION);
        wire.receive(0, &mut Forever).unwrap();
        wire.send((Kind::Call, 3), b"{}", (&[], (0, 0)), &mut Forever).unwrap();
        assert!(matches!(wire.receive(0, &mut Forever), Err(WireError::Closed)));
        assert_eq!(served.join().unwrap(), 2);
    }
}
