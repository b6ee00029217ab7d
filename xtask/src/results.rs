//! Published results and README's tables: checked, or brought up to date.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::step::{Outcome, cargo, command};
use crate::target_dir;
use crate::test::FEATURES;

/// Recomputes every published row from its evidence, compares README's tables and the pages with them, and prints what
/// changed since `base`. With `update` README and pages are written, after publishing a run folder if one is given.
pub(crate) fn run(update: Option<Option<PathBuf>>, base: Option<&str>) -> Result<()> {
    let mut line = cargo("run --release --quiet --package toxiclip --example results --");
    match update {
        None => line.arg("check").args(base),
        Some(None) => line.arg("update"),
        Some(Some(run)) => line.arg("update").arg(absolute(&run)?),
    };
    command(&mut line).map(drop)
}

/// The step of `cargo xtask test`: what [`run`] does, with the features of the tests, that have compiled it already.
pub(crate) fn step() -> Result<Outcome> {
    command(&mut cargo(&format!("build {FEATURES} --example results")))?;
    let built = target_dir().join("release/examples/results");
    command(Command::new(built).arg("check"))
}

/// Commands run in the repository, whatever folder the path was given in.
fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("{}: give a folder that `toxiclip run` wrote", path.display()))
}
