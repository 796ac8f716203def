//! As much of HTTP as the host needs, over plain connections and TLS: one question over a connection
//! of its own. Files come from [`file`], short answers of services from [`call`]. What is asked and
//! what an answer means is the caller's.

mod call;
mod connection;
mod file;

use std::io::{BufRead, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use connection::{Limited, secure};

pub use call::{Call, Reply, call};
pub use file::{Answer, Refusal, get};

const HEAD_BYTES_MAX: u64 = 64 << 10;

/// How long a server may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub connect: Duration,
    /// Between two pieces of data.
    pub silence: Duration,
    /// From the question to the end of the answer; `None`: as long as data come.
    pub answer: Option<Duration>,
}

impl Patience {
    /// For files, which may be large.
    pub const FILE: Patience = Patience {
        connect: Duration::from_secs(20),
        silence: Duration::from_secs(60),
        answer: None,
    };
}

/// An address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    scheme: &'static str,
    /// Host, with the port where one is given.
    authority: String,
    host: String,
    port: u16,
    path: String,
}

impl Target {
    /// # Errors
    /// A text that is no address of HTTP, in words.
    pub fn parse(url: &str) -> Result<Target, String> {
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
        if host.is_empty() || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(wrong());
        }
        let path = if path.is_empty() { "/" } else { path };
        let (host, path) = (host.to_owned(), path.to_owned());
        Ok(Target { scheme, authority: authority.to_owned(), host, port, path })
    }

    fn connect(&self, patience: Patience) -> Result<Box<dyn Stream>, String> {
        let until = patience.answer.map(|answer| Instant::now() + answer);
        let addresses = (self.host.as_str(), self.port).to_socket_addrs();
        let mut problem = format!("`{}` has no address", self.host);
        for address in addresses.map_err(|e| format!("`{}`: {e}", self.host))? {
            match TcpStream::connect_timeout(&address, patience.connect) {
                Ok(stream) => {
                    let stream = Limited::new(stream, patience.silence, until);
                    return match self.scheme {
                        "https" => Ok(Box::new(secure(&self.host, stream)?)),
                        _ => Ok(Box::new(stream)),
                    };
                }
                Err(error) => problem = format!("no connection to {address}: {error}"),
            }
        }
        Err(problem)
    }

    /// Sends a question. `fields` are further lines of its head, each with its end.
    fn ask(
        &self,
        stream: &mut dyn Stream,
        method: &str,
        fields: &str,
        body: &[u8],
    ) -> Result<(), String> {
        let head = format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: perdura/{}\r\nAccept: */*\r\n\
             Accept-Encoding: identity\r\nConnection: close\r\n{fields}\r\n",
            self.path,
            self.authority,
            env!("CARGO_PKG_VERSION"),
        );
        let question = [head.as_bytes(), body].concat();
        stream.write_all(&question).and_then(|()| stream.flush()).map_err(|e| e.to_string())
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
        for wrong in
            ["ftp://a/b", "a/b", "http:///b", "http://a:x/b", "http://a/b c", "http://a/\0"]
        {
            assert!(parse(wrong).unwrap_err().contains("is no address"), "{wrong}");
        }
    }
}
