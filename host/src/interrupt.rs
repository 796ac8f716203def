//! SIGINT and SIGTERM: a process is asked to end, and does so when it has put things in order. Who asks a
//! second time means it.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Signals that come sooner after one another count as one: a cluster sends its own to every process, and the
/// host passes on what it got.
const ONE_REQUEST: Duration = Duration::from_secs(1);

/// How often the process was asked to end. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    times: Arc<AtomicU32>,
}

impl Interrupt {
    /// One that is only asked by [`ask`](Interrupt::ask).
    pub fn never() -> Interrupt {
        Interrupt::default()
    }

    /// Counts signals from now on. Once all clones are gone a signal ends the process, as it does by default.
    /// `second` is the exit code with which a second request ends the process at once; without it that is
    /// counted too.
    pub fn listen(second: Option<u8>) -> io::Result<Interrupt> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let interrupt = Interrupt::default();
        let times = Arc::downgrade(&interrupt.times);
        std::thread::spawn(move || {
            let mut last: Option<Instant> = None;
            for signal in signals.forever() {
                if last.is_none_or(|last| last.elapsed() >= ONE_REQUEST) {
                    last = Some(Instant::now());
                    count(&times, signal, second);
                }
            }
        });
        Ok(interrupt)
    }

    /// Asks as a signal does.
    pub fn ask(&self) {
        self.times.fetch_add(1, Ordering::Relaxed);
    }

    /// How often this process was asked to end.
    pub fn times(&self) -> u32 {
        self.times.load(Ordering::Relaxed)
    }

    pub fn asked(&self) -> bool {
        self.times() > 0
    }
}

fn count(times: &Weak<AtomicU32>, signal: i32, second: Option<u8>) {
    let Some(times) = times.upgrade() else { std::process::exit(128 + signal) };
    if times.fetch_add(1, Ordering::Relaxed) > 0
        && let Some(code) = second
    {
        std::process::exit(i32::from(code));
    }
}

/// Leaves it to the host to end this process: signals that are sent to every process of a job must not make a
/// learner's death of what is an orderly end.
pub fn leave_to_the_host() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}
