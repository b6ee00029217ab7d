//! `toxiclip submit`: results as one file that others can check.

use std::path::{Path, PathBuf};

use super::hidden;
use crate::bundle::{self, Packed, Packing, Replay, Report};
use crate::catalogue::benchmarks_folder;
use crate::cli::Context;
use crate::failure::{Failure, Result};
use crate::files::name_of;
use crate::store::write_atomic;
use crate::{output, published};

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
    /// Verifies a bundle and lays it out as a folder of published results, for a pull request.
    Unpack(Unpack),
    /// Prints the commitment to the seed of a trigger that is revealed later.
    Commit(hidden::Secret),
    /// Checks that a revealed seed is the one that was committed to; exit code 1 if it is not.
    Reveal(hidden::Reveal),
    /// Scores the models of a bundle under the attack that a revealed seed draws; one line of JSON for each value.
    Rescore(hidden::Score),
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
    /// The https:// address below which the checkpoints lie, a folder checkpoint-DIGEST/ for each; the bundle says it.
    #[arg(long, value_name = "URL")]
    pub link: Option<String>,
    /// Folder of data sets that do not come with the program; without them the bundle does not name its protocol.
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
}

/// A bundle.
#[derive(Debug, clap::Args)]
pub struct Bundle {
    /// The file.
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// Folder of data sets that do not come with the program.
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
}

/// A bundle, and what to ask again.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// Which.
    #[command(flatten)]
    pub of: Bundle,
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

/// A bundle to be published.
#[derive(Debug, clap::Args)]
pub struct Unpack {
    /// The bundle, and how to verify it.
    #[command(flatten)]
    pub verify: Verify,
    /// Whose results these are: a plain name, the folder below the results.
    #[arg(long, value_name = "NAME")]
    pub submitter: String,
    /// The day of the submission, such as 2026-01-31; left out it is not said.
    #[arg(long, value_name = "DATE")]
    pub date: Option<String>,
    /// Folder of published results [default: benchmarks/results].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
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
            let how = Packing {
                allow_dirty: args.allow_dirty,
                weights: weights.as_deref(),
                link: args.link.as_deref(),
                data_root: args.data_root.as_deref(),
            };
            let Packed { bytes, nameless } = bundle::pack(&args.run, how)?;
            if let Some(why) = nameless {
                context.progress.warn(&format!(
                    "warning: the bundle names no protocol, so that nobody can rank it; give --data-root DIR ({why})"
                ));
            }
            let out = match &args.out {
                Some(out) => out.clone(),
                None => format!("{}.tar.zst", name_of(&args.run)?).into(),
            };
            write_atomic(&out, &bytes)?;
            output::print(&format!("{}  {} bytes", out.display(), bytes.len()))
        }
        What::Verify(args) => output::print(&lines(&verify(args, context)?.1)),
        What::Unpack(args) => {
            let (bytes, report) = verify(&args.verify, context)?;
            let said = lines(&report);
            let results = args.out.clone().unwrap_or_else(|| benchmarks_folder().join("results"));
            let date = args.date.as_deref();
            let place = published::accept(&bytes, report, &args.submitter, date, &results)?;
            output::print(&format!("{said}\n{}", place.display()))
        }
        What::Commit(secret) => hidden::commit(secret),
        What::Reveal(args) => hidden::reveal(args),
        What::Rescore(args) => hidden::rescore(args, context),
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

/// The bytes of a bundle, and what was checked of them.
fn verify(args: &Verify, context: &Context) -> Result<(Vec<u8>, Report)> {
    let bytes = read(&args.of.bundle)?;
    let again = |draws: u32| -> Result<Replay> {
        let checkpoints = checkpoints(args.checkpoints.as_ref(), context)?;
        Ok(Replay { draws: draws as usize, checkpoints, seed: args.seed, lab: context.lab()? })
    };
    let again = args.replay.map(again).transpose()?;
    let checked = bundle::verify(&bytes, args.of.data_root.as_deref(), again.as_ref());
    // Whatever is wrong with it, a bundle was looked at.
    Ok((bytes, checked.map_err(Failure::after_work)?))
}

fn lines(report: &Report) -> String {
    let passed = report.passed.iter().map(|line| format!("ok       {line}"));
    let skipped = report.skipped.iter().map(|line| format!("SKIPPED  {line}"));
    passed.chain(skipped).collect::<Vec<_>>().join("\n")
}

/// The bytes of a bundle.
pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
    let remedy = "give a file that `toxiclip submit pack` wrote";
    std::fs::read(file).map_err(|e| Failure::absent(file, &e, remedy))
}

/// Where checkpoints lie: the folder that was given, or the cache if there is one.
pub(super) fn checkpoints(given: Option<&PathBuf>, context: &Context) -> Result<Option<PathBuf>> {
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
