//! `perdura data` against a server on loopback.

use perdura_tests::Sandbox;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

/// Serves `content(name)`; an answer ends after `most` bytes, as when a connection breaks.
fn serve(content: impl Fn(&str) -> Vec<u8> + Send + 'static, most: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = format!("http://{}", listener.local_addr().expect("it is bound"));
    // Ends with the process of the tests.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &content, most);
        }
    });
    address
}

fn answer(mut stream: TcpStream, content: &impl Fn(&str) -> Vec<u8>, most: usize) {
    let lines = BufReader::new(stream.try_clone().expect("a socket")).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let content = content(head[0].split(['/', ' ']).nth(2).expect("GET /name HTTP/1.1"));
    let range = head.iter().find_map(|line| line.strip_prefix("Range: bytes="));
    let first = range.map_or(0, |r| r.trim_end_matches('-').parse().expect("a number"));
    let (total, rest) = (content.len(), &content[first..]);
    let status = match range {
        Some(_) => format!("206 Part\r\nContent-Range: bytes {first}-{}/{total}", total - 1),
        None => "200 OK".into(),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", rest.len());
    // The other side may have gone.
    let _ = stream.write_all(&[head.as_bytes(), &rest[..rest.len().min(most)]].concat());
}

#[test]
fn a_mirror_that_serves_something_else_is_named_and_nothing_is_left() {
    let sandbox = Sandbox::new();
    let mirror = serve(|name| format!("<html>{name}</html>").into_bytes(), usize::MAX);
    let words = ["data", "fetch", "mnist", "--data-dir", "../data", "--mirror", &mirror];
    let answer = sandbox.perdura(&words).expect(2);
    for word in ["no mirror gave a good train-images", &mirror, "expected SHA-256 440fcabf"] {
        assert!(answer.err.contains(word), "`{word}` is not in:\n{}", answer.err);
    }
    let left = std::fs::read_dir(sandbox.path("data/mnist")).expect("a folder").count();
    assert_eq!(left, 0);
    sandbox.line("data fetch mnits --data-dir ../data").refused(&["`mnits`", "mnist, fmnist"]);
    let list = sandbox.line("data list --data-dir ../data --format json").expect(0).json();
    assert_eq!(
        (&list["sets"][0]["name"], &list["sets"][0]["presence"]),
        (&"mnist".into(), &"missing".into())
    );
}

/// The original files, where a folder is named, from a server whose answers break off.
#[test]
fn mnist_is_fetched_in_pieces_and_runs() {
    let Some(folder) = std::env::var_os("PERDURA_DATA").map(PathBuf::from) else {
        eprintln!("SKIPPED mnist_is_fetched_in_pieces_and_runs: PERDURA_DATA is not set");
        return;
    };
    let original = move |name: &str| {
        std::fs::read(folder.join("mnist").join(name)).expect("the original files are there")
    };
    let sandbox = Sandbox::new();
    let mirror = serve(original, 4 << 20);
    let words = ["data", "fetch", "mnist", "--data-dir", "../data", "--mirror", &mirror];
    let answer = sandbox.perdura(&words).expect(0);
    assert!(answer.out.contains("mnist is in ../data and good"), "{}", answer.out);
    let list = sandbox.line("data list --data-dir ../data").expect(0).out;
    assert!(list.lines().any(|l| l.starts_with("mnist") && l.contains("there")), "{list}");
    sandbox.line("benchmarks inspect split-mnist --data-dir ../data").expect(0);
    // Nothing is asked for again, so a server that is gone does no harm.
    let words =
        ["data", "fetch", "mnist", "--data-dir", "../data", "--mirror", "http://127.0.0.1:1"];
    let again = sandbox.perdura(&words).expect(0);
    assert_eq!(again.err.matches("is good").count(), 4, "{}", again.err);
}
