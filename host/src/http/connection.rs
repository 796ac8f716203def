//! A connection that does not wait for ever, and TLS over it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A connection whose reads and writes fail where a server is silent for too long, or where the time
/// for the whole answer is over: one that sends a byte now and then is no exception.
pub(super) struct Limited {
    stream: TcpStream,
    silence: Duration,
    until: Option<Instant>,
}

impl Limited {
    pub fn new(stream: TcpStream, silence: Duration, until: Option<Instant>) -> Limited {
        Limited { stream, silence, until }
    }

    /// How long the next piece may take.
    fn patience(&self) -> io::Result<Duration> {
        let Some(until) = self.until else { return Ok(self.silence) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(too_long()) } else { Ok(left.min(self.silence)) }
    }

    /// Gives an operation that waited in vain an error that says so.
    fn timed<T>(&self, done: io::Result<T>) -> io::Result<T> {
        done.map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                if self.until.is_some_and(|until| Instant::now() >= until) {
                    return too_long();
                }
                let waited = format!("nothing came for {:.1} s", self.silence.as_secs_f64());
                io::Error::new(ErrorKind::TimedOut, waited)
            }
            _ => error,
        })
    }
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let patience = self.patience()?;
        self.stream.set_read_timeout(Some(patience))?;
        let read = self.stream.read(buffer);
        self.timed(read)
    }
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let patience = self.patience()?;
        self.stream.set_write_timeout(Some(patience))?;
        let written = self.stream.write(bytes);
        self.timed(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn too_long() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the answer takes too long")
}

/// TLS with the host of this name, which must show a certificate of a public authority.
pub(super) fn secure(
    host: &str,
    stream: Limited,
) -> Result<StreamOwned<ClientConnection, Limited>, String> {
    let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|e| e.to_string())?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(|e| e.to_string())?;
    Ok(StreamOwned::new(connection, stream))
}
