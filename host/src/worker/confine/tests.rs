//! What a confined worker cannot do and an ordinary one can. The learner is the fake of `worker::tests`,
//! which tries what it is told to.

use perdura_abi::MessageBuf;
use perdura_abi::table::Op;
use serde_json::{Value, json};
use std::path::PathBuf;

use super::*;
use crate::worker::tests::{give, options, worker};
use crate::worker::{LearnerPort, NoServices, SpawnOptions, Tier, WorkerPort, spawn};

const NONE: i32 = 0;
const EPERM: i32 = 1;
const EACCES: i32 = 13;
const ENOTTY: i32 = 25;

/// A folder with a file for a plugin and others beside it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        for name in ["plugin.so", "data", "allowed", "libx.so.2"] {
            std::fs::write(place.path(name), name).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn confined(&self) -> SpawnOptions {
        let libraries = vec![self.folder.path().to_owned()];
        let to = Confinement::new("flex", &[self.path("allowed")]);
        let confine = Some(Confinement { libraries, ..to });
        SpawnOptions { plugin: self.path("plugin.so"), confine, ..options() }
    }
}

/// The number of the error that the attempt ends with in this worker.
fn attempt(port: &mut WorkerPort, what: &str, with: &str) -> i32 {
    let message = MessageBuf::of_header(&json!({ "do": "try", "what": what, "with": with }));
    let mut reply = MessageBuf::new();
    port.call(Op::OBSERVE, &message, &mut NoServices, &mut reply).unwrap();
    let answer: Value = serde_json::from_slice(reply.header()).unwrap();
    answer["error"].as_i64().unwrap() as i32
}

#[test]
fn a_confined_worker_can_do_what_learners_need_and_nothing_else() {
    let place = Place::new();
    let socket = place.text("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let host = format!("/proc/{}/environ", std::process::id());
    let (data, fresh) = (place.text("data"), place.text("fresh"));
    let cases = [
        ("read", place.text("plugin.so"), NONE),
        ("read", place.text("allowed"), NONE),
        ("read", place.text("libx.so.2"), NONE),
        ("list", "/sys/devices/system/cpu".into(), NONE),
        ("list", "/usr/lib".into(), NONE),
        ("read", "/proc/cpuinfo".into(), NONE),
        ("write", "/dev/null".into(), NONE),
        ("thread", String::new(), NONE),
        ("read", data.clone(), EACCES),
        ("list", place.folder.path().display().to_string(), EACCES),
        ("read", "/etc/passwd".into(), EACCES),
        ("read", "/proc/self/maps".into(), EACCES),
        ("read", "/proc/self/exe".into(), EACCES),
        ("read", host, EACCES),
        ("write", data.clone(), EACCES),
        ("write", place.text("plugin.so"), EACCES),
        ("create", fresh, EPERM),
        ("lock", place.text("plugin.so"), EPERM),
        ("run", "/bin/true".into(), EPERM),
        ("connect", socket, EPERM),
        ("listen", String::new(), EPERM),
        ("signal-host", String::new(), EPERM),
        ("trace-host", String::new(), EPERM),
        ("lower-a-limit", String::new(), EPERM),
        ("outlive-host", String::new(), EPERM),
        ("remove", data, EPERM),
    ];
    let mut confined = worker(&place.confined());
    let mut free = worker(&SpawnOptions { confine: None, ..place.confined() });
    assert_eq!((confined.tier(), free.tier()), (Tier::Sandbox, Tier::Process));
    for (what, with, expected) in &cases {
        assert_eq!(attempt(&mut confined, what, with), *expected, "{what} {with}");
        // The table says what a sandbox does, not what this machine forbids to everybody: tracing the host
        // may be one such thing.
        if *what != "trace-host" {
            assert_eq!(attempt(&mut free, what, with), NONE, "{what} {with}, not confined");
        }
    }
    assert!(place.path("fresh").exists() && !place.path("data").exists());
    // It has been asked for much and lives on.
    give(&mut confined, "acknowledge").unwrap();
}

/// What the profile for GPUs opens beside the ordinary one, and what it leaves closed. Whether a driver can do
/// with it is another question, which takes a machine with a GPU.
#[test]
fn the_profile_for_gpus_opens_what_its_list_says_and_no_more() {
    let place = Place::new();
    let socket = place.text("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let host = format!("/proc/{}/environ", std::process::id());
    // What is tried, and how it ends without and with a GPU.
    let cases = [
        ("read", "/proc/self/maps".into(), EACCES, NONE),
        ("read", "/proc/meminfo".into(), EACCES, NONE),
        ("read", "/proc/devices".into(), EACCES, NONE),
        ("list", "/sys/devices".into(), EACCES, NONE),
        ("nameless-file", String::new(), EPERM, NONE),
        ("read", place.text("data"), EACCES, EACCES),
        ("read", "/proc/self/exe".into(), EACCES, EACCES),
        ("read", "/etc/passwd".into(), EACCES, EACCES),
        ("read", host, EACCES, EACCES),
        ("write", place.text("data"), EACCES, EACCES),
        ("create", place.text("fresh"), EPERM, EPERM),
        ("lock", place.text("plugin.so"), EPERM, EPERM),
        ("run", "/bin/true".into(), EPERM, EPERM),
        ("connect", socket, EPERM, EPERM),
        ("listen", String::new(), EPERM, EPERM),
        ("signal-host", String::new(), EPERM, EPERM),
        ("trace-host", String::new(), EPERM, EPERM),
        ("outlive-host", String::new(), EPERM, EPERM),
    ];
    let on = |device: &str| {
        let confine = Some(Confinement::new(device, &[]));
        worker(&SpawnOptions { confine, ..place.confined() })
    };
    let (mut without, mut with) = (on("libtorch"), on("libtorch:cuda:0"));
    assert_eq!((without.tier(), with.tier()), (Tier::Sandbox, Tier::Sandbox));
    for (what, path, plain, gpu) in &cases {
        assert_eq!(attempt(&mut without, what, path), *plain, "{what} {path}");
        assert_eq!(attempt(&mut with, what, path), *gpu, "{what} {path}, with a GPU");
    }
    // The call is there for GPUs alone: for another device landlock refuses it, or, before Linux 6.10, the
    // device itself.
    let steered = "steer-the-null-device";
    assert_eq!(attempt(&mut without, steered, ""), EPERM);
    assert!([EACCES, ENOTTY].contains(&attempt(&mut with, steered, "")));
    give(&mut with, "acknowledge").unwrap();
}

#[test]
fn a_plugin_that_cannot_be_allowed_is_not_opened() {
    let place = Place::new();
    let missing = SpawnOptions { plugin: place.path("none.so"), ..place.confined() };
    let create = super::super::tests::create_msg(json!({}));
    let fault = spawn(&missing, &create, &mut NoServices).err().unwrap();
    assert!(fault.message.starts_with("the worker could not confine itself: "), "{fault}");
    assert!(fault.message.contains("none.so"), "{fault}");
}

#[test]
fn a_confined_worker_prints_into_a_file_of_its_own_which_joins_the_log_when_it_ends() {
    let place = Place::new();
    let log = place.path("log.txt");
    std::fs::write(&log, "before\n").unwrap();
    let mut port = worker(&SpawnOptions { log: Some(log.clone()), ..place.confined() });
    let fault = give(&mut port, "abort").unwrap_err();
    assert_eq!(fault.last_log.last().unwrap(), "last words");
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("before\n") && text.ends_with("last words\n"), "{text}");
    // Nothing was added while the worker lived.
    let mut quiet = worker(&SpawnOptions { log: Some(log.clone()), ..place.confined() });
    give(&mut quiet, "acknowledge").unwrap();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), text);
}

#[test]
fn folders_of_libraries_are_those_the_user_names() {
    let to = Confinement::new("libtorch:cuda:1", &["/opt/weights".into()]);
    assert!(to.gpu && to.read == [PathBuf::from("/opt/weights")]);
    assert!(!Confinement::new("libtorch", &[]).gpu);
    assert!(to.libraries.iter().all(|path| path.is_absolute()));
}

#[test]
fn this_system_has_all_protections_or_says_which_it_lacks() {
    let lacking = lacking();
    println!("lacking: {lacking:?}");
    assert!(lacking.iter().all(|text| text.starts_with("landlock") || text.starts_with("seccomp")));
}
