//! Downloads from servers on loopback that do what real ones do: give, break off, send something
//! else, forget about ranges.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;

const CONTENT: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// Of [`CONTENT`], made with `sha256sum` and `md5sum`.
const SHA256: &str = "74e7e5bb9d22d6db26bf76946d40fff3ea9f0346b884fd0694920fccfad15e33";
const MD5: &str = "e9b1713db620f1e3a14b6812de523f4b";

const TWO_FILES: DataSet = DataSet {
    name: "two",
    about: "",
    mirrors: &[],
    files: &[
        RemoteFile { name: "a.gz", checksum: Checksum::Sha256(SHA256) },
        RemoteFile { name: "b.gz", checksum: Checksum::Md5(MD5) },
    ],
    kind: Kind::Files { folder: "two" },
};

/// How a server treats a request.
#[derive(Clone, Copy)]
enum Manner {
    Good,
    /// Knows no ranges.
    Whole,
    /// Ends the connection after so many bytes of the body.
    BreaksOff(usize),
    /// Refuses every range.
    NoRange,
    Redirects,
    Missing,
}

/// Serves files by path on loopback; remembers the ranges that were asked for.
struct Server {
    address: String,
    ranges: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(files: &[(&str, &[u8])], manner: Manner) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let files: BTreeMap<String, Vec<u8>> =
            files.iter().map(|(name, content)| (format!("/{name}"), content.to_vec())).collect();
        let asked = ranges.clone();
        // Ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &files, manner, &asked);
            }
        });
        Server { address, ranges }
    }

    fn ranges(&self) -> Vec<String> {
        self.ranges.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    files: &BTreeMap<String, Vec<u8>>,
    manner: Manner,
    asked: &Mutex<Vec<String>>,
) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let path = head[0].split(' ').nth(1).unwrap().to_owned();
    let range = head.iter().find_map(|line| line.strip_prefix("Range: bytes="));
    asked.lock().unwrap().push(range.unwrap_or("all").to_owned());
    let first: usize = range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    let Some(content) = files.get(&path).filter(|_| !matches!(manner, Manner::Missing)) else {
        return stream.write_all(b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n").unwrap();
    };
    let answer = match manner {
        Manner::Redirects if !path.starts_with("/moved-") => {
            format!("HTTP/1.1 302 Found\r\nLocation: /moved-{}\r\n\r\n", &path[1..]).into_bytes()
        }
        Manner::NoRange if first > 0 => b"HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n".to_vec(),
        Manner::Whole => whole(content),
        _ if first > 0 => part(content, first),
        _ => whole(content),
    };
    let kept = match manner {
        Manner::BreaksOff(bytes) => {
            let head = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
            answer.len().min(head + bytes)
        }
        _ => answer.len(),
    };
    // The other side may have gone.
    let _ = stream.write_all(&answer[..kept]);
}

fn whole(content: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
    [head.as_bytes(), content].concat()
}

fn part(content: &[u8], first: usize) -> Vec<u8> {
    let (last, total) = (content.len() - 1, content.len());
    let (length, range) = (total - first, format!("bytes {first}-{last}/{total}"));
    let head =
        format!("HTTP/1.1 206 Part\r\nContent-Length: {length}\r\nContent-Range: {range}\r\n\r\n");
    [head.as_bytes(), &content[first..]].concat()
}

const BOTH: &[(&str, &[u8])] = &[("a.gz", CONTENT), ("b.gz", CONTENT)];

/// Makes sure of the first file alone, from these mirrors.
fn ensure(folder: &TempDir, mirrors: &[&Server]) -> Result<(), FetchError> {
    let mirrors: Vec<String> = mirrors.iter().map(|server| server.address.clone()).collect();
    download::ensure(&TWO_FILES.files[0], folder.path(), &mirrors, &mut |_| {}).map(drop)
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[track_caller]
fn check_file(folder: &TempDir, name: &str) {
    assert_eq!(fs::read(folder.path().join(name)).unwrap(), CONTENT);
    assert!(!folder.path().join(format!("{name}.part")).exists());
}

#[test]
fn all_files_are_fetched_and_good_ones_left_alone() {
    let (folder, server) = (folder(), Server::new(BOTH, Manner::Good));
    assert_eq!(TWO_FILES.presence(folder.path()), Presence::Missing);
    let fetch = || TWO_FILES.fetch(folder.path(), Some(&server.address), &mut |_| {}).unwrap();
    fetch();
    check_file(&folder, "two/a.gz");
    check_file(&folder, "two/b.gz");
    assert_eq!(TWO_FILES.presence(folder.path()), Presence::There);
    fetch();
    assert_eq!(server.ranges(), ["all", "all"]);
    fs::write(folder.path().join("two/b.gz"), "damaged").unwrap();
    fetch();
    check_file(&folder, "two/b.gz");
    assert_eq!(server.ranges(), ["all", "all", "all"]);
    fs::remove_file(folder.path().join("two/a.gz")).unwrap();
    assert_eq!(TWO_FILES.presence(folder.path()), Presence::Partly);
}

#[test]
fn a_download_that_broke_off_is_continued() {
    let (folder, server) = (folder(), Server::new(BOTH, Manner::BreaksOff(13)));
    ensure(&folder, &[&server]).unwrap();
    check_file(&folder, "a.gz");
    assert_eq!(server.ranges(), ["all", "13-", "26-"]);
}

#[test]
fn a_later_try_continues_an_earlier_one() {
    let (folder, server) = (folder(), Server::new(BOTH, Manner::BreaksOff(5)));
    let message = ensure(&folder, &[&server]).unwrap_err().to_string();
    for part in ["no mirror gave a good a.gz", &server.address, "after 15 of 36 bytes", "--mirror"]
    {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
    assert_eq!(fs::read(folder.path().join("a.gz.part")).unwrap(), CONTENT[..15]);
    let better = Server::new(BOTH, Manner::Good);
    ensure(&folder, &[&better]).unwrap();
    check_file(&folder, "a.gz");
    assert_eq!(better.ranges(), ["15-"]);
}

#[test]
fn a_server_without_ranges_gives_the_whole_file_again() {
    for (manner, ranges) in [(Manner::Whole, vec!["4-"]), (Manner::NoRange, vec!["4-", "all"])] {
        let (folder, server) = (folder(), Server::new(BOTH, manner));
        fs::write(folder.path().join("a.gz.part"), "0123").unwrap();
        ensure(&folder, &[&server]).unwrap();
        check_file(&folder, "a.gz");
        assert_eq!(server.ranges(), ranges);
    }
}

#[test]
fn a_part_of_something_else_is_thrown_away() {
    let (folder, server) = (folder(), Server::new(BOTH, Manner::Good));
    fs::write(folder.path().join("a.gz.part"), "wrong").unwrap();
    ensure(&folder, &[&server]).unwrap();
    check_file(&folder, "a.gz");
    assert_eq!(server.ranges(), ["5-", "all"]);
    // One that is whole already needs no server.
    fs::rename(folder.path().join("a.gz"), folder.path().join("a.gz.part")).unwrap();
    ensure(&folder, &[]).unwrap();
    check_file(&folder, "a.gz");
}

#[test]
fn a_mirror_with_another_file_is_passed_over() {
    let folder = folder();
    let other = Server::new(&[("a.gz", b"<html>Sign in</html>")], Manner::Good);
    let missing = Server::new(BOTH, Manner::Missing);
    let moved = [BOTH, &[("moved-a.gz", CONTENT)]].concat();
    let good = Server::new(&moved, Manner::Redirects);
    ensure(&folder, &[&other, &missing, &good]).unwrap();
    check_file(&folder, "a.gz");
    assert_eq!((other.ranges().len(), missing.ranges().len(), good.ranges().len()), (1, 1, 2));
}

#[test]
fn when_all_mirrors_fail_each_is_named_and_nothing_is_lost() {
    let folder = folder();
    fs::write(folder.path().join("a.gz"), "damaged, but mine").unwrap();
    fs::write(folder.path().join("b.gz"), CONTENT).unwrap();
    let other = Server::new(&[("a.gz", b"something else")], Manner::Good);
    let missing = Server::new(BOTH, Manner::Missing);
    let nowhere = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let mirrors = [other.address.clone(), missing.address.clone(), nowhere.clone()];
    let message = download::ensure(&TWO_FILES.files[0], folder.path(), &mirrors, &mut |_| {})
        .unwrap_err()
        .to_string();
    let parts = [
        format!("{}/a.gz: another file: expected SHA-256 {SHA256}, found ", other.address),
        format!("{}/a.gz: status 404", missing.address),
        format!("{nowhere}/a.gz: no connection"),
    ];
    for part in parts {
        assert!(message.contains(&part), "no `{part}` in: {message}");
    }
    assert_eq!(fs::read(folder.path().join("a.gz")).unwrap(), b"damaged, but mine");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "a part of nothing was left");
}

#[test]
fn https_is_not_spoken_with_a_server_that_does_not_know_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mirror = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&whole(CONTENT)).unwrap();
    });
    let message = download::ensure(&TWO_FILES.files[0], folder().path(), &[mirror], &mut |_| {})
        .unwrap_err()
        .to_string();
    assert!(message.contains("/a.gz: received corrupt message"), "{message}");
}

#[test]
fn two_fetches_at_once_do_not_mix() {
    let folder = folder();
    let part = fs::File::create(folder.path().join("a.gz.part")).unwrap();
    part.lock().unwrap();
    let message = ensure(&folder, &[]).unwrap_err().to_string();
    assert!(message.contains("another `perdura data fetch`"), "{message}");
}

fn tar_gz(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut out);
    for (name, content) in files {
        let entry = archive.new_file(name).compression_method(rawzip::CompressionMethod::DEFLATE);
        let (mut entry, config) = entry.start().unwrap();
        let packer = flate2::write::DeflateEncoder::new(&mut entry, Compression::default());
        let mut writer = config.wrap(packer);
        writer.write_all(content).unwrap();
        let (packer, descriptor) = writer.finish().unwrap();
        packer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    out
}

#[test]
fn archives_are_unpacked_in_one_step() {
    let files: [(&str, &[u8]); 2] = [("set/a/x", b"one"), ("set/y", b"two")];
    for (name, content) in [("s.tar.gz", tar_gz(&files)), ("s.zip", zip(&files))] {
        let folder = folder();
        let archive = folder.path().join(name);
        fs::write(&archive, &content).unwrap();
        unpack::unpack(&archive, "set").unwrap();
        assert_eq!(fs::read(folder.path().join("set/a/x")).unwrap(), b"one");
        assert_eq!(fs::read(folder.path().join("set/y")).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);

        fs::remove_dir_all(folder.path().join("set")).unwrap();
        let message = unpack::unpack(&archive, "other").unwrap_err().to_string();
        assert!(message.contains("holds no folder `other`"), "{message}");
        for cut in [content.len() / 2, 10] {
            fs::write(&archive, &content[..cut]).unwrap();
            let message = unpack::unpack(&archive, "set").unwrap_err().to_string();
            assert!(message.contains(name) && message.contains("cannot be unpacked"), "{message}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left behind");
    }
}

#[test]
fn an_archive_does_not_write_outside_its_folder() {
    let folder = folder();
    let archive = folder.path().join("s.zip");
    fs::write(&archive, zip(&[("set/../../../outside", b"x"), ("set/y", b"y")])).unwrap();
    let _ = unpack::unpack(&archive, "set");
    assert!(!folder.path().parent().unwrap().join("outside").exists());
    assert!(!folder.path().join("outside").exists());
}

#[test]
fn an_archive_is_fetched_unpacked_and_checked() {
    // Two records of one class each: any size is good for the subset.
    let record = |label: u8| [vec![label], vec![7; 3072]].concat();
    let records = [record(0), record(1)].concat();
    let archive = tar_gz(&[
        ("cifar-10-subset/data_batch_1.bin", &records),
        ("cifar-10-subset/test_batch.bin", &records),
    ]);
    let sum: &'static str = Box::leak(md5_of(&archive).into_boxed_str());
    let file = RemoteFile { name: "subset.tar.gz", checksum: Checksum::Md5(sum) };
    let set = DataSet {
        name: "cifar10-subset",
        files: Box::leak(Box::new([file])),
        kind: Kind::Archive { folder: "cifar-10-subset" },
        ..TWO_FILES
    };
    let (folder, server) = (folder(), Server::new(&[("subset.tar.gz", &archive)], Manner::Good));
    let fetch = || set.fetch(folder.path(), Some(&server.address), &mut |_| {});
    fetch().unwrap();
    fetch().unwrap();
    assert_eq!(server.ranges(), ["all"]);
    assert_eq!(set.presence(folder.path()), Presence::There);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // What lies there and is not good is the user's to move away.
    fs::write(folder.path().join("cifar-10-subset/test_batch.bin"), &records[1..]).unwrap();
    let message = fetch().unwrap_err().to_string();
    for part in ["cifar-10-subset is there already", "test_batch.bin", "move it away"] {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

fn md5_of(bytes: &[u8]) -> String {
    use md5::Digest;
    md5::Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn an_unknown_set_lists_the_known_ones() {
    let message = DataSet::named("cifar").unwrap_err().to_string();
    assert!(
        message.contains("unknown data set `cifar`") && message.contains("mnist, fmnist, cifar10")
    );
    assert!(SETS.iter().all(|set| data::NAMES.contains(&set.name)));
}
