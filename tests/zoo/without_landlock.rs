//! Runs a command on a system without landlock: the call that would make a set of rules fails as on a kernel
//! that does not know it. Stands in for an old kernel; it has no other purpose.
#![deny(unsafe_code)]

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;

fn main() {
    let rules = BTreeMap::from([(libc::SYS_landlock_create_ruleset, vec![])]);
    let unknown = SeccompAction::Errno(libc::ENOSYS as u32);
    let architecture = std::env::consts::ARCH.try_into().expect("an architecture with seccomp");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, unknown, architecture);
    let program = BpfProgram::try_from(filter.expect("a sound filter")).expect("a small filter");
    apply_filter(&program).expect("the kernel has seccomp");
    let mut words = std::env::args_os().skip(1);
    let program = words.next().expect("a command to run");
    let error = std::process::Command::new(program).args(words).exec();
    panic!("not started: {error}");
}
