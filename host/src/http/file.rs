//! One file, or the rest of one: a GET, a range to go on from, redirections. Answers must say their
//! length, as those of file servers do; one in pieces (`chunked`) is refused.

use std::io::{BufReader, Read};

use super::{Head, Patience, Target};

const REDIRECTIONS_MAX: usize = 5;

/// An answer whose body has not been read yet.
pub struct Answer {
    /// Place in the file of the first byte of the body: what was asked for, or 0.
    pub start: u64,
    /// Bytes of the whole file.
    pub total: u64,
    pub body: Box<dyn Read>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The file has no such part.
    Range,
    /// In words, without the address.
    Other(String),
}

impl<T: Into<String>> From<T> for Refusal {
    fn from(text: T) -> Refusal {
        Refusal::Other(text.into())
    }
}

/// Asks for a file from byte `from` on.
///
/// # Errors
/// No connection, or no answer that is (a part of) a file.
pub fn get(url: &str, from: u64) -> Result<Answer, Refusal> {
    let mut url = url.to_owned();
    for _ in 0..=REDIRECTIONS_MAX {
        let target = Target::parse(&url)?;
        let mut stream = target.connect(Patience::FILE)?;
        let range = if from > 0 { format!("Range: bytes={from}-\r\n") } else { String::new() };
        target.ask(&mut stream, "GET", &range, &[])?;
        let mut body = BufReader::new(stream);
        let head = Head::read(&mut body)?;
        match head.status {
            301 | 302 | 303 | 307 | 308 => {
                let location = head.location.ok_or("a redirection to nowhere")?;
                url = match location.starts_with('/') {
                    true => format!("{}://{}{location}", target.scheme, target.authority),
                    false => location,
                };
            }
            _ => return answer(head, from, body),
        }
    }
    Err(format!("more than {REDIRECTIONS_MAX} redirections").into())
}

fn answer(head: Head, from: u64, body: impl Read + 'static) -> Result<Answer, Refusal> {
    match head.status {
        200 | 206 if head.chunked => {
            return Err("its answer comes in pieces of no length".into());
        }
        200 | 206 => {}
        416 => return Err(Refusal::Range),
        status => return Err(format!("status {status}").into()),
    }
    let length = head.length.ok_or("its answer does not say its length")?;
    let (start, total) = match (head.status, head.range) {
        (200, _) => (0, length),
        (_, Some((start, total))) if start == from && start.checked_add(length) == Some(total) => {
            (start, total)
        }
        _ => return Err("it sent another part of the file than was asked for".into()),
    };
    Ok(Answer { start, total, body: Box::new(body.take(total - start)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(head: &str, from: u64) -> Result<(u64, u64), Refusal> {
        let bytes = format!("{head}\r\n\r\n0123456789").into_bytes();
        let mut body = std::io::Cursor::new(bytes);
        let answer = answer(Head::read(&mut body)?, from, body)?;
        Ok((answer.start, answer.total))
    }

    #[test]
    fn heads_are_understood() {
        let head = "HTTP/1.1 200 OK\r\ncontent-LENGTH: 10";
        assert_eq!(parts(head, 0), Ok((0, 10)));
        assert_eq!(parts(head, 5), Ok((0, 10)));
        let part = "HTTP/1.1 206 Part\r\nContent-Length: 10\r\nContent-Range: bytes 5-14/15";
        assert_eq!(parts(part, 5), Ok((5, 15)));
        let wrong = |head, from, word: &str| {
            let Err(Refusal::Other(message)) = parts(head, from) else { panic!("{head}") };
            assert!(message.contains(word), "{message}");
        };
        wrong(part, 4, "another part");
        wrong("HTTP/1.1 206 Part\r\nContent-Length: 10", 5, "another part");
        wrong("HTTP/1.1 200 OK", 0, "does not say its length");
        wrong("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", 0, "in pieces");
        assert_eq!(parts("HTTP/1.1 416 No", 99), Err(Refusal::Range));
        wrong("HTTP/1.1 404 Not Found\r\nContent-Length: 10", 0, "status 404");
        wrong("SSH-2.0", 0, "no HTTP answer");
    }
}
