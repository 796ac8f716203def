//! Ways to go wrong that can be had in any call. What is `unsafe` here has no safe meaning: it is what a
//! broken plugin does.

use perdura_sdk::Error;
use perdura_sdk::prelude::Result;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Goes wrong, after some last words for the log.
pub fn go(how: &str) -> Result<()> {
    match how {
        "panic" => panic!("zoo: panic as asked"),
        "error" => return Err(Error::new("zoo: error as asked")),
        "exit" => {
            eprintln!("zoo: last words");
            std::process::exit(0)
        }
        "abort" => std::process::abort(),
        "segfault" => touch_what_is_not_ours(),
        "stack-overflow" => println!("{}", deeper(&[0; 1024])),
        "hang" => loop {
            std::hint::spin_loop();
        },
        "deadlock" => {
            let (sender, receiver) = std::sync::mpsc::channel::<()>();
            let _ = receiver.recv();
            drop(sender);
        }
        "bomb" => bomb(),
        "close-descriptors" => close_descriptors(),
        "opens-files" => {
            let file = std::fs::read("/etc/passwd");
            assert!(file.is_ok(), "zoo: {file:?}");
        }
        _ => {}
    }
    Ok(())
}

/// What a thread does that is of no use.
pub fn wait() {
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Prints so many megabytes.
pub fn print(megabytes: u64) {
    let line = [&[b'z'; 1023][..], b"\n"].concat();
    let mut out = std::io::stdout().lock();
    for _ in 0..megabytes << 10 {
        let _ = out.write_all(&line);
    }
}

/// Takes memory until there is no more. One page of each piece is touched: what is used up is the limit
/// and not the machine.
fn bomb() {
    let mut pieces = Vec::new();
    loop {
        let mut piece = vec![0u8; 64 << 20];
        piece[0] = 1;
        pieces.push(std::hint::black_box(piece));
    }
}

fn close_descriptors() {
    // SAFETY: POSIX's `close` takes an int and asks nothing of its caller.
    unsafe extern "C" {
        safe fn close(descriptor: std::ffi::c_int) -> std::ffi::c_int;
    }
    (0..256).for_each(|descriptor| {
        close(descriptor);
    });
}

fn touch_what_is_not_ours() {
    // SAFETY: there is none: nothing is ever mapped at this address, and the process is meant to die.
    unsafe { std::ptr::without_provenance_mut::<u64>(8).write_volatile(1) }
}

/// Never comes back.
#[allow(unconditional_recursion)] // its purpose
fn deeper(before: &[u64; 1024]) -> u64 {
    let mut own = *before;
    own[std::hint::black_box(5)] += 1;
    deeper(std::hint::black_box(&own)) + own[7]
}

/// A pointer that outlives what it points to.
pub struct Lent(usize);

impl Lent {
    pub fn of(values: &[f32]) -> Lent {
        Lent(values.as_ptr().expose_provenance())
    }

    pub fn read(&self) -> f32 {
        // SAFETY: there is none: the memory was lent for a call that is over. In a worker the host's
        // messages lie at one address as long as they are small, so that the read gives some number.
        unsafe { std::ptr::with_exposed_provenance::<f32>(self.0).read_volatile() }
    }
}

/// A generator that no seed of the host reaches.
pub struct Clock(u64);

impl Clock {
    pub fn now() -> Clock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock(since.as_nanos() as u64)
    }

    /// Of a linear congruential generator, from `[0, 1)`.
    pub fn random(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }
}
