//! Telling a server that was made up: good ones, and those that are away, silent or broken. The real
//! one is told by `tests/python/read_mlflow.py`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};

use super::*;
use crate::run::tests::plan;
use crate::run::{Outcome, Resources, Summary};

/// What it was asked: the path behind `mlflow/`, and the body.
type Asked = Vec<(String, Value)>;

/// A server on loopback that ends with the test's process.
struct Server {
    uri: String,
    asked: Arc<Mutex<Asked>>,
    /// So many questions are answered with `status` first.
    bad: Arc<AtomicUsize>,
}

impl Server {
    fn new(bad: usize, status: u16) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}/tracking", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Asked::new()));
        let bad = Arc::new(AtomicUsize::new(bad));
        let (seen, left) = (asked.clone(), bad.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &seen, &left, status);
            }
        });
        Server { uri, asked, bad }
    }

    fn asked(&self, path: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(p, _)| p.starts_with(path)).map(|(_, body)| body.clone()).collect()
    }
}

fn serve(mut stream: TcpStream, asked: &Mutex<Asked>, bad: &AtomicUsize, status: u16) {
    let Some((path, body)) = question(&stream) else { return };
    let spoilt = bad.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
    let (status, answer) = match path.as_str() {
        _ if spoilt => (status, json!({ "error_code": "BAD", "message": "not now" })),
        path if path.starts_with("experiments/get-by-name") => {
            (404, json!({ "error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no" }))
        }
        "experiments/create" => (200, json!({ "experiment_id": "3" })),
        "runs/create" => (200, json!({ "run": { "info": { "run_id": "r1" } } })),
        _ => (200, json!({})),
    };
    if !spoilt {
        asked.lock().unwrap().push((path, body));
    }
    let text = answer.to_string();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", text.len());
    // Who asked may have gone.
    let _ = stream.write_all((head + &text).as_bytes());
}

fn question(stream: &TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = first.split(' ').nth(1)?.strip_prefix("/tracking/api/2.0/mlflow/")?.to_owned();
    Some((path, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

/// Times for tests: a hundredth of those of people.
fn times() -> Times {
    let ms = Duration::from_millis;
    Times {
        patience: Patience { connect: ms(200), silence: ms(100), answer: Some(ms(100)) },
        round: ms(10),
        pause_min: ms(10),
        pause_max: ms(40),
        farewell: ms(1500),
    }
}

/// The folder of a run that has ended.
fn folder(out: &std::path::Path, outcome: Outcome) -> PathBuf {
    let plan = plan("perdura/er", 3);
    let folder = RunFolder::create(out, &plan).unwrap();
    let summary = Summary { steps: 270, ..Summary::empty(&plan, outcome) };
    let resources = Resources { format: Resources::FORMAT, seconds: 2.5, ..Resources::default() };
    folder.finish(&summary, &resources).unwrap();
    folder.path().to_owned()
}

/// Tells of one run with three values; returns what people were told.
fn tell(uri: &str, folder: PathBuf, status: RunStatus) -> (Vec<String>, Duration) {
    let begun = Instant::now();
    let server = Mlflow::new(uri, times());
    server.begin(0, "er seed 3", folder);
    server.metrics(0, 100, vec![("training/loss".into(), 0.5), ("nan".into(), f64::NAN)]);
    server.metrics(0, 270, vec![("class-il/main/accuracy".into(), 0.25)]);
    server.end(0, status);
    (server.finish(), begun.elapsed())
}

#[test]
fn a_run_is_told_from_beginning_to_end() {
    let (out, server) = (tempfile::tempdir().unwrap(), Server::new(0, 0));
    let folder = folder(out.path(), Outcome::Finished);
    let (notes, _) = tell(&server.uri, folder.clone(), RunStatus::Finished);
    assert_eq!(notes, [""; 0]);
    let lookup = server.asked.lock().unwrap()[0].0.clone();
    assert_eq!(lookup, "experiments/get-by-name?experiment_name=perdura%2Fsplit-digits");
    assert_eq!(server.asked("experiments/create"), [json!({ "name": "perdura/split-digits" })]);
    let created = &server.asked("runs/create")[0];
    assert_eq!(
        (&created["experiment_id"], &created["run_name"]),
        (&json!("3"), &json!("er seed 3"))
    );
    let batches = server.asked("runs/log-batch");
    let all = |field: &str| -> Vec<Value> {
        let lists = batches.iter().filter_map(|batch| batch[field].as_array());
        lists.flatten().cloned().collect()
    };
    assert!(all("params").contains(&json!({ "key": "config.lr", "value": "0.1" })));
    let metrics = all("metrics");
    let at = |key: &str| metrics.iter().find(|metric| metric["key"] == key);
    let loss = at("training/loss").unwrap();
    assert_eq!((&loss["step"], &loss["value"]), (&json!(100), &json!(0.5)));
    assert!(loss["timestamp"].as_u64().unwrap() > 1_600_000_000_000, "milliseconds");
    assert_eq!(at("final/seconds").unwrap()["step"], 270);
    assert!(at("nan").is_none(), "what is no number is left out");
    let end = &server.asked("runs/update")[0];
    assert_eq!((&end["status"], &end["run_id"]), (&json!("FINISHED"), &json!("r1")));
    assert!(end["end_time"].as_u64() >= created["start_time"].as_u64());

    // A later process goes on with the same run.
    let (notes, _) = tell(&server.uri, folder, RunStatus::Failed);
    assert_eq!(notes, [""; 0]);
    assert_eq!(server.asked("runs/create").len(), 1);
    let updates = server.asked("runs/update");
    let states: Vec<&str> = updates.iter().filter_map(|update| update["status"].as_str()).collect();
    assert_eq!(states, ["FINISHED", "RUNNING", "FAILED"]);
}

#[test]
fn a_dead_port_is_said_once_and_given_up_in_time() {
    let uri = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let out = tempfile::tempdir().unwrap();
    let folder = folder(out.path(), Outcome::Finished);
    let (notes, took) = tell(&uri, folder, RunStatus::Finished);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].starts_with(&format!("no word from MLflow at {uri}: no connection")));
    assert!(notes[0].ends_with("it is tried again"), "{notes:?}");
    assert!(notes[1].contains("was not told everything of a run; "), "{notes:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn a_silent_server_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    // Connections are taken, and nothing is ever said.
    std::thread::spawn(move || listener.incoming().take(1000).collect::<Vec<_>>());
    let out = tempfile::tempdir().unwrap();
    let folder = folder(out.path(), Outcome::Finished);
    let (notes, took) = tell(&uri, folder, RunStatus::Finished);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("nothing came for 0.1 s") || notes[0].contains("takes too long"));
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn a_server_that_is_broken_for_a_while_is_told_everything_in_the_end() {
    let (out, server) = (tempfile::tempdir().unwrap(), Server::new(5, 500));
    let folder = folder(out.path(), Outcome::Finished);
    let (notes, _) = tell(&server.uri, folder, RunStatus::Finished);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("status 500"), "{notes:?}");
    assert_eq!(notes[1], "MLflow answers again");
    assert_eq!(server.bad.load(Ordering::SeqCst), 0);
    assert_eq!(server.asked("runs/update")[0]["status"], "FINISHED");
    let metrics = server.asked("runs/log-batch");
    let metrics: Vec<&Value> =
        metrics.iter().filter_map(|b| b["metrics"].as_array()).flatten().collect();
    assert!(metrics.iter().any(|metric| metric["key"] == "training/loss"), "{metrics:?}");
}

#[test]
fn a_server_that_stays_broken_is_given_up_in_time() {
    let (out, server) = (tempfile::tempdir().unwrap(), Server::new(usize::MAX, 500));
    let folder = folder(out.path(), Outcome::Finished);
    let (notes, took) = tell(&server.uri, folder, RunStatus::Finished);
    assert!(notes[0].contains("status 500") && notes[1].contains("was not told"), "{notes:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
    // Growing pauses: some tens of questions in a second and a half, not thousands.
    let asked = usize::MAX - server.bad.load(Ordering::SeqCst);
    assert!((5..150).contains(&asked), "{asked}");
}

#[test]
fn what_a_server_does_not_want_is_said_once_and_left_out() {
    let (out, server) = (tempfile::tempdir().unwrap(), Server::new(1, 400));
    let folder = folder(out.path(), Outcome::Finished);
    let (notes, _) = tell(&server.uri, folder, RunStatus::Finished);
    assert_eq!(notes, ["MLflow does not want what it is told: not now"]);
    assert!(server.asked("runs").is_empty(), "without a run there is nothing to tell");
}

#[test]
fn what_is_no_server_is_refused() {
    for wrong in ["127.0.0.1:5000", "file:///tmp/mlruns", "databricks", "http://"] {
        let message = check_uri(wrong).unwrap_err();
        assert!(message.starts_with(&format!("`{wrong}` is no tracking server")), "{message}");
    }
    assert_eq!(check_uri("http://127.0.0.1:5000"), Ok(()));
    assert_eq!(check_uri("https://mlflow.example.org/team/"), Ok(()));
}
