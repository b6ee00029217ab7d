//! `toxiclip submit`: results as one file that others can check.

use std::path::PathBuf;

use crate::bundle::{self, Report};
use crate::failure::{Failure, Result};
use crate::files::name_of;
use crate::output;
use crate::store::write_atomic;

/// Packs a run into a bundle, or checks one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Writes a run folder as one .tar.zst: rows, evidence, attacks, benchmark, environment, and a sha256 of each.
    Pack(Pack),
    /// Recomputes every number of a bundle from its evidence; exit code 1 if one does not follow.
    Verify(Verify),
}

/// A finished run.
#[derive(Debug, clap::Args)]
pub struct Pack {
    /// The folder that `toxiclip run` wrote.
    #[arg(value_name = "RUNDIR")]
    pub run: PathBuf,
    /// The file to write [default: the folder's name with .tar.zst].
    #[arg(long, value_name = "FILE.tar.zst")]
    pub out: Option<PathBuf>,
    /// Packs rows of a program that was built from changed sources; the bundle says so.
    #[arg(long)]
    pub allow_dirty: bool,
}

/// A bundle.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The file.
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// Folder of data sets that do not come with the program.
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
}

/// Packs or verifies.
///
/// # Errors
/// If the run is not fit to be packed, or the bundle does not hold what it says.
pub fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::Pack(args) => {
            let bytes = bundle::pack(&args.run, args.allow_dirty)?;
            let out = match &args.out {
                Some(out) => out.clone(),
                None => format!("{}.tar.zst", name_of(&args.run)?).into(),
            };
            write_atomic(&out, &bytes)?;
            output::print(&format!("{}  {} bytes", out.display(), bytes.len()))
        }
        What::Verify(args) => {
            let remedy = "give a file that `toxiclip submit pack` wrote";
            let bytes = std::fs::read(&args.bundle)
                .map_err(|e| Failure::absent(&args.bundle, &e, remedy))?;
            let checked = bundle::verify(&bytes, args.data_root.as_deref());
            // Whatever is wrong with it, a bundle was looked at.
            let Report { passed, skipped } = checked.map_err(Failure::after_work)?;
            let lines = passed.iter().map(|line| format!("ok       {line}"));
            let skipped = skipped.iter().map(|line| format!("SKIPPED  {line}"));
            output::print(&lines.chain(skipped).collect::<Vec<_>>().join("\n"))
        }
    }
}
