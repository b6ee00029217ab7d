//! stdout carries data: tables and JSON. Everything for people's eyes while they wait goes to stderr.

use std::io::{self, Write as _};

use crate::failure::{Failure, Result};

/// Prints `text` and a newline. A reader that has left (`toxiclip list attacks | head -1`) is no error.
///
/// # Errors
/// If stdout cannot be written for another reason, such as a full disk.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints `value` as indented JSON.
///
/// # Errors
/// As [`print`].
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::failed)?;
    print(&text)
}

/// Rows of cells as text, each column as wide as its widest cell; the last one is not padded.
pub fn columns<R: AsRef<[String]>>(rows: &[R]) -> String {
    let cells = || rows.iter().map(AsRef::as_ref);
    let width = |i: usize| cells().filter_map(|row| Some(row.get(i)?.chars().count())).max();
    let widths: Vec<usize> = (0..).map_while(width).collect();
    let mut out = String::new();
    for row in cells() {
        let line: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_align_by_characters() {
        let rows = [["é".to_owned(), "x".to_owned()], ["abc".to_owned(), "yz".to_owned()]];
        assert_eq!(super::columns(&rows), "é    x\nabc  yz\n");
    }
}
