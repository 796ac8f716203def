//! `--mlflow`: whatever the server does, runs end as without one, in time, and people are told. What the
//! real server makes of it is checked by `tests/python/read_mlflow.py`.

use perdura_tests::{RunResult, Sandbox};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

const RUN: &str = "run sgd --epochs 1 --seed 1";

/// A port that nobody listens at.
fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    format!("http://{}", listener.local_addr().expect("it is bound"))
}

/// A server that takes connections and does with them what `serve` says, for as long as this program runs.
fn server(serve: fn(std::net::TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let uri = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || listener.incoming().flatten().take(10_000).for_each(serve));
    uri
}

fn silent(stream: std::net::TcpStream) {
    // Neither answered nor closed.
    std::mem::forget(stream);
}

fn broken(mut stream: std::net::TcpStream) {
    let lines = BufReader::new(&stream).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let _ = stream.write_all(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn runs_do_not_depend_on_the_server() {
    let sandbox = Sandbox::new();
    sandbox.line(&format!("{RUN} --out calm")).expect(0);
    let calm = RunResult::only_below(&sandbox.path("work/calm"));
    let cases = [
        ("no connection", dead()),
        ("takes too long", server(silent)),
        ("status 500", server(broken)),
    ];
    // All at once: each waits for its server at the end.
    std::thread::scope(|scope| {
        for (number, (word, uri)) in cases.iter().enumerate() {
            let (sandbox, calm) = (&sandbox, &calm);
            scope.spawn(move || {
                let begun = Instant::now();
                let answer =
                    sandbox.line(&format!("{RUN} --out out-{number} --mlflow {uri}")).expect(0);
                let said =
                    answer.err.matches(&format!("warning: no word from MLflow at {uri}")).count();
                assert_eq!(said, 1, "{}", answer.err);
                assert!(answer.err.contains(word), "`{word}` is not in:\n{}", answer.err);
                assert!(
                    answer.err.contains("was not told everything of a run; "),
                    "{}",
                    answer.err
                );
                assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
                let run = RunResult::only_below(&sandbox.path(&format!("work/out-{number}")));
                assert_eq!(run.determined, calm.determined);
            });
        }
    });
}

#[test]
fn what_is_no_server_is_refused_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    for wrong in ["mlruns", "file:///tmp/mlruns", "127.0.0.1:5000"] {
        let line = format!("{RUN} --mlflow {wrong}");
        sandbox.line(&line).refused(&[
            "--mlflow",
            "is no tracking server",
            "http://127.0.0.1:5000",
        ]);
    }
    assert!(!sandbox.path("work/perdura-runs").exists());
    let answer = sandbox.line(&format!("{RUN} --log-every 0"));
    assert_eq!(answer.code, Some(2), "{}", answer.err);
}

#[test]
fn means_of_steps_are_told_where_somebody_wants_them() {
    let sandbox = Sandbox::new();
    let steps = |words: &str, out: &str| -> Vec<u64> {
        sandbox.line(&format!("{RUN} {words} --out {out}")).expect(0);
        let run = RunResult::only_below(&sandbox.path("work").join(out));
        let events = std::fs::read_to_string(run.folder.join("events.jsonl")).expect("written");
        let events = events.lines().filter_map(|line| serde_json::from_str(line).ok());
        let trained = events.filter(|event: &serde_json::Value| event["event"] == "trained");
        trained.filter_map(|event| event["step"].as_u64()).collect()
    };
    assert_eq!(steps("", "a"), [0; 0]);
    assert_eq!(steps("--tensorboard --log-every 40", "b"), [40, 80, 120]);
}
