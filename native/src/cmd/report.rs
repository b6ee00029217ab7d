//! `toxiclip report`: table and pictures of finished runs.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::output;
use crate::report::{self, ReportOptions};

/// Makes the report of one or several run folders from their rows and evidence.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders that `toxiclip run` wrote.
    #[arg(value_name = "DIR", required = true)]
    pub runs: Vec<PathBuf>,
    /// The file to write [default: `report.html` in the first folder].
    #[arg(long, value_name = "FILE.html")]
    pub out: Option<PathBuf>,
    /// Goes on where rows are not comparable: other commits, data, protocols, or modified sources; the report says so.
    #[arg(long)]
    pub allow_mixed: bool,
}

/// Prints the table and writes both forms of the report.
///
/// # Errors
/// If a folder has no rows, or rows that contradict their evidence or each other.
pub fn run(args: &Args) -> Result<()> {
    let dirs: Vec<&Path> = args.runs.iter().map(PathBuf::as_path).collect();
    let options = ReportOptions { allow_mixed: args.allow_mixed, out: args.out.clone() };
    // What is wrong with the folders shows before anything is written; a full disk later.
    let unfit = |e: anyhow::Error| Failure::request(format!("{e:#}"));
    let finding = report::write(&dirs, &options)
        .map_err(|e| e.downcast::<Failure>().unwrap_or_else(unfit))?;
    output::print(&format!(
        "{}\n{}\n\nreport  {}",
        finding.table,
        finding.sentence,
        finding.html.display()
    ))
}
