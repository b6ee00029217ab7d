//! `toxiclip leaderboard`: the static pages on which published results are ranked.

use std::path::PathBuf;

use crate::catalogue::benchmarks_folder;
use crate::failure::{Failure, Result};
use crate::{output, published};

/// Builds the static leaderboard from published results.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Recomputes every published row from its evidence, and writes the pages.
    Build(Build),
}

/// From where to where.
#[derive(Debug, clap::Args)]
pub struct Build {
    /// Folder of results, SUBMITTER/NAME/ each [default: benchmarks/results].
    #[arg(long, value_name = "DIR", requires = "out")]
    pub results: Option<PathBuf>,
    /// Folder to write, in place of a leaderboard that is there; rows and evidence are put into it too [default:
    /// www/leaderboard, whose pages link to benchmarks/results].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// So many made-up models instead of results, to see whether the pages stay fluid; they say so.
    #[arg(long, value_name = "N", conflicts_with = "results", requires = "out")]
    pub synthetic: Option<u16>,
}

/// Builds it.
///
/// # Errors
/// If results do not follow from their evidence, or the folder cannot be written to.
pub fn run(args: &Args) -> Result<()> {
    let What::Build(Build { results, out, synthetic }) = &args.what;
    let benchmarks = benchmarks_folder();
    let root = benchmarks.join("..");
    let results = results.clone().unwrap_or_else(|| benchmarks.join("results"));
    if let (Some(count), Some(out)) = (synthetic, out) {
        published::build_synthetic(usize::from(*count), out)?;
        return output::print(&format!("{}: {count} synthetic entries", out.display()));
    }
    if !results.is_dir() {
        let why = "no such folder; give one of published results with --results";
        return Err(Failure::request(format!("{}: {why}", results.display())));
    }
    let said = published::build(&root, &results, out.as_deref());
    let said = said.map_err(|e| Failure::from(e).after_work())?;
    let place = out.clone().unwrap_or_else(|| root.join("www/leaderboard"));
    output::print(&format!("{}\n{}", said.join("\n"), place.join("index.html").display()))
}
