//! `toxiclip submit commit`, `reveal` and `rescore`: triggers that nobody knows before everybody has submitted.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use toxiclip_shared::digest::Digest;

use super::submit::{Bundle, read};
use crate::argument::Spec;
use crate::bundle::{self, Rescore};
use crate::cli::Context;
use crate::failure::{Failure, Result};
use crate::output;

/// A seed and what hides it.
#[derive(Debug, clap::Args)]
pub struct Secret {
    /// The seed of the trigger's dice.
    #[arg(long, value_name = "N")]
    pub seed: u64,
    /// A file with a salt; `commit` makes it where it is missing. Keep it, and keep it secret.
    #[arg(long, value_name = "FILE")]
    pub salt_file: PathBuf,
}

/// A seed that was committed to.
#[derive(Debug, clap::Args)]
pub struct Reveal {
    /// What `commit` printed.
    #[arg(value_name = "COMMITMENT")]
    pub commitment: String,
    /// What it is said to be about.
    #[command(flatten)]
    pub secret: Secret,
}

/// Submitted models, and an attack with a revealed seed.
#[derive(Debug, clap::Args)]
pub struct Score {
    /// The bundle.
    #[command(flatten)]
    pub bundle: Bundle,
    /// What `commit` printed.
    #[arg(long, value_name = "COMMITMENT")]
    pub commitment: String,
    /// What it is said to be about.
    #[command(flatten)]
    pub secret: Secret,
    /// The attack, `name` or `name:key=value,…`.
    #[arg(long, value_name = "A")]
    pub attack: Spec,
    /// Folder of the checkpoints, at most two folders below it [default: the cache].
    #[arg(long, value_name = "DIR")]
    pub checkpoints: Option<PathBuf>,
}

/// Prints the commitment to a seed.
///
/// # Errors
/// If the salt is too short, or its file cannot be read or made.
pub fn commit(secret: &Secret) -> Result<()> {
    if !secret.salt_file.exists() {
        let salt = crate::secret::secret::<32>()?;
        keep(&secret.salt_file, &format!("{salt}\n"))
            .map_err(|e| Failure::io(&secret.salt_file, &e))?;
    }
    output::print(&made(secret)?.to_string())
}

/// Writes a file that nobody else reads, whole, and never over another.
fn keep(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // Temporary files are their owner's alone, and stay so under their last name.
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map(drop).map_err(|e| e.error)
}

/// Checks that a seed is the one that was committed to.
///
/// # Errors
/// If it is not.
pub fn reveal(args: &Reveal) -> Result<()> {
    same(&args.commitment, &args.secret)?;
    output::print(&format!("ok       the commitment is to seed {}", args.secret.seed))
}

/// Scores the attacked models of a bundle under the attack that a revealed seed draws; a line of JSON for each value.
///
/// # Errors
/// If the seed is another than the committed one, the bundle does not verify, or no checkpoint is at hand.
pub fn rescore(args: &Score, context: &Context) -> Result<()> {
    same(&args.commitment, &args.secret)?;
    let bytes = read(&args.bundle.bundle)?;
    let checkpoints = super::submit::checkpoints(args.checkpoints.as_ref(), context)?;
    let (seed, lab) = (args.secret.seed, context.lab()?);
    let how = Rescore { attack: &args.attack, seed, checkpoints, lab };
    let scored = bundle::rescore(&bytes, args.bundle.data_root.as_deref(), &how);
    let (scores, report) = scored.map_err(Failure::after_work)?;
    report.skipped.iter().for_each(|line| context.progress.warn(line));
    let lines: serde_json::Result<Vec<String>> = scores.iter().map(serde_json::to_string).collect();
    output::print(&lines.map_err(Failure::failed)?.join("\n"))
}

fn same(commitment: &str, secret: &Secret) -> Result<()> {
    let own = made(secret)?;
    match commitment.trim() == own.to_string() {
        true => Ok(()),
        false => Err(Failure::failed(format!(
            "seed {} with the salt of {} is not what {commitment:?} commits to",
            secret.seed,
            secret.salt_file.display()
        ))),
    }
}

fn made(secret: &Secret) -> Result<Digest> {
    bundle::commitment(secret.seed, &salt(&secret.salt_file)?)
}

fn salt(file: &Path) -> Result<String> {
    let remedy = "give the file that `toxiclip submit commit` wrote";
    fs::read_to_string(file).map_err(|e| Failure::absent(file, &e, remedy))
}
