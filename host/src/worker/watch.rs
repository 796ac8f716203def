//! The clock of one call: how long the host waits for the worker, and how it learns of its death.

use perdura_abi::table::HostOp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::child::WorkerChild;
use super::wire::{Patience, WireError};

/// Waits for a worker's socket until its time is up or the worker has ended.
pub struct Watch<'a> {
    pidfd: BorrowedFd<'a>,
    limit: Duration,
    grace: Duration,
    /// Time used up before `since`.
    spent: Duration,
    since: Instant,
    overdue: bool,
}

impl<'a> Watch<'a> {
    pub fn new(child: &'a WorkerChild, limit: Duration, grace: Duration) -> Self {
        Watch::of(child.pidfd(), limit, grace)
    }

    fn of(pidfd: BorrowedFd<'a>, limit: Duration, grace: Duration) -> Self {
        let (spent, since, overdue) = (Duration::ZERO, Instant::now(), false);
        Watch { pidfd, limit, grace, spent, since, overdue }
    }

    /// Whether the deadline has passed; the learner is being asked to stop.
    pub fn overdue(&self) -> bool {
        self.overdue
    }

    /// The host works now.
    pub fn pause(&mut self) {
        self.spent += self.since.elapsed();
    }

    /// The learner works again, after a request that shows progress or merely passes time.
    pub fn resume(&mut self, op: HostOp) {
        let progress = op != HostOp::LOG && op != HostOp::CANCELLED;
        if progress && !self.overdue {
            self.spent = Duration::ZERO;
        }
        self.since = Instant::now();
    }

    /// Time left; enters the grace period where there is none.
    fn left(&mut self) -> Result<Duration, WireError> {
        let used = self.spent + self.since.elapsed();
        if used < self.limit {
            return Ok(self.limit - used);
        }
        if self.overdue || self.grace.is_zero() {
            return Err(WireError::Timeout);
        }
        self.overdue = true;
        (self.spent, self.since, self.limit) = (Duration::ZERO, Instant::now(), self.grace);
        Ok(self.grace)
    }
}

impl Patience for Watch<'_> {
    const BLOCKS: bool = false;

    fn wait(&mut self, socket: BorrowedFd<'_>, events: PollFlags) -> Result<(), WireError> {
        loop {
            let timeout = Timespec::try_from(self.left()?).ok();
            let mut ends = [PollFd::new(&socket, events), PollFd::new(&self.pidfd, PollFlags::IN)];
            match poll(&mut ends, timeout.as_ref()) {
                Ok(0) | Err(Errno::INTR) => {}
                // What the worker sent before it ended is read first.
                Ok(_) if !ends[0].revents().is_empty() => return Ok(()),
                Ok(_) => return Err(WireError::Closed),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    const SHORT: Duration = Duration::from_millis(30);

    #[test]
    fn grace_follows_the_deadline() {
        let (socket, _far) = UnixStream::pair().unwrap();
        let (never, _far_too) = UnixStream::pair().unwrap();
        let mut watch = Watch::of(never.as_fd(), SHORT, SHORT);
        let start = Instant::now();
        let outcome = watch.wait(socket.as_fd(), PollFlags::IN);
        assert!(matches!(outcome, Err(WireError::Timeout)));
        assert!(watch.overdue() && start.elapsed() >= SHORT * 2);
    }

    #[test]
    fn work_of_the_host_does_not_count_and_progress_starts_anew() {
        let (never, _far) = UnixStream::pair().unwrap();
        let limit = Duration::from_secs(3600);
        let mut watch = Watch::of(never.as_fd(), limit, SHORT);
        watch.spent = Duration::from_secs(1800);
        watch.pause();
        // As if the host had worked for ten minutes. A minute more or less is this machine's.
        watch.since -= Duration::from_secs(600);
        watch.resume(HostOp::LOG);
        let left = watch.left().unwrap();
        assert!(left > Duration::from_secs(1740) && left <= limit / 2, "{left:?}");
        watch.resume(HostOp::NEXT);
        assert!(watch.left().unwrap() > Duration::from_secs(3540));
    }

    #[test]
    fn an_ended_worker_is_noticed_though_the_socket_is_open() {
        let (socket, _far) = UnixStream::pair().unwrap();
        let (ended, far) = UnixStream::pair().unwrap();
        drop(far);
        let mut watch = Watch::of(ended.as_fd(), Duration::from_secs(60), SHORT);
        let outcome = watch.wait(socket.as_fd(), PollFlags::IN);
        assert!(matches!(outcome, Err(WireError::Closed)));
    }
}
