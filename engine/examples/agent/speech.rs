//! What the program says, to whoever still listens.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process::exit;

/// A line on standard output. When nobody reads it any more, as behind `| head`, the program is over.
pub(crate) fn say(line: Arguments<'_>) {
    match writeln!(io::stdout(), "{line}") {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(0),
        Err(error) => {
            complain(format_args!("standard output: {error}"));
            exit(1);
        }
    }
}

/// A line on standard error.
pub(crate) fn complain(line: Arguments<'_>) {
    // Nobody listens there: then there is nobody to tell.
    let _ = writeln!(io::stderr(), "{line}");
}
