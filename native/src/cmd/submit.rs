//! `toxiclip submit`: results as one file that others can check.

use std::path::PathBuf;

use crate::bundle::{self, Replay, Report};
use crate::cli::Context;
use crate::failure::{Failure, Result};
use crate::files::name_of;
use crate::output;
use crate::store::write_atomic;

/// Packs a run into a bundle, checks one, or sends one to a server.
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
    /// Sends a bundle to a server (`toxiclip serve`), going on where an earlier try ended; prints the submission's address.
    Push(Push),
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
    /// Packs the checkpoints too, so that whoever has the bundle can replay it.
    #[arg(long)]
    pub with_weights: bool,
    /// Folder of those checkpoints, at most two folders below it [default: the cache].
    #[arg(long, value_name = "DIR", requires = "with_weights")]
    pub checkpoints: Option<PathBuf>,
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
    /// Puts so many judgements, drawn by the bundle's own hash, to their checkpoints again.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub replay: Option<u32>,
    /// Mixed into the draws: a seed that whoever packed the bundle did not know.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "replay")]
    pub seed: u64,
    /// Folder of the checkpoints to replay, at most two folders below it [default: the cache].
    #[arg(long, value_name = "DIR", requires = "replay")]
    pub checkpoints: Option<PathBuf>,
}

/// A bundle for a server.
#[derive(Debug, clap::Args)]
pub struct Push {
    /// The file.
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// Where the server is: http:// alone, as TLS is the work of a proxy before it, and of a tunnel here.
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// A file that holds the token [default: the environment's TOXICLIP_TOKEN]; never an argument, which others can see.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Its name among your submissions: lower-case words with hyphens between [default: the file's].
    #[arg(long)]
    pub name: Option<String>,
    /// Waits until it is verified; exit code 1 if it is refused.
    #[arg(long)]
    pub wait: bool,
}

/// Packs, verifies or sends.
///
/// # Errors
/// If the run is not fit to be packed, or the bundle does not hold what it says.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    match &args.what {
        What::Pack(args) => {
            let place = |given| checkpoints(given, context)?.ok_or_else(absent);
            let weights =
                args.with_weights.then(|| place(args.checkpoints.as_ref())).transpose()?;
            let bytes = bundle::pack(&args.run, args.allow_dirty, weights.as_deref())?;
            let out = match &args.out {
                Some(out) => out.clone(),
                None => format!("{}.tar.zst", name_of(&args.run)?).into(),
            };
            write_atomic(&out, &bytes)?;
            output::print(&format!("{}  {} bytes", out.display(), bytes.len()))
        }
        What::Verify(args) => verify(args, context),
        What::Push(args) => push(args),
    }
}

#[cfg(feature = "serve")]
fn push(args: &Push) -> Result<()> {
    let token = match &args.token_file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|e| Failure::absent(file, &e, "give a file that holds the token"))?,
        None => std::env::var("TOXICLIP_TOKEN").map_err(|_| {
            Failure::request("no token; put it into TOXICLIP_TOKEN or a file (--token-file FILE)")
        })?,
    };
    let remote = crate::push::Remote::new(&args.url, token.trim().to_owned())?;
    let place = remote.push(&args.bundle, args.name.as_deref())?;
    output::print(&remote.address(&place))?;
    if args.wait {
        output::print(&remote.wait(&place)?)?;
    }
    Ok(())
}

#[cfg(not(feature = "serve"))]
fn push(_: &Push) -> Result<()> {
    Err(super::serve::absent("submit push"))
}

fn verify(args: &Verify, context: &Context) -> Result<()> {
    let remedy = "give a file that `toxiclip submit pack` wrote";
    let bytes =
        std::fs::read(&args.bundle).map_err(|e| Failure::absent(&args.bundle, &e, remedy))?;
    let again = |draws: u32| -> Result<Replay> {
        let checkpoints = checkpoints(args.checkpoints.as_ref(), context)?;
        Ok(Replay { draws: draws as usize, checkpoints, seed: args.seed, lab: context.lab()? })
    };
    let again = args.replay.map(again).transpose()?;
    let checked = bundle::verify(&bytes, args.data_root.as_deref(), again.as_ref());
    // Whatever is wrong with it, a bundle was looked at.
    let Report { passed, skipped } = checked.map_err(Failure::after_work)?;
    let lines = passed.iter().map(|line| format!("ok       {line}"));
    let skipped = skipped.iter().map(|line| format!("SKIPPED  {line}"));
    output::print(&lines.chain(skipped).collect::<Vec<_>>().join("\n"))
}

/// Where checkpoints lie: the folder that was given, or the cache if there is one.
fn checkpoints(given: Option<&PathBuf>, context: &Context) -> Result<Option<PathBuf>> {
    match given {
        None => Ok(context.cache_dir()?.filter(|dir| dir.is_dir())),
        Some(dir) => {
            let remedy = "give a folder of checkpoints with --checkpoints DIR";
            std::fs::read_dir(dir).map_err(|e| Failure::absent(dir, &e, remedy))?;
            Ok(Some(dir.clone()))
        }
    }
}

fn absent() -> Failure {
    Failure::request(
        "--with-weights: there is no cache to find checkpoints in; give their folder with --checkpoints DIR",
    )
}
