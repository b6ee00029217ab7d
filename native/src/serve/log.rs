//! Lines for the server's keeper, on stderr.

use std::fmt::Display;
use std::io::Write as _;

/// Writes a line. A log that cannot be written, on a full disk say, must end nothing: `eprintln!` would panic.
pub(crate) fn line(text: impl Display) {
    drop(writeln!(std::io::stderr(), "{text}"));
}
