//! `toxiclip list`: names and what they mean.

use crate::catalogue::Kind;
use crate::failure::Result;
use crate::output;

/// Names of all attacks, defenses, encoders, datasets, metrics or benchmarks.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to list.
    kind: Kind,
    /// An array of objects with at least `name` and `summary`.
    #[arg(long)]
    json: bool,
}

/// Prints the list.
///
/// # Errors
/// If a benchmark file cannot be read.
pub fn run(args: &Args) -> Result<()> {
    if args.json {
        return output::print_json(&args.kind.items()?);
    }
    output::print(&output::columns(&args.kind.table()?.1))
}
