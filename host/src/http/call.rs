//! One question to a service, and its short answer as a whole: with its length, in pieces
//! (`chunked`), or up to the end of the connection. Redirections are answers like others.

use std::io::{BufRead, BufReader, Read};

use super::{Head, Patience, Target};

/// Longer answers are refused.
const BODY_BYTES_MAX: u64 = 8 << 20;

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    pub url: &'a str,
    /// A JSON text, for `POST`.
    pub json: Option<&'a str>,
    pub patience: Patience,
}

/// An answer, good or bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Asks.
///
/// # Errors
/// No connection, no whole answer in time, or one that is too long; in words.
pub fn call(call: Call<'_>) -> Result<Reply, String> {
    let target = Target::parse(call.url)?;
    let mut stream = target.connect(call.patience)?;
    let fields = call.json.map_or_else(String::new, |json| {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", json.len())
    });
    target.ask(&mut *stream, call.method, &fields, call.json.unwrap_or("").as_bytes())?;
    reply(&mut BufReader::new(stream))
}

fn reply(stream: &mut impl BufRead) -> Result<Reply, String> {
    let head = Head::read(stream)?;
    let body = match head.length {
        _ if head.chunked => pieces(stream)?,
        Some(length) => exactly(stream, length)?,
        None => rest(stream)?,
    };
    Ok(Reply { status: head.status, body })
}

fn exactly(stream: &mut impl BufRead, length: u64) -> Result<Vec<u8>, String> {
    if length > BODY_BYTES_MAX {
        return Err(too_long());
    }
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).map_err(|e| format!("the answer broke off: {e}"))?;
    Ok(body)
}

fn rest(stream: &mut impl BufRead) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    stream.take(BODY_BYTES_MAX + 1).read_to_end(&mut body).map_err(|e| e.to_string())?;
    if body.len() as u64 > BODY_BYTES_MAX { Err(too_long()) } else { Ok(body) }
}

/// Pieces, each after its length in hexadecimal digits; one of no length is the last (RFC 9112, 7.1).
fn pieces(stream: &mut impl BufRead) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        stream.take(256).read_until(b'\n', &mut line).map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&line);
        let digits = text.split(';').next().unwrap_or("").trim();
        let length = u64::from_str_radix(digits, 16)
            .map_err(|_| "a piece of the answer has no length".to_owned())?;
        if length == 0 {
            return Ok(body);
        }
        if length + body.len() as u64 > BODY_BYTES_MAX {
            return Err(too_long());
        }
        body.extend(exactly(stream, length)?);
        exactly(stream, 2)?;
    }
}

fn too_long() -> String {
    format!("the answer is longer than {BODY_BYTES_MAX} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    fn read(text: &str) -> Result<(u16, String), String> {
        let reply = reply(&mut text.as_bytes())?;
        Ok((reply.status, String::from_utf8(reply.body).unwrap()))
    }

    #[test]
    fn answers_of_every_kind_are_read_whole() {
        let length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more";
        assert_eq!(read(length), Ok((200, "hello".into())));
        let pieces = "HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n\
                      3\r\nhel\r\nA;x=1\r\nlo, as ten\r\n0\r\n\r\n";
        assert_eq!(read(pieces), Ok((400, "hello, as ten".into())));
        assert_eq!(read("HTTP/1.0 500 No\r\n\r\nall of it"), Ok((500, "all of it".into())));
    }

    #[test]
    fn broken_answers_are_named() {
        let wrong = |text: &str, word: &str| {
            let message = read(text).unwrap_err();
            assert!(message.contains(word), "{message}");
        };
        wrong("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "broke off");
        wrong("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "longer than");
        let pieces = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        wrong(&format!("{pieces}zz\r\n"), "has no length");
        wrong(&format!("{pieces}ffffffffff\r\n"), "longer than");
        wrong(&format!("{pieces}5\r\nhel"), "broke off");
        wrong("", "ended before");
    }

    /// Asks a server that does with its connection what `serve` says.
    fn ask(serve: fn(std::net::TcpStream)) -> (Result<Reply, String>, Duration) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/a", listener.local_addr().unwrap());
        std::thread::spawn(move || serve(listener.accept().unwrap().0));
        let patience = Patience {
            connect: Duration::from_secs(5),
            silence: Duration::from_millis(200),
            answer: Some(Duration::from_millis(500)),
        };
        let begun = Instant::now();
        let question = Call { method: "POST", url: &url, json: Some("{\"a\":1}"), patience };
        (call(question), begun.elapsed())
    }

    #[test]
    fn a_question_arrives_as_it_is() {
        let (answer, _) = ask(|mut stream| {
            let mut question = [0; 1024];
            let length = stream.read(&mut question).unwrap();
            let text = String::from_utf8_lossy(&question[..length]).into_owned();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all((head + &text).as_bytes()).unwrap();
        });
        let text = String::from_utf8(answer.unwrap().body).unwrap();
        assert!(text.starts_with("POST /a HTTP/1.1\r\nHost: 127.0.0.1:"), "{text}");
        assert!(text.contains("Content-Type: application/json\r\nContent-Length: 7\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n{\"a\":1}"), "{text}");
    }

    #[test]
    fn a_silent_server_is_not_waited_for() {
        let (answer, took) = ask(|stream| {
            std::thread::sleep(Duration::from_secs(3));
            drop(stream);
        });
        assert!(answer.unwrap_err().contains("nothing came for 0.2 s"));
        assert!(took < Duration::from_secs(2), "{took:?}");
    }

    #[test]
    fn neither_is_one_that_sends_a_byte_now_and_then() {
        let (answer, took) = ask(|mut stream| {
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".iter().cycle().take(90)
            {
                std::thread::sleep(Duration::from_millis(30));
                // The one who asks is gone by then.
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
            }
        });
        assert!(answer.unwrap_err().contains("takes too long"));
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}
