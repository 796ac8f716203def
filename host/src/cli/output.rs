//! Standard output. A reader that goes away (`perdura ... | head`) ends the command quietly: what was to be
//! printed is in the results too.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// Prints a line on standard output.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::output::line(format_args!($($text)*))
    };
}
pub(super) use say;

/// Writes one line.
pub fn line(text: Arguments<'_>) {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => eprintln!("warning: standard output: {error}"),
    }
}
