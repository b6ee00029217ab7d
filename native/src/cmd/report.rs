//! `toxiclip report`: table and pictures of finished runs.

use std::path::PathBuf;

/// Makes the report of one or several run folders from their rows and evidence.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders that `toxiclip run` wrote.
    #[arg(value_name = "DIR", required = true)]
    pub runs: Vec<PathBuf>,
    /// The file to write [default: `report.html` in the first folder].
    #[arg(long, value_name = "FILE.html")]
    pub out: Option<PathBuf>,
}
