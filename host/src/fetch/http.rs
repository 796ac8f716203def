//! As much of HTTP as it takes to get a file: one GET over a connection of its own, a range to go
//! on from, redirections. Answers must say their length, as those of file servers do; one in pieces
//! (`chunked`) is refused.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const REDIRECTIONS_MAX: usize = 5;
const HEAD_BYTES_MAX: u64 = 64 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two pieces of data.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// An answer whose body has not been read yet.
pub(super) struct Answer {
    /// Place in the file of the first byte of the body: what was asked for, or 0.
    pub start: u64,
    /// Bytes of the whole file.
    pub total: u64,
    pub body: Box<dyn Read>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
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
pub(super) fn get(url: &str, from: u64) -> Result<Answer, Refusal> {
    let mut url = url.to_owned();
    for _ in 0..=REDIRECTIONS_MAX {
        let target = Target::parse(&url)?;
        let mut stream = target.connect()?;
        let range = if from > 0 { format!("Range: bytes={from}-\r\n") } else { String::new() };
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: perdura/{}\r\nAccept: */*\r\n\
             Accept-Encoding: identity\r\nConnection: close\r\n{range}\r\n",
            target.path,
            target.authority,
            env!("CARGO_PKG_VERSION"),
        );
        stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
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
            _ => return head.answer(from, body),
        }
    }
    Err(format!("more than {REDIRECTIONS_MAX} redirections").into())
}

/// An address, taken apart.
struct Target {
    scheme: &'static str,
    /// Host, with the port where one is given.
    authority: String,
    host: String,
    port: u16,
    path: String,
}

impl Target {
    fn parse(url: &str) -> Result<Target, String> {
        let wrong = || format!("`{url}` is no address; expected http://... or https://...");
        let (scheme, rest, port) = match url.split_once("://") {
            Some(("http", rest)) => ("http", rest, 80),
            Some(("https", rest)) => ("https", rest, 443),
            _ => return Err(wrong()),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (authority, port),
        };
        // Either would end the line of the request.
        if host.is_empty() || url.contains(char::is_whitespace) {
            return Err(wrong());
        }
        let path = if path.is_empty() { "/" } else { path };
        let (host, path) = (host.to_owned(), path.to_owned());
        Ok(Target { scheme, authority: authority.to_owned(), host, port, path })
    }

    fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let addresses = (self.host.as_str(), self.port).to_socket_addrs();
        let mut problem = format!("`{}` has no address", self.host);
        for address in addresses.map_err(|e| format!("`{}`: {e}", self.host))? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    let limited = stream.set_read_timeout(Some(SILENCE_MAX));
                    limited
                        .and(stream.set_write_timeout(Some(SILENCE_MAX)))
                        .map_err(|e| e.to_string())?;
                    return match self.scheme {
                        "https" => Ok(Box::new(self.secure(stream)?)),
                        _ => Ok(Box::new(stream)),
                    };
                }
                Err(error) => problem = format!("no connection to {address}: {error}"),
            }
        }
        Err(problem)
    }

    fn secure(
        &self,
        stream: TcpStream,
    ) -> Result<StreamOwned<ClientConnection, TcpStream>, String> {
        let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(self.host.clone()).map_err(|e| e.to_string())?;
        let connection =
            ClientConnection::new(Arc::new(config), name).map_err(|e| e.to_string())?;
        Ok(StreamOwned::new(connection, stream))
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// What of an answer's head matters.
struct Head {
    status: u16,
    length: Option<u64>,
    /// First byte and size of the whole file, of `Content-Range: bytes 5-99/100`.
    range: Option<(u64, u64)>,
    location: Option<String>,
    chunked: bool,
}

impl Head {
    fn read(stream: &mut impl BufRead) -> Result<Head, String> {
        let mut bytes = Vec::new();
        let mut limited = stream.take(HEAD_BYTES_MAX);
        while !bytes.ends_with(b"\r\n\r\n") {
            let read = limited.read_until(b'\n', &mut bytes).map_err(|e| e.to_string())?;
            if read == 0 {
                return Err("the connection ended before the answer began".into());
            }
        }
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut fields);
        response.parse(&bytes).map_err(|e| format!("no HTTP answer ({e})"))?;
        let field = |name: &str| {
            let field = response.headers.iter().find(|f| f.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(field.value).ok().map(str::trim)
        };
        let range = |text: &str| {
            let (places, total) = text.strip_prefix("bytes ")?.split_once('/')?;
            Some((places.split_once('-')?.0.parse().ok()?, total.parse().ok()?))
        };
        Ok(Head {
            status: response.code.unwrap_or(0),
            length: field("content-length").and_then(|text| text.parse().ok()),
            range: field("content-range").and_then(range),
            location: field("location").map(str::to_owned),
            chunked: field("transfer-encoding").is_some(),
        })
    }

    fn answer(self, from: u64, body: impl Read + 'static) -> Result<Answer, Refusal> {
        match self.status {
            200 | 206 if self.chunked => {
                return Err("its answer comes in pieces of no length".into());
            }
            200 | 206 => {}
            416 => return Err(Refusal::Range),
            status => return Err(format!("status {status}").into()),
        }
        let length = self.length.ok_or("its answer does not say its length")?;
        let (start, total) = match (self.status, self.range) {
            (200, _) => (0, length),
            (_, Some((start, total)))
                if start == from && start.checked_add(length) == Some(total) =>
            {
                (start, total)
            }
            _ => return Err("it sent another part of the file than was asked for".into()),
        };
        Ok(Answer { start, total, body: Box::new(body.take(total - start)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let parse =
            |url| Target::parse(url).map(|t| (t.scheme, t.authority, t.host, t.port, t.path));
        let expected = ("http", "a.b:81".into(), "a.b".into(), 81, "/c/d?e".into());
        assert_eq!(parse("http://a.b:81/c/d?e"), Ok(expected));
        let expected = ("https", "a.b".into(), "a.b".into(), 443, "/".into());
        assert_eq!(parse("https://a.b"), Ok(expected));
        for wrong in ["ftp://a/b", "a/b", "http:///b", "http://a:x/b", "http://a/b c"] {
            assert!(parse(wrong).unwrap_err().contains("is no address"), "{wrong}");
        }
    }

    fn answer(head: &str, from: u64) -> Result<(u64, u64), Refusal> {
        let bytes = format!("{head}\r\n\r\n0123456789").into_bytes();
        let mut body = std::io::Cursor::new(bytes);
        let answer = Head::read(&mut body)?.answer(from, body)?;
        Ok((answer.start, answer.total))
    }

    #[test]
    fn heads_are_understood() {
        let head = "HTTP/1.1 200 OK\r\ncontent-LENGTH: 10";
        assert_eq!(answer(head, 0), Ok((0, 10)));
        assert_eq!(answer(head, 5), Ok((0, 10)));
        let part = "HTTP/1.1 206 Part\r\nContent-Length: 10\r\nContent-Range: bytes 5-14/15";
        assert_eq!(answer(part, 5), Ok((5, 15)));
        let wrong = |head, from, word: &str| {
            let Err(Refusal::Other(message)) = answer(head, from) else { panic!("{head}") };
            assert!(message.contains(word), "{message}");
        };
        wrong(part, 4, "another part");
        wrong("HTTP/1.1 206 Part\r\nContent-Length: 10", 5, "another part");
        wrong("HTTP/1.1 200 OK", 0, "does not say its length");
        wrong("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", 0, "in pieces");
        assert_eq!(answer("HTTP/1.1 416 No", 99), Err(Refusal::Range));
        wrong("HTTP/1.1 404 Not Found\r\nContent-Length: 10", 0, "status 404");
        wrong("SSH-2.0", 0, "no HTTP answer");
    }
}
